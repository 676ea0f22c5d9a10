"""Predecoding: a program's words as rows of numbers, so that the core decodes nothing while it runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isa.encoding import BY_OPCODE, NAMED, REGISTER_BY_INDEX, illegal_instruction, needs_macros
from isa.spec import OPCODE_LO, Field
from isa.table import ENGINES
from rpa.emu.step import layout as L

_ENGINE = {engine.name: engine.code for engine in ENGINES}
_ROLE = {"rd": L.C_RD, "rs": L.C_RS, "rt": L.C_RT, "imm": L.C_IMM, "shamt": L.C_IMM, "count": L.C_IMM, "counter": L.C_IMM,
         "engines": L.C_IMM, "offset": L.C_OFFSET, "wait": L.C_WAIT, "signal": L.C_SIGNAL, "bank": L.C_ARG, "dest": L.C_ARG,
         "reg": L.C_ARG, "slot": L.C_SLOT, "source": L.C_SLOT, "engine": L.C_ENGINE}
_REGISTER_ENGINE = np.full(1 + max(REGISTER_BY_INDEX), -1)
_REGISTER_ENGINE[list(REGISTER_BY_INDEX)] = [_ENGINE[register.engine] for register in REGISTER_BY_INDEX.values()]


def _extract(field: Field, words: np.ndarray) -> np.ndarray:
    """The field of every word, sign-extended where it is signed."""
    raw = words >> field.lo & ((1 << field.bits) - 1)
    return raw - ((raw >> (field.bits - 1)) << field.bits) if field.signed else raw


def _legal(words: np.ndarray, opcode: int, macros: bool) -> np.ndarray:
    """Whether each word, all of one opcode, is an instruction. Fields that take any value do not matter, so few words are looked at."""
    plain = sum(field.mask for field in BY_OPCODE[opcode].fields if field.kind not in (*NAMED, "engines")) if opcode in BY_OPCODE else 0
    kinds, which = np.unique(words & ~plain, return_inverse=True)
    return np.array([illegal_instruction(word) is None and (macros or not needs_macros(word)) for word in kinds.tolist()])[which]


def predecode(code: Sequence[int], *, macros: bool) -> np.ndarray:
    """int64 (words, `layout.C_ENTRY`); C_LEGAL is 0 where the core faults with ILLEGAL_OPCODE. macros: the machine has NOR-flash macros."""
    words = np.array(code, np.int64)
    rows = np.zeros((len(words), L.C_ENTRY), np.int64)
    rows[:, L.C_WORD], rows[:, L.C_ENGINE] = words, -1
    for opcode in np.unique(words >> OPCODE_LO).tolist():
        where = np.flatnonzero(words >> OPCODE_LO == opcode)
        where = where[_legal(words[where], opcode, macros)]
        if not where.size:
            continue
        rows[where, L.C_LEGAL], rows[where, L.C_OPCODE] = 1, opcode
        for field in BY_OPCODE[opcode].fields:
            rows[where, _ROLE[field.name]] = _extract(field, words[where])
        engine = BY_OPCODE[opcode].engine
        if engine is not None:
            rows[where, L.C_ENGINE] = _ENGINE[engine]
        elif opcode in (L.SET, L.SETR):
            rows[where, L.C_ENGINE] = _REGISTER_ENGINE[rows[where, L.C_ARG]]
    return rows
