"""Where tiles lie in macros: rectangles of word lines and lines, first fit, the same for the compiler and for studies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rpa.flash.errors import FlashError


@dataclass(frozen=True)
class Position:
    """A tile's place: `nv.macro`, `nv.row0`, `nv.line0`."""

    macro: int
    row0: int
    line0: int


@dataclass
class _Shelf:
    """Lines line0 .. line0 + lines - 1 of a macro; tiles stand in it side by side along the word lines."""

    macro: int
    line0: int
    lines: int
    rows_used: int = 0


def pack(sizes: Sequence[tuple[int, int]], *, rows: int, lines: int, macros: int | None = None) -> tuple[Position, ...]:
    """Place tiles of sizes (word lines, lines), in order, in macros of `rows` x `lines`; macros: how many there are at most (None: any number).

    A tile goes to the shelf of the fewest lines that holds it, the first of equals, else it opens one in the first macro with room. No two
    overlap. FlashError if a tile is larger than a macro or if macros run out.
    """
    shelves: list[_Shelf] = []
    used: list[int] = []
    places = []
    for index, (height, width) in enumerate(sizes):
        if height > rows or width > lines:
            raise FlashError(f"tile {index} has {height} word lines and {width} lines, a macro has {rows} and {lines}; "
                             f"cut the layer into smaller tiles")
        fitting = [shelf for shelf in shelves if width <= shelf.lines and shelf.rows_used + height <= rows]
        shelf = min(fitting, key=lambda one: one.lines) if fitting else _open(shelves, used, width, lines, macros, index, len(sizes))
        places.append(Position(shelf.macro, shelf.rows_used, shelf.line0))
        shelf.rows_used += height
    return tuple(places)


def _open(shelves: list[_Shelf], used: list[int], width: int, lines: int, macros: int | None, index: int, tiles: int) -> _Shelf:
    macro = next((number for number, taken in enumerate(used) if taken + width <= lines), len(used))
    if macro == len(used):
        if macros is not None and macro >= macros:
            raise FlashError(f"{tiles} tiles do not fit {macros} macros: no room for tile {index}; place fewer layers or give more macros")
        used.append(0)
    shelves.append(_Shelf(macro, used[macro], width))
    used[macro] += width
    return shelves[-1]
