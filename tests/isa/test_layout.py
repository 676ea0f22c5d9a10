"""Tensors in larger buffers: declarations, data, round trips through files and disassembly, and every refusal."""

from __future__ import annotations

import dataclasses
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

import isa
from isa import Program, Segment, Tensor
from isa.errors import AsmError, ContentError
from isa.layout import Layout
from isa.machine import config_dict
from isa.program import ROLES
from tests.isa.machines import MACHINE


def assembled(source: str) -> Program:
    return isa.assemble(source + "\nhalt\n", MACHINE)


def test_declaration_by_hand():
    program = assembled("""
.input  x shape(2, 3, 2) bits 8 signed strides(8, 2) offset 10 words 40 fill 0x8080
.data   next shape(1)
.output y shape(2, 3) bits 8 offset 4
li r1, x
li r2, next
.word x.bytes | x.words << 8 | x.row << 16
.word y.bytes | y.words << 8 | y.row << 16""")
    x, _, y = program.tensors.values()
    assert x.layout == Layout((8, 2), 10, 40, 0x8080)
    assert (x.address, x.row_words, x.words, x.end) == (0, 1, 40, 80)
    assert y.layout == Layout((2,), 4, 8)        # strides left out: rows follow each other; words left out: up to the last element
    assert program.tensors["next"].layout is None
    assert [word & 0x3FFFF for word in program.code[:2]] == [0, 128]
    assert program.code[2:4] == (80 | 40 << 8 | 1 << 16, 16 | 8 << 8 | 2 << 16)
    assert program.segments == (Segment(0, b"\x80\x80" * 40),)


def test_values_go_to_their_rows_and_fill_between():
    program = assembled(".data t shape(2, 2, 3) bits 8 unsigned strides(6, 3) offset 1 words 14 fill 0xABCD = " + ", ".join(map(str, range(1, 13))))
    words = [0xABCD] * 14
    for place, row in ((1, (1, 2, 3)), (4, (4, 5, 6)), (7, (7, 8, 9)), (10, (10, 11, 12))):
        words[place], words[place + 1] = row[0] | row[1] << 8, row[2]
    assert program.segments == (Segment(0, b"".join(word.to_bytes(2, "little") for word in words)),)


def test_names_of_the_clauses_stay_free():
    program = assembled("words = 3\noffset = 1\n.data t shape(words) offset offset words words + 2 fill words\nstrides = 2\nli r1, strides")
    assert program.tensors["t"].layout == Layout((), 1, 5, 3)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_a_layout_that_says_nothing_new_is_like_none(dims):
    shape = (2, 3, 5)[-dims:]
    values = ", ".join(str(value % 16) for value in range(prod(shape)))
    source = f".data t shape({', '.join(map(str, shape))}) bits 4 unsigned%s = {values}"
    assert assembled(source % " offset 0").segments == assembled(source % "").segments


LAYOUTS = [
    ("shape(4, 3, 2) strides(8)", "E107", "tensor `x`: 1 strides, must be 2: one for every dimension but the innermost"),
    ("shape(4) strides(8)", "E107", "tensor `x`: 1 strides, must be 0: one for every dimension but the innermost"),
    ("shape(4, 3, 2) strides(5, 2)", "E108", "tensor `x`: a stride of 5 words, but what it steps over takes 6: the rows overlap"),
    ("shape(4, 3, 2) strides(8, 1)", "E108", "tensor `x`: a stride of 1 words, but what it steps over takes 2: the rows overlap"),
    ("shape(4, 2) strides(0)", "E108", "tensor `x`: a stride of 0 words, but what it steps over takes 2: the rows overlap"),
    ("shape(4, 2) words 7", "E108", "tensor `x`: 7 words, but the last element ends at word 8"),
    ("shape(4, 2) strides(4) offset 1 words 14", "E108", "tensor `x`: 14 words, but the last element ends at word 15"),
    ("shape(4, 2) strides(-2)", "E108", "a stride is -2, must be 0..2147483648"),
    ("shape(4, 2) offset 0 - 1", "E108", "`offset` is -1, must be 0..2147483648"),
    ("shape(4, 2) words 1 << 40", "E108", "`words` is 1099511627776, must be 0..2147483648"),
    ("shape(4, 2) fill 65536", "E108", "`fill` is 65536, must be 0..65535"),
    ("shape(4, 2) words 40000", "E115", "tensor `x` ends at byte 80000, the machine's mem_bytes is 65536"),
    ("shape(4, 2) offset nowhere", "E105", "unknown name `nowhere`"),
    ("shape(4, 2) fill 1 offset 2", "E102", "unexpected `offset`, expected an operator or the end of the line"),
    ("shape(4, 2) strides()", "E102", "unexpected `)`, expected `!`, `(`, `+`, `-`, `~` or a value"),
]


