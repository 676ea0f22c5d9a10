"""The 3x3 layer (32x32x16 to 16 channels on 16x16 PEs) against its targets: utilisation, speed-up, bank accesses, error.

Run it with `python -m benchmarks.kernels`; it exits with 1 if a target is missed.
"""

from __future__ import annotations

import sys

from skimage import data

from rpa.arch.config import ArrayConfig
from rpa.arch.outcome import Outcome
from rpa.report.accuracy import relative_error
from rpa.report.backends import run_program
from rpa.report.cases import CONVOLUTION
from rpa.report.kernels import EQUAL_WIDTHS, KERNELS
from rpa.report.measure import Row, counter, measure

ACCESS_COUNTERS = ("a_reads", "w_reads", "o_writes", "o_reads")
"""Bank accesses of the layer: operand reads, and writes and reads of its results. Loading the operands is not among them."""
IN_BANKS, STREAMED = "conv3x3", "conv3x3_stream"
MIN_UTILISATION = {IN_BANKS: 0.98, STREAMED: 0.85}
MIN_SPEEDUP = {8: 1.95, 4: 3.8, 2: 7.0}
MAX_ACCESS_RATIO = {8: 1 - 0.71, 4: 1 - 0.85, 2: 1 - 0.92}
MAX_ERROR_8_BIT = 0.01


def accesses(outcome: Outcome) -> int:
    return sum(counter(outcome, name) for name in ACCESS_COUNTERS)


def layer_accesses(bits: int, reuse: int, config: ArrayConfig) -> int:
    """Bank accesses of the layer at one width, with or without operand reuse in the feeders."""
    kernel = KERNELS[IN_BANKS]
    program = kernel.assemble(config, bits, bits, REUSE=reuse)
    return accesses(run_program(program, kernel.case(program).inputs, "fast")[0])


def photograph_error(bits: int, config: ArrayConfig) -> float:
    """Relative error of the layer on a 128x128 photograph, whose 4x4 blocks are the 16 channels of 32x32 pixels."""
    kernel = KERNELS[IN_BANKS]
    program = kernel.assemble(config, bits, bits)
    photograph = data.camera()[100:228, 200:328] / 255
    act = photograph.reshape(32, 4, 32, 4).transpose(0, 2, 1, 3).reshape(32, 32, 16)
    return relative_error(CONVOLUTION, program, lambda inputs: run_program(program, inputs, "fast")[1]["out"], given={"act": act})


def report(what: str, value: float, target: float, *, at_most: bool = False) -> bool:
    """Print one figure beside its target; True if it is met."""
    met = value <= target if at_most else value >= target
    print(f"{what:<58} {value:9.4f}   {'<=' if at_most else '>='} {target:<7.4g} {'ok' if met else 'MISSED'}")
    return met


def main() -> int:
    config = ArrayConfig.preset("default")
    rows: dict[tuple[str, int], Row] = {(row.name, row.act_bits): row
                                        for row in measure((IN_BANKS, STREAMED), EQUAL_WIDTHS, config, ("fast",))}
    met = []
    for name, target in MIN_UTILISATION.items():
        row = rows[name, 16]
        met.append(report(f"{name}, 16 bit: utilisation ({row.cycles} cycles)", row.utilisation or 0, target))
    for bits, target in MIN_SPEEDUP.items():
        row = rows[IN_BANKS, bits]
        met.append(report(f"{IN_BANKS}, {bits} bit: speed-up ({row.cycles} cycles)", row.speedup or 0, target))
    for bits in MIN_SPEEDUP:
        row = rows[STREAMED, bits]
        print(f"{STREAMED + f', {bits} bit: speed-up ({row.cycles} cycles)':<58} {row.speedup:9.4f}")
    base = layer_accesses(16, 0, config)
    print(f"{'bank accesses at 16 bit without reuse':<58} {base:9d}")
    print(f"{'  with reuse, ratio':<58} {layer_accesses(16, 1, config) / base:9.4f}")
    for bits, target in MAX_ACCESS_RATIO.items():
        met.append(report(f"  {bits} bit with reuse, ratio", layer_accesses(bits, 1, config) / base, target, at_most=True))
    met.append(report(f"{IN_BANKS}, 8 bit: relative error on a photograph", photograph_error(8, config), MAX_ERROR_8_BIT, at_most=True))
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
