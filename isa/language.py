"""The assembly language as rows: directives and functions, with what the manual says about them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DirectiveRow:
    """One directive as the manual prints it."""

    name: str
    syntax: str
    doc: str
    example: str


DIRECTIVE_ROWS = (
    DirectiveRow(name=".default", syntax=".default NAME = expr", example=".default TILE = 8",
                 doc="A constant, unless it has a value already: from outside (`defines=`, `-D NAME=value`) or from a line above."),
    DirectiveRow(name=".assert", syntax='.assert expr, "text"', example='.assert COLS >= 2, "needs two columns"',
                 doc="A fault with this text if the expression is 0."),
    DirectiveRow(name=".if", syntax=".if expr ... .else ... .endif", example=".if COLS > 8\nnop\n.else\nnop\n.endif",
                 doc="Keeps the first part if the expression is not 0, else the second. Names in the expression must be defined above."),
    DirectiveRow(name=".repeat", syntax=".repeat expr, I ... .endr", example=".repeat 3, I\nli r1, 4 * I\n.endr",
                 doc="The part between, `expr` times; in it `I` is 0, 1, ... and names that start with `@` are local to one pass."),
    DirectiveRow(name=".macro", syntax=".macro name a, b ... .endm", example=".macro clear reg\nli reg, 0\n.endm\nclear r1",
                 doc="A statement of one's own, used as `name x, y`. A parameter stands for an expression or a name (register, engine, "
                     "bank, context, PE source ...). Names that start with `@` are local to one use."),
    DirectiveRow(name=".include", syntax='.include "file"', example='.include "lib.inc"',
                 doc="The statements of another file, relative to the file that names it, in or below the folder of the root source."),
    DirectiveRow(name=".input", syntax=".input NAME shape(...) bits B signed LAYOUT", example=".input act shape(8, 8, 16) bits 8 signed",
                 doc="A tensor that the caller fills. B is 2, 4, 8 or 16 (16 if left out), `signed` (if left out) or `unsigned`."),
    DirectiveRow(name=".output", syntax=".output NAME shape(...) bits B signed LAYOUT", example=".output out shape(8, 8, 16) bits 8 unsigned",
                 doc="A tensor that the program leaves for the caller."),
    DirectiveRow(name=".data", syntax=".data NAME shape(...) bits B signed LAYOUT = values", example=".data taps shape(3) bits 8 signed = 1, -2, 1",
                 doc='A tensor with contents: as many values as the shape has elements, or `file "x.npy"` (whole numbers of exactly that '
                     "shape), or nothing: the fill word, or zeros. A list goes on in the next line behind `=` or a comma."),
    DirectiveRow(name=".params", syntax=".params NAME shape(M) = bias, multiplier, shift", example=".params scale shape(4) = 0, 1 << 30, 31",
                 doc="Requantization entries of 8 words each: the same for all, or three values for each, or `file` with shape (M, 3); "
                     "without values an input of shape (M, 3)."),
    DirectiveRow(name=".context", syntax=".context NAME ... .end", example=".context sum\nall: mac a, w\ncols 0: mov a -> r0, route a\n.end",
                 doc="What the PEs do in one context: lines `region: op x, y -> dst, route what, if cond`. A region is `all`, or `rows` and "
                     "`cols` with a number or a range `first..last`. Later lines override earlier ones. `#expr` is an immediate; "
                     "`-> dst`, `route` and `if` can be left out. Loaded by `ctx`."),
    DirectiveRow(name=".word", syntax=".word expr", example=".word 0x2C000000",
                 doc="A raw 32-bit word among the instructions, not checked: for tests of faults."),
)

FUNCTION_DOCS = {
    "min": "min(x, y, ...)", "max": "max(x, y, ...)", "abs": "abs(x)", "log2": "log2(x)", "ceildiv": "ceildiv(x, y)", "align": "align(x, y)",
}
"""How each function of `isa.arithmetic.FUNCTIONS` is written."""

LANGUAGE = """\
One statement a line; `;` starts a comment. A list of values goes on in the next line behind `=` or a comma. Names are case-sensitive.

    label:              ; a code address; one or more may stand before an instruction
    NAME = expr         ; a constant, in any order
    op x, y             ; an instruction, pseudo-instruction or macro
    op x wait(ld, ex) signal(dr)

**Expressions** are whole numbers (`10`, `0x1F`, `0b101`, with `_` between digits), names, and from weak to strong: `||`, `&&`, `|`, `^`, `&`,
`== !=`, `< <= > >=`, `<< >>`, `+ -`, `* / %`, and `- + ~ !` in front. `/` and `%` round down. Comparisons and logic give 1 or 0.

**Names.** Constants and tensors are numbers (a tensor is its byte address); `tensor.bytes`, `tensor.words` and `tensor.row` are its size in bytes,
in 16-bit words, and the words of one innermost row (for `.params`: of one entry). Labels stand only in branches, loops and `li`. Names that start
with `@` are local to one expansion of a macro or repeat. A macro does not see the parameters and `@` names of where it is used; a repeat does.

**Tensors** lie in external memory in order of appearance from byte 0, each aligned to 64 bytes; the innermost dimension is padded to whole 16-bit
words, elements are packed low first. A `LAYOUT` places the innermost rows of a tensor in a larger buffer, in this order: `strides(...)`, the words
from one index to the next of every dimension but the innermost (left out: rows follow each other); `offset`, the words in front of the first
element (0); `words`, those of the whole buffer (up to the last element); `fill`, the 16-bit word between the rows before the first cycle (0). For
example `.input x shape(30, 30, 8) bits 8 signed strides(128, 4) offset 132 words 4096 fill 0x8080`: an image with a border of one pixel, rows of 32
pixels. The name is the address of the buffer; `.row` stays the words of one row. Rows must not overlap.

**Tokens.** `wait(e, ...)` takes one token from each engine before the command starts, `signal(e, ...)` gives one to each when it has finished. The
assembler warns of tokens that are waited for and never given, and of those given and never taken.

**Loops.** The label of `loop` and `loopi` stands behind the last instruction of the body. Two bodies cannot end at the same address, a loop or call
cannot be the last instruction of a body, and a branch cannot leave one; the assembler refuses these.

**r15** belongs to pseudo-instructions; the assembler warns where a program uses it.
"""
