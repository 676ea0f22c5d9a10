"""The drain's arithmetic for all columns, compiled loops over the scalar cores of `rpa.arch`. NumPy forms: `vector`.

Arrays: value int64 (DR_RING, COLS), params int64 (DR_RING, 8, COLS), changed int64 (DR_RING, COLS), q, word, lfsr (COLS,).
"""

from __future__ import annotations

from isa.table import PARAM_WORDS
from rpa.arch.jit import inner
from rpa.arch.lfsr import lfsr_next, lfsr_seed
from rpa.arch.packing import entry_bias, entry_multiplier, entry_shift
from rpa.arch.rounding import round_shift, saturate, saturate32, shift_is_legal, unsaturated_value


@inner
def read_accumulators(value, slot, acc, bank, index, row, shift):
    """value[slot] = accumulators of one PE row, shifted right to the lane that is drained."""
    for c in range(value.shape[1]):
        value[slot, c] = acc[bank, index, row, c] >> shift


@inner
def read_entries(params, slot, pbank, entry):
    """params[slot] = the words of parameter entry ``entry`` of every column."""
    for word in range(PARAM_WORDS):
        for c in range(params.shape[2]):
            params[slot, word, c] = pbank[PARAM_WORDS * entry + word, c]


@inner
def bad_shift(params, slot, rounding):
    """The shift that the lowest column cannot do in this rounding mode, or -1."""
    for c in range(params.shape[2]):
        shift = entry_shift(params[slot, 5, c])
        if not shift_is_legal(shift, rounding):
            return shift
    return -1


@inner
def accumulate_bias(value, params, changed, slot, pre, width):
    """D1: accumulators become v; ``changed`` tells where it was saturated."""
    for c in range(value.shape[1]):
        bias = entry_bias(params[slot, 0, c], params[slot, 1, c], params[slot, 2, c])
        exact = unsaturated_value(value[slot, c], bias, pre, width)
        value[slot, c] = saturate32(exact)
        changed[slot, c] = 1 if value[slot, c] != exact else 0


@inner
def divide_columns(value, params, lfsr, slot, rounding, raw, stochastic):
    """D2 and D3: v becomes the rounded quotient (raw: stays); the LFSRs advance where the mode is stochastic."""
    for c in range(value.shape[1]):
        if raw == 0:
            product = value[slot, c] * entry_multiplier(params[slot, 3, c], params[slot, 4, c])
            value[slot, c] = round_shift(product, entry_shift(params[slot, 5, c]), rounding, lfsr[c])
        if stochastic:
            lfsr[c] = lfsr_next(lfsr[c])


@inner
def clamp_column(q, value, changed, slot, zero_point, low, high):
    """D4: q = limited quotient, low 16 bits; returns the number of columns that saturation changed."""
    count = 0
    for c in range(value.shape[1]):
        scaled = value[slot, c] + zero_point
        limited = saturate(scaled, low, high)
        q[c] = limited & 0xFFFF
        if limited != scaled or changed[slot, c] == 1:
            count += 1
    return count


@inner
def half_columns(q, value, changed, slot, half):
    """D4 of a raw drain: q = half of v; returns the number of saturated columns, counted with half 0."""
    count = 0
    for c in range(value.shape[1]):
        q[c] = value[slot, c] >> (16 * half) & 0xFFFF
        count += changed[slot, c] * (1 - half)
    return count


@inner
def pack_column(word, q, shift, bits):
    """Put q into the word at ``shift``; shift 0 starts a new word."""
    for c in range(word.shape[0]):
        rest = word[c] if shift > 0 else 0
        word[c] = rest | (q[c] & ((1 << bits) - 1)) << shift


@inner
def write_line(obank, address, word):
    for c in range(word.shape[0]):
        obank[address, c] = word[c]


@inner
def seed_columns(lfsr, value):
    for c in range(lfsr.shape[0]):
        lfsr[c] = lfsr_seed(value, c)
