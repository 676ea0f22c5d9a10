"""What every solver of this package asks of its arguments."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from rpa.flash.errors import FlashError

ROWS_LIMIT = COLS_LIMIT = 1024
"""Word lines and bit lines of the largest array."""
WIRE_LIMIT = 1e6
"""Largest product of one wire segment's resistance and one cell's conductance: beyond it nothing is left of the signal."""

Floats = npt.NDArray[np.float64]


def as_conductances(name: str, values: npt.ArrayLike) -> Floats:
    """Return a contiguous float64 (rows, cols) array of finite values, 0 or more, in siemens."""
    array = _floats(name, values)
    if array.ndim != 2 or not (1 <= array.shape[0] <= ROWS_LIMIT and 1 <= array.shape[1] <= COLS_LIMIT):
        raise FlashError(f"{name} has shape {array.shape}, must be (1..{ROWS_LIMIT} rows, 1..{COLS_LIMIT} columns)")
    _refuse(name, array, ~(np.isfinite(array) & (array >= 0)), "finite conductances of 0 siemens or more")
    return array


def as_inputs(name: str, values: npt.ArrayLike, rows: int) -> Floats:
    """Return a contiguous float64 (vectors, rows) array of values 0..1."""
    array = _floats(name, values)
    if array.ndim != 2 or array.shape[1] != rows:
        raise FlashError(f"{name} has shape {array.shape}, must be (vectors, {rows}): one value per word line of the array")
    _refuse(name, array, ~((array >= 0) & (array <= 1)), "values from 0 to 1")
    return array


def as_activity(values: npt.ArrayLike, rows: int) -> Floats:
    """Return mean inputs 0..1 of all rows, (rows,), from one number or one for each."""
    array = _floats("activity", values)
    if array.shape not in ((), (1,), (rows,)):
        raise FlashError(f"activity has shape {array.shape}, must be one number or ({rows},): one value per word line of the array")
    _refuse("activity", np.atleast_1d(array), ~((np.atleast_1d(array) >= 0) & (np.atleast_1d(array) <= 1)), "values from 0 to 1")
    return np.broadcast_to(array, (rows,))


def number(name: str, value: float, *, low: float = 0.0, high: float = math.inf, above: bool = False) -> float:
    """Return a finite number within low..high as float; with `above`, `low` itself is refused."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise FlashError(f"{name} must be a number, not {value!r}") from None
    if not math.isfinite(found) or found < low or found > high or (above and found == low):
        least = f"more than {low:g}" if above else f"{low:g} or more"
        raise FlashError(f"{name} must be {least}{'' if high == math.inf else f' and at most {high:g}'} and finite, not {found!r}")
    return found


def wire(name: str, ohm: float, conductances: Floats) -> float:
    """Return the resistance of a wire segment, 0 or more; refuse it where no signal would pass it."""
    found = number(name, ohm)
    worst = found * float(conductances.max())
    if worst > WIRE_LIMIT:
        raise FlashError(f"{name} is {found:g} ohm beside cells of up to {conductances.max():g} siemens: their product is {worst:g}, "
                         f"must be at most {WIRE_LIMIT:g}")
    return found


def _floats(name: str, values: npt.ArrayLike) -> Floats:
    try:
        return np.ascontiguousarray(values, np.float64)
    except (TypeError, ValueError):
        raise FlashError(f"{name} must be an array of numbers") from None


def _refuse(name: str, array: Floats, wrong: npt.NDArray[np.bool_], allowed: str) -> None:
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise FlashError(f"{name}[{', '.join(map(str, place))}] is {float(array[place])!r}; must hold {allowed} ({int(wrong.sum())} do not)")
