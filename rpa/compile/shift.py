"""Words of a pixel shift from the A bus into their columns: column 0 takes them in, the last word first, and they travel east.

Word w enters column 0 w steps before the `take`, in which every column finds its own word in its western neighbour's output register
(column 0: on the A bus). Meanwhile the PEs are free to multiply. Slots 1.. are used; slot 0 belongs to the broadcast convolution.
"""

from __future__ import annotations

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
