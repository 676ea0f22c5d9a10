"""Lockstep records: what the stepping emulator and the RTL show of themselves after every cycle, as data.

A record is one row of uint64 per cycle: row k (from 0) is the registered state after the end of cycle k + 1, so its
counter `cycles` is k + 1, and there are as many rows as cycles. Every element of a field takes one column; an element of
more than 64 bits takes several, low word first. Values are unsigned and masked to the field's bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np

from isa.table import CORE_REGISTERS, COUNTER_BITS, COUNTERS, ENGINES
from rpa.arch.config import ArrayConfig

COLUMN_BITS = 64
EX_STAGES = ("feed", "exec", "acc")
DR_STAGES = ("d1", "d2", "d3", "d4", "d5")


@dataclass(frozen=True, kw_only=True)
class RecordField:
    """One field: ``count`` elements (the length of ``labels``) of ``bits`` bits each."""

    name: str
    bits: int
    labels: tuple[str, ...]
    """Name of each element, as messages print it: `pc`, `token[ld][ex]`, `pe_out[1][0]`, `counter cycles`."""
    per_pe: bool = False
    """Elements are the PEs, row by row; these columns belong to the debug build."""

    @property
    def count(self) -> int:
        return len(self.labels)

    @property
    def words(self) -> int:
        """Columns of one element."""
        return -(-self.bits // COLUMN_BITS)


def _one(name: str, bits: int) -> RecordField:
    return RecordField(name=name, bits=bits, labels=(name,))


def _many(name: str, bits: int, *indices: tuple[object, ...], per_pe: bool = False) -> RecordField:
    labels = tuple(name + "".join(f"[{index}]" for index in point) for point in product(*indices))
    return RecordField(name=name, bits=bits, labels=labels, per_pe=per_pe)


def record_fields(config: ArrayConfig) -> tuple[RecordField, ...]:
    """The fields of a record on this machine, in column order (design.md section 9)."""
    engines = tuple(engine.name for engine in ENGINES)
    rows, cols = tuple(range(config.rows)), tuple(range(config.cols))
    return (
        _one("pc", 32),
        _one("halted", 1),
        _one("loop_depth", 3),
        RecordField(name="r", bits=32, labels=tuple(f"r{i}" for i in range(1, CORE_REGISTERS))),
        _many("busy", 1, engines),
        _many("queue_count", 5, engines),
        _many("token", 4, engines, engines),
        _many("ex_valid", 1, EX_STAGES),
        _many("abus", 16, rows),
        _many("wbus", 16, cols),
        _many("pe_out", 16, rows, cols, per_pe=True),
        _many("pe_flag", 1, rows, cols, per_pe=True),
        _many("pe_reg_sig", 16, rows, cols, per_pe=True),
        _many("pe_acc_sig", config.acc_bits, rows, cols, per_pe=True),
        _many("dr_valid", 1, DR_STAGES),
        _many("lfsr", 32, cols),
        _many("dr_q", 16, cols),
        *((_many("nv_acc_sig", config.acc_bits, cols), _one("nv_codes_sig", 16)) if config.nv_engine else ()),
        RecordField(name="counter", bits=COUNTER_BITS, labels=tuple(f"counter {counter.name}" for counter in COUNTERS)),
        _one("fault", 4),
    )


@dataclass(frozen=True)
class RecordLayout:
    """Where each field of a record stands."""

    fields: tuple[RecordField, ...]

    @classmethod
    def of(cls, config: ArrayConfig) -> RecordLayout:
        return cls(record_fields(config))

    @cached_property
    def offsets(self) -> dict[str, int]:
        """First column of each field."""
        offsets, column = {}, 0
        for field in self.fields:
            offsets[field.name] = column
            column += field.count * field.words
        return offsets

    @cached_property
    def columns(self) -> int:
        return sum(field.count * field.words for field in self.fields)

    def span(self, name: str) -> slice:
        """Columns of one field. KeyError if there is none of that name."""
        field = next((field for field in self.fields if field.name == name), None)
        if field is None:
            raise KeyError(f"no record field `{name}`; there are {', '.join(self.offsets)}")
        start = self.offsets[name]
        return slice(start, start + field.count * field.words)

    def locate(self, column: int) -> tuple[RecordField, int, int]:
        """Return (field, element, word within the element) of a column."""
        for field in self.fields:
            start = self.offsets[field.name]
            if start <= column < start + field.count * field.words:
                element, word = divmod(column - start, field.words)
                return field, element, word
        raise IndexError(f"record column {column}, must be 0..{self.columns - 1}")

    def label(self, column: int) -> str:
        """Name of a column as messages print it: `abus[3]`, `token[ld][ex]`."""
        field, element, word = self.locate(column)
        return field.labels[element] + (f" word {word}" if field.words > 1 else "")


@dataclass(frozen=True)
class Difference:
    """The first place where two recordings differ."""

    cycle: int
    """1 is the first cycle."""
    pc: int
    """pc at the start of that cycle, as the first recording has it."""
    field: str
    mine: int | None
    theirs: int | None

    def describe(self, names: tuple[str, str] = ("step", "rtl")) -> str:
        if self.field == "end":
            return f"cycle {self.cycle}, pc {self.pc:#x}: {names[0]} has {self.mine} cycles, {names[1]} has {self.theirs}"
        return f"cycle {self.cycle}, pc {self.pc:#x}: {self.field} is {self.mine:#x} in {names[0]}, {self.theirs:#x} in {names[1]}"


def first_difference(layout: RecordLayout, mine: np.ndarray, theirs: np.ndarray) -> Difference | None:
    """Compare two recordings, uint64 (cycles, columns) each; None if they are equal.

    The first differing cycle counts, in it the first differing column; recordings that differ in length alone differ in
    field `end` with both lengths.
    """
    common = min(len(mine), len(theirs))
    rows = np.flatnonzero((mine[:common] != theirs[:common]).any(axis=1))
    row = int(rows[0]) if len(rows) else common
    pc_column = layout.offsets["pc"]
    pc = int(mine[row - 1, pc_column]) if row else 0
    if len(rows):
        column = int(np.flatnonzero(mine[row] != theirs[row])[0])
        return Difference(row + 1, pc, layout.label(column), int(mine[row, column]), int(theirs[row, column]))
    if len(mine) != len(theirs):
        return Difference(row + 1, pc, "end", len(mine), len(theirs))
    return None
