"""A table of integers as a sum of pieces, each a slope times the input limited to an interval.

    table[x] = constant + sum over pieces of slope * min(max(x, low), high)

Lane by lane that is `max`, `min` and `macl`, so any function of a number of at most 8 bits can be computed without a table in the array.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from rpa.arch.packing import element_range, pack


@dataclass(frozen=True)
class Pieces:
    """The pieces of a table whose first entry belongs to `first`."""

    low: np.ndarray
    high: np.ndarray
    slope: np.ndarray
    constant: int

    def words(self, bits: int, *, signed: bool) -> np.ndarray:
        """uint16 (3 * pieces,): low, high and slope of each piece, in every lane."""
        parts = [pack(np.tile(values[:, None], (1, 16 // bits)), bits, signed=sign)[:, 0]
                 for values, sign in ((self.low, signed), (self.high, signed), (self.slope, True))]
        return np.stack(parts, axis=1).reshape(-1)


def pieces_of(table: np.ndarray, first: int, bits: int) -> Pieces:
    """Cut a table, (n,) integers, where its slope changes; a slope that `bits` signed bits do not hold becomes several pieces.

    A constant table is one piece of slope 0.
    """
    steps = np.diff(table.astype(np.int64))
    edges = np.concatenate(([0], np.flatnonzero(np.diff(steps)) + 1, [len(steps)])) if len(steps) else np.array([0, 0])
    least, most = element_range(bits, True)
    low, high, slope = [], [], []
    for start, end in pairwise(edges):
        rest = int(steps[start]) if end > start else 0
        while rest:
            part = max(least, min(most, rest))
            low.append(first + int(start))
            high.append(first + int(end))
            slope.append(part)
            rest -= part
    if not slope:
        low, high, slope = [first], [first], [0]
    constant = int(table[0]) - sum(factor * start for factor, start in zip(slope, low, strict=True))
    return Pieces(np.array(low, np.int64), np.array(high, np.int64), np.array(slope, np.int64), constant)
