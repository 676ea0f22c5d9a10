"""A whole `nvmac` or `nvprog` in NumPy: digits of all passes, one question to the macro, shift and add (design.md section 15)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from isa.table import ACC_INDEX_COUNT
from rpa.arch.config import ArrayConfig
from rpa.arch.jit import plain
from rpa.arch.macro import CELLS_IN_A_WORD, Macro, bit_lengths, limits
from rpa.emu.fast import future as F
from rpa.emu.fast.layout import VALUES, Registers
from rpa.emu.step import layout as L
from rpa.emu.step import nv as step_nv
from rpa.emu.step.state import Arrays

_groups_of, _lines_of, _passes_of = (plain(function) for function in (step_nv.groups_of, step_nv.lines_of, step_nv.passes_of))
_MOST_DIGITS = 1 << 23
"""Digits that are worked out at a time, at least those of one vector."""
_ADDRESSES = 1 << 16


def carry_out(s: Any, m: Arrays, w: F.Scratch, config: ArrayConfig, macro: Macro) -> F.Scratch:
    """Carry out and count the command that NV has started, whose reach has no problem; the scratch arrays to go on with."""
    first = L.FIRST_REGISTER[L.NV]
    r = VALUES[L.NV]._make(int(value) for value in s[L.ACTIVE + first:L.ACTIVE + L.LAST_REGISTER[L.NV] + 1])
    s[F.TODO + L.NV] = 0
    if s[L.COMMAND + L.NV] == L.NVPROG:
        _program(s, m, r, config, macro)
        return w
    counts = [_multiply(s, m, r, config, macro, vectors) for vectors in _parts(s, r, config)]
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


def elements(words: np.ndarray, bits: int) -> np.ndarray:
    """Unsigned elements of words (n, words), the first in the low bits: (n, words * 16 / bits)."""
    parts = words.astype(np.int64)[..., None] >> np.arange(0, 16, bits) & ((1 << bits) - 1)
    return parts.reshape(len(words), -1)


def _parts(s: Any, r: Registers, config: ArrayConfig) -> Iterator[np.ndarray]:
    """Numbers of the vectors, some at a time."""
    count, most = r.n0 * r.n1 * r.n2, max(1, _MOST_DIGITS // (_passes_of(s, L.ACTIVE) * max(config.nv_rows, config.nv_cols)))
    for start in range(0, count, most):
        yield np.arange(start, min(count, start + most))


def nest(number: np.ndarray, counts: tuple[int, int, int], steps: tuple[int, int, int]) -> np.ndarray:
    """Sum of index * step of three loops, innermost first, at every step ``number``."""
    n0, n1, _ = counts
    return number % n0 * steps[0] + number // n0 % n1 * steps[1] + number // (n0 * n1) * steps[2]


def _activations(m: Arrays, r: Registers, vectors: np.ndarray) -> np.ndarray:
    """(vectors, rows): what the X bank has for each word line, unsigned."""
    words = nest(np.arange(r.k0 * r.k1 * r.k2), (r.k0, r.k1, r.k2), (r.xk0, r.xk1, r.xk2))
    starts = r.xbase + nest(vectors, (r.n0, r.n1, r.n2), (r.xv0, r.xv1, r.xv2))
    return elements(m.xbank[(starts[:, None] + words) % _ADDRESSES, 0], r.ebits)[:, :r.rows]


def passes(r: Registers, dac_bits: int) -> list[tuple[int, int, int]]:
    """Of each pass the lowest bit that it drives, how many, and its weight."""
    plain_bits = r.abits - r.asigned
    low = [(bit, min(dac_bits, plain_bits - bit), 1 << bit) for bit in range(0, plain_bits, dac_bits)]
    return low + [(r.abits - 1, 1, -(1 << r.abits - 1))] * r.asigned


def _multiply(s: Any, m: Arrays, r: Registers, config: ArrayConfig, macro: Macro, vectors: np.ndarray) -> np.ndarray:
    """Some vectors of an `nvmac`; what each operation counts, (4, operations), as `future.Scratch.operations` has it."""
    values, steps = _activations(m, r, vectors), passes(r, config.nv_dac_bits)
    digits = np.zeros((len(vectors) * len(steps), config.nv_rows), np.uint8)
    for number, (low, width, _) in enumerate(steps):
        digits[number::len(steps), r.row0:r.row0 + r.rows] = values >> low & ((1 << width) - 1)
    active = np.count_nonzero(digits, axis=1)
    largest = limits(config, active, r.range)
    start, width = r.line0 * config.cols, _lines_of(s, L.ACTIVE) * config.cols
    codes = macro.convert(r.macro, digits, slice(start, start + width), r.range, largest)
    _accumulate(s, m, r, config, vectors, codes.reshape(len(vectors), len(steps), width), np.array([weight << r.range for *_, weight in steps]))
    s[L.XBANK_READS] += r.k0 * r.k1 * r.k2 * len(vectors)
    s[L.NV_OPERATIONS] += len(active)
    s[L.NV_MACS] += r.rows * r.outs * len(vectors)
    bits = bit_lengths(largest)
    counts = np.stack([active, width * (bits > 0), width * (bits == 0), width * bits])
    for counter, total in zip((L.NV_ACTIVE, L.NV_CONVERSIONS, L.NV_SKIPPED, L.NV_ADC_BITS), counts.sum(axis=1).tolist(), strict=True):
        s[counter] += total
    return counts


def _outputs(s: Any, r: Registers, config: ArrayConfig, codes: np.ndarray) -> np.ndarray:
    """(vectors, passes, groups, columns): digits of a weight added up, less the negative ones or the reference."""
    groups, cols = _groups_of(s, L.ACTIVE), config.cols
    place = 1 << config.nv_cell_bits * np.arange(r.slices)
    per_group = r.slices * (2 if r.encoding == L.DIFFERENTIAL else 1)
    lines = codes[..., :groups * per_group * cols].reshape(*codes.shape[:2], groups, per_group, cols)
    signs = np.concatenate([place, -place]) if r.encoding == L.DIFFERENTIAL else place
    totals = np.einsum("vpgkc,k->vpgc", lines, signs)
    if r.encoding == L.REFERENCE:
        totals -= (codes[..., groups * per_group * cols:][..., :r.slices] @ place)[..., None, None]
    return totals


def _accumulate(s: Any, m: Arrays, r: Registers, config: ArrayConfig, vectors: np.ndarray, codes: np.ndarray, weights: np.ndarray) -> None:
    """Add the codes (vectors, passes, bit lines) to the accumulators, in the order of vectors, passes and groups."""
    groups, bank = np.arange(_groups_of(s, L.ACTIVE)), m.nv_acc[s[L.NV_BANK], :, 0]
    index = (r.cbase + nest(vectors, (r.n0, r.n1, r.n2), (r.cv0, r.cv1, r.cv2))[:, None] + groups * r.cg) % ACC_INDEX_COUNT
    kept = np.arange(len(vectors)) if r.keep else _lasting(index)
    terms = _outputs(s, r, config, codes[kept]) * weights[:, None, None]
    index = index[kept]
    if not r.keep:
        _start_from_zero(bank, index, terms)
    np.add.at(bank, index, terms.sum(axis=1))
    bank &= (1 << config.acc_bits) - 1


def _lasting(index: np.ndarray) -> np.ndarray:
    """Of vectors that start from 0 those whose sums are not all lost: the last of every accumulator in ``index`` (vectors, groups)."""
    return np.unique([np.flatnonzero((index == acc).any(axis=1))[-1] for acc in np.unique(index)])


def _start_from_zero(bank: np.ndarray, index: np.ndarray, terms: np.ndarray) -> None:
    """Clear accumulators, and set to 0 in ``terms`` what a later start from 0 of the same accumulator takes away.

    Every group starts from 0 in its first pass: of the vectors but the last that use an accumulator all is lost, of groups of one
    vector that share it the first pass of all but the last.
    """
    for acc in np.unique(index):
        where = np.argwhere(index == acc)
        last = where[-1, 0]
        for vector, group in where[:-1]:
            terms[vector, slice(None) if vector < last else 0, group] = 0
        bank[acc] = 0
