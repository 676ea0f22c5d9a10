"""Laws of a quantity over a cell's current and its age: what presets and tables of a device are made of.

All currents, and all results, are in ampere; ages in days since programming.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rpa.flash import check
from rpa.flash.errors import FlashError

Array = npt.NDArray[np.float64]


class Law(Protocol):
    """A quantity of cells that carry `currents`, `days` after they were programmed. Arrays broadcast."""

    def __call__(self, currents: npt.ArrayLike, days: npt.ArrayLike = 0.0) -> Array:
        """In ampere."""


def _age(where: str, days: npt.ArrayLike, last: float) -> Array:
    days = np.asarray(days, np.float64)
    if days.size and not (np.isfinite(days).all() and days.min() >= 0 and days.max() <= last):
        worst = days.max() if days.max() > last else days.min()
        raise FlashError(f"{where}: the age is {worst:g} days, must be 0..{last:g}: the table ends there")
    return days


@dataclass(frozen=True, kw_only=True)
class Saturating:
    """A(t) * (1 - exp(-I/B(t))), A and B interpolated over days."""

    days: tuple[float, ...] = (0.0,)
    amplitude_amp: tuple[float, ...]
    knee_amp: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.days) == len(self.amplitude_amp) == len(self.knee_amp) or not self.days:
            raise FlashError(f"Saturating: {len(self.days)} days, {len(self.amplitude_amp)} amplitudes and {len(self.knee_amp)} knees, "
                             "must be as many of each, at least one")
        _rising("Saturating", "days", self.days)
        for amplitude, knee in zip(self.amplitude_amp, self.knee_amp, strict=True):
            check.number("Saturating", "amplitude_amp", amplitude, 0, 1, "A")
            check.number("Saturating", "knee_amp", knee, 0, 1, "A", above=True)

    def __call__(self, currents: npt.ArrayLike, days: npt.ArrayLike = 0.0) -> Array:
        age = _age("Saturating", days, self.days[-1] if len(self.days) > 1 else np.inf)
        amplitude, knee = np.interp(age, self.days, self.amplitude_amp), np.interp(age, self.days, self.knee_amp)
        return -amplitude * np.expm1(-np.asarray(currents, np.float64) / knee)


@dataclass(frozen=True, kw_only=True)
class Relative:
    """A fixed part of the current: an error of the threshold far below it, where the current is exponential."""

    fraction: float

    def __post_init__(self) -> None:
        check.number("Relative", "fraction", self.fraction, 0, 1)

    def __call__(self, currents: npt.ArrayLike, days: npt.ArrayLike = 0.0) -> Array:
        return self.fraction * np.asarray(currents, np.float64) + 0 * np.asarray(days, np.float64)


@dataclass(frozen=True, kw_only=True)
class Constant:
    """The same for every current: an error of the threshold where the current is linear in it."""

    amp: float

    def __post_init__(self) -> None:
        check.number("Constant", "amp", self.amp, 0, 1, "A")

    def __call__(self, currents: npt.ArrayLike, days: npt.ArrayLike = 0.0) -> Array:
        return np.full(np.broadcast(np.asarray(currents), np.asarray(days)).shape, self.amp)


@dataclass(frozen=True, kw_only=True)
class Table:
    """Measured points, interpolated linearly in current and in days; beyond the first and last current the value stays.

    days: (t,), rising from 0 on; currents: (k,), rising; values: t rows of k. One row only: the same at any age.
    """

    days: tuple[float, ...]
    currents: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        _rising("Table", "days", self.days)
        _rising("Table", "currents", self.currents)
        if len(self.values) != len(self.days) or any(len(row) != len(self.currents) for row in self.values):
            raise FlashError(f"Table: values are {[len(row) for row in self.values]}, must be {len(self.days)} rows of {len(self.currents)}")
        if not np.isfinite(self.values).all():
            raise FlashError("Table: a value is not a finite number")

    def __call__(self, currents: npt.ArrayLike, days: npt.ArrayLike = 0.0) -> Array:
        age = _age("Table", days, self.days[-1] if len(self.days) > 1 else np.inf)
        currents, age = np.broadcast_arrays(np.asarray(currents, np.float64), age)
        rows = np.stack([np.interp(currents, self.currents, row) for row in self.values])
        if len(self.days) == 1:
            return rows[0]
        after = np.clip(np.searchsorted(self.days, age, side="right"), 1, len(self.days) - 1)
        points = np.asarray(self.days)
        part = (age - points[after - 1]) / (points[after] - points[after - 1])
        early, late = (np.take_along_axis(rows, index[None], axis=0)[0] for index in (after - 1, after))
        return early + part * (late - early)


def _rising(where: str, field: str, values: tuple[float, ...]) -> None:
    if not values or not np.isfinite(values).all() or values[0] < 0 or any(b <= a for a, b in pairwise(values)):
        raise FlashError(f"{where}: `{field}` is {values}, must be at least one number, from 0 on, each greater than the one before")
