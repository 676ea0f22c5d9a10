"""How values of a quantized model are to be stored: codes, containers, scales as fractions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import cast

import numpy as np

from rpa.arch.numerics import element_range
from rpa.net.errors import NetError
from rpa.net.graph import Node
from rpa.net.integer import CONTAINERS, Feature, Term

WEIGHT_LIMIT = 32767


@dataclass(frozen=True)
class Target:
    """How a value is to be quantized."""

    scale: float
    zero_point: int
    low: int
    high: int
    bits: int
    signed: bool

    def within(self, clip: object) -> Target:
        """Quantizing after a clip is clipping what was quantized: both limits and everything between keep their order."""
        if clip is None:
            return self
        low, high = (int(min(max(self.step(limit), self.low), self.high)) for limit in cast("tuple[float, float]", clip))
        bits, signed = container(low, high) if self.bits == 8 else (self.bits, self.signed)
        if bits == 8:
            return replace(self, low=low, high=high)
        return replace(self, low=low, high=high, bits=bits, signed=signed)  # 4-, 3- and 2-bit numbers that a model keeps in int8 get narrow words

    def step(self, value: float) -> float:
        """The integer for a number, before it is limited."""
        return float(np.rint(np.float32(value) / np.float32(self.scale))) + self.zero_point


def container(low: int, high: int) -> tuple[int, bool]:
    """The narrowest bits that hold low..high, and whether they are signed (they are where both would do)."""
    for bits in CONTAINERS:
        for signed in (True, False):
            least, most = element_range(bits, signed)
            if least <= low and high <= most:
                return bits, signed
    raise NetError(f"holds integers {low}..{high}, must fit 16 bits")


def fraction(ratio: float) -> Fraction:
    """The best fraction whose numerator and denominator are at most 32767."""
    if not 1 / WEIGHT_LIMIT <= ratio <= WEIGHT_LIMIT:
        raise NetError(f"combines scales {ratio} apart, must be within {WEIGHT_LIMIT}")
    if ratio > 1:
        return 1 / Fraction(1 / ratio).limit_denominator(WEIGHT_LIMIT)
    return Fraction(ratio).limit_denominator(WEIGHT_LIMIT)


def target_for(node: Node) -> Target:
    a = node.attributes
    return Target(cast(float, a["scale"]), cast(int, a["zero_point"]), cast(int, a["low"]), cast(int, a["high"]), cast(int, a["bits"]),
                  cast(bool, a["signed"]))


def target_of(feature: Feature) -> Target:
    return Target(feature.scale, feature.zero_point, feature.low, feature.high, feature.bits, feature.signed)


def reach_of(term: Term, source: Feature, bias: np.ndarray) -> np.ndarray:
    """What the sums can reach in magnitude (M,), zero points taken out."""
    most = max(source.high - source.zero_point, source.zero_point - source.low)
    return np.abs(term.weight.reshape(len(term.weight), -1)).sum(axis=1) * most + np.abs(bias)
