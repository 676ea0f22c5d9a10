"""Every fault of a source: place, code and whole message; and how several of them are reported together."""

from __future__ import annotations

import numpy as np
import pytest

import isa
from isa.errors import CODES, AsmError
from tests.isa.machines import MACHINE, Machine

TOKENS = "tokens are for ld, run, ctxld, drain, seed, st, sync, nvprog and nvmac"

# source, line:column, code, message, hint; a `halt` follows every source
BAD = [
    # -- instructions and operands
    ("addd r1, r2, r3", "1:1", "E104", "unknown instruction `addd`", "did you mean `add`?"),
    ("frobnicate", "1:1", "E104", "unknown instruction `frobnicate`", "macros must be defined above their first use"),
    ("add r1, r2", "1:1", "E107", "`add` takes 3 operands (rd, rs, rt), not 2", ""),
    ("add r1, r2, r3, r4", "1:17", "E107", "`add` takes 3 operands (rd, rs, rt), not 4", ""),
    ("halt r1", "1:6", "E107", "`halt` takes no operands, not 1", ""),
    ("reset", "1:1", "E107", "`reset` takes 1 operand (engine), not 0", ""),
    ("add r1, r16, r2", "1:9", "E105", "`r16` is not a core register", "there are r0..r15"),
    ("add r1, 5, r2", "1:9", "E107", "a number is not a core register", "there are r0..r15"),
    ("addi r1, r2, 131072", "1:14", "E108", "`imm` is 131072, must be -131072..131071 (18-bit field)", ""),
    ("andi r1, r2, -1", "1:14", "E108", "`imm` is -1, must be 0..65535 (16-bit field)", ""),
    ("slli r1, r2, 32", "1:14", "E108", "`shamt` is 32, must be 0..31 (5-bit field)", ""),
    ("lui r1, 65536", "1:9", "E108", "`imm` is 65536, must be 0..65535 (16-bit field)", ""),
    ("addi r1, r2, r3", "1:14", "E107", "`r3` is a register; an expression has only constants", ""),
    ("ld b, mem", "1:4", "E105", "unknown destination `b`", "there are a, w, p, x"),
    ("ld a, fil", "1:7", "E105", "unknown source `fil`", "did you mean `fill`?"),
    ("ld 0, mem", "1:4", "E107", "a number where the name of a destination belongs", "there are a, w, p, x"),
    ("run 2", "1:5", "E108", "`bank` is 2, must be 0..1 (1-bit field)", ""),
    ("ctxld 16, r1", "1:7", "E108", "`slot` is 16, must be 0..15 (ctx_slots is 16)", ""),
    ("sync foo", "1:6", "E105", "unknown engine `foo`", "there are ld, ex, dr, st, nv"),
    ("fence", "1:1", "E107", "`fence` names no engine", "for example `fence ld, ex, dr, st, nv`"),
    ("fence ld, ld", "1:11", "E107", "engine `ld` is named twice", ""),
    ("rdctr r1, cycle", "1:11", "E105", "unknown counter `cycle`", "did you mean `cycles`?"),
    ("halt wait(ex)", "1:6", "E107", "`wait` on `halt`, which is no engine instruction", TOKENS),
    ("nop signal(ex)", "1:5", "E107", "`signal` on `nop`, which is no engine instruction", TOKENS),
    ("run 0 wait(ld) wait(dr)", "1:16", "E107", "`wait` twice", "write `wait(ld, ex)`"),
    ("run 0 wait(le)", "1:12", "E105", "unknown engine `le`", "there are ld, ex, dr, st, nv"),
    ("li r1, 1 << 32", "1:8", "E108", "`li` of 4294967296, must be -2147483648..4294967295 (32 bits)", ""),
    ("li r1", "1:1", "E107", "`li` takes 2 operands (rd, expr), not 1", ""),
    (".word 1 << 32", "1:7", "E108", "`.word` is 4294967296, must be a 32-bit number", ""),
    # -- set
    ("set ex.n9, 1", "1:5", "E105", "unknown engine register `ex.n9`", "did you mean `ex.n`?"),
    ("set ld.adr, 1", "1:5", "E105", "unknown engine register `ld.adr`", "did you mean `ld.addr`?"),
    ("set ex.n0, 4096", "1:12", "E108", "`ex.n0` is 4096, must be 1..4095", "steps of loop 0 (0 is innermost)"),
    ("set ex.n0, 0", "1:12", "E108", "`ex.n0` is 0, must be 1..4095", "steps of loop 0 (0 is innermost)"),
    ("set ex.abits, 3", "1:15", "E108", "`ex.abits` is 3, must be one of 2, 4, 8, 16", "activation width"),
    ("set ld.unit, 8", "1:14", "E108", "`ld.unit` is 8, must be one of 1, 2, 4", "source words moved per cycle, a power of two; bus_words is 4"),
    ("set ld.addr, -1", "1:14", "E108", "`ld.addr` is -1, must be 0..4294967295", "source address of row 0, unit 0"),
    ("set ex.n, 1, 2, 3, 4, 5, 6, 7", "1:29", "E107", "the group `ex.n` has 6 registers, not 7", ""),
    ("set nv.xv, 1, 2, 3, 4", "1:21", "E107", "the group `nv.xv` has 3 registers, not 4", ""),
    ("set nv.slices, 17", "1:16", "E108", "`nv.slices` is 17, must be 1..16", "cells of one weight, lowest digit first"),
    ("set nv.rows, 33", "1:14", "E108", "`nv.rows` is 33, must be 1..32", "word lines, one activation each; nv_rows is 32"),
    ("nvmac 2", "1:7", "E108", "`bank` is 2, must be 0..1 (1-bit field)", ""),
    ("nvprog 0", "1:8", "E107", "`nvprog` takes no operands, not 1", ""),
    ("set ex.n0, 1, 2", "1:15", "E107", "`ex.n0` takes one value, not 2", ""),
    ("set ex.n0", "1:1", "E107", "`set` takes a register and a value, not 1 operand", "`set ex.n0, 3`, or for a group `set ex.n, 3, 3, 8`"),
    ("set 3, 4", "1:5", "E107", "a number where an engine register belongs", "for example `ex.n0`"),
    ("setr ex.nn, r1", "1:6", "E105", "unknown engine register `ex.nn`", "did you mean `ex.n`?"),
    ("setr ex.n0, 3", "1:13", "E107", "a number is not a core register", "there are r0..r15"),
    # -- expressions and names
    ("li r1, TILEE\nTILE = 3", "1:8", "E105", "unknown name `TILEE`", "did you mean `TILE`?"),
    ("A = 4 / 0", "1:5", "E109", "division by zero", ""),
    ("A = 4 % (2 - 2)", "1:5", "E109", "division by zero", ""),
    ("A = 1 << 1000", "1:5", "E109", "a shift by 1000, must be 0..128", ""),
    ("A = 1 >> -1", "1:5", "E109", "a shift by -1, must be 0..128", ""),
    ("A = (1 << 127) * (1 << 127)", "1:6", "E109", "a value beyond 2^128", ""),
    ("A = log2(6)", "1:5", "E109", "log2(6): not a power of two", ""),
    ("A = abs(1, 2)", "1:5", "E109", "`abs` takes 1 argument, not 2", ""),
    ("A = sqrt(4)", "1:5", "E105", "unknown function `sqrt`", "there are min, max, abs, log2, ceildiv, align"),
    ("A = B\nB = A + 1", "2:5", "E109", "the value of `A` depends on itself", ""),
    ("A = 1\nA = 2", "2:1", "E106", "`A` is defined twice; first at <text>:1", "in a macro or repeat, names that start with @ are local"),
    ("x: nop\nx: nop", "2:1", "E106", "`x` is defined twice; first at <text>:1", "in a macro or repeat, names that start with @ are local"),
    ("ROWS = 3", "1:1", "E106", "`ROWS` is predefined and cannot be defined again", ""),
    ("r3 = 3", "1:1", "E106", "`r3` is a register and cannot be defined", ""),
    ("a.b = 3", "1:1", "E106", "`a.b` has a dot; names with dots are engine registers and tensor sizes", ""),
    ("x: nop\nA = x", "2:5", "E110", "`x` is a label; labels stand only in branches, loops and `li`", ""),
    ("j nowhere", "1:3", "E105", "unknown name `nowhere`", ""),
    (".default @a = 3", "1:10", "E106", "`.default` of a local name", ""),
    ("A = " + "-" * 120 + "1", "1:5", "E102", "an expression nested 121 deep, at most 100 are allowed",
     "name a part of it with `NAME = ...`"),
    ("A = " + "9" * 81, "1:5", "E102", "a number of 81 characters, at most 80 are allowed", ""),
    ("A = 0x", "1:5", "E102", "`0x` is not a number", "numbers are 10, 0x1F, 0b101, with `_` between digits"),
    ("A = 12ab", "1:5", "E102", "`12ab` is not a number", "numbers are 10, 0x1F, 0b101, with `_` between digits"),
    # -- syntax
    ("add r1 r2, r3", "1:8", "E102", "unexpected `r2`, expected `(`, `,`, an operator, wait(...) or signal(...) or the end of the line", ""),
    ("add r1,", "1:8", "E102", "the statement ends too early, expected a value", ""),
    ("add r1, $", "1:9", "E102", "unexpected `$`, expected a value", ""),
    ("A = (1 + 2", "1:11", "E102", "the statement ends too early, expected `)`", ""),
    ("ld a, mem wait()", "1:16", "E102", "unexpected `)`, expected a name", ""),
    (".inptu x shape(3)", "1:1", "E104", "unknown directive `.inptu`", "did you mean `.input`?"),
    ('.include "x', "1:10", "E102", "the text is not closed", 'a text is "..." on one line'),
    ("= 3", "1:1", "E102", "unexpected `=`, expected a name or the end of the line", ""),
    # -- blocks
    (".if 1", "1:1", "E103", "`.if` is not closed", "close it with `.endif`"),
    (".endr", "1:1", "E103", "`.endr` closes nothing", "there is no open `.repeat`"),
    (".repeat 2\n.if 1\n.endr\n.endif\n.endr", "3:1", "E103", "`.endr` cannot close the `.if` of line 2", "close it with `.endif` first"),
    (".else", "1:1", "E103", "`.else` without `.if`", ""),
    (".if 1\n.else\n.else\n.endif", "3:1", "E103", "a second `.else` for the `.if` of line 1", ""),
    (".if Q\n.endif\nQ = 1", "1:5", "E105", "unknown name `Q`", "`.if` and `.repeat` need names that are defined above them"),
    (".repeat 2\n.macro m\n.endm\n.endr", "2:1", "E103", "`.macro` inside `.repeat`", "define macros outside of other blocks"),
    ("x: .if 1\n.endif", "1:4", "E102", "a label in front of `.if`", "put the label on a line of its own"),
    (".repeat -1\n.endr", "1:9", "E108", "`.repeat` count is -1, must be 0..400000", ""),
    (".repeat 1000000\n.endr", "1:9", "E108", "`.repeat` count is 1000000, must be 0..400000", ""),
    (".repeat 1000\n.repeat 1000\n.endr\n.endr", "2:1", "E112", "the source expands to more than 400000 statements", "a `loop` costs no code"),
    (".macro m\nm\n.endm\nm", "2:1", "E112", "macros, repeats and includes nested deeper than 32", "does a macro call itself?"),
    ("\n".join([".if 1"] * 33 + [".endif"] * 32), "33:1", "E112", "blocks nested deeper than 32", ""),
    (".macro add\n.endm", "1:8", "E106", "`add` is an instruction and cannot be a macro", ""),
    (".macro m\n.endm\n.macro m\n.endm", "3:8", "E106", "macro `m` is defined twice; first at <text>:1", ""),
    (".macro m a, a\n.endm", "1:13", "E106", "parameter `a` is named twice", ""),
    (".macro m r1\n.endm", "1:10", "E106", "`r1` is a register and cannot be defined", ""),
    (".macro m a, b\n.endm\nm 1", "3:1", "E107", "macro `m` takes 2 arguments (a, b), not 1", ""),
    (".macro m\n.endm\nm wait(ld)", "3:3", "E107", "`wait` on a macro", "put it on the instructions inside"),
    ('.assert 1 == 2, "one is not two"', "1:9", "E113", "assertion failed: one is not two", ""),
    # -- contexts
    (".context k\n.end", "1:10", "E107", "context `k` has no lines", "write `all: nop` if that is meant"),
    (".context k\nall: nop\n.end\n.context k\nall: nop\n.end", "4:10", "E106", "context `k` is defined twice; first at <text>:1", ""),
    (".context k\nall: mc a, w\n.end", "2:6", "E105", "unknown PE operation `mc`", "did you mean `mac`?"),
    (".context k\nall: mac a\n.end", "2:6", "E107", "`mac` takes 2 operands, not 1", ""),
    (".context k\nall: mac a, w -> r1\n.end", "2:18", "E107", "`mac` writes the accumulator, so it has no `->`", ""),
    (".context k\nall: mov nort\n.end", "2:10", "E105", "unknown PE source `nort`", "did you mean `north`?"),
    (".context k\nall: mov a -> r8\n.end", "2:15", "E105", "unknown PE destination `r8`",
     "there are none, acc, acca, r0, r1, r2, r3, r4, r5, r6, r7"),
    (".context k\nall: nop, route w\n.end", "2:17", "E105", "unknown route `w`", "there are hold, result, x, a, north, east, south, west"),
    (".context k\nall: nop, if q\n.end", "2:14", "E105", "unknown condition `q`", "there are always, p, np"),
    (".context k\nall: mov #128\n.end", "2:11", "E108", "the immediate is 128, must be -128..127 (8-bit field)", ""),
    (".context k\nall: add #1, #2\n.end", "2:15", "E107", "two immediates in one context: 1 and 2", "a context has one immediate"),
    (".context k\nrows 4: nop\n.end", "2:6", "E108", "row 4, must be 0..3", "this machine has 4 rows"),
    (".context k\nall: nop\ncols 3..1: nop\n.end", "3:6", "E108", "an empty range: columns 3..1", ""),
    (".context k\nall: nop, if p, if p\n.end", "2:20", "E102", "`if` twice in one line", ""),
    (".context k\nall: mov a -> r0, w\n.end", "2:19", "E102", "an operand behind `->`, `route` or `if`", "write `op x, y -> dst, route what, if p`"),
    (".context k\n.input x shape(2)\n.end", "2:1", "E103", "only context lines, `.if` and `.repeat` can stand in a .context block",
     "close the block with `.end`"),
    ("ctx kk, 0\n.context k\nall: nop\n.end", "1:5", "E105", "unknown context `kk`", "did you mean `k`?"),
    ("ctx k, 99\n.context k\nall: nop\n.end", "1:8", "E108", "`slot` is 99, must be 0..15 (ctx_slots is 16)", ""),
    # -- tensors
    (".input x shape(0)", "1:16", "E108", "a dimension is 0, must be 1..2147483648", ""),
    (".input x shape(2) bits 3", "1:24", "E108", "`bits` is 3, must be one of 2, 4, 8, 16", ""),
    (".input x shape(1,1,1,1,1,1,1,1,1)", "1:32", "E107", "9 dimensions, at most 8 are allowed", ""),
    (".input x shape(32769)", "1:8", "E115", "tensor `x` ends at byte 65538, the machine's mem_bytes is 65536", "it starts at 0 and has 65538 bytes"),
    (".params x shape(2, 3)", "1:20", "E107", "`.params` has 2 dimensions, must have one: the number of entries", ""),
    (".data x shape(3) = 1, 2", "1:23", "E114", "2 values, the shape needs 3", ""),
    (".data x shape(2) = 1, 2,\n   3", "2:4", "E114", "3 values, the shape needs 2", ""),
    (".data x shape(2) bits 4 = 7, 8", "1:30", "E108", "a value is 8, must be -8..7 (4 bits signed)", ""),
    (".data x shape(2) bits 2 unsigned = 3, -1", "1:39", "E108", "a value is -1, must be 0..3 (2 bits unsigned)", ""),
    (".params x shape(2) = 1, 2", "1:25", "E114", "2 values, must be bias, multiplier, shift, once or 2 times", ""),
    (".params x shape(2) = 1 << 47, 2, 3", "1:22", "E108", "bias is 140737488355328, must be -140737488355328..140737488355327 (48 bits signed)", ""),
    (".params x shape(2) = 1, 1 << 31, 3", "1:25", "E108", "multiplier is 2147483648, must be 0..2147483647 (31 bits)", ""),
    (".params x shape(2) = 1, 2, 128", "1:28", "E108", "shift is 128, must be 0..127 (7 bits)", ""),
    (".input x shape(x.row)", "1:16", "E109", "the shape of `x` depends on itself", ""),
    ("li r1, x.size\n.input x shape(2)", "1:8", "E105", "a tensor has no `size`", "there are bytes, words, row"),
    ('.data x shape(2) = file "x.npy"', "1:25", "E111", "`file` in a source without a folder", "assemble a file instead of a text"),
    ('.include "x.inc"', "1:10", "E111", "`.include` in a source without a folder", "assemble a file instead of a text"),
    # -- code
    ("loopi 2, a\nloopi 2, a\nnop\na:", "2:10", "E116", "this loop body ends where that of <text>:1 ends",
     "put an instruction (`nop`) behind the inner loop"),
    ("loopi 2, a\nnop\nloopi 2, b\na: nop\nb:", "3:10", "E116", "a loop as the last instruction of the loop body of <text>:1",
     "put a `nop` behind it"),
    ("loopi 2, a\nnop\njal r1, f\na: nop\nf: nop", "3:9", "E116",
     "a call as the last instruction of the loop body of <text>:1; it returns behind the body",
     "put a `nop` behind it"),
    ("loopi 2, a\nnop\nbeq r1, r2, b\nnop\na: nop\nb:", "3:13", "E116", "a branch out of the loop body of <text>:1",
     "the loop would stay on the core's stack; branch instead of using `loop`"),
    ("loopi 2, a\nnop\nj a\nnop\na: nop", "3:3", "E116", "a branch out of the loop body of <text>:1",
     "the loop would stay on the core's stack; branch instead of using `loop`"),
    ("loopi 2, a\nloopi 2, b\nnop\na: nop\nb:", "2:10", "E116", "the loop body ends outside the body of <text>:1 that it starts in", ""),
    ("loopi 2, a\na: nop", "1:10", "E116", "the loop body has no instructions", "the label stands behind the last instruction of the body"),
    ("ctx other, 0", "1:5", "E105", "unknown context `other`", "contexts are defined by `.context name` ... `.end`"),
    ("a: nop\nloop r1, a", "2:10", "E116", "the loop body ends before it starts", "the label stands behind the last instruction of the body"),
    ("a: nop\nloopi 2, a", "2:10", "E116", "the loop body ends before it starts", "the label stands behind the last instruction of the body"),
    ("j 2", "1:3", "E116", "the target is 2, outside the program's 0..1", "the last instruction is the last target"),
    ("loopi 16384, a\nnop\na:", "1:7", "E108", "`count` is 16384, must be 0..16383 (14-bit field)", ""),
    ("li r1, a * 100000\nnop\na:", "1:8", "E108", "`li` of 200000, must be -131072..131071 where a label is in the expression", ""),
    (".repeat 1024\nnop\n.endr", "4:1", "E115", "the code has more than 1024 words, the machine's imem_words", ""),
    (".repeat 700\nli r1, 0x12345678\n.endr", "2:1", "E115", "the code has 1401 words, the machine's imem_words is 1024",
     "use `loop` instead of `.repeat`"),
]


