"""What some vectors of an `nvmac` need, as far as it depends neither on data nor on bases; kept, as commands repeat."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from isa.table import ACC_INDEX_COUNT
from rpa.arch.config import ArrayConfig
from rpa.emu.fast.layout import Registers
from rpa.emu.step.layout import DIFFERENTIAL, REFERENCE

_NO_BASES = {"macro": 0, "row0": 0, "line0": 0, "xbase": 0, "cbase": 0}


@dataclass(frozen=True, eq=False)
class Plan:
    """V vectors, P passes, G groups of outputs, K lines of a group."""

    offsets: np.ndarray
    """(V, words): X addresses, relative to the first."""
    shifts: np.ndarray
    """(P, 1) uint16: lowest bit that a pass drives, and the mask of its digit."""
    masks: np.ndarray
    weights: np.ndarray
    """(P, 1, 1): what a pass counts, with the step of a code."""
    signs: tuple[int, ...]
    """(K,): what a line of a group counts."""
    reference: np.ndarray | None
    """(slices,): what a digit of the reference counts, if there is one."""
    groups: int
    cols: int
    width: int
    """Bit lines that are converted."""
    kept: np.ndarray | None
    """Vectors whose sums are not all lost; None: all."""
    index: np.ndarray
    """(kept vectors, G): accumulators, relative to the first."""
    lost: np.ndarray | None
    """(kept vectors, P, G): terms that a later start from 0 takes away."""
    distinct: bool
    """No accumulator occurs twice in ``index``."""

    def outputs(self, codes: np.ndarray) -> np.ndarray:
        """(vectors, P, G, columns): codes (vectors, P, bit lines) with digits of a weight added up, weighed by pass."""
        used = self.groups * len(self.signs) * self.cols
        lines = codes[..., :used].reshape(*codes.shape[:2], self.groups, len(self.signs), self.cols)
        totals = lines[..., 0, :] * self.signs[0]
        for k, sign in enumerate(self.signs[1:], 1):
            totals += lines[..., k, :] * sign
        if self.reference is not None:
            totals -= (codes[..., used:used + len(self.reference)] @ self.reference)[..., None, None]
        return totals * self.weights


def elements(words: np.ndarray, bits: int) -> np.ndarray:
    """Unsigned elements of words uint16 (n, words), the first in the low bits: uint16 (n, words * 16 / bits)."""
    if bits == 16:
        return words
    parts = words[..., None] >> np.arange(0, 16, bits, dtype=np.uint16) & np.uint16((1 << bits) - 1)
    return parts.reshape(len(words), -1)


def nest(number: np.ndarray, counts: tuple[int, int], steps: tuple[int, int, int]) -> np.ndarray:
    """Sum of index * step of three loops, innermost first, at every step ``number``. counts: of the inner two."""
    n0, n1 = counts
    return number % n0 * steps[0] + number // n0 % n1 * steps[1] + number // (n0 * n1) * steps[2]


def passes(r: Registers, dac_bits: int) -> list[tuple[int, int, int]]:
    """Of each pass the lowest bit that it drives, how many, and its weight."""
    plain_bits = r.abits - r.asigned
    low = [(bit, min(dac_bits, plain_bits - bit), 1 << bit) for bit in range(0, plain_bits, dac_bits)]
    return low + [(r.abits - 1, 1, -(1 << r.abits - 1))] * r.asigned


def plan_of(r: Registers, config: ArrayConfig, start: int, end: int) -> Plan:
    """The plan of vectors start .. end - 1."""
    return _plan(r._replace(**_NO_BASES), config, start, end)


@lru_cache(maxsize=128)
def _plan(r: Registers, config: ArrayConfig, start: int, end: int) -> Plan:
    vectors, groups, steps = np.arange(start, end), -(-r.outs // config.cols), passes(r, config.nv_dac_bits)
    words = nest(np.arange(r.k0 * r.k1 * r.k2), (r.k0, r.k1), (r.xk0, r.xk1, r.xk2))
    index = (nest(vectors, (r.n0, r.n1), (r.cv0, r.cv1, r.cv2))[:, None] + np.arange(groups) * r.cg) % ACC_INDEX_COUNT
    kept = None if r.keep else _lasting(index)
    index = index if kept is None else index[kept]
    distinct = np.unique(index).size == index.size
    places = tuple(1 << config.nv_cell_bits * digit for digit in range(r.slices))
    signs = (*places, *(-place for place in places)) if r.encoding == DIFFERENTIAL else places
    reference = np.array(places) if r.encoding == REFERENCE else None
    return Plan(
        offsets=nest(vectors, (r.n0, r.n1), (r.xv0, r.xv1, r.xv2))[:, None] + words, groups=groups, cols=config.cols,
        shifts=np.array([[low] for low, _, _ in steps], np.uint16), masks=np.array([[(1 << bits) - 1] for _, bits, _ in steps], np.uint16),
        weights=np.array([weight << r.range for *_, weight in steps])[:, None, None], signs=signs, reference=reference,
        width=(groups * len(signs) + (reference is not None)) * config.cols, kept=kept if kept is None or len(kept) < len(vectors) else None,
        index=index, lost=None if r.keep or distinct else _lost(index, len(steps)), distinct=distinct)


def _lasting(index: np.ndarray) -> np.ndarray:
    """Of vectors that start from 0 those whose sums are not all lost: the last of every accumulator in ``index`` (vectors, groups)."""
    return np.unique([np.flatnonzero((index == acc).any(axis=1))[-1] for acc in np.unique(index)])


def _lost(index: np.ndarray, count: int) -> np.ndarray:
    """(vectors, passes, groups): terms that a later start from 0 of the same accumulator takes away.

    Every group starts from 0 in its first pass: of the vectors but the last that use an accumulator all is lost, of groups of one
    vector that share it the first pass of all but the last.
    """
    lost = np.zeros((len(index), count, index.shape[1]), bool)
    for acc in np.unique(index):
        where = np.argwhere(index == acc)
        for vector, group in where[:-1]:
            lost[vector, slice(None) if vector < where[-1, 0] else 0, group] = True
    return lost
