"""Words, digits and codes of the NV engine: the loops over word lines and columns (design.md section 15)."""

from __future__ import annotations

from rpa.arch.jit import inner


@inner
def bit_length(value):
    """Bits of a number of 0 or more."""
    bits = 0
    while value >> bits:
        bits += 1
    return bits


@inner
def split_word(acts, word, number, bits, row0, rows):
    """Put the elements of word ``number`` of a vector on their word lines, those below row0 + rows."""
    per_word = 16 // bits
    for e in range(per_word):
        row = number * per_word + e
        if row < rows:
            acts[row0 + row] = word >> (e * bits) & ((1 << bits) - 1)


@inner
def take_digits(digits, acts, low, width, rows):
    """digits[r] = bits low .. low+width-1 of every activation; returns how many are not 0."""
    active = 0
    for row in range(rows):
        digits[row] = acts[row] >> low & ((1 << width) - 1)
        if digits[row] != 0:
            active += 1
    return active


@inner
def sum_reference(codes, column, shift):
    return codes[column] << shift


@inner
def shift_line(values, codes, column, cols, digit_shift, minus, shift, negative):
    """values[c] = the line's codes at ``digit_shift``, less the reference, times 2**shift, negated where ``negative``."""
    for c in range(cols):
        value = ((codes[column + c] << digit_shift) - minus) << shift
        values[c] = -value if negative else value


@inner
def add_line(acc, signatures, values, bank, index, first, acc_bits):
    """Add a line to the NV accumulators, modulo 2**acc_bits, and note it in the columns' signatures."""
    mask = (1 << acc_bits) - 1
    for c in range(values.shape[0]):
        total = ((0 if first else acc[bank, index, 0, c]) + values[c]) & mask
        acc[bank, index, 0, c] = total
        signatures[c] = (signatures[c] << 1 & mask | signatures[c] >> (acc_bits - 1)) ^ total ^ (bank << 4 | index)
