"""Pseudo-instructions: statements that become one or more instructions. The rows feed assembler, manual and highlighting."""

from __future__ import annotations

from dataclasses import dataclass

from isa.table import REGISTERS

ASSEMBLER_REGISTER = 15
"""Core register that pseudo-instructions use: r15."""
SET_GROUPS = {
    group: tuple(f"{group}{number}" for number in range(6) if any(row.name == f"{group}{number}" for row in REGISTERS))
    for group in ("ex.n", "ex.as", "ex.ws", "ex.cs", "ex.ss", "nv.k", "nv.xk", "nv.n", "nv.xv", "nv.cv")
}
"""Groups of `set`, each with its registers, loop 0 (innermost) first."""


@dataclass(frozen=True, kw_only=True)
class Pseudo:
    """One pseudo-instruction as the manual prints it."""

    name: str
    syntax: str
    becomes: str
    doc: str
    example: str


PSEUDOS = (
    Pseudo(name="nop", syntax="nop", becomes="addi r0, r0, 0", doc="Do nothing for one cycle.", example="nop"),
    Pseudo(name="mv", syntax="mv rd, rs", becomes="addi rd, rs, 0", doc="rd = rs.", example="mv r1, r2"),
    Pseudo(name="li", syntax="li rd, expr", becomes="addi, or lui, or lui and ori",
           doc="rd = a 32-bit constant, -2^31..2^32-1, in one word where `addi` or `lui` alone can do it. With a label: its code address, one word.",
           example="li r1, 0x12345678"),
    Pseudo(name="j", syntax="j label", becomes="jal r0, label", doc="Go to the label.", example="j label"),
    Pseudo(name="set", syntax="set group, v0, v1, ...", becomes="set for each value",
           doc=f"Write the registers 0, 1, ... of a group: {', '.join(SET_GROUPS)}. Also `set reg, value` with a value beyond 16 bits: "
               "li r15 and setr.", example="set ex.n, 3, 3, 8"),
    Pseudo(name="ctx", syntax="ctx name, slot", becomes="set ex.rmask, set ex.cmask, li r15, ctxld",
           doc="Load a .context block into a slot of every PE: for each of its lines the masks, where they differ from those in force, "
               "then `li r15` and `ctxld`. The masks are -1 before and afterwards.", example="ctx kernel, 0"),
)
PSEUDO_NAMES = tuple(row.name for row in PSEUDOS)
