"""The work of the demo at one pair of widths: every tile on the fast emulator and in NumPy, one tile in RTL."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

import rpa
from isa import Program
from rpa.arch.config import ArrayConfig
from rpa.arch.memory import build_memory, read_tensor
from rpa.demo.photo import INNER, tiles
from rpa.demo.quantize import Layer, quantize_layer
from rpa.report.cases import CONVOLUTION
from rpa.report.golden import convolve, requantize, signed_limits
from rpa.report.kernels import KERNELS
from rpa.report.measure import READ_COUNTERS, WRITE_COUNTERS
from rpa.verify.compare import compare

KERNEL = "conv3x3_stream"
RTL_CYCLES = 100_000


@dataclass(frozen=True)
class Measured:
    """What one pair of widths gave for the whole picture."""

    act_bits: int
    weight_bits: int
    output: np.ndarray
    """float64 (H, W, filters): results times their scale."""
    cycles: int
    """Clock cycles of all tiles, one after the other."""
    utilisation: float
    """MACs of the layer / (cycles * PEs * lanes); planes of zeros count, because the array multiplies them too."""
    bank_accesses: int
    external_bytes: int
    relative_error: float
    """||output - float64|| / ||float64|| over the picture and all filters."""
    wrong: int
    """Results that differ from NumPy int64."""

    @property
    def label(self) -> str:
        return f"W{self.weight_bits}A{self.act_bits}"


def assemble(config: ArrayConfig, act_bits: int, weight_bits: int, *, planes: int, passes: int, width: int) -> Program:
    """Assemble the kernel of programs/ for tiles of ``passes`` * rows by ``width`` pixels."""
    return KERNELS[KERNEL].assemble(config, act_bits, weight_bits, CIN=planes, PASSES=passes, W=width)


def measure(program: Program, act: np.ndarray, weight: np.ndarray, reference: np.ndarray) -> Measured:
    """Run the picture ``act`` (bordered, real) through ``program`` tile by tile; ``reference`` is the result in float64."""
    layer = quantize_layer(act, weight, program)
    tile_height, tile_width, _ = program.tensors["act"].shape
    height, width, filters = reference.shape
    output = np.zeros((height, width, filters), dtype=np.int64)
    totals: Counter[str] = Counter()
    wrong = tile_count = 0
    for tile in tiles(height, width, tile_height, tile_width):
        inputs = {"act": layer.act[tile.source], "weight": layer.weight, "scale": layer.entries}
        result = rpa.run(program, inputs)
        if result.fault is not None:
            raise RuntimeError(f"{program.name}: {result.fault}")
        wrong += int((result.outputs["out"] != golden(program, inputs)).sum())
        output[tile.target] = result.outputs["out"][INNER]
        totals.update(result.counters)
        tile_count += 1
    real = output * layer.out_scale
    macs = tile_count * program.tensors["out"].words * 16 // program.tensors["out"].bits * act.shape[2] * 9
    act_bits, weight_bits = (program.tensors[name].bits for name in ("act", "weight"))
    slots = totals["cycles"] * program.config["rows"] * program.config["cols"] * (16 // max(act_bits, weight_bits))
    return Measured(act_bits, weight_bits, real, totals["cycles"], macs / slots,
                    sum(totals[name] for name in (*READ_COUNTERS, *WRITE_COUNTERS)),
                    2 * (totals["ext_read_words"] + totals["ext_write_words"]),
                    float(np.linalg.norm(real - reference) / np.linalg.norm(reference)), wrong)


def golden(program: Program, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """The same convolution in NumPy int64."""
    acc = convolve(inputs["act"], inputs["weight"])
    return requantize(acc, inputs["scale"], signed_limits(program.tensors["out"].bits), pre=CONVOLUTION.pre(program))


def rtl_difference(program: Program, layer: Layer, corner: tuple[int, int]) -> str | None:
    """Run one tile, with its upper left pixel at ``corner``, on both emulators and in RTL, compared at every cycle.

    Returns the first difference between any two of them, or from NumPy; None if there is none.
    """
    tile_height, tile_width, _ = program.tensors["act"].shape
    top, left = corner
    inputs = {"act": layer.act[top:top + tile_height, left:left + tile_width], "weight": layer.weight, "scale": layer.entries}
    found = compare(program, build_memory(program, inputs), max_cycles=RTL_CYCLES, every_cycle=True)
    if found.difference is not None:
        return found.difference
    output = read_tensor(found.outcomes["rtl"].memory, program.tensors["out"])
    return None if np.array_equal(output, golden(program, inputs)) else "the results are not those of NumPy"
