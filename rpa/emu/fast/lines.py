"""Transposed lines of the O banks (design.md section 5), for whole address ranges at once."""

from __future__ import annotations

import numpy as np


def transpose(words: np.ndarray, bits: int) -> np.ndarray:
    """Lines of ``words`` (n, cols) uint16 at element width ``bits``; the same shape. cols is a multiple of 16/bits."""
    count, cols = words.shape
    per_word = 16 // bits
    if per_word == 1:
        return words
    shifts = (np.arange(per_word, dtype=np.uint16) * np.uint16(bits)).astype(np.uint16)
    mask = np.uint16((1 << bits) - 1)
    elements = (words[:, None, :] >> shifts[None, :, None]) & mask
    groups = elements.reshape(count, per_word, cols // per_word, per_word) << shifts
    return np.bitwise_or.reduce(groups, axis=-1).reshape(count, cols)


def distinct(values: np.ndarray) -> np.ndarray:
    """The distinct values of an array of numbers from 0, ascending."""
    marks = np.zeros(int(values.max(initial=-1)) + 1, dtype=bool)
    marks[values] = True
    return np.flatnonzero(marks)


def wrapped_base(base: int, low: int, high: int, depth: int) -> int | None:
    """``base``, or ``base`` - 2^16, whichever puts relative addresses low..high inside 0..depth-1; None if neither does."""
    for candidate in (base, base - (1 << 16)):
        if candidate + low >= 0 and candidate + high < depth:
            return candidate
    return None