def faults_of(source, machine=MACHINE, **kwargs):
    with pytest.raises(AsmError) as caught:
        isa.assemble(source, machine, **kwargs)
    return caught.value.diagnostics


@pytest.mark.parametrize(("source", "place", "code", "message", "hint"), BAD, ids=[f"{row[2]}-{row[3][:40]}" for row in BAD])
def test_fault(source, place, code, message, hint):
    faults = faults_of(source + "\nhalt\n")
    assert [(f"{one.line}:{one.column}", one.code, one.message, one.hint) for one in faults] == [(place, code, message, hint)]
    assert code in CODES


@pytest.mark.parametrize(("raw", "place", "message"), [
    (b"", "1:1", "the source has no instructions"),
    (b"; only a comment\nA = 1\n", "1:1", "the source has no instructions"),
    (b"nop\nhalt\0\n", "2:5", "a NUL character in the source"),
    (b"nop\n  \xff\xfe\n", "2:3", "byte 0xff is not UTF-8"),
    (b"nop ; " + b"x" * 20_000, "1:20001", "a line of 20006 characters, at most 20000 are allowed"),
    (b"nop\n" * (1 << 20) + b"\n", "1:1", "the source has 4194305 bytes, at most 4194304 are allowed"),
])
def test_source_as_a_whole(tmp_path, raw, place, message):
    path = tmp_path / "p.rpa"
    path.write_bytes(raw)
    (fault,) = faults_of(path)
    assert (f"{fault.line}:{fault.column}", fault.code, fault.message) == (place, "E101", message)


