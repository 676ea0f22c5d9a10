"""Registers that contradict each other when a command starts (design.md section 3)."""

from __future__ import annotations

from isa.table import ACC_INDEX_COUNT
from rpa.arch.config import ArrayConfig
from rpa.arch.macro import CELLS_IN_A_WORD
from rpa.emu.fast.layout import SOURCE, Registers
from rpa.emu.fast.trace import Command
from rpa.emu.step.layout import DIFFERENTIAL, REFERENCE

_WORD_BITS = 16


def contradiction(command: Command, config: ArrayConfig) -> str | None:
    """What the machine would refuse with ILLEGAL_CONFIG at the start of ``command``; None if nothing."""
    r = command.registers
    if command.name == "ld":
        return _load(r, command.operand[1], config.cols)
    if command.name == "run" and r.cbits < max(r.abits, r.wbits):
        return f"ex.cbits is {r.cbits}, must be at least ex.abits {r.abits} and ex.wbits {r.wbits}"
    if command.name == "drain":
        if r.nv and (r.row0, r.rows) != (0, 1):
            return f"dr.row0 is {r.row0} and dr.rows is {r.rows}, must be 0 and 1 where dr.nv is 1"
        if r.row0 + r.rows > config.rows:
            return f"dr.row0 + dr.rows is {r.row0 + r.rows}, the array has {config.rows} rows"
        if r.acc0 + r.accs > ACC_INDEX_COUNT:
            return f"dr.acc0 + dr.accs is {r.acc0 + r.accs}, a bank has {ACC_INDEX_COUNT} accumulators"
    if command.name == "st":
        return _store(r, config.cols)
    return _macro(command, config) if command.name in ("nvprog", "nvmac") else None


def _macro(command: Command, config: ArrayConfig) -> str | None:
    r = command.registers
    if r.macro >= config.nv_macros:
        return f"nv.macro is {r.macro}, the machine has {config.nv_macros} macros"
    if r.row0 + r.rows > config.nv_rows:
        return f"nv.row0 + nv.rows is {r.row0 + r.rows}, a macro has {config.nv_rows} word lines"
    start = r.line0 * config.cols
    if command.name == "nvmac":
        return _layer(r, config) or _bit_lines(start + _lines(r, config) * config.cols, config)
    if start % CELLS_IN_A_WORD:
        return f"nv.line0 * COLS is {start}, must be a multiple of {CELLS_IN_A_WORD} for `nvprog`"
    return _bit_lines(start + CELLS_IN_A_WORD * r.k0, config)


def _bit_lines(end: int, config: ArrayConfig) -> str | None:
    return f"the last bit line would be {end - 1}, a macro has {config.nv_cols}" if end > config.nv_cols else None


def _lines(r: Registers, config: ArrayConfig) -> int:
    """Lines that a layer takes."""
    return -(-r.outs // config.cols) * r.slices * (2 if r.encoding == DIFFERENTIAL else 1) + (r.encoding == REFERENCE)


def _layer(r: Registers, config: ArrayConfig) -> str | None:
    elements = r.k0 * r.k1 * r.k2 * (_WORD_BITS // r.ebits)
    if r.abits > r.ebits:
        return f"nv.abits is {r.abits}, must be at most nv.ebits {r.ebits}"
    if elements < r.rows:
        return f"the words of a vector (nv.k0 * nv.k1 * nv.k2) hold {elements} activations, nv.rows is {r.rows}"
    if config.nv_cell_bits * r.slices > _WORD_BITS:
        return f"nv.slices is {r.slices}, must be at most {_WORD_BITS // config.nv_cell_bits} with cells of {config.nv_cell_bits} bits"
    if r.encoding == REFERENCE and r.slices > config.cols:
        return f"nv.slices is {r.slices}, a reference line has room for {config.cols} digits (cols)"
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
