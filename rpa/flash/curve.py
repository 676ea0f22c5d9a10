"""How the current of a cell follows its gate, and what its threshold does over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rpa.flash import check

BOLTZMANN_VOLT = 8.617333262e-5
"""Boltzmann's constant over the elementary charge, volt per kelvin (CODATA 2018, exact)."""
ROOM_KELVIN = 300.0
"""Temperature at which currents and slopes of a device are given."""
LEAST_AMP = 1e-18
"""Currents below this are taken as this where a logarithm is needed: a cell that is off stays off."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The EKV law I = I_s * ln^2(1 + exp(x/2)), x = (V_G - V_T)/(n U_T): exponential below the threshold, quadratic above."""

    slope: float = 1.5
    """n, the subthreshold slope factor, 1..10. Typical textbook value, no source."""
    specific_amp: float = 1e-6
    """I_s in ampere, above 0: the current at which the exponential ends. Typical for a minimum-size cell, no source."""

    def __post_init__(self) -> None:
        check.number("Curve", "slope", self.slope, 1, 10)
        check.number("Curve", "specific_amp", self.specific_amp, 0, 1, "A", above=True)

    @property
    def thermal_volt(self) -> float:
        """n U_T at room temperature: the change of gate or threshold for a factor e of the current, far below the threshold."""
        return self.slope * BOLTZMANN_VOLT * ROOM_KELVIN

    def current(self, overdrive: npt.ArrayLike) -> Array:
        """Ampere at overdrive V_G - V_T in volt."""
        half = np.asarray(overdrive, np.float64) / (2 * self.thermal_volt)
        return self.specific_amp * np.square(np.logaddexp(0.0, half))

    def overdrive(self, currents: npt.ArrayLike) -> Array:
        """V_G - V_T in volt at which a cell carries `currents` (ampere, at least LEAST_AMP is taken): the inverse of :meth:`current`."""
        root = np.sqrt(np.maximum(np.asarray(currents, np.float64), LEAST_AMP) / self.specific_amp)
        return 2 * self.thermal_volt * (root + np.log(-np.expm1(-root)))

    def shifted(self, currents: npt.ArrayLike, volt: npt.ArrayLike) -> Array:
        """Currents of cells after their thresholds rose by `volt`."""
        return self.current(self.overdrive(currents) - np.asarray(volt, np.float64))

    def transconductance(self, currents: npt.ArrayLike) -> Array:
        """dI/dV_G in siemens: I/(n U_T) far below the threshold, proportional to sqrt(I) above."""
        half = self.overdrive(currents) / (2 * self.thermal_volt)
        return self.specific_amp * np.logaddexp(0.0, half) / (1 + np.exp(-half)) / self.thermal_volt


@dataclass(frozen=True, kw_only=True)
class Retention:
    """Loss of charge: dV_T = -volt_per_decade * (Q/Q0) * log10(1 + t/t0), t0 by Arrhenius' law.

    Q/Q0 is taken from the cell's state: 0 for the full current (no charge), 1 for the smallest.
    """

    volt_per_decade: float = 0.005
    """Volt per decade of time for a fully charged cell, 0..1. Typical textbook value, no source."""
    days: float = 0.01
    """t0 at room temperature, above 0. Typical textbook value, no source."""
    activation_ev: float = 1.1
    """Activation energy of the loss in electronvolt, 0..3. Typical for floating gates, no source."""

    def __post_init__(self) -> None:
        check.number("Retention", "volt_per_decade", self.volt_per_decade, 0, 1, "V")
        check.number("Retention", "days", self.days, 0, 1e6, "days", above=True)
        check.number("Retention", "activation_ev", self.activation_ev, 0, 3, "eV")

    def volt(self, charge: Array, days: npt.ArrayLike, kelvin: float) -> Array:
        """Change of the threshold in volt (never positive); charge: Q/Q0, 0..1."""
        first = self.days * np.exp(self.activation_ev / BOLTZMANN_VOLT * (1 / kelvin - 1 / ROOM_KELVIN))
        return -self.volt_per_decade * charge * np.log10(1 + np.asarray(days, np.float64) / first)
