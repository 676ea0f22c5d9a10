"""Words encoded by hand, digit by digit from the bit ranges of the manual, against encoder, decoder and assembler."""

from __future__ import annotations

import random

import pytest

from isa.encoding import (
    NAMED,
    decode,
    decode_context,
    encode,
    encode_context,
    engine_mask,
    engine_names,
    illegal_context,
    illegal_instruction,
    needs_macros,
)
from isa.errors import DecodingError, EncodingError
from isa.table import CONTEXT_FIELDS, INSTRUCTIONS
from tests.isa.machines import words

# fields from bit 31 down: opcode (6), then as the format says; `_` separates them
GOLDEN = [
    # rd (4), rs (4), rt (4), 14 reserved
    ("add r1, r2, r3", "000001_0001_0010_0011_00000000000000"),
    ("sra r14, r0, r7", "001001_1110_0000_0111_00000000000000"),
    ("slt r8, r4, r2", "001010_1000_0100_0010_00000000000000"),
    ("xor r10, r11, r12", "000110_1010_1011_1100_00000000000000"),
    # rd (4), rs (4), imm (18, signed)
    ("addi r1, r2, -1", "001011_0001_0010_111111111111111111"),
    ("addi r3, r4, 131071", "001011_0011_0100_011111111111111111"),
    ("addi r5, r6, -131072", "001011_0101_0110_100000000000000000"),
    ("jalr r0, r14, 2", "011001_0000_1110_000000000000000010"),
    # rd (4), rs (4), 2 reserved, imm (16)
    ("andi r1, r2, 255", "001100_0001_0010_00_0000000011111111"),
    ("ori r7, r7, 65535", "001101_0111_0111_00_1111111111111111"),
    ("ori r2, r3, 0x1234", "001101_0010_0011_00_0001001000110100"),
    # rd (4), rs (4), 13 reserved, shamt (5)
    ("slli r1, r2, 4", "001110_0001_0010_0000000000000_00100"),
    ("srli r9, r1, 31", "001111_1001_0001_0000000000000_11111"),
    ("srai r3, r3, 1", "010000_0011_0011_0000000000000_00001"),
    # rd (4), 6 reserved, imm (16)
    ("lui r1, 0x1000", "010001_0001_000000_0001000000000000"),
    ("lui r14, 65535", "010001_1110_000000_1111111111111111"),
    ("lui r2, 1", "010001_0010_000000_0000000000000001"),
    # rs (4), rt (4), offset (18, signed); the word stands at address 0
    ("beq r1, r2, 1", "010010_0001_0010_000000000000000001"),
    ("bne r3, r0, 0", "010011_0011_0000_000000000000000000"),
    ("bgeu r13, r14, 1", "010111_1101_1110_000000000000000001"),
    ("@top: nop\nblt r1, r2, @top", "010100_0001_0010_111111111111111111"),
    # rd (4), 4 reserved, offset (18, signed)
    ("jal r0, 1", "011000_0000_0000_000000000000000001"),
    ("jal r14, 0", "011000_1110_0000_000000000000000000"),
    ("@top: nop\nnop\njal r2, @top", "011000_0010_0000_111111111111111110"),
    # rs (4), 4 reserved, offset (18, signed)
    ("loop r1, @end\nnop\n@end:", "011010_0001_0000_000000000000000010"),
    ("loop r13, @end\nnop\nnop\n@end:", "011010_1101_0000_000000000000000011"),
    ("loop r2, @end\nnop\nnop\nnop\n@end:", "011010_0010_0000_000000000000000100"),
    # count (14), offset (12)
    ("loopi 8, @end\nnop\n@end:", "011011_00000000001000_000000000010"),
    ("loopi 16383, @end\nnop\nnop\n@end:", "011011_11111111111111_000000000011"),
    ("loopi 0, @end\nnop\n@end:", "011011_00000000000000_000000000010"),
    # reg (8), 2 reserved, imm (16, signed)
    ("set ex.n0, 3", "011100_00100000_00_0000000000000011"),
    ("set ex.as5, -2", "011100_00101011_00_1111111111111110"),
    ("set st.wstride, 32767", "011100_10001100_00_0111111111111111"),
    ("set dr.lo, -32768", "011100_01101101_00_1000000000000000"),
    ("set dr.nv, 1", "011100_01110001_00_0000000000000001"),
    ("set nv.macro, 1", "011100_10100000_00_0000000000000001"),
    ("set nv.xk2, -3", "011100_10110010_00_1111111111111101"),
    ("set nv.cbase, 15", "011100_10111101_00_0000000000001111"),
    # reg (8), rt (4), 14 reserved
    ("setr ld.addr, r1", "011101_00000000_0001_00000000000000"),
    ("setr ex.rmask, r9", "011101_01010111_1001_00000000000000"),
    ("setr st.addr, r14", "011101_10000000_1110_00000000000000"),
    ("setr nv.xbase, r3", "011101_10101100_0011_00000000000000"),
    # 10 reserved, engine (3), 13 reserved
    ("reset ld", "011110_0000000000_000_0000000000000"),
    ("reset ex", "011110_0000000000_001_0000000000000"),
    ("reset st", "011110_0000000000_011_0000000000000"),
    ("reset nv", "011110_0000000000_100_0000000000000"),
    # wait (5: nv st dr ex ld), signal (5), dest (2), source (2), 12 reserved
    ("ld a, mem signal(ex)", "100000_00000_00010_00_00_000000000000"),
    ("ld w, fill wait(ex)", "100000_00010_00000_01_01_000000000000"),
    ("ld p, o wait(st, ld) signal(dr)", "100000_01001_00100_10_10_000000000000"),
    ("ld x, mem wait(nv) signal(nv, ld)", "100000_10000_10001_11_00_000000000000"),
    ("ld x, o wait(st) signal(nv)", "100000_01000_10000_11_10_000000000000"),
    # wait, signal, bank (1), 15 reserved
    ("run 0 wait(ld, dr) signal(dr)", "100001_00101_00100_0_000000000000000"),
    ("run 1", "100001_00000_00000_1_000000000000000"),
    ("run 1 signal(nv)", "100001_00000_10000_1_000000000000000"),
    ("drain 1 wait(ex) signal(ex, st)", "100011_00010_01010_1_000000000000000"),
    ("drain 0 wait(nv) signal(nv)", "100011_10000_10000_0_000000000000000"),
    ("drain 0 wait(ld)", "100011_00001_00000_0_000000000000000"),
    # wait, signal, slot (6), rs (4), 6 reserved
    ("ctxld 0, r1", "100010_00000_00000_000000_0001_000000"),
    ("ctxld 15, r14 wait(ld)", "100010_00001_00000_001111_1110_000000"),
    ("ctxld 5, r3 signal(dr)", "100010_00000_00100_000101_0011_000000"),
    # wait, signal, rt (4), 12 reserved
    ("seed r1", "100100_00000_00000_0001_000000000000"),
    ("seed r14 wait(dr)", "100100_00100_00000_1110_000000000000"),
    ("seed r0 signal(st)", "100100_00000_01000_0000_000000000000"),
    # wait, signal, 16 reserved
    ("st", "100101_00000_00000_0000000000000000"),
    ("st wait(dr) signal(dr)", "100101_00100_00100_0000000000000000"),
    ("st wait(ld, ex, dr, st, nv)", "100101_11111_00000_0000000000000000"),
    # wait, signal, engine (3), 13 reserved
    ("sync ld wait(ex)", "100110_00010_00000_000_0000000000000"),
    ("sync dr signal(ld)", "100110_00000_00001_010_0000000000000"),
    ("sync st", "100110_00000_00000_011_0000000000000"),
    ("sync nv wait(st) signal(ex)", "100110_01000_00010_100_0000000000000"),
    # wait, signal, 16 reserved
    ("nvprog", "101011_00000_00000_0000000000000000"),
    ("nvprog wait(ld) signal(ld)", "101011_00001_00001_0000000000000000"),
    ("nvprog wait(dr, nv) signal(ex, st)", "101011_10100_01010_0000000000000000"),
    # wait, signal, bank (1), 15 reserved
    ("nvmac 0", "101100_00000_00000_0_000000000000000"),
    ("nvmac 1 wait(ld) signal(dr)", "101100_00001_00100_1_000000000000000"),
    ("nvmac 0 wait(dr, ld) signal(nv, st, ld)", "101100_00101_11001_0_000000000000000"),
    # engines (5), 21 reserved
    ("fence ld", "101000_00001_000000000000000000000"),
    ("fence ex, st", "101000_01010_000000000000000000000"),
    ("fence ld, ex, dr, st, nv", "101000_11111_000000000000000000000"),
    # rd (4), counter (8), 14 reserved
    ("rdctr r1, cycles", "101001_0001_00000000_00000000000000"),
    ("rdctr r2, macs", "101001_0010_00100011_00000000000000"),
    ("rdctr r3, nv_programmed", "101001_0011_00101110_00000000000000"),
    ("rdctrh r14, rq_saturations", "101010_1110_00100101_00000000000000"),
    ("rdctrh r1, st_full", "101010_0001_00010010_00000000000000"),
    ("rdctrh r2, nv_run", "101010_0010_00010011_00000000000000"),
    ("halt", "000000_00000000000000000000000000"),
]

