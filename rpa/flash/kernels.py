"""The fast path: products of whole layers with a macro, the same codes as `Chip.convert` gives without it, bit by bit.

`mac` takes activations, not digits: it forms the passes, converts and adds codes up by their weights in one compiled loop over table rows
(:mod:`rpa.flash.patterns`, :mod:`rpa.flash.compiled`). What tables cannot say goes operation by operation (:func:`by_operation`): exact IR drop
of a gate-driven array, vectors around a change of traps, and everything where numba is not installed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rpa.arch.jit import HAVE_NUMBA
from rpa.flash.compiled import DIVIDE, SEARCH, SHIFT, products
from rpa.flash.converters import Converters
from rpa.flash.errors import FlashError
from rpa.flash.patterns import Passes, patterns_of, patterns_of_digits, rows_in_group
from rpa.flash.static import FRACTION_BITS, Static
from rpa.flash.tables import tables_of

if TYPE_CHECKING:
    from rpa.flash.chip import Chip

Ints = npt.NDArray[np.int64]
TABLE_BYTES = 4 << 20
"""Largest table that is made at once; lines are taken in blocks that fit."""
SUM_LIMIT = (1 << 31) - (1 << 28)
"""Sums below this stay in 32 bits, noise included."""
SHIFT_LIMIT = 28
"""Half a step of a larger shift could lead out of 32 bits."""
_BETWEEN = -1
COMPILED = HAVE_NUMBA
"""Whether tables are used at all."""
_NO_THRESHOLDS, _NO_STARTS = np.zeros(0, np.int32), np.zeros(0, np.int64)


def mac(chip: Chip, macro: int, x: npt.NDArray[np.integer], *, abits: int, signed: bool = False, columns: slice = slice(None), log2_lsb: float,
        row0: int = 0, first: int | npt.ArrayLike | None = None) -> Ints:
    """Products of activation vectors with the cells of a macro, as converted codes: (vectors, lines) sums over passes of weight * code.

    x: (vectors, rows), integers of `abits` bits (two's complement where `signed`), on word lines row0...; the others are not driven.
    log2_lsb: one step of a code. The operations of a vector are its passes, in order; first: number of the first operation of the first vector
    (all others follow), or of each vector; None: the macro's own count. Limits of codes are `chip.limits`.
    """
    passes = Passes(abits, chip.spec.dac.bits, signed)
    x = _checked(chip, x, row0, passes)
    numbers = _first_numbers(chip, macro, len(x), len(passes.shifts), first)
    lines, rows = lines_of(chip, columns), range(row0, row0 + x.shape[1])
    blocks = chip.block_of(numbers)
    # Traps may change within a vector: its passes then go one by one.
    blocks[chip.block_of(numbers + len(passes.shifts) - 1) != blocks] = _BETWEEN
    out = np.empty((len(x), len(lines)), np.int64)
    for block in np.unique(blocks):
        mask = blocks == block
        which: slice | npt.NDArray[np.bool_] = slice(None) if mask.all() else mask
        if block != _BETWEEN and can(chip, macro, int(block), lines):
            patterns, active = patterns_of(x[which], passes)
            out[which] = _by_table(chip, macro, int(block), patterns, _limits(chip, active, log2_lsb), passes.weights, rows, lines, log2_lsb,
                                   numbers[which])
        else:
            out[which] = by_operation(chip, macro, x[which], passes, columns, log2_lsb, row0, numbers[which])
    return out


def by_operation(chip: Chip, macro: int, x: npt.NDArray[np.integer], passes: Passes, columns: slice, log2_lsb: float, row0: int,
                 numbers: Ints) -> Ints:
    """The same, by digits for `Chip.convert`; numbers: of each vector's first operation."""
    count, lines = len(passes.shifts), len(range(chip.spec.cols)[columns])
    out = np.empty((len(x), lines), np.int64)
    step = max(1, (1 << 24) // (count * chip.spec.rows))
    for start in range(0, len(x), step):
        here = slice(start, start + step)
        digits = passes.digits(x[here])
        planes = np.zeros((*digits.shape[:2], chip.spec.rows), np.uint8)
        planes[:, :, row0:row0 + x.shape[1]] = digits
        planes = planes.reshape(-1, chip.spec.rows)
        codes = chip.convert(macro, planes, columns, log2_lsb, chip.limits((planes != 0).sum(axis=1), log2_lsb),
                             first=(numbers[here, None] + np.arange(count)).ravel())
        out[here] = np.einsum("vpl,p->vl", codes.reshape(-1, count, lines), passes.weights)
    return out


def codes(chip: Chip, macro: int, block: int, digits: npt.NDArray[np.uint8], columns: slice, log2_lsb: float, limits: Ints, numbers: Ints) -> Ints:
    """Codes of operations of one block, as `Chip.convert` gives them; where :func:`can` says so."""
    patterns = patterns_of_digits(digits[:, None, :], chip.spec.dac.bits)[0]
    return _by_table(chip, macro, block, patterns, limits[:, None], np.ones(1, np.int64), range(chip.spec.rows), lines_of(chip, columns), log2_lsb,
                     numbers)


def can(chip: Chip, macro: int, block: int, lines: range) -> bool:
    """Whether tables can say what these lines do: no currents that depend on all digits at once, and sums that stay in 32 bits."""
    if not COMPILED or chip.spec.ladder or not len(lines):
        return False
    return int(chip.static(macro, block).most[lines.start:lines.stop].max()) < SUM_LIMIT


def lines_of(chip: Chip, columns: slice) -> range:
    """The bit lines of a slice, which must be neighbours."""
    lines = range(chip.spec.cols)[columns]
    if lines.step != 1:
        raise FlashError(f"Chip: `columns` is {columns}, must be neighbouring bit lines")
    return lines


def _checked(chip: Chip, x: npt.NDArray[np.integer], row0: int, passes: Passes) -> npt.NDArray[np.integer]:
    """x within the macro's rows, its values within `abits`; then its low bits, without sign."""
    low, high = (-(1 << passes.abits - 1), (1 << passes.abits - 1) - 1) if passes.signed else (0, (1 << passes.abits) - 1)
    if x.ndim != 2 or not np.issubdtype(x.dtype, np.integer) or not 0 <= row0 <= chip.spec.rows - x.shape[1]:
        raise FlashError(f"mac: x is {x.dtype} {x.shape} on word lines {row0}..., must be integers (vectors, rows) within "
                         f"{chip.spec.rows} word lines")
    if x.size and (x.min() < low or x.max() > high):
        raise FlashError(f"mac: x has values {x.min()}..{x.max()}, must be {low}..{high}: {passes.abits} bits")
    return x.astype(np.int64) & ((1 << passes.abits) - 1) if passes.signed else x


def _first_numbers(chip: Chip, macro: int, vectors: int, passes: int, first: int | npt.ArrayLike | None) -> Ints:
    """Number of the first operation of each vector."""
    if first is None or np.ndim(first) == 0:
        return chip.take_numbers(macro, vectors * passes, first)[::passes]
    return np.asarray(first, np.int64)


def _limits(chip: Chip, active: npt.NDArray[np.int32], log2_lsb: float) -> Ints:
    return chip.limits(np.arange(chip.spec.rows + 1), log2_lsb)[active]


def _by_table(chip: Chip, macro: int, block: int, patterns: npt.NDArray[np.uint8], limits: Ints, weights: Ints, rows: range, lines: range,
              log2_lsb: float, numbers: Ints) -> Ints:
    static = chip.static(macro, block)
    width = _block_width(chip, static, patterns.shape[2])
    out = np.empty((len(patterns), len(lines)), np.int64)
    narrow = int(np.abs(weights).sum()) * int(limits.max(initial=0)) < 1 << 31
    kind = np.int32 if narrow else np.int64
    for start in range(lines.start, lines.stop, width):
        here = range(start, min(start + width, lines.stop))
        tables = tables_of(chip, macro, static, block, rows, here)
        how = _rounding(chip, macro, here, tables.lines, log2_lsb)
        products(patterns, limits, tables.sums, tables.variance, tables.patterns, tables.lines, numbers.astype(np.uint64), chip.noise_key(macro),
                 start, np.float32(chip.sigma_unit), chip.compression_per_unit, how.mode, np.int32(how.shift), how.step, how.thresholds,
                 how.starts, weights.astype(kind), np.empty(tables.lines, kind), out[:, start - lines.start:here.stop - lines.start])
    return out


def _block_width(chip: Chip, static: Static, groups: int) -> int:
    """Lines of a table of at most TABLE_BYTES, or a vector of them."""
    patterns = 1 << chip.spec.dac.bits * rows_in_group(chip.spec.dac.bits)
    return max(1, TABLE_BYTES // (64 * groups * patterns * (1 if static.variance is None else 2))) * 16


@dataclass(frozen=True)
class _Rounding:
    """How sums become codes."""

    mode: int
    shift: int
    step: float
    thresholds: npt.NDArray[np.int32]
    starts: Ints


def _rounding(chip: Chip, macro: int, lines: range, width: int, log2_lsb: float) -> _Rounding:
    shift = log2_lsb + FRACTION_BITS
    thresholds = chip.thresholds(macro, log2_lsb)
    if thresholds is not None:
        converters = np.resize(Converters(chip.spec, chip.seed, macro).of_lines(slice(lines.start, lines.stop)), width)
        return _Rounding(SEARCH, chip.spec.adc.code_bits, 1.0, chip.flat_thresholds(macro, log2_lsb), converters * thresholds.shape[1])
    if shift == int(shift) and 1 <= shift <= SHIFT_LIMIT:
        return _Rounding(SHIFT, int(shift), 1.0, _NO_THRESHOLDS, _NO_STARTS)
    return _Rounding(DIVIDE, 0, 2.0**shift, _NO_THRESHOLDS, _NO_STARTS)
