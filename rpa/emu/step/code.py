"""Predecoding: a program's words as rows of numbers, so that the core decodes nothing while it runs."""

from __future__ import annotations

from collections.abc import Sequence

from isa.encoding import BY_OPCODE, REGISTER_BY_INDEX, illegal_instruction
from isa.spec import OPCODE_LO
from isa.table import ENGINES
from rpa.emu.step import layout as L

_ENGINE = {engine.name: engine.code for engine in ENGINES}
_ROLE = {"rd": L.C_RD, "rs": L.C_RS, "rt": L.C_RT, "imm": L.C_IMM, "shamt": L.C_IMM, "count": L.C_IMM, "counter": L.C_IMM,
         "engines": L.C_IMM, "offset": L.C_OFFSET, "wait": L.C_WAIT, "signal": L.C_SIGNAL, "bank": L.C_ARG, "dest": L.C_ARG,
         "reg": L.C_ARG, "slot": L.C_SLOT, "source": L.C_SLOT, "engine": L.C_ENGINE}


def predecode_word(word: int) -> list[int]:
    """One row of `layout.C_ENTRY` numbers; C_LEGAL is 0 where the core faults with ILLEGAL_OPCODE."""
    row = [0] * L.C_ENTRY
    row[L.C_WORD], row[L.C_ENGINE] = word, -1
    if illegal_instruction(word) is not None:
        return row
    instruction = BY_OPCODE[word >> OPCODE_LO]
    row[L.C_LEGAL], row[L.C_OPCODE] = 1, instruction.opcode
    for field in instruction.fields:
        row[_ROLE[field.name]] = field.extract(word)
    if instruction.engine is not None:
        row[L.C_ENGINE] = _ENGINE[instruction.engine]
    elif instruction.opcode in (L.SET, L.SETR):
        row[L.C_ENGINE] = _ENGINE[REGISTER_BY_INDEX[row[L.C_ARG]].engine]
    return row


def predecode(code: Sequence[int]) -> list[int]:
    """All rows of a program, one after the other."""
    return [number for word in code for number in predecode_word(word)]
