"""Disassembly assembles to the same words and the same data."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import isa
from isa import Program, Segment, Tensor
from isa.disassembler import format_context, format_instruction
from isa.encoding import NAMED, decode_context, illegal_context, illegal_instruction
from isa.errors import ContentError
from isa.machine import config_dict
from isa.table import INSTRUCTIONS
from tests.isa.machines import LARGE, MACHINE, Machine, words

KERNELS = sorted((Path(__file__).parents[2] / "programs").glob("*.rpa"))
SMALL = Machine(a_depth=2048, w_depth=2048, o_depth=1024, p_entries=32, imem_words=2048, queue_depth=8, mem_bytes=1 << 20)


def image(program: Program) -> bytes:
    memory = bytearray(program.config["mem_bytes"])
    for segment in program.segments:
        memory[segment.address:segment.end] = segment.payload
    return bytes(memory)


def same_again(program: Program, machine) -> Program:
    again = isa.assemble(isa.disassemble(program), machine)
    assert again.code == program.code
    assert image(again) == image(program)
    return again


def random_word(rng: random.Random, *, near: int = 1 << 17) -> int:
    """A word of any instruction with any field values, branches at most ``near`` words away; sometimes no instruction."""
    if rng.random() < 0.02:
        return rng.getrandbits(32)
    row = rng.choice(INSTRUCTIONS)
    word = row.match
    for field in row.fields:
        if field.kind in NAMED:
            value = rng.choice(list(NAMED[field.kind]))
        elif field.kind == "offset":
            value = rng.randint(max(field.minimum, -near), min(field.maximum, near))
        else:
            value = rng.choice([field.minimum, field.maximum, rng.randint(field.minimum, field.maximum)])
        word |= field.insert(value)
    return word


def test_a_hundred_thousand_words_one_by_one():
    """Every word as text, and the operands of the text back to the word: by the manual's names, without the assembler."""
    rng = random.Random(3)
    fields = {row.name: [field for field in row.fields if field.name not in ("wait", "signal")] for row in INSTRUCTIONS}
    tokens = {row.name: any(field.name == "wait" for field in row.fields) for row in INSTRUCTIONS}
    numbers = {kind: {name: code for code, name in names.items()} for kind, names in NAMED.items()}
    engine_bits = {"ld": 1, "ex": 2, "dr": 4, "st": 8, "nv": 16}
    opcode = {row.name: row.opcode for row in INSTRUCTIONS}
    for _ in range(100_000):
        word = random_word(rng)
        text = format_instruction(word, 1000)
        assert (text is None) == (illegal_instruction(word) is not None)
        if text is None:
            continue
        for clause, shift in (("signal", 16), ("wait", 21)):
            head, found, tail = text.partition(f" {clause}(")
            mask = sum(engine_bits[name] for name in tail.rstrip(")").split(", ")) if found else 0
            text, word = (head, word ^ mask << shift) if found else (text, word)
        name, _, rest = text.partition(" ")
        assert tokens[name] or word >> 26 == opcode[name]
        expected = opcode[name] << 26
        items = rest.split(", ") if rest else []
        for index, field in enumerate(fields[name]):
            if field.kind == "engines":
                value = sum(engine_bits[item] for item in items)
            elif field.kind == "reg":
                value = int(items[index][1:])
            elif field.kind in numbers:
                value = numbers[field.kind][items[index]]
            else:
                value = int(items[index], 0) - (1000 if field.kind == "offset" else 0)
            expected |= (value & (1 << field.hi - field.lo + 1) - 1) << field.lo
        assert expected == word, text


@pytest.mark.parametrize("seed", range(3))
def test_random_programs_assemble_to_the_same_words(seed):
    rng = random.Random(seed)
    code = tuple(random_word(rng, near=(4, 40, 1 << 17)[seed]) for _ in range(4000))
    same_again(Program(config_dict(LARGE), code), LARGE)


def test_every_value_of_every_short_field_assembles_to_the_same_words():
    code = []
    for row in INSTRUCTIONS:
        for field in row.fields:
            if field.bits <= 8 and field.kind != "offset":
                base = sum(other.insert(min(NAMED[other.kind]) if other.kind in NAMED else 1 if other.name in ("imm", "offset") else 0)
                           for other in row.fields if other is not field)
                values = NAMED[field.kind] if field.kind in NAMED else range(field.minimum, field.maximum + 1)
                code += [row.match | base | field.insert(value) for value in values]
    code += [0x1C << 26 | index << 18 | value for index in NAMED["cfg"] for value in (0, 1, 2, 4, 16, 0x7FFF, 0x8000, 0xFFFF)]
    same_again(Program(config_dict(LARGE), tuple(code)), LARGE)


@pytest.mark.parametrize("path", KERNELS, ids=lambda path: path.stem)
def test_kernels(path):
    program = isa.assemble(path, SMALL)
    again = same_again(program, SMALL)
    assert again.tensors == program.tensors
    assert ".word" not in isa.disassemble(program)