# reserved (2), imm (8), cond (2), route (3), dst (4), y (4), x (4), op (5)
GOLDEN_CONTEXTS = [
    ("all: mac a, w", "00_00000000_00_000_0000_0001_0000_00001"),
    ("all: nop", "00_00000000_00_000_0000_0000_0000_00000"),
    ("all: add r0, #1 -> acc, route result, if p", "00_00000001_01_001_0001_0111_1000_00100"),
    ("all: sel north, west -> r7, if np", "00_00000000_10_000_1111_0101_0010_10000"),
    ("all: mov #-128 -> acca, route south", "00_10000000_00_110_0010_0000_0111_00011"),
    ("all: clt acc, r3", "00_00000000_00_000_0000_1011_0110_10010"),
]


@pytest.mark.parametrize(("text", "bits"), GOLDEN, ids=[text.replace("\n", "; ") for text, _ in GOLDEN])
def test_word_by_hand(text, bits):
    digits = bits.replace("_", "")
    assert len(digits) == 32
    chosen = -1 if "@top" in text else 0
    assert words(text)[chosen] == int(digits, 2)


def test_every_instruction_has_a_word_by_hand():
    covered = {decode(int(bits.replace("_", ""), 2)).instruction.name for _, bits in GOLDEN}
    others = {row.name for row in INSTRUCTIONS} - covered
    assert others == {"sub", "mul", "and", "or", "sll", "srl", "bge", "bltu"}, "these share a format with those above"


