"""A memory cell: its range of currents and the laws of its errors, as presets or from a user's table.

Numbers and marks are those of the sources named with them; "no source" says that there is none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rpa.flash import check
from rpa.flash.curve import ROOM_KELVIN, Curve, Retention
from rpa.flash.errors import FlashError
from rpa.flash.laws import Law, Relative, Saturating, Table

Array = npt.NDArray[np.float64]
NANO = 1e-9


@dataclass(frozen=True, kw_only=True)
class Residue:
    """What ratio reading leaves of temperature: a gain common to all cells, proportional to the distance from room temperature."""

    per_kelvin: float = 0.03 / 60
    """Part of the current per kelvin, -0.1..0.1. 3 % over 60 K: Guo et al., arXiv 1611.03379 (abstract), 55 nm floating gate."""

    def __post_init__(self) -> None:
        check.number("Residue", "per_kelvin", self.per_kelvin, -0.1, 0.1)

    def __call__(self, currents: npt.ArrayLike, full_amp: float, kelvin: float) -> Array:
        return np.asarray(currents, np.float64) * (1 + self.per_kelvin * (kelvin - ROOM_KELVIN))


@dataclass(frozen=True, kw_only=True)
class Subthreshold:
    """Cells far below the threshold, read as a ratio to a cell of full current: I/I_full = (its value at room temperature)^(T0/T)."""

    def __call__(self, currents: npt.ArrayLike, full_amp: float, kelvin: float) -> Array:
        return full_amp * np.power(np.asarray(currents, np.float64) / full_amp, ROOM_KELVIN / kelvin)


@dataclass(frozen=True, kw_only=True)
class Device:
    """One kind of cell. Currents are those at full drive, at room temperature."""

    name: str = "user"
    source: str = "no source"
    """Where the numbers come from."""
    min_amp: float
    """Current of the code 0, at least 0: what leaks."""
    max_amp: float
    """Current of the largest code, above min_amp."""
    programming: Law
    """Standard deviation of a cell's current around what was asked for, at an age in days."""
    read: Law
    """Standard deviation of one read of a cell, white."""
    drift: Law | Retention
    """Mean change of the current since programming; or the loss of charge it comes from."""
    curve: Curve = field(default_factory=Curve)
    """Current over gate voltage."""
    temperature: Residue | Subthreshold = field(default_factory=Residue)
    """What temperature does to currents."""

    def __post_init__(self) -> None:
        check.number("Device", "min_amp", self.min_amp, 0, 1, "A")
        check.number("Device", "max_amp", self.max_amp, 0, 1, "A", above=True)
        if self.min_amp >= self.max_amp:
            raise FlashError(f"Device: `min_amp` is {self.min_amp:g} A, must be below `max_amp`, which is {self.max_amp:g} A")

        currents = np.linspace(self.min_amp, self.max_amp, 65)
        for name in ("programming", "read", "drift"):
            law = getattr(self, name)
            if not callable(law) and not (name == "drift" and isinstance(law, Retention)):
                raise FlashError(f"Device: `{name}` is {law!r}, must be a law such as those of rpa.flash.laws")
            values = np.zeros(1) if isinstance(law, Retention) else np.asarray(law(currents), np.float64)
            if not np.isfinite(values).all() or (name != "drift" and values.min() < 0):
                raise FlashError(f"Device: `{name}` gives {values.min():g}..{values.max():g} A over the device's currents, must be finite"
                                 f"{'' if name == 'drift' else ' and at least 0'}")

    def check_age(self, where: str, days: float) -> None:
        """FlashError if the laws are not known for cells of this age."""
        try:
            self.programming_sigma(self.max_amp, days)
            self.drifted(self.max_amp, days)
        except FlashError as error:
            raise FlashError(f"{where}: {days:g} days, device `{self.name}`: {error}") from None

    def programming_sigma(self, currents: npt.ArrayLike, days: npt.ArrayLike = 0.0) -> Array:
        """Standard deviation in ampere, `days` after programming to `currents`."""
        return self.programming(currents, days)

    def read_sigma(self, currents: npt.ArrayLike) -> Array:
        """Standard deviation in ampere of one read."""
        return self.read(currents)

    def drifted(self, currents: npt.ArrayLike, days: npt.ArrayLike, kelvin: float = ROOM_KELVIN) -> Array:
        """Mean currents of cells programmed to `currents`, `days` later, kept at `kelvin` (which tables do not know)."""
        currents = np.asarray(currents, np.float64)
        if not isinstance(self.drift, Retention):
            return np.maximum(currents + self.drift(currents, days), 0)
        least, most = self.curve.overdrive([self.min_amp, self.max_amp])
        charge = np.clip((most - self.curve.overdrive(currents)) / (most - least), 0, 1)
        return self.curve.shifted(currents, self.drift.volt(charge, days, kelvin))

    def at_temperature(self, currents: npt.ArrayLike, kelvin: float) -> Array:
        """Currents as read at `kelvin`, 200..500."""
        check.number("Device", "kelvin", kelvin, 200, 500, "K")
        return self.temperature(currents, self.max_amp, kelvin)

    @classmethod
    def preset(cls, name: str) -> Device:
        """One of PRESETS; FlashError for another name."""
        return preset(name)

    @classmethod
    def from_csv(cls, path: Path | str) -> Device:
        """A user's own cell from a table of measurements; see :mod:`rpa.flash.device_csv`. FlashError names the line of a fault."""
        from rpa.flash.device_csv import read_device

        return read_device(Path(path))


