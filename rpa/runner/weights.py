"""What is known of the W banks without data: words that `ld w, fill` wrote, and zeros at the start.

Kernels that move data through the array with a constant matrix (often the identity) would look as if they could overflow
if every weight counted as its largest value.
"""

from __future__ import annotations

import numpy as np

from isa.table import ACC_INDEX_COUNT
from rpa.arch.config import ArrayConfig
from rpa.arch.packing import WORD_BITS
from rpa.emu.fast.layout import SOURCE, Registers
from rpa.emu.fast.trace import Command
from rpa.runner.stream import Operand, Steps

_ADDRESSES = 1 << 16
_EVERY_LANE = 63


def elements(words: np.ndarray, bits: int, signed: bool) -> np.ndarray:
    """Elements of ``words`` (n, banks) uint16, low first: int64 (n * 16/bits, banks)."""
    parts = words.astype(np.int64)[:, None, :] >> (np.arange(WORD_BITS // bits) * bits)[:, None] & ((1 << bits) - 1)
    half = 1 << (bits - 1)
    return ((parts ^ half) - half if signed else parts).reshape(-1, words.shape[1])


def element_numbers(operand: Operand, base: int, bits: int, lanes: int) -> np.ndarray:
    """(steps, lanes): numbers of the elements on the bus among those of the banks; -1 for 0."""
    per_word = WORD_BITS // bits
    first = ((operand.address + base) % _ADDRESSES) * per_word + operand.piece * lanes
    return np.where(operand.filled[:, None], first[:, None] + np.arange(lanes), -1)


def fill_word(r: Registers) -> int:
    """The bank word that source `fill` writes: the packed low bits of as many source words as it holds."""
    return sum((r.fill & ((1 << r.pack) - 1)) << shift for shift in range(0, WORD_BITS, r.pack))


class KnownWeights:
    """Words of the W banks that do not depend on data, as `ld` commands come in order; worked out when they are asked for."""

    def __init__(self, config: ArrayConfig) -> None:
        self._words = np.zeros((config.w_depth, config.cols), dtype=np.uint16)
        self._known = np.ones((config.w_depth, config.cols), dtype=bool)
        self._loads: list[Command] = []

    def load(self, command: Command) -> None:
        """Follow an `ld` into the W banks that stays inside them."""
        self._loads.append(command)

    def sums(self, steps: Steps, r: Registers, counted: np.ndarray, by_lane: bool, unknown: int) -> np.ndarray:
        """(16,) per relative accumulator: the largest sum, over a column (and a lane if ``by_lane``), of weight magnitudes.

        counted: (steps,) whether a step counts.  unknown: magnitude of a weight that depends on data.
        """
        for command in self._loads:
            self._write(command)
        self._loads.clear()
        magnitude = np.abs(elements(self._words[:, :r.cols], r.wbits, bool(r.wsigned)))
        magnitude[~np.repeat(self._known[:, :r.cols], WORD_BITS // r.wbits, axis=0)] = unknown
        magnitude = np.vstack((magnitude, np.zeros((1, magnitude.shape[1]), dtype=np.int64)))
        taken = magnitude[element_numbers(steps.w, r.wbase, r.wbits, steps.lanes)]
        taken = taken.reshape(steps.count, -1) if by_lane else taken.sum(axis=1)
        totals = np.zeros((ACC_INDEX_COUNT, taken.shape[1]), dtype=np.int64)
        np.add.at(totals, steps.acc[counted], taken[counted])
        return totals.max(axis=1)

    def _write(self, command: Command) -> None:
        r, source = command.registers, command.operand[1]
        across = (np.arange(r.units)[:, None] * r.dstep + np.arange(r.unit * r.pack // WORD_BITS)).ravel()
        for bank in range(self._words.shape[1]):
            q = bank >> r.group
            rows = np.arange(r.rows)
            inside = (r.j0 + rows - q * r.wstep >= 0) & (r.j0 + rows - q * r.wstep < r.wlen)
            if r.sel in (_EVERY_LANE, bank - (q << r.group)) and inside.any():
                at = (r.base + rows[inside][:, None] * r.pitch - q * r.bstep + across) % _ADDRESSES
                self._words[at, bank] = fill_word(r)
                self._known[at, bank] = source == SOURCE["fill"]
