"""The interface between the NV engine and what stands behind it as NOR-flash macros (`docs/design.md` section 15)."""

from __future__ import annotations

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common import bits_for_count
from isa.table import REGISTERS
from rpa.arch.config import ArrayConfig
from rpa.arch.macro import CELLS_IN_A_WORD

CONTAINER_BITS = 4
"""Bits of a word of `nvprog` that hold a cell code."""
RANGE_BITS = next(register.bits for register in REGISTERS if register.name == "nv.range")


def line_count(config: ArrayConfig) -> int:
    """Lines of one macro; a line is `cols` bit lines."""
    return config.nv_cols // config.cols


def signature(config: ArrayConfig) -> wiring.Signature:
    """All macros of the machine, seen from the engine.

    With ``prog_valid``, cells of macro ``prog_macro`` are programmed: four neighbours of word line ``prog_row`` from bit line 4 * ``prog_col``
    on, ``prog_data`` with the first in the low bits. With ``start``, an operation begins: ``digits`` on the word lines of ``macro`` (word line
    0 in the low bits), conversion of ``lines`` lines from ``line0`` on, one step of a code 2^``range``, no code above ``limit``. All of it holds in
    that cycle alone. ``done`` is high in a later cycle, from which until the next start ``codes`` has the code of every bit
    line that was converted (bit line 0 in the low bits); the engine does not look at it in the cycle of a start.
    """
    macro = Out(bits_for_count(config.nv_macros))
    return wiring.Signature({
        "prog_valid": Out(1), "prog_macro": macro, "prog_row": Out(bits_for_count(config.nv_rows)),
        "prog_col": Out(bits_for_count(config.nv_cols // CELLS_IN_A_WORD)), "prog_data": Out(CELLS_IN_A_WORD * config.nv_cell_bits),
        "start": Out(1), "macro": macro, "digits": Out(config.nv_rows * config.nv_dac_bits), "range": Out(RANGE_BITS),
        "limit": Out(config.nv_adc_bits), "line0": Out(bits_for_count(line_count(config))), "lines": Out(range(line_count(config) + 1)),
        "done": In(1), "codes": In(config.nv_cols * config.nv_adc_bits),
    })
