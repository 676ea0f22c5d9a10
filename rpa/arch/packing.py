"""Packing of 16-, 8-, 4- and 2-bit elements into 16-bit words, element 0 in the low bits, and of parameter entries."""

from __future__ import annotations

import numpy as np

from isa.table import PARAM_WORDS, WIDTHS
from rpa.arch.errors import NumericsError
from rpa.arch.jit import jit, plain
from rpa.arch.rounding import BIAS_BITS, MULTIPLIER_MAX, SHIFT_MAX, SHIFT_MIN, sign_extend

WORD_BITS = 16
_MULTIPLIER_MASK = MULTIPLIER_MAX
_SHIFT_MASK = 0x7F
_sign_extend = plain(sign_extend)


def element_range(bits: int, signed: bool) -> tuple[int, int]:
    """Smallest and largest element of this width."""
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)


def _check_bits(bits: int) -> None:
    if bits not in WIDTHS:
        raise NumericsError(f"element width is {bits!r}, must be one of {', '.join(map(str, WIDTHS))}")


def _integers(values: object, what: str) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype == object or not np.issubdtype(array.dtype, np.integer):
        raise NumericsError(f"{what} has type {array.dtype}, must be an integer type")
    return array


def check_elements(values: np.ndarray, bits: int, signed: bool, what: str = "array") -> np.ndarray:
    """Return ``values`` as an integer array. NumericsError if the type is not an integer or an element does not fit."""
    _check_bits(bits)
    array = _integers(values, what)
    low, high = element_range(bits, signed)
    if array.size and (int(array.min()) < low or int(array.max()) > high):
        flat = int(np.flatnonzero((array < low).ravel() | (array > high).ravel())[0])
        index = ", ".join(str(int(i)) for i in np.unravel_index(flat, array.shape))
        kind = "signed" if signed else "unsigned"
        raise NumericsError(f"{what}[{index}] is {int(array.ravel()[flat])}, must be {low}..{high} ({bits} bits {kind})")
    return array


def pack(values, bits: int, *, signed: bool = True, what: str = "array") -> np.ndarray:
    """Pack along the innermost axis into 16-bit words; the last word is filled up with zeros.

    values: integers (..., n) that fit ``bits`` bits. Returns uint16 (..., ceil(n*bits/16)).
    Raises NumericsError for another type, a scalar, a width that is not 2, 4, 8 or 16, or an element out of range.
    """
    array = check_elements(values, bits, signed, what)
    if array.ndim == 0:
        raise NumericsError(f"{what} is a scalar, must have at least one dimension")
    per_word = WORD_BITS // bits
    words = -(-array.shape[-1] // per_word)
    padded = np.zeros((*array.shape[:-1], words * per_word), np.uint32)
    padded[..., :array.shape[-1]] = array.astype(np.int64) & ((1 << bits) - 1)
    lanes = padded.reshape(*array.shape[:-1], words, per_word)
    packed = np.zeros((*array.shape[:-1], words), np.uint32)
    for lane in range(per_word):
        packed |= lanes[..., lane] << np.uint32(lane * bits)
    return packed.astype(np.uint16)


def unpack(words, bits: int, count: int, *, signed: bool = True) -> np.ndarray:
    """The first ``count`` elements of each row of packed words: int32 (..., count).

    words: integers (..., m), the low 16 bits count. Raises NumericsError if m words hold fewer than ``count`` elements.
    """
    _check_bits(bits)
    array = _integers(words, "words")
    per_word = WORD_BITS // bits
    if array.ndim == 0 or not 0 <= count <= array.shape[-1] * per_word:
        raise NumericsError(f"{count} elements of {bits} bits do not fit words of shape {array.shape}")
    shifts = np.arange(per_word, dtype=np.int64) * bits
    lanes = array.astype(np.int64)[..., None] >> shifts
    lanes = _sign_extend(lanes, bits) if signed else lanes & ((1 << bits) - 1)
    return lanes.reshape(*array.shape[:-1], -1)[..., :count].astype(np.int32)


@jit
def entry_bias(word0, word1, word2):
    """Signed 48-bit bias of a parameter entry's words 0..2."""
    return sign_extend(word0 | word1 << 16 | word2 << 32, BIAS_BITS)


@jit
def entry_multiplier(word3, word4):
    """31-bit multiplier of a parameter entry's words 3..4; bit 31 is ignored."""
    return (word3 | word4 << 16) & _MULTIPLIER_MASK


@jit
def entry_shift(word5):
    """7-bit shift of a parameter entry's word 5."""
    return word5 & _SHIFT_MASK


def pack_params(bias, multiplier, shift) -> np.ndarray:
    """Requantization entries as they stand in external memory: uint16 (M, 8).

    bias: signed 48 bits, multiplier: 0..2^31-1, shift: 1..62; each (M,) or a scalar, at least one (M,) or all scalars
    (M = 1). Raises NumericsError for another type, shape or range.
    """
    low, high = element_range(BIAS_BITS, True)
    limits = (("bias", bias, low, high), ("multiplier", multiplier, 0, MULTIPLIER_MAX), ("shift", shift, SHIFT_MIN, SHIFT_MAX))
    columns = []
    for name, values, least, most in limits:
        array = np.atleast_1d(_integers(values, name))
        bad = array[(array < least) | (array > most)]
        if bad.size:
            raise NumericsError(f"{name} is {int(bad[0])}, must be {least}..{most}")
        columns.append(array.astype(np.int64))
    try:
        b, m, s = np.broadcast_arrays(*columns)
    except ValueError:
        shapes = ", ".join(str(column.shape) for column in columns)
        raise NumericsError(f"bias, multiplier and shift have shapes {shapes}, must be (M,) or scalar") from None
    if b.ndim != 1:
        raise NumericsError(f"parameters have {b.ndim} dimensions, must have 1")
    entries = np.zeros((len(b), PARAM_WORDS), np.uint16)
    for word, part in enumerate((b, b >> 16, b >> 32, m, m >> 16, s)):
        entries[:, word] = part & 0xFFFF
    return entries


def unpack_params(entries) -> np.ndarray:
    """Inverse of :func:`pack_params`: int64 (M, 3) bias, multiplier, shift of integers (M, 8)."""
    w = _integers(entries, "entries").astype(np.int64)
    if w.ndim != 2 or w.shape[1] != PARAM_WORDS:
        raise NumericsError(f"parameter entries have shape {w.shape}, must be (M, {PARAM_WORDS})")
    return np.stack([plain(entry_bias)(w[:, 0], w[:, 1], w[:, 2]), plain(entry_multiplier)(w[:, 3], w[:, 4]), plain(entry_shift)(w[:, 5])], axis=1)
