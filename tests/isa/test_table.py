"""The table's self-checks find what they are for."""

from __future__ import annotations

import ast
import dataclasses
import sys
from pathlib import Path

import pytest

import isa
from isa import selfcheck, table
from isa.machine import CONFIG_FIELDS
from isa.spec import Field, TableError
from rpa.arch.config import ArrayConfig
from tests.isa.machines import MACHINE


def test_the_table_passes():
    selfcheck.check_table()


def test_every_bit_of_every_word_is_assigned_once():
    for row in table.INSTRUCTIONS:
        owners = [0] * 32
        for low, high in [(26, 31), *((field.lo, field.hi) for field in row.fields)]:
            for bit in range(low, high + 1):
                owners[bit] += 1
        for bit in range(32):
            assert owners[bit] + (row.reserved_mask >> bit & 1) == 1, f"{row.name} bit {bit}"


def test_field_limits():
    field = Field(name="f", hi=7, lo=4, kind="imm", signed=True)
    assert (field.minimum, field.maximum, field.mask) == (-8, 7, 0xF0)
    assert field.insert(-1) == 0xF0
    assert field.extract(0x80) == -8
    with pytest.raises(ValueError, match=r"`f` is 8, must be -8\.\.7"):
        field.insert(8)


def _with_instruction(monkeypatch, **changes):
    rows = list(table.INSTRUCTIONS)
    rows[1] = dataclasses.replace(rows[1], **changes)
    monkeypatch.setattr(table, "INSTRUCTIONS", tuple(rows))


@pytest.mark.parametrize(("changes", "message"), [
    ({"opcode": 2}, "opcode: 2 occurs twice"),
    ({"name": "sub"}, "instruction: 'sub' occurs twice"),
    ({"opcode": 64}, "add: opcode 0x40"),
    ({"faults": ("NONE",)}, "add: unknown fault among ('NONE',)"),
    ({"fields": (Field(name="x", hi=9, lo=2, kind="uimm"), Field(name="y", hi=3, lo=0, kind="uimm"))},
     "add: field `y` overlaps the bits 0x0000000c"),
    ({"fields": (Field(name="x", hi=27, lo=20, kind="uimm"),)}, "add: field `x` overlaps the bits 0x0c000000"),
    ({"fields": (Field(name="x", hi=2, lo=5, kind="uimm"),)}, "add: field `x` has the bits 2..5"),
])
def test_a_wrong_row_is_found(monkeypatch, changes, message):
    _with_instruction(monkeypatch, **changes)
    with pytest.raises(TableError) as caught:
        selfcheck.check_table()
    assert str(caught.value) == message


def test_a_wrong_reset_value_is_found(monkeypatch):
    rows = list(table.REGISTERS)
    rows[1] = dataclasses.replace(rows[1], reset=0)
    monkeypatch.setattr(table, "REGISTERS", tuple(rows))
    with pytest.raises(TableError, match=r"register ld\.rows: reset value 0 is outside its range"):
        selfcheck.check_table()


def test_a_gap_in_the_counters_is_found(monkeypatch):
    monkeypatch.setattr(table, "COUNTERS", table.COUNTERS[:3] + table.COUNTERS[4:])
    with pytest.raises(TableError, match="counter: numbers are not consecutive"):
        selfcheck.check_table()


@pytest.mark.parametrize("row", table.INSTRUCTIONS, ids=lambda row: row.name)
def test_every_example_assembles(row):
    body = f"{row.example}\nnop\nlabel: nop\nhalt\n"
    assert isa.assemble(body, MACHINE).code[0] >> 26 == row.opcode


def test_the_machine_sizes_are_those_of_array_config():
    assert tuple(field.name for field in dataclasses.fields(ArrayConfig)) == CONFIG_FIELDS


def test_isa_imports_lark_and_the_standard_library_alone():
    allowed = {"isa", "lark", *sys.stdlib_module_names}
    for path in Path(isa.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            assert {name.split(".")[0] for name in names} <= allowed, f"{path.name} imports {names}"


def test_register_limits_follow_the_machine():
    unit = next(row for row in table.REGISTERS if row.name == "ld.unit")
    assert unit.limits(MACHINE) == (1, 4)
    assert [value for value in range(64) if unit.accepts(value, MACHINE)] == [1, 2, 4]
