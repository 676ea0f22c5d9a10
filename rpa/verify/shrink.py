"""Make a failing random program small: remove lines for as long as it still fails."""

from __future__ import annotations

from collections.abc import Callable

from rpa.verify.lines import Label, Line, well_formed
from rpa.verify.random_programs import RandomProgram


def shrink(failing: RandomProgram, fails: Callable[[RandomProgram], bool], *, attempts: int = 2000) -> RandomProgram:
    """Return a program with few lines for which ``fails`` still holds; it holds for ``failing``.

    Removes runs of instructions, half of the program first and single ones last, until nothing more can go or
    ``attempts`` programs have been tried. Labels that nothing points to go with them.
    """
    best, left = failing, attempts
    size = max(1, len(best.lines) // 2)
    while size and left > 0:
        start, removed = 0, False
        while start < len(best.lines) and left > 0:
            candidate = best.with_lines(_without(best.lines, start, start + size))
            left -= 1
            if len(candidate.lines) < len(best.lines) and well_formed(candidate.lines) and fails(candidate):
                best, removed = candidate, True
            else:
                start += size
        if not (removed and size == 1):
            size //= 2
    return best


def _without(lines: tuple[Line, ...], start: int, end: int) -> tuple[Line, ...]:
    """Drop the instructions in a range; keep the labels there that are still used."""
    kept = [*lines[:start], *(line for line in lines[start:end] if isinstance(line, Label)), *lines[end:]]
    used = {line.target for line in kept if not isinstance(line, Label)}
    return tuple(line for line in kept if not isinstance(line, Label) or line.number in used)
