"""The manual is the table's: up to date, complete, and its examples assemble."""

from __future__ import annotations

from pathlib import Path

import pytest

import isa
from isa import manual, table
from isa.errors import CODES, UnknownNameError
from isa.language import DIRECTIVE_ROWS, FUNCTION_DOCS
from isa.parser import DIRECTIVES
from isa.pseudo import PSEUDOS, SET_GROUPS
from tests.isa.machines import MACHINE

PAGE = Path(__file__).parents[2] / "docs" / "isa.md"
AROUND = ".context kernel\nall: mac a, w\n.end\n{}\nlabel: halt\n"


def test_the_page_is_up_to_date():
    assert PAGE.read_text() == manual.page(), "run `python -m isa.manual`"


def test_the_page_names_everything():
    text = PAGE.read_text()
    rows = (*table.INSTRUCTIONS, *table.PE_OPS, *table.PE_SOURCES, *table.PE_DESTS, *table.PE_ROUTES, *table.PE_CONDS, *table.REGISTERS,
            *table.COUNTERS, *table.FAULTS, *table.ENGINES, *table.DESTS, *table.SOURCES, *table.ROUNDINGS, *DIRECTIVE_ROWS)
    for name in (*(row.name for row in rows), *CODES):
        assert f"`{name}`" in text, name


def test_writing_the_page(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["isa.manual", str(tmp_path / "isa.md")])
    manual.main()
    assert (tmp_path / "isa.md").read_text() == manual.page()


@pytest.mark.parametrize("row", PSEUDOS, ids=lambda row: row.name)
def test_examples_of_pseudo_instructions(row):
    assert isa.assemble(AROUND.format(row.example), MACHINE).code


@pytest.mark.parametrize("row", DIRECTIVE_ROWS, ids=lambda row: row.name)
def test_examples_of_directives(row, tmp_path):
    (tmp_path / "lib.inc").write_text("nop\n")
    assert isa.assemble(AROUND.format(row.example), MACHINE, folder=tmp_path).code


def test_every_directive_and_function_is_described():
    closers = {".else", ".endif", ".endr", ".endm", ".end"}
    assert {row.name for row in DIRECTIVE_ROWS} == set(DIRECTIVES) - closers
    assert all(isa.assemble(f"A = {FUNCTION_DOCS[name].replace(', ...', '')}\nx = 2\ny = 2\nhalt", MACHINE) for name in FUNCTION_DOCS)


def test_set_groups_are_the_dimensions():
    sizes = dict.fromkeys(("ex.n", "ex.as", "ex.ws", "ex.cs", "ex.ss"), 6) | dict.fromkeys(("nv.k", "nv.xk", "nv.n", "nv.xv", "nv.cv"), 3)
    assert {group: len(members) for group, members in SET_GROUPS.items()} == sizes
    assert all(member in {row.name for row in table.REGISTERS} for members in SET_GROUPS.values() for member in members)


def test_explain_an_instruction():
    assert manual.explain("loopi") == """\
## `loopi` - instruction

    31..26 opcode 0x1b | 25..12 count | 11..0 offset

`loop` with a constant count.

- `count` (bits 25..12): how many times; 0 skips the body, 0..16383
- `offset` (bits 11..0): end of the body minus this instruction, 0..4095

Cycles: 1. \x20
Faults: LOOP_DEPTH. \x20
Example: `loopi 8, label`
"""


@pytest.mark.parametrize(("name", "start"), [
    ("ex.abits", "## `ex.abits` - engine register\n\nEngine register 66 of `ex`: activation width.\n\nRange: 2, 4, 8, 16 bits. Reset value: 16."),
    ("ld.unit", "## `ld.unit` - engine register\n\nEngine register 3 of `ld`: source words moved per cycle, a power of two.\n\n"
                "Range: 1, 2, 4, 8, 16, 32, at most bus_words words. Reset value: 1."),
    ("ex.n", "## `ex.n` - group of `set`\n\nThe registers ex.n0, ex.n1, ex.n2, ex.n3, ex.n4, ex.n5."),
    ("CYCLES", "## `cycles` - counter\n\nCounter 0, in cycles: clock cycles"),
    ("deadlock", "## `DEADLOCK` - fault\n\nFault 12: every engine waits for a token"),
    ("acca", "## `acca` - PE destination\n\nCode 2: accumulator"),
    ("li", "## `li` - pseudo-instruction\n\n    li rd, expr\n"),
    (".word", "## `.word` - directive\n\n    .word expr\n"),
    ("align", "## `align` - function\n\nalign(x, y): x rounded up to a multiple of y.\n"),
    ("E116", "## `E116` - message code\n\nA loop body or branch that the machine cannot run.\n"),
])
def test_explain(name, start):
    assert manual.explain(name).startswith(start)


def test_explain_a_name_with_several_meanings():
    headings = [line for line in manual.explain("add").splitlines() if line.startswith("## ")]
    assert headings == ["## `add` - instruction", "## `add` - PE operation"]


@pytest.mark.parametrize(("name", "message"), [
    ("macz", "the manual does not know `macz`; did you mean `mac`?"),
    ("ex.nn0", "the manual does not know `ex.nn0`; did you mean `ex.n0`?"),
    ("", "the manual does not know ``; docs/isa.md has every name"),
    ("quux", "the manual does not know `quux`; docs/isa.md has every name"),
])
def test_explain_an_unknown_name(name, message):
    with pytest.raises(UnknownNameError) as caught:
        manual.explain(name)
    assert str(caught.value) == message


def test_every_name_can_be_explained():
    for row in (*table.INSTRUCTIONS, *table.REGISTERS, *table.COUNTERS, *table.FAULTS, *table.PE_OPS):
        assert manual.explain(row.name).startswith(f"## `{row.name}` - ")
