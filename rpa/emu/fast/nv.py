"""A whole `nvmac` or `nvprog` in NumPy: digits of all passes, one question to the macro, shift and add (design.md section 15)."""

from __future__ import annotations

from typing import Any

import numpy as np

from isa.table import ACC_INDEX_COUNT
from rpa.arch.config import ArrayConfig
from rpa.arch.macro import CELLS_IN_A_WORD, Macro, bit_lengths, limits
from rpa.emu.fast import future as F
from rpa.emu.fast.layout import VALUES, Registers
from rpa.emu.fast.nv_plan import Plan, elements, plan_of
from rpa.emu.step import layout as L
from rpa.emu.step.state import Arrays

_MOST_DIGITS = 1 << 23
"""Digits that are worked out at a time, at least those of one vector; likewise words that are read."""
_MOST_WORDS = 1 << 16
_ADDRESSES = 1 << 16
_FIRST, _LAST = L.ACTIVE + L.FIRST_REGISTER[L.NV], L.ACTIVE + L.LAST_REGISTER[L.NV]


def carry_out(s: Any, m: Arrays, w: F.Scratch, config: ArrayConfig, macro: Macro) -> F.Scratch:
    """Carry out and count the command that NV has started, whose reach has no problem; the scratch arrays to go on with."""
    registers = s[_FIRST:_LAST + 1]
    r = VALUES[L.NV]._make(registers if isinstance(registers, list) else registers.tolist())
    s[F.TODO + L.NV] = 0
    if s[L.COMMAND + L.NV] == L.NVPROG:
        _program(s, m, r, config, macro)
        return w
    total = r.n0 * r.n1 * r.n2
    most = max(1, min(_MOST_DIGITS // (r.abits * max(config.nv_rows, config.nv_cols)), _MOST_WORDS // (r.k0 * r.k1 * r.k2)))
    counts = [_multiply(s, m, r, config, macro, plan_of(r, config, start, min(total, start + most))) for start in range(0, total, most)]
    if not s[F.PARTIAL]:
        return w
    operations = np.concatenate([np.zeros((4, 1), np.int64), *counts], axis=1).cumsum(axis=1)
    return w._replace(operations=operations)


def _program(s: Any, m: Arrays, r: Registers, config: ArrayConfig, macro: Macro) -> None:
    address = r.xbase + np.arange(r.rows)[:, None] * r.xv0 + np.arange(r.k0)
    cells = elements(m.xbank[address % _ADDRESSES, 0], 16 // CELLS_IN_A_WORD) & ((1 << config.nv_cell_bits) - 1)
    for row, codes in enumerate(cells.astype(np.uint8), r.row0):
        macro.program(r.macro, row, r.line0 * config.cols, codes)
    s[L.XBANK_READS] += address.size
    s[L.NV_PROGRAMMED] += cells.size


def _multiply(s: Any, m: Arrays, r: Registers, config: ArrayConfig, macro: Macro, plan: Plan) -> np.ndarray:
    """The vectors of a plan; what each operation counts, (4, operations), as `future.Scratch.operations` has it."""
    values = elements(m.xbank[(r.xbase + plan.offsets) % _ADDRESSES, 0], r.ebits)[:, :r.rows]
    vectors, passes = len(values), len(plan.weights)
    driven = np.zeros((vectors, passes, config.nv_rows), np.uint8)
    driven[:, :, r.row0:r.row0 + r.rows] = values[:, None] >> plan.shifts & plan.masks
    digits = driven.reshape(vectors * passes, -1)
    active = np.count_nonzero(digits, axis=1)
    largest = limits(config, active, r.range)
    start = r.line0 * config.cols
    codes = macro.convert(r.macro, digits, slice(start, start + plan.width), r.range, largest)
    _accumulate(m.nv_acc[s[L.NV_BANK], :, 0], r, config, plan, codes.reshape(vectors, passes, plan.width))
    s[L.XBANK_READS] += plan.offsets.size
    s[L.NV_OPERATIONS] += len(active)
    s[L.NV_MACS] += r.rows * r.outs * vectors
    bits = bit_lengths(largest)
    counts = np.stack([active, plan.width * (bits > 0), plan.width * (bits == 0), plan.width * bits])
    for counter, total in zip((L.NV_ACTIVE, L.NV_CONVERSIONS, L.NV_SKIPPED, L.NV_ADC_BITS), counts.sum(axis=1).tolist(), strict=True):
        s[counter] += total
    return counts


def _accumulate(bank: np.ndarray, r: Registers, config: ArrayConfig, plan: Plan, codes: np.ndarray) -> None:
    """Add codes (vectors, passes, bit lines) to accumulators ``bank`` (16, columns), in the order of vectors, passes and groups."""
    index = (r.cbase + plan.index) % ACC_INDEX_COUNT
    terms = plan.outputs(codes if plan.kept is None else codes[plan.kept])
    if plan.lost is not None:
        terms[plan.lost] = 0
    if not r.keep:
        bank[index] = 0
    sums = terms.sum(axis=1)
    if plan.distinct:
        bank[index] += sums
    else:
        np.add.at(bank, index, sums)
    bank &= (1 << config.acc_bits) - 1