def _nano(*values: float) -> tuple[float, ...]:
    return tuple(value * NANO for value in values)


_DRIFT_CURRENTS = _nano(0, 10, 50, 100, 200, 400, 800, 1200, 1600)
_SONOS40 = Device(
    name="sonos40",
    source="SONOS 40 nm, subthreshold, 128 K devices: Agrawal et al., IEDM 2022, 21.7, fits as published in CrossSim",
    min_amp=1600 * NANO / 1e7, max_amp=1600 * NANO,
    programming=Saturating(days=(0, 1, 2, 3, 4, 5), amplitude_amp=_nano(19.887, 25.591, 28.728, 31.043, 33.762, 34.579),
                           knee_amp=_nano(176.31, 186.86, 193.57, 198.90, 204.77, 207.34)),
    read=Saturating(amplitude_amp=_nano(12.580), knee_amp=_nano(215.37)),
    # The measurement begins at 10 nA; a cell that carries nothing is taken not to drift.
    drift=Table(days=(0, 1, 5), currents=_DRIFT_CURRENTS, values=((0.0,) * 9, _nano(0, 0.7, 1.7, 1.7, 1.0, 0.6, -3.8, -7.3, -11.5),
                                                                  _nano(0, 1.3, 3.6, 4.1, 2.6, -1.5, -15.2, -28.5, -40.7))),
    # The current at which the exponential ends has no source; the cells are said to work below it.
    curve=Curve(specific_amp=10e-6))


def _floating_gate(name: str, max_amp: float, precision: float, source: str) -> Device:
    return Device(name=name, source=source, min_amp=10e-12, max_amp=max_amp, programming=Relative(fraction=precision),
                  read=Relative(fraction=0.005), drift=Retention(), curve=Curve(specific_amp=max_amp))


_NOR55 = _floating_gate(
    "nor55", 1e-6, 0.01, "floating-gate NOR 55 nm: tuning within 1 %, temperature Guo et al., arXiv 1611.03379 (abstract); off below 10 pA "
    "PMC10537690 (abstract, 40 nm split gate); full current 1 uA, read noise 0.5 %, retention: typical, no source")
_NOR65 = _floating_gate(
    "nor65", 2e-6, 0.02, "floating-gate NOR 65 nm: on below 2 uA, off below 10 pA PMC10537690 (abstract, 40 nm split gate); precision 2 % and "
    "temperature Guo et al., arXiv 1611.03379 (abstract, 55 nm); read noise 0.5 %, retention: typical, no source")
PRESETS = {device.name: device for device in (_SONOS40, _NOR55, _NOR65)}


def preset(name: str) -> Device:
    """One of PRESETS; FlashError for another name."""
    if name not in PRESETS:
        raise FlashError(f"no device `{name}`; there are {', '.join(PRESETS)}")
    return PRESETS[name]
