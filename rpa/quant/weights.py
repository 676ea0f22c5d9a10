"""Real weights into integers: limits, rounding, and what rounding costs.

Weights are quantized relative to the accumulator: with input scale s_in and accumulator scale s_acc (per output channel), the integer is
weight * s_in / s_acc. Asymmetric weights q - zero_point with q in 0..2^b-1 are exact on the array: the difference itself is stored, in the
next container if it does not fit.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np

from rpa.arch.numerics import element_range
from rpa.net.integer import CONTAINERS
from rpa.quant.compensate import compensated
from rpa.quant.errors import QuantError

ROUNDINGS = ("nearest", "stochastic", "compensated")
"""nearest: ties to even. stochastic: up with the probability of the fraction, so that the mean error is zero; the published
truncation. compensated: one after the other, each making up for those before it (`rpa.quant.compensate`)."""
_CHUNK = 1 << 22
"""Weights that are rounded at once; bounds memory."""


def generator_of(seed: int, name: str) -> np.random.Generator:
    """Random numbers of one node, independent of the other nodes and of their order."""
    return np.random.default_rng([seed, crc32(name.encode())])


def full_range(weight: np.ndarray, bits: int, asymmetric: bool) -> np.ndarray:
    """The smallest step (M,) with which no weight (M, ...) is clipped; 0 for a channel of zeros."""
    rows = weight.reshape(len(weight), -1)
    low, high = np.minimum(rows.min(axis=1), 0), np.maximum(rows.max(axis=1), 0)
    if asymmetric:
        return (high - low) / (2**bits - 1)
    return np.maximum(-low, high) / (2 ** (bits - 1) - 1)


def integer_limits(weight: np.ndarray, step: np.ndarray, bits: int, asymmetric: bool) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest integer of each channel, (M,) each."""
    if not asymmetric:
        low, high = element_range(bits, True)
        return np.full(len(weight), low), np.full(len(weight), high)
    rows = weight.reshape(len(weight), -1)
    zero = np.clip(np.rint(-np.minimum(rows.min(axis=1), 0) / step), 0, 2**bits - 1).astype(np.int64)
    return -zero, 2**bits - 1 - zero


def to_integers(weight: np.ndarray, step: np.ndarray, bits: int, *, asymmetric: bool = False, rounding: str = "nearest",
                generator: np.random.Generator | None = None, factors: np.ndarray | None = None) -> np.ndarray:
    """Integers (M, ...) of weights (M, ...) for steps (M,), all positive; int64. QuantError for an unknown rounding.

    factors: what `compensated` needs; without it that is `nearest`.
    """
    if rounding not in ROUNDINGS:
        raise QuantError(f"weight rounding is {rounding!r}, must be one of {', '.join(ROUNDINGS)}")
    shape = (-1, *(1,) * (weight.ndim - 1))
    low, high = integer_limits(weight, step, bits, asymmetric)
    if rounding == "compensated" and factors is not None:
        return compensated(weight, step, low, high, factors)
    generator = generator or np.random.default_rng(0)
    result = np.empty(weight.shape, np.int64)
    rows = max(1, _CHUNK // weight[0].size)
    for start in range(0, len(weight), rows):
        part = slice(start, start + rows)
        scaled = weight[part] / step[part].reshape(shape)
        scaled = np.floor(scaled + generator.random(scaled.shape)) if rounding == "stochastic" else np.rint(scaled)
        result[part] = np.clip(scaled, low[part].reshape(shape), high[part].reshape(shape))
    return result


def rounding_noise(weight: np.ndarray, importance: np.ndarray, step: np.ndarray, bits: int, asymmetric: bool) -> np.ndarray:
    """Sum over a channel of importance * (weight - quantized weight)^2, (M,); weight, importance (M, K)."""
    error = to_integers(weight, step, bits, asymmetric=asymmetric) * step[:, None] - weight
    return np.einsum("mk,mk,mk->m", error, error, importance)


def weight_container(integers: np.ndarray, at_least: int = 2) -> tuple[int, bool]:
    """The smallest container that holds all integers, and whether it must be signed. QuantError if none does."""
    low, high = int(integers.min()), int(integers.max())
    for container in CONTAINERS:
        for signed in (True, False):
            least, most = element_range(container, signed)
            if container >= at_least and least <= low and high <= most:
                return container, signed
    raise QuantError(f"weights {low}..{high} do not fit 16 bits; use fewer bits, or symmetric weights")