@pytest.mark.parametrize(("line", "bits"), GOLDEN_CONTEXTS, ids=[line for line, _ in GOLDEN_CONTEXTS])
def test_context_by_hand(line, bits):
    code = words(f".context k\n{line}\n.end\nctx k, 0")
    word = int(bits.replace("_", ""), 2)
    loaded = {0: 0}
    for item in code:
        values = decode(item).values
        match decode(item).instruction.name:
            case "addi":
                loaded[values["rd"]] = values["imm"]
            case "lui":
                loaded[values["rd"]] = values["imm"] << 16
            case "ori":
                loaded[values["rd"]] = loaded[values["rs"]] | values["imm"]
    assert loaded[15] == word
    assert illegal_context(word) is None


def test_decode_of_encode_for_every_field_value():
    rng = random.Random(1)
    for row in INSTRUCTIONS:
        for field in row.fields:
            base = {other.name: min(NAMED[other.kind]) if other.kind in NAMED else 0 for other in row.fields}
            legal = sorted(NAMED[field.kind]) if field.kind in NAMED else range(field.minimum, field.maximum + 1)
            chosen = legal if len(legal) <= 1 << 16 else rng.sample(legal, 1 << 12)
            for value in chosen:
                word = encode(row.name, **{**base, field.name: value})
                decoded = decode(word)
                assert decoded.values == {**base, field.name: value}
                assert decoded.instruction is row


def test_encode_of_decode_for_random_words():
    rng = random.Random(2)
    legal = 0
    for _ in range(100_000):
        row = rng.choice(INSTRUCTIONS)
        word = row.match | rng.getrandbits(32) & row.field_mask
        if illegal_instruction(word) is None:
            decoded = decode(word)
            assert encode(decoded.instruction.name, **decoded.values) == word
            legal += 1
    assert legal > 80_000


def test_every_context_word_is_legal_or_refused():
    for low in range(1 << 17):
        reason = illegal_context(low)
        op, dst = low & 31, low >> 13 & 15
        has_result = op in range(3, 17)
        known = op <= 18 and dst not in (3, 4, 5, 6, 7)
        assert (reason is None) == (known and (dst == 0 or has_result)), hex(low)
        if reason is None and low % 7 == 0:
            values = decode_context(low)
            assert encode_context(**values) == low


