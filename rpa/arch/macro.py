"""The NOR-flash macro as the machine sees it: one interface, and the digital twin behind it.

`docs/design.md`, section 15. The analog model `rpa.flash.Chip` has the same interface.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rpa.arch.config import ArrayConfig

CELLS_IN_A_WORD = 4
"""Cell codes in one 16-bit word, each in a container of 4 bits, the first in the low bits."""


class Macro(Protocol):
    """All macros of one machine, as an emulator or a test bench asks them."""

    def program(self, macro: int, row: int, column: int, cells: npt.NDArray[np.uint8]) -> None:
        """Program neighbouring cells of one row. cells: (count,) codes, 0..2**cell_bits - 1; column: the first bit line.

        One call with many cells equals many calls with fewer.
        """

    def convert(self, macro: int, digits: npt.NDArray[np.uint8], columns: slice, log2_lsb: int,
                limits: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Do operations in order, one per row of `digits`, and return their codes.

        digits: (operations, nv_rows), 0..2**dac_bits - 1. columns: the bit lines that are converted. log2_lsb: one step of the
        code in units of 1 x 1 (digit times cell code), as a power of two. limits: (operations,), the largest code of each.
        Returns (operations, number of bit lines), 0..limit. One call with many operations equals many calls with one.
        """


class MacroState:
    """What macros were like at some time: a copy of every attribute."""

    def __init__(self, macro: Macro) -> None:
        self._attributes = deepcopy(vars(macro))

    def restore(self, macro: Macro) -> None:
        """Make macros what they were; once for each copy."""
        vars(macro).clear()
        vars(macro).update(self._attributes)


def limits(config: ArrayConfig, active: npt.ArrayLike, log2_lsb: int) -> npt.NDArray[np.int64]:
    """Largest code of operations with `active` driven word lines: all ones in as many bits as any such sum can need."""
    top = ((1 << config.nv_dac_bits) - 1) * ((1 << config.nv_cell_bits) - 1)
    sums = np.asarray(active, np.int64) * top + half(log2_lsb) >> log2_lsb
    largest = np.minimum(sums, (1 << config.nv_adc_bits) - 1)
    return (1 << bit_lengths(largest)) - 1


def bit_lengths(values: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Length in bits of each value, 0..2**31-1: exact, as log2 of integers below 2**53 rounds to the right side."""
    return np.frexp(np.asarray(values, np.float64))[1].astype(np.int64)


def half(log2_lsb: int) -> int:
    """What is added before the right shift, so that it rounds to nearest, ties up."""
    return (1 << log2_lsb) >> 1


class Twin:
    """The exact macro: codes are rounded and limited integer sums.

    cells: (nv_macros, nv_rows, nv_cols) codes, 0 at first.
    """

    def __init__(self, config: ArrayConfig) -> None:
        self._mask = (1 << config.nv_cell_bits) - 1
        self.cells = np.zeros((config.nv_macros, config.nv_rows, config.nv_cols), np.uint8)

    def program(self, macro: int, row: int, column: int, cells: npt.NDArray[np.uint8]) -> None:
        self.cells[macro, row, column:column + len(cells)] = cells & self._mask

    def convert(self, macro: int, digits: npt.NDArray[np.uint8], columns: slice, log2_lsb: int,
                limits: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        # At most 1024 * 15 * 15: float32 sums are exact.
        sums = (digits.astype(np.float32) @ self.cells[macro, :, columns].astype(np.float32)).astype(np.int64)
        return np.minimum(sums + half(log2_lsb) >> log2_lsb, np.asarray(limits)[:, None])
