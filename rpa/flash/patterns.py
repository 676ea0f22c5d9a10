"""Activations as patterns of digits: what word lines see in each operation, several neighbouring word lines in a byte.

A group of `rows_in_group` word lines has one of 2^(8 or fewer) patterns in an operation, and a table has what the group adds to each bit line
for each pattern. So an operation is a few additions of table rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rpa.arch.jit import inner, jit, jit_nogil
from rpa.flash.errors import FlashError

U8, U64 = np.uint8, np.uint64


@dataclass(frozen=True)
class Passes:
    """How activations come in: one digit in each operation, lowest first; of signed ones the sign bit last."""

    abits: int
    """Bits of an activation, 1..16."""
    dac_bits: int
    """Bits of a digit, 1..4."""
    signed: bool = False

    def __post_init__(self) -> None:
        if not (1 <= self.abits <= 16 and 1 <= self.dac_bits <= 4):
            raise FlashError(f"Passes: {self.abits} bits in digits of {self.dac_bits}, must be 1..16 and 1..4")

    @property
    def shifts(self) -> npt.NDArray[np.int64]:
        """Lowest bit of each pass's digit."""
        unsigned = range(0, self.abits - self.signed, self.dac_bits)
        return np.array([*unsigned, *([self.abits - 1] if self.signed else [])], np.int64)

    @property
    def masks(self) -> npt.NDArray[np.int64]:
        """Largest digit of each pass."""
        ends = np.append(self.shifts[1:], self.abits) if self.signed else np.minimum(self.shifts + self.dac_bits, self.abits)
        return (np.int64(1) << (ends - self.shifts)) - 1

    @property
    def weights(self) -> npt.NDArray[np.int64]:
        """What a code of each pass counts."""
        weights = np.int64(1) << self.shifts
        return np.append(weights[:-1], -weights[-1]) if self.signed else weights

    def digits(self, x: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
        """(vectors, passes, rows) digits of activations (vectors, rows)."""
        return ((x.astype(np.int64)[:, None, :] >> self.shifts[:, None]) & self.masks[:, None]).astype(np.uint8)


def rows_in_group(dac_bits: int) -> int:
    """Word lines in one pattern."""
    return 8 // dac_bits


@inner
def _transposed(x):
    """8 x 8 bits in 64: byte r, bit p becomes byte p, bit r (Hacker's Delight, 7-3)."""
    t = (x ^ (x >> U64(7))) & U64(0x00AA00AA00AA00AA)
    x = x ^ t ^ (t << U64(7))
    t = (x ^ (x >> U64(14))) & U64(0x0000CCCC0000CCCC)
    x = x ^ t ^ (t << U64(14))
    t = (x ^ (x >> U64(28))) & U64(0x00000000F0F0F0F0)
    return x ^ t ^ (t << U64(28))


@jit_nogil
def _of_bits(x, first_pass, passes, patterns, active):
    """Passes of one bit each from bytes x (vectors, rows), rows a multiple of 8, into patterns (vectors, passes, groups)."""
    vectors, rows = x.shape
    for v in range(vectors):
        for group in range(rows // 8):
            word = U64(0)
            for i in range(8):
                word |= U64(x[v, group * 8 + i]) << U64(8 * i)
            word = _transposed(word)
            for p in range(passes):
                patterns[v, first_pass + p, group] = U8((word >> U64(8 * p)) & U64(255))
        for p in range(passes):
            driven = 0
            for row in range(rows):
                driven += (x[v, row] >> U8(p)) & U8(1)
            active[v, first_pass + p] = driven


@jit_nogil
def _of_digits(digits, bits, in_group, patterns, active):
    """Patterns of digits (vectors, passes, rows), rows a multiple of `in_group`."""
    vectors, passes, rows = digits.shape
    for v in range(vectors):
        for p in range(passes):
            driven = 0
            for group in range(rows // in_group):
                pattern = 0
                for i in range(in_group):
                    digit = digits[v, p, group * in_group + i]
                    pattern |= digit << (bits * i)
                    driven += digit != 0
                patterns[v, p, group] = pattern
            active[v, p] = driven


def patterns_of(x: npt.NDArray[np.integer], passes: Passes) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    """(vectors, passes, groups) patterns and (vectors, passes) driven word lines of activations x (vectors, rows)."""
    in_group, count = rows_in_group(passes.dac_bits), len(passes.shifts)
    vectors, rows = x.shape
    padded = -(-rows // in_group) * in_group
    patterns = np.empty((vectors, count, padded // in_group), np.uint8)
    active = np.empty((vectors, count), np.int32)
    if passes.dac_bits > 1:
        return patterns_of_digits(passes.digits(x), passes.dac_bits)
    for low in range(0, passes.abits, 8):
        bits = min(8, passes.abits - low)
        held = np.zeros((vectors, padded), np.uint8)
        held[:, :rows] = x if x.dtype == np.uint8 and low == 0 else (x >> low) & 0xFF
        _of_bits(held, low, bits, patterns, active)
    return patterns, active


def patterns_of_digits(digits: npt.NDArray[np.uint8], dac_bits: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    """The same of digits (vectors, passes, rows)."""
    in_group = rows_in_group(dac_bits)
    vectors, count, rows = digits.shape
    padded = np.zeros((vectors, count, -(-rows // in_group) * in_group), np.uint8)
    padded[:, :, :rows] = digits
    patterns, active = np.empty((vectors, count, padded.shape[2] // in_group), np.uint8), np.empty((vectors, count), np.int32)
    _of_digits(padded, dac_bits, in_group, patterns, active)
    return patterns, active


@jit
def fill_table(levels, bits, in_group, table):
    """table (groups, patterns, lines) of levels (digits, rows, lines): what each pattern of a group adds up to."""
    rows, lines = levels.shape[1:]
    for group in range(table.shape[0]):
        table[group, 0, :] = 0
        for pattern in range(1, table.shape[1]):
            # The highest digit that is not 0 is added to the pattern without it.
            place = in_group - 1
            while pattern >> (bits * place) == 0:
                place -= 1
            digit = pattern >> (bits * place)
            rest, row = pattern - (digit << (bits * place)), group * in_group + place
            for line in range(lines):
                table[group, pattern, line] = table[group, rest, line] + (levels[digit - 1, row, line] if row < rows else 0)
