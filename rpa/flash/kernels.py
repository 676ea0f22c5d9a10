"""The fast path: products of whole layers with a macro, the same codes as `Chip.convert` gives, bit by bit.

`mac` takes activations, not digits: it forms the passes, converts and adds codes up by their weights in one compiled loop over table rows
(:mod:`rpa.flash.patterns`). What the tables cannot say goes operation by operation (:func:`by_operation`): exact IR drop of a gate-driven array,
operations around a change of traps, and everything where numba is not installed.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from rpa.arch.jit import HAVE_NUMBA, inner, jit_nogil
from rpa.flash.chip import Chip
from rpa.flash.converters import Converters
from rpa.flash.errors import FlashError
from rpa.flash.noise import counter_hash, gaussian, line_word
from rpa.flash.patterns import Passes, fill_table, patterns_of, rows_in_group
from rpa.flash.static import FRACTION_BITS, Static

Ints = npt.NDArray[np.int64]
F32, I32, U32, U64 = np.float32, np.int32, np.uint32, np.uint64
TABLE_BYTES = 4 << 20
"""Largest table that is made at once; lines are taken in blocks that fit."""
KEPT_BYTES = 256 << 20
"""Tables of one chip that are kept."""
SUM_LIMIT = (1 << 31) - (1 << 28)
"""Sums below this stay in 32 bits, noise included."""
SHIFT, DIVIDE, SEARCH = 0, 1, 2
_EMPTY = np.zeros((0, 0, 0), np.int32)
_NO_THRESHOLDS = np.zeros((0, 0), np.int64)


@dataclass(frozen=True)
class _Tables:
    version: tuple[int, int]
    sums: npt.NDArray[np.int32]
    variance: npt.NDArray[np.int32]
    """Empty where reads have no noise."""


@dataclass(frozen=True)
class _Rounding:
    """How sums become codes."""

    mode: int
    shift: int
    step: float
    thresholds: Ints
    converters: Ints


_LOCK = Lock()
_KEPT: WeakKeyDictionary[Chip, dict[tuple[int, int, int, int, int], _Tables]] = WeakKeyDictionary()


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
    lines = range(chip.spec.cols)[columns]
    if lines.step != 1:
        raise FlashError(f"mac: `columns` is {columns}, must be neighbouring bit lines")
    out = np.zeros((len(x), len(lines)), np.int64)
    slow = np.zeros(len(x), bool) if HAVE_NUMBA and not chip.spec.ladder and len(lines) else np.ones(len(x), bool)
    if not slow.all():
        slow |= chip.block_of(numbers) != chip.block_of(numbers + len(passes.shifts) - 1)
        for block in np.unique(chip.block_of(numbers[~slow])):
            which = ~slow & (chip.block_of(numbers) == block)
            static = chip.static(macro, int(block))
            if not _fits(static, row0, x.shape[1], lines):
                slow |= which
                continue
            everything = bool(which.all())
            done = _by_table(chip, macro, static, int(block), x if everything else x[which], passes, lines, log2_lsb, row0,
                             numbers if everything else numbers[which])
            out[which] = done
    if slow.any():
        out[slow] = by_operation(chip, macro, x[slow], passes, columns, log2_lsb, row0, numbers[slow])
    return out


def by_operation(chip: Chip, macro: int, x: npt.NDArray[np.integer], passes: Passes, columns: slice, log2_lsb: float, row0: int,
                 numbers: Ints) -> Ints:
    """The same, one operation of `Chip.convert` after the other; numbers: of each vector's first operation."""
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


def _fits(static: Static, row0: int, rows: int, lines: range) -> bool:
    """Whether every sum stays in 32 bits."""
    here = static.levels[:, row0:row0 + rows, lines.start:lines.stop]
    return int(here.max(axis=0).sum(axis=0, dtype=np.int64).max(initial=0)) < SUM_LIMIT