def test_disassembly_as_text():
    program = isa.assemble("""
.input act shape(2, 3) bits 8 unsigned
.data taps shape(3) bits 4 = 1, -2, 3
.params scale shape(2) = 5, 6, 7
.context sum
all: mac a, w
rows 1: add r0, #-1 -> acc, route result, if np
.end
start: ctx sum, 2
set st.addr, 0xFFFFFFF0
loopi 3, done
ld a, mem wait(ex) signal(ex, st)
nop
done: bne r1, r0, start
fence ld, ex
.word 0xFFFFFFFF
halt""", MACHINE)
    assert isa.disassemble(program) == """\
; text: 15 words
.input act shape(2, 3) bits 8 unsigned
.data taps shape(3) bits 4 signed = 1, -2, 3
.params scale shape(2) = 5, 6, 7

start:
    addi r15, r0, 513
    ctxld 2, r15    ; mac a, w
    set ex.rmask, 2
    lui r15, 0x3fe2
    ori r15, r15, 12036
    ctxld 2, r15    ; add r0, #-1 -> acc, route result, if np
    set ex.rmask, -1
    set st.addr, 0xfffffff0
    loopi 3, done
    ld a, mem wait(ex) signal(ex, st)
    addi r0, r0, 0
done:
    bne r1, r0, start
    fence ld, ex
    .word 0xffffffff
    halt
"""


def test_words_that_the_assembler_refuses_become_raw():
    code = (0x1C << 26 | 32 << 18, 0x22 << 26 | 20 << 10, 0x28 << 26, 0x18 << 26 | 100, 0x1B << 26 | 2 << 12 | 1, 0)
    text = isa.disassemble(Program(config_dict(MACHINE), code))
    assert text == """\
; program: 6 words
    .word 0x70800000    ; set ex.n0, 0
    .word 0x88005000    ; ctxld 20, r0
    .word 0xa0000000    ; fence
    .word 0x60000064    ; jal r0, 103
    .word 0x6c002001    ; loopi 2, 5
    halt
"""


def test_words_for_macros_that_are_not_there_become_raw():
    code = (0x2B << 26, 0x20 << 26 | 3 << 14, 0x26 << 26 | 1 << 25, 0x1C << 26 | 113 << 18 | 1, 0x1C << 26 | 113 << 18, 0)
    text = isa.disassemble(Program(config_dict(MACHINE), code))
    assert text.splitlines()[1:] == ["    nvprog", "    ld x, mem", "    sync ld wait(nv)", "    set dr.nv, 1", "    set dr.nv, 0", "    halt"]
    without = Machine(nv_engine=0, nv_macros=0)
    program = Program(config_dict(without), code)
    assert isa.disassemble(program).splitlines()[1:] == [
        "    .word 0xac000000    ; nvprog", "    .word 0x8000c000    ; ld x, mem", "    .word 0x9a000000    ; sync ld wait(nv)",
        "    .word 0x71c40001    ; set dr.nv, 1", "    set dr.nv, 0", "    halt"]
    same_again(program, without)


@pytest.mark.parametrize(("segments", "tensors"), [
    ((Segment(10, b"abc"), Segment(100, b"\1\2\3")), {}),
    ((Segment(0, b"\xff\xff"),), {"t": Tensor("t", "data", "tensor", 0, (1,), 4, True)}),
    ((Segment(0, bytes(range(16))),), {"t": Tensor("t", "data", "params", 0, (1,))}),
    ((Segment(0, b"ab"),), {"t": Tensor("t", "input", "tensor", 0, (1,))}),
    ((Segment(64, b"ab"),), {"t": Tensor("t", "data", "tensor", 64, (1,))}),
    ((Segment(0, b"ab"),), {"r1": Tensor("r1", "data", "tensor", 0, (1,))}),
    ((), {"odd name": Tensor("odd name", "input", "tensor", 0, (1,))}),
])
def test_data_that_no_declaration_makes(segments, tensors):
    same_again(Program(config_dict(MACHINE), (0,), segments, tensors), MACHINE)


def test_labels_that_cannot_be_written():
    program = Program(config_dict(MACHINE), (0x18 << 26 | 1, 0x18 << 26, 0), symbols={"r1": 1, "a-b": 1, "ROWS": 2, "good": 1, "also": 1})
    assert "good:" in isa.disassemble(program)
    same_again(program, MACHINE)


def test_too_much_data():
    machine = Machine(mem_bytes=1 << 25)
    program = Program(config_dict(machine), (0,), (Segment(1 << 24, b"ab"),))
    with pytest.raises(ContentError, match="the data ends at byte 16777218, a source can hold 4194304 at most"):
        isa.disassemble(program)
    program = Program(config_dict(machine), (0,), (Segment(0, b"\xff" * (1 << 21)),))
    with pytest.raises(ContentError, match="put the data into"):
        isa.disassemble(program)


def test_contexts_as_text():
    rng = random.Random(4)
    seen = 0
    while seen < 300:
        word = rng.getrandbits(30)
        if illegal_context(word) is not None:
            continue
        seen += 1
        code = words(f".context k\nall: {format_context(word)}\n.end\nctx k, 0")
        value = 0
        for item in code[:-1]:
            value = item & 0x3FFFF if item >> 26 == 0x0B else (item & 0xFFFF) << 16 if item >> 26 == 0x11 else value | item & 0xFFFF
        wanted, got = decode_context(word), decode_context(value)
        operands = {"nop": 0, "mov": 1, "abs": 1}.get(wanted["op"], 2)
        used = [key for key in ("x", "y")[:operands]]
        keys = ["op", "dst", "route", "cond", *used, *(["imm"] if "imm" in (wanted[key] for key in used) else [])]
        assert [got[key] for key in keys] == [wanted[key] for key in keys]
