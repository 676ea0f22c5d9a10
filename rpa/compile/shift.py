"""Words of a pixel shift from the A bus into their columns: column 0 takes them in, the last word first, and they travel east.

Word w enters column 0 w steps before the `take`, in which every column finds its own word in its western neighbour's output register
(column 0: on the A bus). Meanwhile the PEs are free to multiply. Slots 1.. are used; slot 0 belongs to the broadcast convolution.
"""

from __future__ import annotations

from dataclasses import dataclass

from rpa.compile.commands import Context

FIRST_SLOT = 1
SLOTS = 15
"""Slots 1..15, which every machine has."""
MOST_COLUMNS = 16
"""Longest line of words that is shifted in."""

Lines = tuple[str, ...]


def moving(op: str) -> Lines:
    """`op` in every column, while words move one column east."""
    return (f"all: {op}, route west", f"cols 0: {op}, route a")


def taking(op: str) -> Lines:
    """`op`, with the arriving word for `{word}`; the word also goes into the column's own output register if `op` moves it."""
    return (f"all: {op.format(word='west')}, route x", f"cols 0: {op.format(word='a')}, route x")


SHIFT = moving("nop")


def contexts(slots: dict[int, Lines]) -> tuple[Context, ...]:
    """Contexts of these slots, counted from FIRST_SLOT."""
    return tuple(Context(FIRST_SLOT + slot, lines) for slot, lines in sorted(slots.items()))


@dataclass(frozen=True)
class Cycle:
    """Steps in which one pixel's words come, in sixes. Slots of one six overlap with those of the next where both only shift.

    tail: steps behind the `take`, 0 or 1. With one, `before` is the second step, `take` the last but one, `after` the last.
    """

    sixes: int
    tail: int

    @property
    def start(self) -> int:
        """A address of the first step, counted from the pixel's first word; pixels have at most one word more than this."""
        return 6 * self.sixes - 1 - self.tail

    @property
    def slots(self) -> int:
        """How many slots the steps use."""
        return 5 + self._step * (self.sixes - 1) + 1

    @property
    def _step(self) -> int:
        """Slots from a six to the next: the last 1 + tail slots must belong to the last six only."""
        return 4 if self.tail else 1

    def registers(self) -> dict[str, int]:
        """Loops 0 and 1 of a run."""
        return {"ex.n0": 6, "ex.n1": self.sixes, "ex.as0": -1, "ex.as1": -6, "ex.ss0": 1, "ex.ss1": self._step, "ex.sbase": FIRST_SLOT}

    def lines(self, take: str, after: str = "nop", before: str = "nop") -> dict[int, Lines]:
        """Lines of every slot. The operations are as for `taking` and `moving`."""
        lines = dict.fromkeys(range(self.slots), SHIFT)
        if self.tail:
            lines |= {1: moving(before), self.slots - 1: moving(after)}
        return lines | {self.slots - 1 - self.tail: taking(take)}


LEAD = 1
"""Words in front of a pixel that the step after its `take` reads, for nothing."""


def cycle_for(words: int, tail: int) -> Cycle:
    """The shortest cycle for pixels of up to MOST_COLUMNS words."""
    return Cycle(-(-(words + tail) // 6), tail)