def _by_table(chip: Chip, macro: int, static: Static, block: int, x: npt.NDArray[np.integer], passes: Passes, lines: range, log2_lsb: float,
              row0: int, numbers: Ints) -> Ints:
    patterns, active = patterns_of(x, passes)
    limits = chip.limits(np.arange(x.shape[1] + 1), log2_lsb)
    groups, size = patterns.shape[2], 1 << passes.dac_bits * rows_in_group(passes.dac_bits)
    width = max(16, TABLE_BYTES // (4 * groups * size * (1 if static.variance is None else 2)))
    out = np.empty((len(x), len(lines)), np.int64)
    for start in range(lines.start, lines.stop, width):
        here = range(start, min(start + width, lines.stop))
        tables = _tables(chip, macro, static, block, row0, x.shape[1], here)
        how = _rounding(chip, macro, here, log2_lsb)
        _mac(patterns, active, tables.sums, tables.variance, numbers.astype(np.uint64), chip.noise_key(macro), start, F32(chip.sigma_unit),
             chip.compression_per_unit, how.mode, I32(how.shift), how.step, how.thresholds, how.converters, limits, passes.weights,
             out[:, start - lines.start:here.stop - lines.start])
    return out


def _tables(chip: Chip, macro: int, static: Static, block: int, row0: int, rows: int, lines: range) -> _Tables:
    """Tables of some rows and lines, kept until the macro changes."""
    place, version = (macro, row0, rows, lines.start, lines.stop), (chip.versions[macro], block)
    with _LOCK:
        kept = _KEPT.setdefault(chip, {})
        found = kept.get(place)
    if found is not None and found.version == version:
        return found
    bits, in_group = chip.spec.dac.bits, rows_in_group(chip.spec.dac.bits)
    shape = -(-rows // in_group), 1 << bits * in_group, len(lines)
    made = []
    for levels in (static.levels, static.variance):
        table = _EMPTY if levels is None else np.empty(shape, np.int32)
        if levels is not None:
            fill_table(np.ascontiguousarray(levels[:, row0:row0 + rows, lines.start:lines.stop]), bits, in_group, table)
        made.append(table)
    tables = _Tables(version, *made)
    with _LOCK:
        kept.pop(place, None)
        while kept and sum(each.sums.nbytes + each.variance.nbytes for each in kept.values()) > KEPT_BYTES:
            kept.pop(next(iter(kept)))
        kept[place] = tables
    return tables


def _rounding(chip: Chip, macro: int, lines: range, log2_lsb: float) -> _Rounding:
    step = 2.0 ** (log2_lsb + FRACTION_BITS)
    converters = Converters(chip.spec, chip.seed, macro).of_lines(slice(lines.start, lines.stop))
    thresholds = chip.thresholds(macro, log2_lsb)
    if thresholds is not None:
        return _Rounding(SEARCH, 0, step, thresholds, converters)
    shift = log2_lsb + FRACTION_BITS
    # A shift further than this may leave 32 bits when half a step is added.
    if shift == int(shift) and 1 <= shift <= 28:
        return _Rounding(SHIFT, int(shift), step, _NO_THRESHOLDS, converters)
    return _Rounding(DIVIDE, 0, step, _NO_THRESHOLDS, converters)


@inner
def _add_rows(table, patterns, sums):
    """sums (lines,) = the table rows of an operation's patterns, one per group."""
    groups, lines = len(patterns), len(sums)
    sums[:] = 0
    for group in range(0, groups - 3, 4):
        a, b = table[group, patterns[group]], table[group + 1, patterns[group + 1]]
        c, d = table[group + 2, patterns[group + 2]], table[group + 3, patterns[group + 3]]
        for line in range(lines):
            sums[line] += a[line] + b[line] + c[line] + d[line]
    for group in range(groups - groups % 4, groups):
        a = table[group, patterns[group]]
        for line in range(lines):
            sums[line] += a[line]


@inner
def _add_noise(sums, variance, hashed, line0, unit):
    """The noise of one operation; as `Chip` draws it."""
    low, high = U32(hashed & U64(0xFFFFFFFF)), U32(hashed >> U64(32))
    for line in range(len(sums)):
        sigma = F32(np.sqrt(F32(variance[line])) * unit)
        drawn = F32(sigma * gaussian(line_word(high, low, U32(line0 + line))))
        sums[line] += I32(np.floor(F32(drawn + F32(0.5))))


@inner
def _convert(sums, per_unit, mode, shift, step, thresholds, converters, limit):
    """Sums to codes in place."""
    if per_unit != 0.0:
        for line in range(len(sums)):
            sums[line] = I32(np.floor(sums[line] / (1 + per_unit * sums[line]) + 0.5))
    if mode == SHIFT:
        half = I32(I32(1) << I32(shift - I32(1)))
        most = I32(limit)
        for line in range(len(sums)):
            sums[line] = min(max(I32(sums[line] + half) >> shift, I32(0)), most)
    elif mode == DIVIDE:
        for line in range(len(sums)):
            sums[line] = I32(min(max(np.floor((sums[line] + step / 2) / step), 0.0), float(limit)))
    else:
        for line in range(len(sums)):
            code, bit = 0, 1
            while bit <= limit:
                bit += bit
            while bit > 1:
                bit >>= 1
                if sums[line] >= thresholds[converters[line], code | bit]:
                    code |= bit
            sums[line] = I32(min(code, limit))


@jit_nogil
def _mac(patterns, active, table, variance, first, key, line0, unit, per_unit, mode, shift, step, thresholds, converters, limits, weights, out):
    vectors, passes, _ = patterns.shape
    lines = table.shape[2]
    sums, noise, total = np.empty(lines, np.int32), np.empty(lines, np.int32), np.empty(lines, np.int64)
    noisy = variance.shape[0] > 0
    for v in range(vectors):
        total[:] = 0
        for p in range(passes):
            limit = limits[active[v, p]]
            # Nothing is converted: the code is 0 whatever the noise.
            if limit == 0:
                continue
            _add_rows(table, patterns[v, p], sums)
            if noisy:
                _add_rows(variance, patterns[v, p], noise)
                _add_noise(sums, noise, counter_hash(key, U64(first[v] + U64(p))), line0, unit)
            _convert(sums, per_unit, mode, shift, step, thresholds, converters, limit)
            for line in range(lines):
                total[line] += weights[p] * sums[line]
        for line in range(lines):
            out[v, line] = total[line]
