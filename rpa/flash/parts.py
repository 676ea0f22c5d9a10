"""Parameters of the error classes that have some: unit, default and source with each."""

from __future__ import annotations

from dataclasses import dataclass

from rpa.flash import check


@dataclass(frozen=True, kw_only=True)
class Programming:
    """Programming error, one draw per cell and programming."""

    scale: float = 1.0
    """Multiple of the device's standard deviation, 0..100, above 0; below 1 for finer write-verify."""

    def __post_init__(self) -> None:
        check.number("Programming", "scale", self.scale, 0, 100, above=True)


@dataclass(frozen=True, kw_only=True)
class ReadNoise:
    """Read noise, white: one draw per operation and bit line, whose variance is the sum over the driven cells."""

    scale: float = 1.0
    """Multiple of the device's standard deviation, 0..100, above 0."""

    def __post_init__(self) -> None:
        check.number("ReadNoise", "scale", self.scale, 0, 100, above=True)


@dataclass(frozen=True, kw_only=True)
class Nonlinearity:
    """Nonlinear cells. With digits of several bits the gate voltages are those that are exact for a cell of full current, and the device's
    curve says what others carry; and the sense input lets the bit line's voltage fall, so that a column's current becomes I / (1 + c*I)."""

    output_per_volt: float = 0.1
    """Channel-length modulation in 1/volt, 0..10: part of the current lost per volt of drain voltage. Typical, no source."""
    sense_ohm: float = 200.0
    """Input resistance of the sense circuit in ohm, 0..1e6. Typical, no source."""

    def __post_init__(self) -> None:
        check.number("Nonlinearity", "output_per_volt", self.output_per_volt, 0, 10, "1/V")
        check.number("Nonlinearity", "sense_ohm", self.sense_ohm, 0, 1e6, "ohm")

    @property
    def compression_per_amp(self) -> float:
        """c in 1/ampere."""
        return self.output_per_volt * self.sense_ohm


@dataclass(frozen=True, kw_only=True)
class Telegraph:
    """Random telegraph noise: some cells have a trap; while it is occupied, the threshold is higher by the trap's own amount."""

    fraction: float = 0.1
    """Part of the cells that have a trap, 0..1. No source."""
    mean_volt: float = 0.003
    """Mean of the exponentially distributed rise in volt, 0..1, above 0. 1..10 mV at 40..65 nm: typical, no source."""
    occupancy: float = 0.5
    """Probability that a trap is occupied, 0..1. No source."""
    dwell_operations: int = 65536
    """Operations of a macro after which the states of its traps are drawn anew, 1..2**40. No source."""

    def __post_init__(self) -> None:
        check.number("Telegraph", "fraction", self.fraction, 0, 1)
        check.number("Telegraph", "mean_volt", self.mean_volt, 0, 1, "V", above=True)
        check.number("Telegraph", "occupancy", self.occupancy, 0, 1)
        check.integer("Telegraph", "dwell_operations", self.dwell_operations, 1, 1 << 40)


@dataclass(frozen=True, kw_only=True)
class Shot:
    """Shot noise sigma_I = sqrt(2 q I B), B = 1/(2 t_int)."""

    integration_sec: float = 10e-9
    """Time over which a conversion integrates, 0..1 s, above 0. 10 ns operations: IEDM 2021 (abstract), 55 nm."""

    def __post_init__(self) -> None:
        check.number("Shot", "integration_sec", self.integration_sec, 0, 1, "s", above=True)
