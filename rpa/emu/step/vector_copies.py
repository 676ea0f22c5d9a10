"""NumPy forms of the loops in `banks` and `record`, for the plain path; contracts are those of the compiled functions."""

from __future__ import annotations

from functools import cache

import numpy as np

from rpa.emu.step import banks, record
from rpa.emu.step import layout as L

# -- memory and banks -------------------------------------------------------------------------------------------------


def copy_words(target, at, source, start, count):
    target[at:at + count] = source[start:start + count]


def copy_words_around(target, source, start, count, size):
    target[:count] = source[:size].take(range(start, start + count), mode="wrap")


def fill_words(target, count, word):
    target[:count] = word


def pack_words(packed, ring, words, count, bits):
    if bits == 16:
        packed[ring, :count] = words[:count]
        return
    per_word = 16 // bits
    lanes = (words[:count] & ((1 << bits) - 1)).reshape(-1, per_word)
    packed[ring, :count // per_word] = (lanes << bits * np.arange(per_word)).sum(axis=1)


def transpose_line(obank, address, bits, cols, line):
    e = 16 // bits
    if e == 1:
        line[:] = obank[address]
        return
    shifts = bits * np.arange(e)
    elements = obank[address].astype(np.int64) >> shifts[:, None] & ((1 << bits) - 1)
    line[:] = (elements.reshape(cols, e) << shifts).sum(axis=1)


@cache
def _bank_numbers(count: int) -> np.ndarray:
    return np.arange(count)


def window_places(s, places, ring, banks, j, u):
    group, sel, row = s[L.ACTIVE + L.LD_GROUP], s[L.ACTIVE + L.LD_SEL], s[L.ACTIVE + L.LD_J0] + j
    start = s[L.ACTIVE + L.LD_BASE] + j * s[L.ACTIVE + L.LD_PITCH] + u * s[L.ACTIVE + L.LD_DSTEP]
    step, length, back = s[L.ACTIVE + L.LD_WSTEP], s[L.ACTIVE + L.LD_WLEN], s[L.ACTIVE + L.LD_BSTEP]
    bank = _bank_numbers(banks)
    q = bank >> group
    offset = row - q * step
    taken = (offset >= 0) & (offset < length)
    if sel != L.EVERY_LANE:
        taken &= (bank & ((1 << group) - 1)) == sel
    places[ring, :banks] = np.where(taken, (start - q * back) & L.WORD_MASK, -1)


def window_check(places, ring, banks, words, depth):
    used = places[ring, :banks]
    beyond = used[used > depth - words]
    if beyond.size:
        return int(beyond[0])
    misaligned = used[(used >= 0) & (used % words != 0)]
    return int(misaligned[0]) if misaligned.size else -1


def window_store(bank, places, packed, ring, banks, words):
    taken = np.flatnonzero(places[ring, :banks] >= 0)
    if taken.size:
        first = places[ring, taken]
        for w in range(words):
            bank[first + w, taken] = packed[ring, w]
    return int(taken.size)


# -- records ----------------------------------------------------------------------------------------------------------


def record_values(row, at, values, start, count):
    row[at:at + count] = values[start:start + count]
    return at + count


def record_plane(row, at, plane, mask):
    row[at:at + plane.size] = plane.ravel() & mask
    return at + plane.size


REPLACEMENTS = {getattr(module, name): globals()[name] for module, names in (
    (banks, ("copy_words", "copy_words_around", "fill_words", "pack_words", "transpose_line", "window_places", "window_check",
             "window_store")),
    (record, ("record_values", "record_plane")),
) for name in names}
