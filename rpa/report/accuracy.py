"""What quantization costs: a kernel on real-valued data, against the same formula in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from isa import Program
from rpa.report import golden
from rpa.report.cases import Formula

MULTIPLIER_BITS = 31
WAVES = 3
WEIGHTS = ("weight", "bt_matrix")
"""Names of operands that are weights."""


Run = Callable[[dict[str, np.ndarray]], np.ndarray]


def relative_error(formula: Formula, program: Program, run: Run, seed: int = 0, given: Mapping[str, np.ndarray] | None = None) -> float:
    """||dequantized output - reference|| / ||reference|| in the 2-norm.

    Activations are smooth brightnesses 0..1, weights uniform around 0 (as layers are initialised); ``given`` has float64 operands
    to take instead. Each operand has one symmetric scale, each output channel one of its own where the program requantizes per
    channel. The reference is float64 arithmetic on the values before quantization. ``run`` takes inputs by name, returns the output.
    """
    real = {name: _real(program, name, number, seed) for number, name in enumerate(formula.operands)} | dict(given or {})
    reference = formula.accumulate(real, program) / max(1, formula.divisor)
    scales = {name: float(_scale_of(values, program.tensors[name].bits)) for name, values in real.items()}
    if not formula.products:
        scales = dict.fromkeys(scales, max(scales.values()))
    inputs = {name: _quantize(values, scales[name], program.tensors[name].bits) for name, values in real.items()}
    acc_scale = float(np.prod(list(scales.values()))) if formula.products else max(scales.values())
    out_scale = np.array([acc_scale])
    if not formula.divisor:
        channels = program.tensors["scale"].shape[0]
        out_scale = _scale_of(reference.reshape(-1, channels), program.tensors[formula.output].bits, axis=0)
        inputs["scale"] = np.array([_entry(acc_scale * 2 ** formula.pre(program) / scale) for scale in out_scale])
    output = run(inputs).reshape(-1, len(out_scale)) * out_scale
    return float(np.linalg.norm(output.ravel() - reference.ravel()) / np.linalg.norm(reference))


def _scale_of(values: np.ndarray, bits: int, axis: int | None = None) -> np.ndarray:
    return np.abs(values).max(axis=axis) / golden.signed_limits(bits)[1]


def _quantize(values: np.ndarray, scale: float, bits: int) -> np.ndarray:
    return np.clip(np.rint(values / scale), *golden.signed_limits(bits)).astype(np.int64)


def _entry(factor: float) -> tuple[int, int, int]:
    """Bias 0, multiplier and shift of a multiplication by ``factor``."""
    mantissa, exponent = np.frexp(factor)
    multiplier = min(round(mantissa * 2**MULTIPLIER_BITS), 2**MULTIPLIER_BITS - 1)
    return 0, multiplier, MULTIPLIER_BITS - int(exponent)


def _real(program: Program, name: str, number: int, seed: int) -> np.ndarray:
    """float64 values in a tensor's shape: uniform in -1..1 for weights, otherwise waves between 0 and 1."""
    shape = program.tensors[name].shape
    rng = np.random.default_rng([seed, number])
    if name in WEIGHTS:
        return rng.uniform(-1, 1, shape)
    axes = np.meshgrid(*(np.linspace(0, 1, size, endpoint=False) for size in shape), indexing="ij")
    field = np.zeros(shape)
    for _ in range(WAVES):
        frequencies = rng.uniform(0.5, 3, len(shape))
        field += np.sin(2 * np.pi * (sum(f * axis for f, axis in zip(frequencies, axes, strict=True)) + rng.random()))
    return 0.5 + field / (2 * WAVES)
