"""Whatever comes in, only our own errors come out, and soon."""

from __future__ import annotations

import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import isa
from isa import Program, RpaError
from isa.binary import HEADER_BYTES, MAGIC
from isa.errors import AsmError
from isa.machine import PREDEFINED, config_dict
from isa.manual import explain
from isa.parser import DIRECTIVES
from isa.program import KINDS
from isa.pseudo import PSEUDO_NAMES, SET_GROUPS
from isa.table import INSTRUCTIONS, PE_OPS, REGISTERS
from tests.isa.machines import MACHINE
from tests.isa.test_program_file import SOURCE, sealed

WORDS = [*(row.name for row in INSTRUCTIONS), *PSEUDO_NAMES, *DIRECTIVES, *(row.name for row in REGISTERS[::7]), *SET_GROUPS,
         *(row.name for row in PE_OPS[::3]), *(name.upper() for name in PREDEFINED), "r1", "r15", "x", "y", "@x", "x.row", "k", "shape", "bits",
         "signed", "wait", "signal", "all", "rows", "cols", "route", "if", "file", "mem", "ld", "ex", "0", "1", "-3", "0x7F", "1<<40", "99999999999",
         '"a"', '"../a"', "log2", "align", ",", ",", ",", "(", ")", ":", "=", "+", "-", "*", "/", "%", "<<", ">>", "~", "!",
         "->", "#", "..", ";", '"']
FUZZ = settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])

statement = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)
likely = st.sampled_from([line for line in SOURCE.split("\n") if line] + [
    ".context k", "all: mac a, w", "rows 0..1: mov a -> r1, route x, if p", ".end", ".macro m a, b", "m 1, r2", "m x, y", "li a, b", ".endm",
    ".repeat 3, I", ".repeat I", ".endr", ".if x == 1", ".if ROWS > 2", ".else", ".endif", "ctx k, 1", "set ex.n, 1, 2", "x = y", "y = x + 1",
    "x: nop", "loopi 3, x", "loop r1, y", "beq r1, r2, x", "y: halt", ".data d shape(x, 2) bits 4 = 1,", " 2, 3, 4", ".input e shape(d.row)",
    "halt", "run 0 wait(ld) signal(dr)"])


def assemble_or_refuse(source):
    try:
        program = isa.assemble(source, MACHINE)
    except AsmError as error:
        assert str(error)
        assert [one.line for one in error.diagnostics] == sorted(one.line for one in error.diagnostics)
        return
    assert isa.assemble(isa.disassemble(program), MACHINE).code == program.code
    assert Program.from_bytes(program.to_bytes()) == program


@FUZZ
@given(st.lists(statement | likely, max_size=12).map("\n".join))
def test_sources_of_likely_words(source):
    assemble_or_refuse(source)


@FUZZ
@given(st.lists(likely, max_size=25).map("\n".join))
def test_sources_of_likely_lines(source):
    assemble_or_refuse(source)


@FUZZ
@given(st.text(max_size=200))
def test_any_text(source):
    assemble_or_refuse(source)


def test_any_bytes(tmp_path):
    rng = random.Random(7)
    path = tmp_path / "p.rpa"
    for size in range(200):
        path.write_bytes(rng.randbytes(size))
        assemble_or_refuse(path)


def test_changed_sources():
    """Single characters of a good source replaced, removed and doubled."""
    rng = random.Random(8)
    for _ in range(600):
        chars = list(SOURCE)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(chars))
            chars[at] = rng.choice(["", chars[at] * 2, chr(rng.randrange(32, 127)), "\n", "(", ",", "\u00e4"])
        assemble_or_refuse("".join(chars))


@FUZZ
@given(st.binary(max_size=300), st.booleans())
def test_any_program_file(raw, with_header):
    try:
        Program.from_bytes(sealed(raw) if with_header else MAGIC[:len(raw) % 9] + raw)
    except RpaError as error:
        assert str(error)


def test_changed_bodies_behind_a_correct_header():
    rng = random.Random(9)
    body = isa.assemble(SOURCE, MACHINE).to_bytes()[HEADER_BYTES:]
    for _ in range(5000):
        broken = bytearray(body)
        for _ in range(rng.randint(1, 4)):
            broken[rng.randrange(len(broken))] = rng.choice([0, 1, 255, rng.randrange(256)])
        try:
            program = Program.from_bytes(sealed(bytes(broken)))
        except RpaError:
            continue
        assert all(tensor.kind in KINDS for tensor in program.tensors.values())


@FUZZ
@given(st.lists(st.integers(0, (1 << 32) - 1), min_size=1, max_size=40))
def test_any_code_disassembles(code):
    program = Program(config_dict(MACHINE), tuple(code))
    assert isa.assemble(isa.disassemble(program), MACHINE).code == program.code


@FUZZ
@given(st.text(max_size=20))
def test_explain_any_name(name):
    try:
        assert explain(name)
    except RpaError as error:
        assert str(error)
