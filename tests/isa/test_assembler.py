"""What the language means, by hand-written words, plain-integer packing and small equivalences."""

from __future__ import annotations

import struct

import numpy as np
import pytest

import isa
from isa.encoding import encode, encode_context
from tests.isa.machines import LARGE, MACHINE, Machine, words


def value_of(expression: str, before: str = "") -> int:
    """The value of an expression, read back from the 32-bit word that it becomes."""
    return words(f"{before}\n.word {expression}")[-1]


@pytest.mark.parametrize(("text", "value"), [
    ("1 + 2 * 3", 7), ("(1 + 2) * 3", 9), ("10 - 2 - 3", 5), ("-7 / 2 + 8", 4), ("-7 % 4", 1), ("7 / -2 + 10", 6), ("1 << 4 + 1", 32),
    ("0xF0 | 0x0F & 3", 0xF3), ("6 ^ 3 & 1", 7), ("~0 & 255", 255), ("0b1010_1010", 170), ("1_000", 1000), ("010", 10),
    ("3 == 3 && 2 < 1", 0), ("3 != 3 || 2 <= 2", 1), ("!5", 0), ("!0", 1), ("1 < 2 == 1", 1), ("2 | 1 == 1", 3),
    ("min(3, 1, 2)", 1), ("max(4)", 4), ("abs(3 - 10)", 7), ("log2(64)", 6), ("ceildiv(7, 2)", 4), ("ceildiv(8, 2)", 4), ("align(65, 64)", 128),
    ("align(64, 64)", 64), ("0 && 1 / 0", 0), ("1 || 1 / 0", 1), ("-1", 0xFFFFFFFF), ("0xFFFFFFFF", 0xFFFFFFFF), ("- - 3", 3), ("100 >> 2", 25),
    ("ROWS * 100 + COLS", 404), ("MEM_BYTES", 1 << 16), ("ACC_BITS", 48), ("STOCHASTIC - HALF_UP", 4), ("2 * -3 + 7", 1),
])
def test_expression(text, value):
    assert value_of(text) == value


def test_constants_in_any_order_and_defines():
    text = "A = B + 1\n.default B = 2\n.word A\nhalt"
    assert isa.assemble(text, MACHINE).code[0] == 3
    assert isa.assemble(text, MACHINE, defines={"B": 40}).code[0] == 41


def test_default_yields_to_what_stands_above():
    assert value_of("B", "B = 5\n.default B = 2") == 5
    assert value_of("B", ".default B = 5\n.default B = 2") == 5


@pytest.mark.parametrize(("value", "expected"), [
    (0, [encode("addi", rd=3, rs=0, imm=0)]),
    (131071, [encode("addi", rd=3, rs=0, imm=131071)]),
    (-131072, [encode("addi", rd=3, rs=0, imm=-131072)]),
    (0xFFFFFFFF, [encode("addi", rd=3, rs=0, imm=-1)]),
    (131072, [encode("lui", rd=3, imm=2)]),
    (-(1 << 31), [encode("lui", rd=3, imm=0x8000)]),
    (0x12345678, [encode("lui", rd=3, imm=0x1234), encode("ori", rd=3, rs=3, imm=0x5678)]),
    (-131073, [encode("lui", rd=3, imm=0xFFFD), encode("ori", rd=3, rs=3, imm=0xFFFF)]),
])
def test_li(value, expected):
    assert list(words(f"li r3, {value}")) == expected


def test_li_of_a_label_and_simple_pseudo_instructions():
    assert words("li r2, there + 1\nmv r1, r2\nnop\nthere: j there") == (
        encode("addi", rd=2, rs=0, imm=4), encode("addi", rd=1, rs=2, imm=0), encode("addi", rd=0, rs=0, imm=0), encode("jal", rd=0, offset=0))


def test_set_groups_and_wide_values():
    assert words("set ex.n, 3, 5\nset ex.ws, 1, -1, 2, 3, 4, 5") == tuple(
        [encode("set", reg=32, imm=3), encode("set", reg=33, imm=5)]
        + [encode("set", reg=44 + number, imm=value) for number, value in enumerate((1, -1, 2, 3, 4, 5))])
    assert words("set nv.k, 3, 5\nset nv.cv, 1, -1, 2") == (
        encode("set", reg=173, imm=3), encode("set", reg=174, imm=5),
        encode("set", reg=185, imm=1), encode("set", reg=186, imm=-1), encode("set", reg=187, imm=2))
    assert words("set ex.abase, 40000") == (encode("addi", rd=15, rs=0, imm=40000), encode("setr", reg=62, rt=15))
    assert words("set ld.addr, 0xFFFFF000") == (encode("set", reg=0, imm=-4096),)
    assert words("set ex.rmask, (1 << 32) - 1") == (encode("set", reg=87, imm=-1),)
    assert words("set ex.cmask, 1 << 31") == (encode("lui", rd=15, imm=0x8000), encode("setr", reg=88, rt=15))


