"""The compiled loops of the fast path: table rows to sums, noise, codes, and codes added up by the weights of passes.

Sums of all passes of a vector lie side by side, so that the loops over elements are long, also where a layer has few outputs; lines come in
multiples of `VECTOR`, which :func:`rpa.arch.jit.add_scaled` adds at once.
"""

from __future__ import annotations

import numpy as np

from rpa.arch.jit import VECTOR, add_scaled, add_scaled_pair, inner, jit_nogil
from rpa.flash.noise import GOLDEN32, counter_hash, gaussian, hashed_line

F32, I32, I64, U32, U64 = np.float32, np.int32, np.int64, np.uint32, np.uint64
SHIFT, DIVIDE, SEARCH = 0, 1, 2
"""How sums become codes: by a shift, by division by a step that is no power of two, by comparison with thresholds."""


@inner
def _add_rows(table, patterns_size, lines, patterns, sums, at):
    """sums[at:at + lines] = the table rows of an operation's patterns, one per group; table: flat (groups, patterns, lines)."""
    groups, one, size = len(patterns), I32(1), patterns_size * lines
    for block in range(0, lines, VECTOR):
        for i in range(VECTOR):
            sums[at + block + i] = 0
        for group in range(0, groups - 1, 2):
            first, second = group * size + patterns[group] * lines, (group + 1) * size + patterns[group + 1] * lines
            add_scaled_pair(sums, at + block, one, table, first + block, one, second + block)
        if groups & 1:
            add_scaled(sums, at + block, one, table, (groups - 1) * size + patterns[groups - 1] * lines + block)


@inner
def _add_noise(sums, variance, high, low, unit):
    """Noise as `Chip` draws it; variance: of each sum. high, low: hashes of each sum's operation, low with its line."""
    for i in range(len(sums)):
        sigma = F32(np.sqrt(F32(variance[i])) * unit)
        drawn = F32(sigma * gaussian(hashed_line(high[i], low[i])))
        sums[i] += I32(np.floor(F32(drawn + F32(0.5))))


@inner
def _shifted(sums, limits, shift):
    half = I32(I32(1) << I32(shift - I32(1)))
    for i in range(len(sums)):
        sums[i] = min(max(I32(sums[i] + half) >> shift, I32(0)), limits[i])


@inner
def _divided(sums, limits, step):
    for i in range(len(sums)):
        sums[i] = I32(min(max(np.floor((sums[i] + step / 2) / step), 0.0), float(limits[i])))


@inner
def _searched(sums, limits, bits, thresholds, starts, codes):
    """Successive approximation from the highest bit of each limit, bit by bit for all sums: no branches. starts: of a sum's converter."""
    codes[:] = 0
    for k in range(bits - 1, -1, -1):
        bit = I32(I32(1) << I32(k))
        for i in range(len(sums)):
            trial = I32(codes[i] | bit)
            passed = (sums[i] >= thresholds[starts[i] + trial]) & (limits[i] >= bit)
            codes[i] = trial if passed else codes[i]
    for i in range(len(sums)):
        sums[i] = min(codes[i], limits[i])


@inner
def _compressed(sums, per_unit):
    for i in range(len(sums)):
        sums[i] = I32(np.floor(sums[i] / (1 + per_unit * sums[i]) + 0.5))


@jit_nogil
def products(patterns, limits, table, variance, patterns_size, lines, first, key, line0, unit, per_unit, mode, shift, step, thresholds,
             starts, weights, total, out):
    """out (vectors, some of the lines) = codes of the passes of vectors, added up by `weights`.

    patterns: (vectors, passes, groups). limits: (vectors, passes), largest codes; 0: nothing is converted. table, variance: flat (groups,
    patterns_size, lines), int32; variance empty where there is no noise. first: (vectors,) uint64, number of the first pass. line0: number of
    the first line. unit: of the root of a variance. shift: in mode SEARCH the bits of the largest limit. thresholds: flat (converters, codes), int32.
    starts: (lines,), of each line's converter in them. total: (lines,), scratch of the type that sums of codes need.
    """
    vectors, passes, _ = patterns.shape
    width, noisy = passes * lines, len(variance) > 0
    sums, most, noise = np.zeros(width, np.int32), np.empty(width, np.int32), np.zeros(width if noisy else 0, np.int32)
    high, low = np.zeros(len(noise), np.uint32), np.zeros(len(noise), np.uint32)
    codes, places = np.empty(width if mode == SEARCH else 0, np.int32), np.empty(width if mode == SEARCH else 0, np.int64)
    for i in range(len(places)):
        places[i] = starts[i % lines]
    for v in range(vectors):
        for p in range(passes):
            at, limit = p * lines, I32(limits[v, p])
            for line in range(lines):
                most[at + line] = limit
            # Without a conversion the code is 0 whatever the sum.
            if limit == 0:
                continue
            _add_rows(table, patterns_size, lines, patterns[v, p], sums, at)
            if noisy:
                _add_rows(variance, patterns_size, lines, patterns[v, p], noise, at)
                hashed = counter_hash(key, U64(first[v] + U64(p)))
                upper, lower = U32(hashed >> U64(32)), U32(hashed & U64(0xFFFFFFFF))
                for line in range(lines):
                    high[at + line] = upper
                    low[at + line] = U32(lower + U32(line0 + line) * GOLDEN32)
        if noisy:
            _add_noise(sums, noise, high, low, unit)
        if per_unit != 0.0:
            _compressed(sums, per_unit)
        if mode == SHIFT:
            _shifted(sums, most, shift)
        elif mode == DIVIDE:
            _divided(sums, most, step)
        else:
            _searched(sums, most, shift, thresholds, places, codes)
        total[:] = 0
        for p in range(passes):
            for line in range(lines):
                total[line] += weights[p] * sums[p * lines + line]
        for line in range(out.shape[1]):
            out[v, line] = total[line]