@pytest.mark.parametrize(("text", "code", "message"), LAYOUTS, ids=[text for text, _, _ in LAYOUTS])
@pytest.mark.parametrize("role", ROLES)
def test_refused_declarations(text, code, message, role):
    with pytest.raises(AsmError) as caught:
        assembled(f".{role} x {text}")
    (fault,) = caught.value.diagnostics
    assert fault.code == code
    if code != "E102":
        assert fault.message == message
    else:
        assert fault.message.split(",")[0] == message.split(",")[0]


def test_params_have_no_layout():
    with pytest.raises(AsmError, match="unexpected `offset`"):
        assembled(".params p shape(4) offset 1")


X = Tensor("x", "input", "tensor", 0, (4, 3, 2), 16, True, Layout((8, 2), 1, 40))


@pytest.mark.parametrize(("changes", "message"), [
    ({"layout": Layout((8,), 0, 99)}, "tensor `x`: 1 strides, must be 2: one for every dimension but the innermost"),
    ({"layout": Layout((8, 1), 0, 99)}, "tensor `x`: a stride of 1 words, but what it steps over takes 2: the rows overlap"),
    ({"layout": Layout((8, 2), 0, 29)}, "tensor `x`: 29 words, but the last element ends at word 30"),
    ({"layout": Layout((8, 2), -1, 99)}, "tensor `x`: strides (8, 2), offset -1 and fill 0 must not be negative, fill at most 65535"),
    ({"layout": Layout((8, 2), 0, 99, 1 << 16)}, "tensor `x`: strides (8, 2), offset 0 and fill 65536 must not be negative, fill at most 65535"),
    ({"kind": "params", "shape": (4,), "layout": Layout((), 0, 99)}, "tensor `x`: params cannot have a layout"),
])
def test_programs_with_bad_layouts(changes, message):
    with pytest.raises(ContentError) as caught:
        Program(config_dict(MACHINE), (0,), tensors={"x": dataclasses.replace(X, **changes)})
    assert str(caught.value) == message


def test_tensors_overlap_by_their_buffers():
    with pytest.raises(ContentError, match="tensor `y` at 0x40 overlaps `x`, which ends at 0x50"):
        Program(config_dict(MACHINE), (0,), tensors={"x": X, "y": dataclasses.replace(X, name="y", address=64)})


@st.composite
def layouts(draw) -> tuple[tuple[int, ...], int, Layout]:
    """A shape, a width, and a layout that holds it, dimensions stepping in any order."""
    shape = tuple(draw(st.lists(st.integers(1, 3), min_size=1, max_size=4)))
    bits = draw(st.sampled_from([2, 4, 8, 16]))
    span = -(-shape[-1] * bits // 16)
    strides = [0] * (len(shape) - 1)
    for dim in draw(st.permutations(range(len(shape) - 1))):
        strides[dim] = span + draw(st.integers(0, 3))
        span += (shape[dim] - 1) * strides[dim]
    offset = draw(st.integers(0, 5))
    return shape, bits, Layout(tuple(strides), offset, offset + span + draw(st.integers(0, 4)), draw(st.integers(0, 0xFFFF)))


@given(layouts(), st.sampled_from(ROLES), st.booleans(), st.booleans())
def test_round_trips(layout, role, signed, filled):
    shape, bits, place = layout
    rows = list(place.rows(shape))
    words = -(-shape[-1] * bits // 16)
    covered = [word for row in rows for word in range(row, row + words)]
    assert len(set(covered)) == len(covered) and max(covered) < place.words

    text = f".{role} x shape({', '.join(map(str, shape))}) bits {bits} {'signed' if signed else 'unsigned'}"
    text += f" strides({', '.join(map(str, place.strides))})" * bool(place.strides) + f" offset {place.offset} words {place.words} fill {place.fill}"
    if role == "data" and filled:
        count = len(rows) * shape[-1]
        text += " = " + ", ".join(str(n % 2) for n in range(count))
    program = assembled(text)
    assert program.tensors["x"] == Tensor("x", role, "tensor", 0, shape, bits, signed, place)
    assert Program.from_bytes(program.to_bytes()) == program
    again = isa.assemble(isa.disassemble(program), MACHINE)
    assert (again.tensors, again.segments, again.code) == (program.tensors, program.segments, program.code)
