"""Step patterns of the depthwise kernel: what each of the steps for one input pixel does.

PE row = input row (stride 1) or two of them (stride 2); PE column = word of channels. The words of a pixel shift into their columns while
the pixel before is multiplied. What a 3x3 window needs of other rows comes from the neighbours' output registers: a `take` shows the
column's own word to both, `north` and `south` fetch theirs. So every word is read from the A banks once.

A pattern is a nest of loops of threes: registers (r0: ky = 1; r1, r2: the other two rows), taps kx, and phases. Slots follow the same loops;
where two steps share a slot, one of them multiplies by zero weights.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rpa.compile.commands import Command, Context
from rpa.compile.shift import FIRST_SLOT, SHIFT, Lines, contexts, moving, taking

Tap = tuple[int, int]

_MAC = tuple(moving(f"macl r{number}, w") for number in range(3))
_NORTH = {register: (f"all: mov north -> r{register}",) for register in (1, 2)}
_SOUTH = moving("mov south -> r2")
_BEHIND = 2
"""Steps behind a `take`: they read, for nothing, the words in front of the pixel."""


@dataclass(frozen=True)
class Pattern:
    """The steps for one stride and width of a pixel."""

    stride: int
    columns: int
    """Most words of a pixel."""
    extra_rows: int
    """PE rows that only serve their neighbours."""
    most_pixels: int
    """Outputs in flight: the other accumulators take what belongs to no output."""
    slots: dict[int, Lines]
    taps: tuple[Tap | None, ...]
    """The W words: a tap (ky, kx), or zeros."""
    reach: int
    """W words from the first one that a run may read."""
    loops: dict[str, int] = field(default_factory=dict)
    """Registers of the steps of one pixel."""

    @property
    def contexts(self) -> tuple[Context, ...]:
        return contexts(self.slots)

    @property
    def lead(self) -> int:
        """Words in front of a tile that steps behind a `take` may read."""
        return _BEHIND

    def input_pixels(self, pixels: int) -> int:
        """Input pixels of `pixels` outputs."""
        return (pixels - 1) * self.stride + 3

    def ahead(self, pixel_pitch: int) -> int:
        """Pixels behind the last one needed that steps may read, for nothing."""
        return (self.stride == 1) + (self.columns - 1) // pixel_pitch

    def runs(self, bank: int, common: dict[str, int], address: int, pixel_pitch: int, row_pitch: int, pixels: int) -> tuple[Command, ...]:
        """Runs of a block of `pixels` outputs whose first input pixel lies at `address`. common: widths, signs, PE rows, wbase.

        The first run brings the first pixel. What it multiplies means nothing; it starts the accumulators that belong to no output, so
        that they cannot grow from block to block. At stride 2 a last run multiplies the last pixel and brings none.
        """
        fixed = {**common, **self.loops, "ex.ss0": 1, "ex.ss1": 3, "ex.ss2": 6, "ex.sbase": FIRST_SLOT, "ex.cs1": -1}
        start = address + self.columns - 1
        if self.stride == 1:
            fixed |= {"ex.as3": pixel_pitch, "ex.cs3": 1}
            first = {**fixed, "ex.cbase": 15, "ex.red": 0b000101, "ex.abase": start}
            others = {**fixed, "ex.n3": pixels + 2, "ex.red": 0b000111, "ex.abase": start + pixel_pitch}
            return Command(f"run {bank}", first), Command(f"run {bank}", others)
        fixed |= {"ex.n3": 2, "ex.as3": row_pitch, "ex.ws3": 6, "ex.as4": pixel_pitch, "ex.ws4": 15, "ex.as5": 2 * pixel_pitch, "ex.cs5": 1}
        first = {**fixed, "ex.red": 0b001101, "ex.abase": start}
        others = {**fixed, "ex.n4": 2, "ex.n5": pixels, "ex.red": 0b011111, "ex.abase": start + pixel_pitch}
        last = {**others, "ex.cbase": pixels, "ex.n2": 1, "ex.n3": 1, "ex.n4": 1, "ex.n5": 1, "ex.aen": 0}
        return tuple(Command(f"run {bank}", registers) for registers in (first, others, last))


_COLUMN = {kx: ((1, kx), (0, kx), (2, kx)) for kx in range(3)}
"""Taps kx of r0, r1, r2: own row, northern, southern (stride 1)."""
_PAIR = {kx: ((1, kx), (2, kx), (0, kx)) for kx in range(3)}
"""Taps kx of r0, r1, r2: first own row, second, the northern neighbour's second (stride 2)."""
_NONE = (None,) * 3


def _slots(groups: dict[int, tuple[Lines, ...]]) -> dict[int, Lines]:
    """Lines of every slot: group g has slots 3 g, 3 g + 1, 3 g + 2."""
    return {3 * group + index: line for group, lines in groups.items() for index, line in enumerate(lines)}


def _one(steps: int) -> Pattern:
    """Stride 1: multiply three kx, shift as often as the width needs, take."""
    fetch = (taking("mov {word} -> r0"), _NORTH[1], _SOUTH)
    multiply: dict[int, tuple[Lines, ...]] = {group: _MAC for group in range(3)}
    shifts = (SHIFT,) * 3
    taps = _COLUMN[0] + _COLUMN[1] + _COLUMN[2]
    loops = {"ex.n0": 3, "ex.as0": -1, "ex.as1": -3, "ex.ws0": 1, "ex.ws1": 3}
    common: dict[str, int] = {"stride": 1, "columns": steps - 2, "extra_rows": 2, "most_pixels": 14}
    if steps < 18:
        groups = steps // 3
        slots = _slots({**multiply, **{group: shifts for group in range(3, groups - 1)}, groups - 1: fetch})
        return Pattern(**common, slots=slots, taps=taps, reach=steps, loops={**loops, "ex.n1": groups})
    # The second phase begins in the slots of the last tap: three products with zeros.
    return Pattern(**common, slots=_slots({**multiply, 3: shifts, 4: fetch}), taps=taps + _NONE, reach=18,
                   loops={**loops, "ex.n1": 3, "ex.n2": 2, "ex.as2": -9, "ex.ws2": 9})


def _two() -> Pattern:
    """Stride 2: a pixel is two rows, 18 steps each; an even pixel is tap kx = 0 of one output and kx = 2 of the one before.

    Words of either row arrive in r1; before that r1 moves on to r0. Products are made while the first row of the next pixel comes.
    W words, by threes: kx = 0, kx = 2, and zeros for the rest of the even pixel's steps; kx = 1, and zeros.
    """
    slots = _slots({0: _MAC, 1: _MAC, 2: _MAC, 3: (moving("mov r1 -> r0"), SHIFT, SHIFT), 4: (taking("mov {word} -> r1"), _NORTH[2], SHIFT)})
    return Pattern(stride=2, columns=16, extra_rows=1, most_pixels=15, slots=slots,
                   taps=_PAIR[0] + _PAIR[2] + 3 * _NONE + _PAIR[1] + 4 * _NONE, reach=36,
                   loops={"ex.n0": 3, "ex.n1": 3, "ex.n2": 2, "ex.as0": -1, "ex.as1": -3, "ex.as2": -9, "ex.ws0": 1, "ex.ws1": 3, "ex.ws2": 6})


def pattern(stride: int, words: int) -> Pattern:
    """The pattern with the fewest steps for pixels of up to `words` words (at most 16). stride: 1 or 2."""
    if stride == 2:
        return _two()
    return next(made for made in (_one(12), _one(15), _one(18)) if made.columns >= words)