def test_missing_and_unreadable_source(tmp_path):
    assert faults_of(tmp_path / "none.rpa")[0].message == "the source cannot be read: No such file or directory"
    assert faults_of(tmp_path)[0].message == "the source cannot be read: Is a directory"


def test_all_faults_in_line_order_with_the_whole_report():
    source = """\
; a program with three faults
    add   r1, r17, 4
\tset   ex.n0, 5000   ; far too much
TILE = 1 +
halt
"""
    with pytest.raises(AsmError) as caught:
        isa.assemble(source, MACHINE, name="kernel.rpa")
    assert str(caught.value) == """\
kernel.rpa:2:15: error: `r17` is not a core register
    2 |     add   r1, r17, 4
      |               ^~~
hint: there are r0..r15
kernel.rpa:2:20: error: a number is not a core register
    2 |     add   r1, r17, 4
      |                    ^
hint: there are r0..r15
kernel.rpa:3:15: error: `ex.n0` is 5000, must be 1..4095
    3 | \tset   ex.n0, 5000   ; far too much
      | \t             ^~~~
hint: steps of loop 0 (0 is innermost)
kernel.rpa:4:11: error: the statement ends too early, expected a value
    4 | TILE = 1 +
      |           ^"""
    assert caught.value.code == "E100"


