"""Words between memory, banks and lines: the loops of LD and ST, compiled. Their NumPy forms are in `vector`."""

from __future__ import annotations

from rpa.arch.jit import inner
from rpa.emu.step import layout as L


@inner
def copy_words(target, at, source, start, count):
    """target[at:at+count] = source[start:start+count]."""
    for i in range(count):
        target[at + i] = source[start + i]


@inner
def copy_words_around(target, source, start, count, size):
    """target[:count] = ``count`` words of source[:size] from ``start`` on, going round at the end."""
    for i in range(count):
        target[i] = source[(start + i) % size]


@inner
def fill_words(target, count, word):
    """target[:count] = word."""
    for i in range(count):
        target[i] = word


@inner
def pack_words(packed, ring, words, count, bits):
    """Keep the low ``bits`` of ``count`` words and pack them, first in the low bits, into packed[ring]."""
    per_word = 16 // bits
    for w in range(count // per_word):
        word = 0
        for lane in range(per_word):
            word |= (words[w * per_word + lane] & ((1 << bits) - 1)) << (lane * bits)
        packed[ring, w] = word


@inner
def transpose_line(obank, address, bits, cols, line):
    """The transposed line of an O address: line[t*(cols/e) + w] = elements t of columns e*w .. e*w+e-1, e = 16/bits."""
    e = 16 // bits
    per_element = cols // e
    mask = (1 << bits) - 1
    for t in range(e):
        for w in range(per_element):
            word = 0
            for lane in range(e):
                word |= (obank[address, e * w + lane] >> (t * bits) & mask) << (lane * bits)
            line[t * per_element + w] = word


@inner
def window_places(s, places, ring, banks, j, u):
    """places[ring, b] = address at which bank b takes visit (j, u) of the load under way, or -1 if its window does not."""
    group, sel, row = s[L.ACTIVE + L.LD_GROUP], s[L.ACTIVE + L.LD_SEL], s[L.ACTIVE + L.LD_J0] + j
    start = s[L.ACTIVE + L.LD_BASE] + j * s[L.ACTIVE + L.LD_PITCH] + u * s[L.ACTIVE + L.LD_DSTEP]
    step, length, back = s[L.ACTIVE + L.LD_WSTEP], s[L.ACTIVE + L.LD_WLEN], s[L.ACTIVE + L.LD_BSTEP]
    for b in range(banks):
        q = b >> group
        inside = 0 <= row - q * step < length
        places[ring, b] = (start - q * back) & L.WORD_MASK if inside and (sel == L.EVERY_LANE or sel == b - (q << group)) else -1


@inner
def window_check(places, ring, banks, words, depth):
    """Address of the lowest bank that would be written beyond its depth, else of the lowest misaligned, else -1."""
    for b in range(banks):
        if places[ring, b] >= 0 and places[ring, b] + words > depth:
            return places[ring, b]
    for b in range(banks):
        if places[ring, b] >= 0 and places[ring, b] % words != 0:
            return places[ring, b]
    return -1


@inner
def window_store(bank, places, packed, ring, banks, words):
    """Write packed[ring, :words] into the banks that take it; returns how many do."""
    taken = 0
    for b in range(banks):
        if places[ring, b] >= 0:
            taken += 1
            for w in range(words):
                bank[places[ring, b] + w, b] = packed[ring, w]
    return taken
