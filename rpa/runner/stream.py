"""The steps of one `run` as arrays: addresses after feeder effects, slices, accumulator indices, first flags (design.md section 6).

For the preflight, which must know what a run can do without running it. A plan depends on the registers without the four
bases, and is kept; a bank word that a step uses is named by the *source step* that read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from isa.table import ACC_INDEX_COUNT, DIMS, FEEDER_SLOTS
from rpa.emu.fast.layout import Registers

LARGEST = 1 << 21
"""Steps of one `run` beyond which a plan would take too much memory."""
NO_BASES = {"abase": 0, "wbase": 0, "cbase": 0, "sbase": 0, "rmask": -1, "cmask": -1}


@dataclass(frozen=True, eq=False)
class Operand:
    """One of the two operand streams, per step (steps,)."""

    reads: np.ndarray
    """Whether the step reads its bank."""
    hits: np.ndarray
    """Whether it takes the feeder's word."""
    address: np.ndarray
    """Relative address of the word on the bus; only where ``filled``."""
    filled: np.ndarray
    """False: the bus is 0 (a stream that is off, or a hit on a slot not filled in this run)."""
    piece: np.ndarray
    """Slice of the word that goes to the lanes."""
    low: int
    high: int
    """Smallest and largest relative address that is read (0, 0 if none is)."""
    read_count: int
    hit_count: int

    @property
    def used(self) -> bool:
        return self.read_count > 0


@dataclass(frozen=True, eq=False)
class Steps:
    """Everything about the steps of a run that does not depend on the bases, on contexts or on data."""

    registers: Registers
    count: int
    a: Operand
    w: Operand
    acc: np.ndarray
    """(steps,) accumulator index relative to cbase, 0..15."""
    slot: np.ndarray
    """(steps,) context slot relative to sbase, 0..ctx_slots-1."""
    first: np.ndarray
    """(steps,) whether the step starts its accumulator from 0."""

    @property
    def lanes(self) -> int:
        return 16 // self.registers.cbits

    @cached_property
    def slots(self) -> tuple[tuple[int, int], ...]:
        """(relative slot, steps that use it)."""
        values, counts = np.unique(self.slot, return_counts=True)
        return tuple((int(value), int(count)) for value, count in zip(values, counts, strict=True))

    @cached_property
    def staying(self) -> tuple[np.ndarray, np.ndarray]:
        """((16,) accumulators that some step starts from 0, (slots, 16) steps whose result stays to the end of the run)."""
        counts = [np.bincount(self.acc[self.stays & (self.slot == slot)], minlength=ACC_INDEX_COUNT) for slot, _ in self.slots]
        return self._last_first >= 0, np.array(counts)

    @cached_property
    def stays(self) -> np.ndarray:
        """(steps,) whether no later step starts the accumulator anew."""
        return np.arange(self.count) >= self._last_first[self.acc]

    @cached_property
    def _last_first(self) -> np.ndarray:
        """(16,) the last step that starts each accumulator from 0, or -1."""
        last = np.full(ACC_INDEX_COUNT, -1)
        np.maximum.at(last, self.acc[self.first], np.flatnonzero(self.first))
        return last


def _affine(indices: list[np.ndarray], steps: list[int]) -> np.ndarray:
    total = np.zeros(1, dtype=np.int64)
    for index, step in zip(indices, steps, strict=True):
        if step:
            total = total + index * step
    return total


def _nonzero(indices: list[np.ndarray], mask: int) -> np.ndarray:
    """Where the index of a loop in ``mask`` is not 0."""
    result = np.zeros(1, dtype=bool)
    for d in range(DIMS):
        if mask >> d & 1:
            result = result | (indices[d] != 0)
    return result


def _forward_fill(reads: np.ndarray, slot: np.ndarray) -> np.ndarray:
    """For each step the latest step up to it that read into its feeder slot; -1 if there is none."""
    count = reads.size
    source = np.full(count, -1, dtype=np.int64)
    for number in range(FEEDER_SLOTS):
        where = np.flatnonzero(slot == number)
        if where.size:
            source[where] = np.maximum.accumulate(np.where(reads[where], where, -1))
    return source


def _operand(r: Registers, side: str, indices: list[np.ndarray], shape: tuple[int, ...]) -> Operand:
    def get(name: str) -> int:
        return getattr(r, side + name)

    def flat(values: np.ndarray) -> np.ndarray:
        return np.broadcast_to(values, shape).ravel()

    count = int(np.prod(shape))
    strides = [getattr(r, f"{side}s{d}") for d in range(DIMS)]
    which = get("slice")
    pieces = r.cbits // get("bits")
    piece = flat(indices[which] % pieces) if which < DIMS and pieces > 1 else np.zeros(count, dtype=np.int64)
    if not get("en"):
        none = np.zeros(count, dtype=bool)
        return Operand(none, none, np.zeros(count, dtype=np.int64), none, piece, 0, 0, 0, 0)
    hit = _nonzero(indices, get("hold"))
    if get("slide"):
        hit = hit | ((indices[1] != 0) & (indices[0] < r.n0 - get("slide")))
    hits = flat(hit)
    reads = ~hits
    slot = flat((indices[0] * get("u0") + indices[1] * get("u1")) % FEEDER_SLOTS)
    address = flat(_affine(indices, strides))
    source = _forward_fill(reads, slot)
    read_at = address[reads]
    low, high = (int(read_at.min()), int(read_at.max())) if read_at.size else (0, 0)
    return Operand(reads, hits, address[source], source >= 0, piece, low, high, int(read_at.size), count - int(read_at.size))


def steps_of(r: Registers, ctx_slots: int) -> Steps | None:
    """Plan of a `run` with registers ``r``, whose bases are 0 (:data:`NO_BASES`); None if it has more than :data:`LARGEST` steps."""
    sizes = [getattr(r, f"n{d}") for d in range(DIMS)]
    count = 1
    for size in sizes:
        count *= size
    if count > LARGEST:
        return None
    shape = tuple(reversed(sizes))
    indices = [np.arange(size).reshape((-1,) + (1,) * d) for d, size in enumerate(sizes)]

    def flat(values: np.ndarray) -> np.ndarray:
        return np.broadcast_to(values, shape).ravel()

    acc = flat(_affine(indices, [getattr(r, f"cs{d}") for d in range(DIMS)])) % ACC_INDEX_COUNT
    slot = flat(_affine(indices, [getattr(r, f"ss{d}") for d in range(DIMS)])) % ctx_slots
    first = np.zeros(count, dtype=bool) if r.keep else flat(~_nonzero(indices, r.red))
    return Steps(r, count, _operand(r, "a", indices, shape), _operand(r, "w", indices, shape), acc, slot, first)
