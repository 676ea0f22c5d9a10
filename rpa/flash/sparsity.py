"""In-situ sparsity-aware conversion: as many bits as the driven word lines can need, none where none is driven.

A bit line's sum is at most (driven word lines) * (2^d - 1) * (2^n - 1). A successive-approximation converter that starts at the highest bit
that such a sum can set gives the same code as one that starts at its own, so nothing is lost; the number of driven word lines is known before
the operation starts.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rpa.arch.macro import bit_lengths

Ints = npt.NDArray[np.int64]


def needed_bits(active: npt.ArrayLike, *, dac_bits: int, cell_bits: int, adc_bits: int, log2_lsb: float = 0) -> Ints:
    """Bits that a converter decides for operations with `active` driven word lines: 0 where it makes no conversion, at most `adc_bits`.

    log2_lsb: one step of the code, as a power of two of (digit 1 times cell code 1).
    """
    top = ((1 << dac_bits) - 1) * ((1 << cell_bits) - 1)
    largest = np.floor(np.asarray(active, np.float64) * top / 2.0**log2_lsb + 0.5).astype(np.int64)
    return bit_lengths(np.minimum(largest, (1 << adc_bits) - 1))


def lossless_bits(rows: int, *, dac_bits: int, cell_bits: int) -> int:
    """Resolution that tells apart every sum of `rows` word lines."""
    return int(needed_bits(rows, dac_bits=dac_bits, cell_bits=cell_bits, adc_bits=31))


def line_bounds(cells: npt.NDArray[np.integer], dac_bits: int) -> Ints:
    """(rows + 1, bit lines) largest sum of each bit line by number of driven word lines: that of its largest cells (rows, bit lines)."""
    largest = -np.sort(-np.asarray(cells, np.int64), axis=0)
    sums = np.cumsum(largest, axis=0) * ((1 << dac_bits) - 1)
    return np.vstack([np.zeros((1, sums.shape[1]), np.int64), sums])