def test_fault_in_an_expansion_says_where_from():
    source = ".macro inner x\naddi r1, r2, x\n.endm\n.macro outer\n.repeat 2, I\ninner BIG\n.endr\n.endm\nBIG = 1 << 20\nouter\nhalt"
    (fault,) = faults_of(source)
    assert fault.headline == "<text>:2:14: error: `imm` is 1048576, must be -131072..131071 (18-bit field)"
    assert fault.notes == ("in macro `inner`, from <text>:6", "in pass 0 of `.repeat`, from <text>:5", "in macro `outer`, from <text>:10")


def test_fault_in_an_argument_stands_at_the_argument():
    (fault,) = faults_of(".macro m reg\nmv r1, reg\n.endm\nm r99\nhalt")
    assert fault.headline == "<text>:4:3: error: `r99` is not a core register"


def test_unknown_names_do_not_cascade():
    faults = faults_of("A = MISSING\nB = A + 1\nli r1, B\n.input x shape(A)\nli r2, x.bytes\nhalt")
    assert [one.headline for one in faults] == ["<text>:1:5: error: unknown name `MISSING`"]


def test_a_report_has_an_end():
    faults = faults_of("\n".join(f"unknown{number}" for number in range(5000)))
    assert [one.line for one in faults] == [*range(1, 1001), 1000]
    assert faults[-1].message == "more than 1000 faults; the others are not listed"


