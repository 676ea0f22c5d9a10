"""Real numbers into what the kernel takes: integers of a few bits, one scale each, and requantization entries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isa import Program
from rpa.arch.numerics import quantize_multiplier
from rpa.report.cases import CONVOLUTION
from rpa.report.golden import convolve, signed_limits

TRIED = np.linspace(0.3, 1.0, 29)
"""Shares of the range that are tried as the largest value; what lies beyond is clipped."""
WHOLE_SCALES, CLIPPING_SCALES = 96, 13
"""How many scales are tried for one filter."""
CLIPPED_BITS = 4
"""Widest weights that it can help to clip."""


@dataclass(frozen=True)
class Layer:
    """A convolution in integers: real value = integer * scale."""

    act: np.ndarray
    """int64 (H, W, C)."""
    weight: np.ndarray
    """int64 (N, 3, 3, C)."""
    entries: np.ndarray
    """int64 (N, 3): bias, multiplier, shift of each filter."""
    out_scale: np.ndarray
    """float64 (N,)."""


def quantize_layer(act: np.ndarray, weight: np.ndarray, program: Program) -> Layer:
    """Fit a real-valued layer to the widths of ``program``: one scale for ``act``, one per filter for weights and results."""
    act_bits, weight_bits, out_bits = (program.tensors[name].bits for name in ("act", "weight", "out"))
    act_scale = best_scale(act, act_bits)
    patches = patch_correlation(act)
    integers, weight_scale = zip(*(fit_filter(one, patches, weight_bits) for one in weight), strict=True)
    reference = convolve(act, weight)
    out_scale = np.array([best_scale(reference[..., n], out_bits) for n in range(len(weight))])
    factors = act_scale * np.array(weight_scale) / out_scale * 2.0 ** CONVOLUTION.pre(program)
    entries = [(0, *quantize_multiplier(float(factor))) for factor in factors]
    return Layer(to_integers(act, act_scale, act_bits), np.array(integers), np.array(entries, dtype=np.int64), out_scale)


def to_integers(values: np.ndarray, scale: float, bits: int) -> np.ndarray:
    """Return round(values / scale), limited to signed ``bits`` bits; int64."""
    return np.clip(np.rint(values / scale), *signed_limits(bits)).astype(np.int64)


def best_scale(values: np.ndarray, bits: int) -> float:
    """Return the scale, of some thirty tried, with which ``values`` lose least (in squares) as signed ``bits``-bit integers."""
    low, high = signed_limits(bits)
    largest = float(np.abs(values).max())
    candidates = largest * np.append(TRIED / -low, 1 / high)
    losses = [np.square(to_integers(values, scale, bits) * scale - values).sum() for scale in candidates]
    return float(candidates[int(np.argmin(losses))])


def patch_correlation(act: np.ndarray) -> np.ndarray:
    """Return R, float64 (9*C, 9*C), from act (H, W, C): a filter that is off by e changes its results by e'Re in squares."""
    height, width, planes = act.shape
    shifted = [act[y:y + height - 2, x:x + width - 2] for y in range(3) for x in range(3)]
    patches = np.stack(shifted, axis=2).reshape(-1, 9 * planes)
    return patches.T @ patches


def fit_filter(weight: np.ndarray, patches: np.ndarray, bits: int) -> tuple[np.ndarray, float]:
    """Return the signed ``bits``-bit filter, and its scale, whose results on the picture are nearest to those of ``weight`` (3, 3, C).

    Tried are scales that make the largest weight a whole number, and some that clip it. Rounding each weight on its own would not
    do: the error of the sum of all weights shows on every plain surface.
    """
    high = signed_limits(bits)[1]
    used = np.diag(patches) > 0
    real, patches = weight.ravel()[used], patches[np.ix_(used, used)]
    steps = np.linspace(max(1, high // 3), high, WHOLE_SCALES).astype(int).astype(float)
    if bits <= CLIPPED_BITS:
        steps = np.append(steps, np.linspace(1, 4, CLIPPING_SCALES) * high)
    best_loss, best = np.inf, (np.zeros_like(real, dtype=np.int64), 1.0)
    for scale in np.abs(real).max() / np.unique(steps):
        fitted = _descend(to_integers(real, scale, bits), real, scale, patches, bits)
        error = fitted * scale - real
        loss = float(error @ patches @ error)
        if loss < best_loss:
            best_loss, best = loss, (fitted, float(scale))
    fitted = np.zeros(weight.size, dtype=np.int64)
    fitted[used] = best[0]
    return fitted.reshape(weight.shape), best[1]


def _descend(fitted: np.ndarray, real: np.ndarray, scale: float, patches: np.ndarray, bits: int) -> np.ndarray:
    """Move single weights by one, the most helpful first, as long as one helps."""
    low, high = signed_limits(bits)
    fitted, power = fitted.copy(), np.diag(patches)
    while True:
        slope = patches @ (fitted * scale - real)
        up = np.where(fitted < high, -2 * scale * slope - scale**2 * power, 0.0)
        down = np.where(fitted > low, 2 * scale * slope - scale**2 * power, 0.0)
        sign = 1 if up.max() > down.max() else -1
        gains = up if sign > 0 else down
        at = int(np.argmax(gains))
        if gains[at] <= 1e-9 * scale**2 * power[at]:
            return fitted
        fitted[at] += sign