def test_context_block_with_masks():
    text = ".context k\nall: mac a, w\ncols 0: mov a -> r0, route a\nrows 1..2 cols 3: nop, route west\n.end\nctx k, 7"
    load = []
    for row_mask, col_mask, word in ((None, None, encode_context("mac", "a", "w")),
                                     (None, 1, encode_context("mov", "a", dst="r0", route="a")),
                                     (0b0110, 0b1000, encode_context("nop", route="west"))):
        load += [encode("set", reg=87, imm=row_mask)] if row_mask is not None else []
        load += [encode("set", reg=88, imm=col_mask)] if col_mask is not None else []
        high, low = word >> 16, word & 0xFFFF
        load += [encode("addi", rd=15, rs=0, imm=word)] if word < 1 << 17 else [encode("lui", rd=15, imm=high)]
        load += [encode("ori", rd=15, rs=15, imm=low)] if word >= 1 << 17 and low else []
        load += [encode("ctxld", slot=7, rs=15)]
    load += [encode("set", reg=87, imm=-1), encode("set", reg=88, imm=-1)]
    assert words(text) == tuple(load)


def test_context_with_repeat_if_and_parameters():
    long = ".context k\nrows 0: mac a, w\nrows 1: mac a, w\nrows 2: mov #2 -> r1\n.end\nctx k, 0"
    short = (".macro define source, value\n.context k\n.repeat 2, I\nrows I: mac source, w\n.endr\n.if COLS == 4\nrows 2: mov #value -> r1\n"
             ".else\nrows 2: nop\n.endif\n.end\n.endm\ndefine a, 1 + 1\nctx k, 0")
    assert words(long) == words(short)


def test_macros_repeats_and_local_names():
    text = """
.macro wait_for reg, n      ; counts down
    li reg, n
@again: addi reg, reg, -1
    .repeat 2, I
@inner: addi r5, r5, I
    bne r5, r0, @inner
    .endr
    bne reg, r0, @again
.endm
STEP = 2
wait_for r1, STEP * 3
wait_for r2, 4
"""
    one = """
li r{r}, {n}
a{r}: addi r{r}, r{r}, -1
b{r}: addi r5, r5, 0
bne r5, r0, b{r}
c{r}: addi r5, r5, 1
bne r5, r0, c{r}
bne r{r}, r0, a{r}
"""
    assert words(text) == words(one.format(r=1, n=6) + one.format(r=2, n=4))


def test_macro_parameters_stand_for_engines_registers_and_labels():
    text = """
.macro step what, from, to, target
    sync what wait(from) signal(to)
    setr ld.addr, r2
    j target
.endm
@here: step ex, ld, dr, @here
"""
    assert words(text) == words("here: sync ex wait(ld) signal(dr)\nsetr ld.addr, r2\nj here")


def test_nested_if_and_else():
    text = ".if ROWS > 3\n.if COLS > 9\n.word 1\n.else\n.word 2\n.endif\n.else\n.word 3\n.endif"
    assert words(text) == (2,)
    assert words(text, Machine(rows=2)) == (3,)
    assert words(text, Machine(cols=16)) == (1,)


