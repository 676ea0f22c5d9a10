"""What a chip is given, checked: masks of defects, cells to program, digits, limits of codes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rpa.flash.errors import FlashError
from rpa.flash.spec import MacroSpec

Ints = npt.NDArray[np.int64]


def mask(name: str, given: npt.ArrayLike | None, shape: tuple[int, int, int]) -> npt.NDArray[np.bool_] | None:
    """A mask of cells, bool (macros, rows, bit lines), or None."""
    if given is None:
        return None
    found = np.asarray(given)
    if found.dtype != bool or found.shape != shape:
        raise FlashError(f"Chip: `{name}` is {found.dtype} {found.shape}, must be bool {shape}: macros, rows, bit lines")
    return found


def cells(given: npt.ArrayLike, spec: MacroSpec) -> Ints:
    """Codes (cells,) of neighbours of one row: of each number the low bits that a cell holds."""
    found = np.asarray(given)
    if found.ndim != 1 or found.dtype.kind not in "iu":
        raise FlashError(f"Chip.program: `cells` are {found.dtype} {found.shape}, must be integers (cells,): neighbours of one row")
    return found.astype(np.int64) & spec.top


def digits(given: npt.ArrayLike, spec: MacroSpec) -> npt.NDArray[np.uint8]:
    """Digits (operations, rows), 0 up to the largest of the drivers."""
    found = np.asarray(given)
    if found.ndim != 2 or found.shape[1] != spec.rows or found.dtype != np.uint8 or found.max(initial=0) > spec.dac.top:
        raise FlashError(f"Chip.convert: `digits` are {found.dtype} {found.shape} up to {found.max(initial=0)}, "
                         f"must be uint8 (operations, {spec.rows}) up to {spec.dac.top}")
    return found


def limits(given: npt.ArrayLike, operations: int, spec: MacroSpec) -> Ints:
    """The largest code of each operation, at most the converter's."""
    found = np.asarray(given)
    if found.dtype.kind not in "iu" or found.shape not in ((), (1,), (operations,)) or found.min(initial=0) < 0:
        raise FlashError(f"Chip.convert: `limits` are {found.dtype} {found.shape} from {found.min(initial=0)} on, must be integers from 0 on, "
                         f"one for each of {operations} operations or one for all")
    return np.minimum(np.broadcast_to(found.astype(np.int64), (operations,)), (1 << spec.adc.code_bits) - 1)
