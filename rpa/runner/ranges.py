"""Addresses that a command would use outside its bank or outside external memory, as findings."""

from __future__ import annotations

from isa.table import PARAM_WORDS
from rpa.arch.config import ArrayConfig
from rpa.emu.fast import future as F
from rpa.emu.fast.layout import DEST
from rpa.emu.fast.trace import Command

Problem = tuple[str, str, str]
"""(kind of `rpa.runner.errors.KINDS`, text, hint)."""
_TILE_HINT = "make the tile smaller or the bank deeper"
_MEMORY_HINT = "check addr, strides and rows"


def out_of_range(command: Command, config: ArrayConfig) -> Problem | None:
    """The range that ``command`` would leave; None if it stays inside."""
    kind, low, high = command.problem
    banks = {F.A_RANGE: ("`run` reads A", config.a_depth), F.W_RANGE: ("`run` reads W", config.w_depth),
             F.BANK_RANGE: _loaded(command, config), F.O_READ: (f"`{command.name}` reads O", config.o_depth),
             F.O_WRITE: ("`drain` writes O", config.o_depth), F.X_RANGE: (f"`{command.name}` reads X", config.x_depth)}
    if kind in banks:
        what, depth = banks[kind]
        return "bank_range", f"{what} words {low}..{high} of a bank of {depth} words", _TILE_HINT
    if kind == F.P_RANGE:
        return "bank_range", f"`drain` uses parameter entry {low}, a P bank has {config.p_entries}", "check dr.param, dr.pacc and dr.plane"
    if kind in (F.MEM_READ, F.MEM_WRITE):
        what = "`ld` reads" if kind == F.MEM_READ else "`st` writes"
        return "mem_range", f"{what} external memory at {low:#x}..{high:#x}, the machine has {config.mem_bytes:#x} bytes", _MEMORY_HINT
    return None


def _loaded(command: Command, config: ArrayConfig) -> tuple[str, int]:
    dest = command.operand[0] if command.name == "ld" else DEST["a"]
    name, depth = {DEST["a"]: ("A", config.a_depth), DEST["w"]: ("W", config.w_depth), DEST["p"]: ("P", config.p_entries * PARAM_WORDS),
                   DEST["x"]: ("X", config.x_depth)}[dest]
    return f"`ld` writes {name}", depth
