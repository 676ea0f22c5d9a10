"""How large an accumulator of the NOR-flash macros can become, before anything runs: largest codes of every pass, added up."""

from __future__ import annotations

import numpy as np

from isa.table import ACC_BANKS, ACC_INDEX_COUNT, NV_DIMS
from rpa.arch.config import ArrayConfig
from rpa.arch.macro import limits
from rpa.emu.fast.layout import Registers
from rpa.emu.fast.nv_plan import passes
from rpa.emu.fast.trace import Command
from rpa.runner.overflow import Overflow


def largest_output(r: Registers, config: ArrayConfig) -> int:
    """The largest magnitude that one vector adds to an output: every conversion gives its largest code, in whatever macro."""
    code = int(limits(config, r.rows, r.range))
    weight = code * sum(1 << config.nv_cell_bits * digit for digit in range(r.slices))
    return (weight << r.range) * sum(abs(factor) for *_, factor in passes(r, config.nv_dac_bits))


def spread(counts: list[int], steps: list[int]) -> list[int]:
    """How often a nest of loops meets each accumulator, relative to the first: 16 numbers."""
    total = [1] + [0] * (ACC_INDEX_COUNT - 1)
    for count, step in zip(counts, steps, strict=True):
        places = np.bincount(np.arange(count) * step % ACC_INDEX_COUNT, minlength=ACC_INDEX_COUNT).tolist()
        total = [sum(total[(index - place) % ACC_INDEX_COUNT] * times for place, times in enumerate(places)) for index in range(ACC_INDEX_COUNT)]
    return total


class NvBounds:
    """Follows the `nvmac` commands of a program in order."""

    def __init__(self, config: ArrayConfig) -> None:
        self.config = config
        self.bounds = [[0] * ACC_INDEX_COUNT for _ in range(ACC_BANKS)]

    def mac(self, command: Command) -> Overflow | None:
        """Add an `nvmac`; the worst accumulator if one could pass its limit."""
        r, bounds, bits = command.registers, self.bounds[command.operand], self.config.acc_bits
        each, limit = largest_output(r, self.config), (1 << bits - 1) - 1
        counts, steps = ([getattr(r, f"{name}{d}") for d in range(NV_DIMS)] for name in ("n", "cv"))
        shared = spread([-(-r.outs // self.config.cols)], [r.cg])
        worst: Overflow | None = None
        for relative, met in enumerate(spread([*counts, -(-r.outs // self.config.cols)], [*steps, r.cg])):
            if not met:
                continue
            index, times = (relative + r.cbase) % ACC_INDEX_COUNT, met if r.keep else max(shared)
            before = bounds[index] if r.keep else 0
            bounds[index] = before + times * each
            if bounds[index] > limit and (worst is None or bounds[index] > worst.bound):
                text = (f"{before} + " if before else "") + f"{times} * {each}"
                worst = Overflow(bounds[index], limit, bits, f"vectors * largest output = {text}")
        return worst