def test_tensors_are_laid_out_in_order_and_aligned():
    program = isa.assemble("""
N = 5
.input  act shape(3, N) bits 4 unsigned     ; a row of 5 is 20 bits, so 2 words
.data   gap shape(1)
.params scale shape(2)
.output out shape(act.row, 65) bits 2
li r1, act
li r2, gap
li r3, out
.word act.bytes | act.words << 8 | act.row << 16 | scale.row << 24
halt""", MACHINE)
    act, gap, scale, out = program.tensors.values()
    assert (act.address, act.shape, act.bits, act.signed, act.size_bytes) == (0, (3, 5), 4, False, 12)
    assert (gap.address, gap.role, gap.bits, gap.signed, gap.size_bytes) == (64, "data", 16, True, 2)
    assert (scale.address, scale.kind, scale.role, scale.shape, scale.size_bytes) == (128, "params", "input", (2,), 32)
    assert (out.address, out.shape, out.size_bytes) == (192, (2, 65), 2 * 9 * 2)
    assert program.code[3] == 12 | 6 << 8 | 2 << 16 | 8 << 24
    assert [word & 0x3FFFF for word in program.code[:3]] == [0, 64, 192]
    assert program.segments == ()
    assert (program.inputs(), program.outputs()) == ((act, scale), (out,))


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
@pytest.mark.parametrize("signed", [True, False])
def test_data_is_packed_low_first(bits, signed):
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    values = [[low, high, 1, 0, high], [high, 0, low, 1, 1]]
    text = f".data t shape(2, 5) bits {bits} {'signed' if signed else 'unsigned'} = " + ",\n ; comment\n ".join(
        ", ".join(map(str, row)) for row in values) + "\nhalt"
    expected = b""
    for row in values:
        number = sum((value & (1 << bits) - 1) << bits * index for index, value in enumerate(row))
        expected += number.to_bytes(-(-5 * bits // 16) * 2, "little")
    assert isa.assemble(text, MACHINE).segments == (isa.Segment(0, expected),)


def test_params_entries():
    program = isa.assemble(".params a shape(2) = -3, 1 << 30, 31\n.params b shape(2) = 1, 2, 3, 1 << 46, 5, 6\nhalt", MACHINE)
    entry = struct.pack("<qI", -3, 1 << 30)[:6] + struct.pack("<IHHH", 1 << 30, 31, 0, 0)
    assert program.segments[0].payload == entry * 2
    second = (1 << 46).to_bytes(6, "little") + struct.pack("<IHHH", 5, 6, 0, 0)
    assert program.segments[1].payload[16:] == second
    assert program.tensors["a"].role == "data"


@pytest.mark.parametrize("dtype", ["int8", "uint8", "<i2", ">i2", "<u4", ">i8"])
def test_data_from_npy(tmp_path, dtype):
    array = np.arange(6).reshape(2, 3).astype(dtype)
    np.save(tmp_path / "w.npy", array)
    (tmp_path / "p.rpa").write_text('.data w shape(2, 3) bits 8 = file "w.npy"\nhalt\n')
    program = isa.assemble(tmp_path / "p.rpa", MACHINE)
    assert program.segments[0].payload == bytes([0, 1, 2, 0, 3, 4, 5, 0])
    assert program.name == "p"


def test_params_from_npy(tmp_path):
    np.save(tmp_path / "s.npy", np.array([[-1, 7, 3], [2, 9, 4]]))
    (tmp_path / "p.rpa").write_text('.params s shape(2) = file "s.npy"\nhalt\n')
    same = isa.assemble(".params s shape(2) = -1, 7, 3, 2, 9, 4\nhalt", MACHINE)
    assert isa.assemble(tmp_path / "p.rpa", MACHINE).segments == same.segments


def test_includes_and_source_map(tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "a.inc").write_text('.macro two\nnop\nnop\n.endm\n.include "b.inc"\n')
    (tmp_path / "lib" / "b.inc").write_text("; deeper\nN = 3\n")
    (tmp_path / "p.rpa").write_text('.include "lib/a.inc"\n  two\nli r1, N\nhalt\n')
    program = isa.assemble(tmp_path / "p.rpa", MACHINE)
    assert program.lines == (("lib/a.inc", 2), ("lib/a.inc", 3), ("p.rpa", 3), ("p.rpa", 4))
    text = isa.assemble('.include "lib/b.inc"\nli r1, N\nhalt', MACHINE, folder=tmp_path)
    assert text.code[0] == encode("addi", rd=1, rs=0, imm=3)


def test_symbols_are_the_global_labels():
    program = isa.assemble("start: nop\n@local: nop\nloop_end: end: halt\nN = 3", MACHINE)
    assert program.symbols == {"start": 0, "loop_end": 2, "end": 2}


def test_text_encodings_and_line_ends(tmp_path):
    path = tmp_path / "p.rpa"
    path.write_bytes("\ufeff; größer\r\nnop\r\nhalt\r\n".encode())
    assert len(isa.assemble(path, MACHINE).code) == 2


def test_the_same_source_gives_the_same_bytes():
    text = ".context k\nall: mac a, w\n.end\n.data t shape(2) = 1, 2\nctx k, 0\nx: halt"
    assert isa.assemble(text, MACHINE).to_bytes() == isa.assemble(text, MACHINE).to_bytes()


def test_loops_that_are_nested_soundly_are_accepted():
    text = "loopi 2, a\nloop r1, b\nnop\nbne r1, r2, c\nc: nop\nb: nop\na: nop"
    assert len(words(text)) == 7
    assert len(words("loopi 2, a\njal r14, f\nnop\na: j over\nf: jalr r0, r14, 0\nover:")) == 5


@pytest.mark.parametrize(("text", "warning"), [
    ("addi r15, r0, 1\nhalt", "<text>:1:6: warning: r15 is the assembler's register"),
    ("nop", "<text>:1:1: warning: the program runs past its end"),
    ("run 0 wait(ld)\nhalt", "<text>:1:1: warning: waits for a token from `ld`, but no `ld` instruction has signal(ex)"),
    ("ld a, mem signal(ex)\nhalt", "<text>:1:1: warning: gives a token to `ex`, but no `ex` instruction has wait(ld)"),
    (".params p shape(1) = 0, 1, 0\nhalt", "<text>:1:28: warning: shift 0: a drain that is not raw faults with RQ_SHIFT"),
    ("loopi 2, a\nloopi 2, b\nloopi 2, c\nloopi 2, d\nloopi 2, e\nnop\ne: nop\nd: nop\nc: nop\nb: nop\na: halt",
     "<text>:5:10: warning: more than 4 nested loops fault with LOOP_DEPTH"),
])
def test_warnings(text, warning):
    warnings = []
    isa.assemble(text, MACHINE, on_warning=warnings.append)
    assert [one.headline for one in warnings] == [warning]


def test_tokens_that_match_give_no_warning():
    warnings = []
    isa.assemble("ld a, mem signal(ex)\nrun 0 wait(ld) signal(dr)\nsync dr wait(ex)\nhalt", MACHINE, on_warning=warnings.append)
    assert warnings == []


def test_large_program_fills_instruction_memory():
    assert len(isa.assemble(".repeat 4096\nnop\n.endr\nhalt", LARGE).code) == 4097