def test_defines_that_the_source_does_not_ask_for():
    faults = faults_of(".default TILE = 1\nFIXED = 2\nhalt", defines={"TIEL": 3, "FIXED": 4, "TILE": "x"})
    assert [(one.line, one.code, one.message, one.hint) for one in faults] == [
        (1, "E117", "the value given for `TILE` is 'x', must be a whole number of at most 64 bits", ""),
        (1, "E117", "a value is given for `TIEL`, but the source has no `.default TIEL`", "did you mean `TILE`?"),
        (2, "E117", "a value is given for `FIXED`, but the source sets it", "write `.default FIXED = ...`")]


# -- files --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (tmp_path / "secret.inc").write_text("nop\n")
    (root / "link.inc").symlink_to(tmp_path / "secret.inc")
    (root / "self.inc").write_text('.include "self.inc"\n')
    (root / "bad.inc").write_text("nop\nadd r1\n")
    (root / "latin.inc").write_bytes(b"nop\n;\xe4\n")
    return root


@pytest.mark.parametrize(("line", "message"), [
    ('.include "../secret.inc"', "`../secret.inc` is outside the source's folder"),
    ('.include "link.inc"', "`link.inc` is outside the source's folder"),
    ('.include "/etc/passwd"', "`/etc/passwd` is outside the source's folder"),
    ('.include "none.inc"', "there is no file `none.inc`"),
    ('.include "sub"', "there is no file `sub`"),
    ('.include ""', "there is no file ``"),
    ('.include "main.rpa"', "`main.rpa` includes itself"),
    ('.data x shape(2) = file "../secret.npy"', "`../secret.npy` is outside the source's folder"),
    ('.data x shape(2) = file "none.npy"', "there is no file `none.npy`"),
])
def test_files_that_cannot_be_used(folder, line, message):
    (folder / "main.rpa").write_text(f"{line}\nhalt\n")
    (fault,) = faults_of(folder / "main.rpa")
    assert (fault.code, fault.message, fault.line) == ("E111", message, 1)


