"""What is known of the W banks without data: words that `ld w, fill` wrote, and zeros at the start.

Kernels that move data through the array with a constant matrix (often the identity) would look as if they could overflow
if every weight counted as its largest value.
"""

from __future__ import annotations

import numpy as np

from isa.table import ACC_INDEX_COUNT
from rpa.arch.config import ArrayConfig
from rpa.emu.fast.layout import DEST, SOURCE, Registers
from rpa.emu.fast.lines import wrapped_base
from rpa.emu.fast.load import NO_BASES, fill_word, plan_load
from rpa.emu.fast.product import element_numbers, expand
from rpa.emu.fast.queues import Command
from rpa.emu.fast.stream import Steps


class KnownWeights:
    """Words of the W banks that do not depend on data, as `ld` commands come in order."""

    def __init__(self, config: ArrayConfig) -> None:
        self.words = np.zeros((config.w_depth, config.cols), dtype=np.uint16)
        self.known = np.ones((config.w_depth, config.cols), dtype=bool)

    def load(self, command: Command) -> None:
        """Follow an `ld` into the W banks; one that leaves its bank changes nothing."""
        r, (dest, source) = command.registers, command.operand
        if dest != DEST["w"]:
            return
        depth, banks = self.words.shape
        plan = plan_load(r._replace(**NO_BASES), banks)
        base = wrapped_base(r.base, plan.low, plan.high, depth)
        if base is not None:
            target = plan.target + (base + plan.low) * banks
            self.known.reshape(-1)[target] = source == SOURCE["fill"]
            self.words.reshape(-1)[target] = fill_word(r)

    def sums(self, steps: Steps, r: Registers, counted: np.ndarray, by_lane: bool, unknown: int) -> np.ndarray:
        """(16,) per relative accumulator: the largest sum, over a column (and a lane if ``by_lane``), of weight magnitudes.

        counted: (steps,) whether a step counts.  unknown: magnitude of a weight that depends on data.
        """
        base = wrapped_base(r.wbase, steps.w.low, steps.w.high, self.words.shape[0]) or 0
        span = slice(base + steps.w.low, base + steps.w.high + 1)
        magnitude = np.abs(expand(self.words[span, :r.cols], r.wbits, bool(r.wsigned)).astype(np.int64))
        magnitude[~np.repeat(self.known[span, :r.cols], 16 // r.wbits, axis=0)] = unknown
        magnitude = np.vstack((magnitude, np.zeros((1, magnitude.shape[1]), dtype=np.int64)))
        taken = magnitude[element_numbers(steps.w, r.wbits, steps.lanes)[:-1]]
        taken = taken.reshape(steps.count, -1) if by_lane else taken.sum(axis=1)
        totals = np.zeros((ACC_INDEX_COUNT, taken.shape[1]), dtype=np.int64)
        np.add.at(totals, steps.acc[counted], taken[counted])
        return totals.max(axis=1)
