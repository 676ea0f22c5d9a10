"""Inputs of a program: those given, and seeded random values for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from isa.program import Program, Tensor

SHIFTS = (38, 46)
"""Right shifts of random requantization entries, exclusive at the end; with 31-bit multipliers they divide by 128 to 32768."""


def complete(program: Program, given: Mapping[str, np.ndarray], seed: int | None) -> dict[str, np.ndarray]:
    """Return ``given`` and, if there is a seed, random values over the whole range for every other input of the program."""
    filled = dict(given)
    if seed is not None:
        import numpy as np

        for number, tensor in enumerate(program.inputs()):
            if tensor.name not in filled:
                filled[tensor.name] = _random(tensor, np.random.default_rng([seed, number]))
    return filled


def _random(tensor: Tensor, rng: np.random.Generator) -> np.ndarray:
    import numpy as np

    if tensor.kind == "params":
        count = tensor.shape[0]
        bias = rng.integers(-1000, 1001, count)
        return np.stack([bias, rng.integers(1 << 30, 1 << 31, count), rng.integers(*SHIFTS, count)], axis=1)
    low = -(1 << (tensor.bits - 1)) if tensor.signed else 0
    return rng.integers(low, low + (1 << tensor.bits), tensor.shape)