def test_faults_in_included_files(folder):
    (folder / "main.rpa").write_text('.include "bad.inc"\n.include "self.inc"\n.include "latin.inc"\nadd r2\nhalt\n')
    faults = faults_of(folder / "main.rpa")
    short = [(one.file.removeprefix(str(folder)), one.line, one.message) for one in faults]
    assert short == [
        ("/main.rpa", 3, "`latin.inc`: byte 0xe4 is not UTF-8 (line 2)"),
        ("/main.rpa", 4, "`add` takes 3 operands (rd, rs, rt), not 1"),
        ("/bad.inc", 2, "`add` takes 3 operands (rd, rs, rt), not 1"),
        ("/self.inc", 1, "`self.inc` includes itself"),
    ]
    assert faults[2].notes == (f"in a file that is included, from {folder}/main.rpa:1",)


def test_include_depth(folder):
    for number in range(20):
        (folder / f"d{number}.inc").write_text(f'.include "d{number + 1}.inc"\n')
    (folder / "main.rpa").write_text('.include "d0.inc"\nhalt\n')
    (fault,) = faults_of(folder / "main.rpa")
    assert fault.message == "includes nested deeper than 16"


@pytest.mark.parametrize(("make", "message"), [
    (lambda: np.zeros((3, 2), np.int8), "shape (3, 2), must be (2, 3)"),
    (lambda: np.zeros(6, np.int8), "shape (6,), must be (2, 3)"),
    (lambda: np.zeros((2, 3)), "dtype '<f8' (floating point), must be whole numbers (int8..int64, uint8..uint64)"),
    (lambda: np.zeros((2, 3), bool), "dtype '|b1' (boolean), must be whole numbers (int8..int64, uint8..uint64)"),
    (lambda: np.zeros((2, 3), object), "dtype '|O' (Python objects), must be whole numbers (int8..int64, uint8..uint64)"),
    (lambda: np.zeros((2, 3), [("a", "i4")]), "dtype \"[('a', '<i4')]\", must be whole numbers (int8..int64, uint8..uint64)"),
    (lambda: np.asfortranarray(np.zeros((2, 3), np.int8)), "stored in Fortran order; save `numpy.ascontiguousarray(x)`"),
])
def test_npy_of_the_wrong_kind(folder, make, message):
    np.save(folder / "w.npy", make(), allow_pickle=True)
    (folder / "main.rpa").write_text('.data w shape(2, 3) bits 4 = file "w.npy"\nhalt\n')
    (fault,) = faults_of(folder / "main.rpa")
    assert (fault.headline.removeprefix(str(folder)), fault.code) == (f"/main.rpa:1:35: error: `w.npy`: {message}", "E114")


