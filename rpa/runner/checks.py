"""Registers that contradict each other when a command starts (design.md section 3)."""

from __future__ import annotations

from isa.table import ACC_INDEX_COUNT
from rpa.arch.config import ArrayConfig
from rpa.emu.fast.layout import SOURCE, Registers
from rpa.emu.fast.trace import Command

_WORD_BITS = 16


def contradiction(command: Command, config: ArrayConfig) -> str | None:
    """What the machine would refuse with ILLEGAL_CONFIG at the start of ``command``; None if nothing."""
    r = command.registers
    if command.name == "ld":
        return _load(r, command.operand[1], config.cols)
    if command.name == "run" and r.cbits < max(r.abits, r.wbits):
        return f"ex.cbits is {r.cbits}, must be at least ex.abits {r.abits} and ex.wbits {r.wbits}"
    if command.name == "drain":
        if r.row0 + r.rows > config.rows:
            return f"dr.row0 + dr.rows is {r.row0 + r.rows}, the array has {config.rows} rows"
        if r.acc0 + r.accs > ACC_INDEX_COUNT:
            return f"dr.acc0 + dr.accs is {r.acc0 + r.accs}, a bank has {ACC_INDEX_COUNT} accumulators"
    if command.name == "st":
        return _store(r, config.cols)
    return None


def _load(r: Registers, source: int, cols: int) -> str | None:
    if r.unit * r.pack < _WORD_BITS:
        return f"ld.unit is {r.unit}, must be at least {_WORD_BITS // r.pack} to fill a word at ld.pack {r.pack}"
    if source != SOURCE["o"]:
        return None
    if cols * r.obits < _WORD_BITS:
        return f"ld.obits is {r.obits}, a line of {cols} columns needs at least {_WORD_BITS // cols}"
    return f"ld.unit is {r.unit}, source `o` gives at most {cols} words (cols)" if r.unit > cols else None


def _store(r: Registers, cols: int) -> str | None:
    if cols * r.bits < _WORD_BITS:
        return f"st.bits is {r.bits}, a line of {cols} columns needs at least {_WORD_BITS // cols}"
    if r.unit > cols:
        return f"st.unit is {r.unit}, a line has {cols} words (cols)"
    return f"st.xstep is {r.xstep}, must be at most 16/st.bits = {_WORD_BITS // r.bits}" if r.xstep * r.bits > _WORD_BITS else None
