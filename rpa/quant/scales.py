"""Formats: how real numbers become integers of a few bits. real = scale * (q - zero_point)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, log2

import numpy as np

from rpa.arch.numerics import element_range
from rpa.net.integer import CONTAINERS, Feature
from rpa.quant.errors import QuantError

WIDTHS = (16, 8, 4, 3, 2)
"""Bits that activations and weights may have."""
KINDS = ("unsigned", "symmetric", "asymmetric")
"""unsigned: 0..2^b-1, zero point 0. symmetric: -2^(b-1)..2^(b-1)-1, zero point 0. asymmetric: 0..2^b-1 with a zero point in between."""


def container_of(bits: int) -> int:
    """The container that numbers of `bits` bits travel in. QuantError if there is no such width."""
    if bits not in WIDTHS:
        raise QuantError(f"width is {bits!r} bits, must be one of {', '.join(map(str, WIDTHS))}")
    return min(container for container in CONTAINERS if container >= bits)


@dataclass(frozen=True, kw_only=True)
class Format:
    """How one tensor of activations is stored."""

    bits: int
    """Logical width, one of `WIDTHS`."""
    signed: bool
    scale: float
    zero_point: int = 0
    low: int
    high: int
    """Integers that occur, both included."""
    container: int
    """Bits of the container, at least `bits`."""

    @property
    def real_low(self) -> float:
        return (self.low - self.zero_point) * self.scale

    @property
    def real_high(self) -> float:
        return (self.high - self.zero_point) * self.scale

    def quantize(self, values: np.ndarray) -> np.ndarray:
        """Real numbers -> int64, nearest (ties to even), limited to low..high."""
        return np.clip(np.rint(np.asarray(values, np.float64) / self.scale) + self.zero_point, self.low, self.high).astype(np.int64)

    def dequantize(self, integers: np.ndarray) -> np.ndarray:
        """Integers -> float64."""
        return (np.asarray(integers, np.float64) - self.zero_point) * self.scale

    def clipped(self, clip: object) -> Format:
        """The same grid, limited to what a `clip` attribute (low, high) lets through; at least the zero point stays."""
        if clip is None:
            return self
        least, most = (float(limit) for limit in clip)  # type: ignore[attr-defined]
        low = max(self.low, round(least / self.scale) + self.zero_point) if np.isfinite(least) else self.low
        high = min(self.high, round(most / self.scale) + self.zero_point) if np.isfinite(most) else self.high
        return replace(self, low=min(low, self.zero_point), high=max(high, self.zero_point))

    def feature(self, name: str, shape: tuple[int, int, int]) -> Feature:
        """The stored tensor (H, W, C) of this format."""
        return Feature(name=name, shape=shape, bits=self.container, signed=self.signed, low=self.low, high=self.high,
                       scale=self.scale, zero_point=self.zero_point)


ZERO_SCALE = 2.0**-12
"""Of what calibration saw as nothing but zeros: fine, so that the bias of the next layer keeps its resolution."""


def power_of_two_above(scale: float) -> float:
    """The smallest power of two that is not below `scale`."""
    return 2.0 ** ceil(log2(scale) - 1e-12)


def limits(bits: int, kind: str) -> tuple[int, int]:
    """Smallest and largest integer of a kind of format."""
    if kind not in KINDS:
        raise QuantError(f"kind is {kind!r}, must be one of {', '.join(KINDS)}")
    return element_range(bits, kind == "symmetric")


def format_of_range(low: float, high: float, bits: int, kind: str, *, power_of_two: bool = False) -> Format:
    """The format of `kind` whose grid spans [low, high]; 0 is always on the grid.

    unsigned and symmetric: the scale maps `high` (symmetric: the larger of -low and high) to the largest integer. asymmetric: the range, widened to
    hold 0, maps to 0..2^b-1. With `power_of_two` the scale is the next power of two above. A range of nothing but 0 has `ZERO_SCALE`.
    """
    container = container_of(bits)
    qmin, qmax = limits(bits, kind)
    low, high = min(low, 0.0), max(high, 0.0)
    if kind == "asymmetric":
        scale = (high - low) / (qmax - qmin)
    elif kind == "symmetric":
        scale = max(-low, high) / qmax
    else:
        scale = high / qmax
    scale = float(scale) or ZERO_SCALE
    if power_of_two:
        scale = power_of_two_above(scale)
    zero_point = min(max(round(-low / scale), qmin), qmax) if kind == "asymmetric" else 0
    return Format(bits=bits, signed=kind == "symmetric", scale=scale, zero_point=zero_point, low=qmin, high=qmax, container=container)