def test_npy_values_out_of_range(folder):
    np.save(folder / "w.npy", np.array([1, 8]))
    np.save(folder / "s.npy", np.array([[0, 1, 1], [0, -1, 1]]))
    (folder / "main.rpa").write_text('.data w shape(2) bits 4 = file "w.npy"\n.params s shape(2) = file "s.npy"\nhalt\n')
    faults = faults_of(folder / "main.rpa")
    assert [one.message for one in faults] == ["`w.npy` has the value 8, must be -8..7 (4 bits signed)",
                                              "`s.npy` has the multiplier -1, must be 0..2147483647"]


@pytest.mark.parametrize(("change", "message"), [
    (lambda raw: b"PK" + raw[2:], "not a .npy file"),
    (lambda raw: raw[:7], "a .npy file of an unknown version"),
    (lambda raw: raw[:6] + b"\x09" + raw[7:], "a .npy file of an unknown version"),
    (lambda raw: raw[:9], "the .npy header is truncated"),
    (lambda raw: raw[:60], "the .npy header is truncated"),
    (lambda raw: raw[:8] + b"\xff\xff" + raw[10:], "a .npy header of 65535 bytes, at most 4096 are allowed"),
    (lambda raw: raw.replace(b"{", b"["), "the .npy header does not parse"),
    (lambda raw: raw.replace(b"descr", b"other"), "the .npy header does not have descr, fortran_order and shape"),
    (lambda raw: raw[:-1], "7 bytes of data, shape and dtype need 8"),
    (lambda raw: raw + b"x", "9 bytes of data, shape and dtype need 8"),
])
def test_damaged_npy(folder, change, message):
    np.save(folder / "w.npy", np.array([1, 2], np.int32))
    raw = (folder / "w.npy").read_bytes()
    (folder / "w.npy").write_bytes(change(raw))
    (folder / "main.rpa").write_text('.data w shape(2) = file "w.npy"\nhalt\n')
    (fault,) = faults_of(folder / "main.rpa")
    assert fault.message == f"`w.npy`: {message}"


