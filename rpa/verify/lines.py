"""Symbolic programs of the random generator: instructions with label targets, which survive the removal of lines.

`isa.assemble` would do as well, but shrinking re-encodes thousands of variants, and some lines are illegal on purpose.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from isa.encoding import BY_NAME
from isa.program import Program

LOOPS = frozenset({"loop", "loopi"})


@dataclass(frozen=True)
class Op:
    """One instruction word. ``name`` is an instruction of the table, or `word` with operand `word`: 32 bits as they are."""

    name: str
    operands: Mapping[str, int] = field(default_factory=dict)
    target: int | None = None
    """Label that the field `offset` points to."""


@dataclass(frozen=True)
class Label:
    """Marks the address of the next instruction."""

    number: int


Line = Op | Label


def op(name: str, target: int | None = None, **operands: int) -> Op:
    return Op(name, operands, target)


def addresses(lines: Sequence[Line]) -> dict[int, int]:
    """Return the address of every label."""
    where, address = {}, 0
    for line in lines:
        if isinstance(line, Label):
            where[line.number] = address
        else:
            address += 1
    return where


def encode(lines: Sequence[Line]) -> tuple[int, ...]:
    """Return the code words. Raises ValueError for an operand outside its field."""
    where, words = addresses(lines), []
    for line in lines:
        if isinstance(line, Label):
            continue
        if line.name == "word":
            words.append(line.operands["word"])
            continue
        row = BY_NAME[line.name]
        word = row.match
        values = dict(line.operands)
        if line.target is not None:
            values["offset"] = where[line.target] - len(words)
        for name, value in values.items():
            word |= row.field(name).insert(value)
        words.append(word)
    return tuple(words)


def well_formed(lines: Sequence[Line]) -> bool:
    """True if loops keep the rules of design.md section 2: a body, no shared end, no loop as the last of a body."""
    where, ends, address = addresses(lines), set(), 0
    at: dict[int, str] = {}
    spans = []
    for line in lines:
        if isinstance(line, Label):
            continue
        at[address] = line.name
        if line.name in LOOPS and line.target is not None:
            spans.append((address, where[line.target]))
        address += 1
    for start, end in spans:
        if end < start + 2 or end in ends or at[end - 1] in LOOPS:
            return False
        ends.add(end)
    return True


def load_word(register: int, value: int) -> list[Op]:
    """Instructions that put a 32-bit value (either sign) into a core register."""
    value &= 0xFFFFFFFF
    signed = value - (1 << 32) if value >> 31 else value
    immediate = BY_NAME["addi"].field("imm")
    if immediate.minimum <= signed <= immediate.maximum:
        return [op("addi", rd=register, rs=0, imm=signed)]
    return [op("lui", rd=register, imm=value >> 16), op("ori", rd=register, rs=register, imm=value & 0xFFFF)]


def to_program(lines: Iterable[Line], config: Mapping[str, int], name: str) -> Program:
    """Return the program of these lines for the machine ``config``."""
    code = encode(list(lines))
    return Program(config=dict(config), code=code, name=name)