def test_context_fields_beyond_dst():
    for route in range(8):
        for cond in range(4):
            word = route << 17 | cond << 20 | 0xFF << 22
            assert (illegal_context(word) is None) == (cond != 3)
    assert illegal_context(1 << 30) == "reserved bits 0x40000000 are set"
    assert illegal_context(3 << 20) == "`cond` is 3, which is no condition"
    assert illegal_context(1 | 1 << 13) == "`mac` has no result, so `dst` must be none, not acc"
    assert [field.name for field in CONTEXT_FIELDS] == ["op", "x", "y", "dst", "route", "cond", "imm"]


@pytest.mark.parametrize(("word", "reason"), [
    (0xFC000000, "unknown opcode 0x3f"),
    (0x1F << 26, "unknown opcode 0x1f"),
    (1, "reserved bits 0x00000001 of `halt` are set"),
    (0x1C << 26 | 20 << 18, "`reg` of `set` is 20, which is no engine register"),
    (0x1C << 26 | 190 << 18, "`reg` of `set` is 190, which is no engine register"),
    (0x29 << 26 | 47 << 14, "`counter` of `rdctr` is 47, which is no counter"),
    (0x20 << 26 | 3 << 12, "`source` of `ld` is 3, which is no source"),
    (0x1E << 26 | 5 << 13, "`engine` of `reset` is 5, which is no engine"),
    (0x26 << 26 | 7 << 13, "`engine` of `sync` is 7, which is no engine"),
    (0x2B << 26 | 1 << 15, "reserved bits 0x00008000 of `nvprog` are set"),
    (0x2C << 26 | 1, "reserved bits 0x00000001 of `nvmac` are set"),
    (0x2D << 26, "unknown opcode 0x2d"),
    (1 << 32, "not an unsigned 32-bit number: 4294967296"),
    (-1, "not an unsigned 32-bit number: -1"),
])
def test_illegal_instruction(word, reason):
    assert illegal_instruction(word) == reason
    with pytest.raises(DecodingError, match="is no instruction"):
        decode(word)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: encode("addd", rd=1), "unknown instruction `addd`; did you mean `add`?"),
    (lambda: encode("add", rd=16, rs=0, rt=0), "add: `rd` is 16, must be 0..15 (4-bit field)"),
    (lambda: encode("add", rd=1, rs=0), "add: field `rt` is missing"),
    (lambda: encode("halt", rd=1), "halt: no field `rd`; there are none"),
    (lambda: encode("set", reg=20, imm=0), "set: `reg` is 20, which is no engine register"),
    (lambda: encode_context("mac", x="b"), "context: unknown `x` `b`; there are a, w, north, east, south, west, acc, imm, r0, r1, r2, r3, r4, "
                                           "r5, r6, r7"),
    (lambda: encode_context("mov", imm=128), "context: `imm` is 128, must be -128..127 (8-bit field)"),
    (lambda: encode_context("ceq", dst="r1"), "context: `ceq` has no result, so `dst` must be none, not r1"),
])
def test_refused_operands(make, message):
    with pytest.raises(EncodingError) as caught:
        make()
    assert str(caught.value) == message
    assert caught.value.code == "E301"


def test_engine_masks():
    assert engine_mask(("ld", "st")) == 0b01001
    assert engine_mask(("nv",)) == 0b10000
    assert engine_names(0b10110) == ("ex", "dr", "nv")


@pytest.mark.parametrize(("text", "needs"), [
    ("nvprog", True), ("nvmac 1", True), ("set nv.rows, 3", True), ("setr nv.rows, r1", True), ("ld x, fill", True), ("reset nv", True),
    ("sync nv", True), ("fence st, nv", True), ("run 0 wait(nv)", True), ("st signal(ld, nv)", True), ("sync ld wait(nv)", True),
    ("ld p, fill wait(st)", False), ("set dr.nv, 0", False), ("set dr.nv, 1", False), ("rdctr r1, nv_run", False), ("fence ld, ex, dr, st", False),
    ("reset st", False), ("run 1 wait(st) signal(st)", False), ("li r1, 16", False), ("ctxld 1, r1 wait(st)", False)])
def test_words_that_need_macros(text, needs):
    (word,) = words(text)
    assert needs_macros(word) == needs
