"""Where an instruction stands in its source."""

from __future__ import annotations

from isa.program import Program


def location(program: Program, pc: int) -> tuple[str | None, int | None]:
    """(file, line) of the instruction at ``pc``; None, None if the program has no source map or no such instruction."""
    return program.lines[pc] if 0 <= pc < len(program.lines) else (None, None)


def where(program: Program, pc: int) -> str:
    """``file:line``, or the program's name and address without a source map."""
    file, line = location(program, pc)
    return f"{file}:{line}" if file is not None else f"{program.name}: pc {pc}"