def test_limits_follow_the_machine():
    (fault,) = faults_of("ctxld 16, r1\nhalt", Machine())
    assert fault.message.endswith("(ctx_slots is 16)")
    isa.assemble("ctxld 16, r1\nhalt", Machine(ctx_slots=32))


NO_MACROS = Machine(nv_engine=0, nv_macros=0)


@pytest.mark.parametrize(("text", "name"), [
    ("nvprog", "nvprog"), ("nvmac 0", "nvmac"), ("set nv.k, 2, 3", "set"), ("set nv.macro, 0", "set"), ("setr nv.rows, r1", "setr"),
    ("reset nv", "reset"), ("ld x, mem", "ld"), ("sync nv", "sync"), ("sync ld wait(nv)", "sync"), ("run 0 signal(ex, nv)", "run"),
    ("fence ld, nv", "fence")])
def test_machines_without_macros(text, name):
    (fault,) = faults_of(f"nop\n{text}\nhalt", NO_MACROS)
    assert (fault.code, fault.line, fault.column) == ("E119", 2, 1)
    assert fault.message == f"`{name}` names the engine `nv` or its X bank, which this machine does not have"
    assert fault.hint == "its `nv_macros` is 0; choose a configuration with NOR-flash macros, such as hybrid"
    isa.assemble(f"nop\n{text}\nhalt", MACHINE)


def test_drains_of_nv_accumulators_need_macros():
    (fault,) = faults_of("set dr.nv, 1\nhalt", NO_MACROS)
    assert (fault.code, fault.message) == ("E108", "`dr.nv` is 1, must be 0..0")
    assert isa.assemble("set dr.nv, 0\nrdctr r1, nv_run\nhalt", NO_MACROS).code
