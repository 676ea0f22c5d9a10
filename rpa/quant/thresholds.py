"""Where to clip: ranges of real numbers by KL divergence, mean square error, percentile, or none, and the best binary point.

kl: least divergence (`rpa.quant.divergence`); levels are the integers of the format, for symmetric formats those that are not negative, on |x|.
mse: least mean square error of the quantized values. percentile: what a share of all values stays within. minmax: everything.
Power-of-two scales are the "binary point" of fixed-width numbers: with kl and mse every position is tried and the best one taken; with the
other methods it is the lowest one that holds the range.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from rpa.quant.divergence import divergences
from rpa.quant.errors import QuantError
from rpa.quant.histogram import Histogram
from rpa.quant.scales import Format, container_of, format_of_range, limits

METHODS = ("kl", "mse", "percentile", "minmax")
PERCENTILE = 99.99
"""Per cent of all values within the range, split evenly over both ends where both are clipped."""
CANDIDATES = {"kl": (512,), "mse": (64, 32)}
"""Ranges tried for a format with one free end: over all, then around the best (a mean square error has one dip, a divergence many)."""
GRID = 24
"""Positions tried for each end where both are free, over all and once more around the best."""
BINS_PER_LEVEL = 2
"""With fewer bins per integer (16 bits) a histogram cannot tell where to clip by divergence, and nothing is clipped."""
BINARY_POINTS = 8
"""Halvings of the largest power-of-two scale that are tried."""

Score = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(low, high) of ranges, each (T,) -> what is to be least, (T,)."""


def fit(histogram: Histogram, bits: int, *, method: str = "kl", asymmetric: bool = False, power_of_two: bool = False,
        percentile: float = PERCENTILE) -> Format:
    """The best format for what a histogram has seen.

    Data without negative values get an unsigned format, others a symmetric one, or an asymmetric one if `asymmetric`.
    Raises QuantError for an unknown method or width, a percentile outside 50..100, or an empty histogram.
    """
    container_of(bits)
    if method not in METHODS:
        raise QuantError(f"method is {method!r}, must be one of {', '.join(METHODS)}")
    if not 50 < percentile <= 100:
        raise QuantError(f"percentile is {percentile!r}, must be above 50 and at most 100")
    if not histogram.total:
        raise QuantError(f"`{histogram.name}`: no calibration data")
    kind = "unsigned" if histogram.low >= 0 else "asymmetric" if asymmetric else "symmetric"
    if histogram.limit == 0:
        return format_of_range(0.0, 0.0, bits, kind)
    if method == "kl" and (histogram.high - histogram.low) < BINS_PER_LEVEL * _levels(bits, kind) * histogram.width:
        method = "minmax"
    if method in ("percentile", "minmax"):
        low, high = _percentile(histogram, percentile) if method == "percentile" else (histogram.low, histogram.high)
        return format_of_range(low, high, bits, kind, power_of_two=power_of_two)
    score = _kl_score(histogram, bits, kind) if method == "kl" else _mse_score(histogram, bits, kind)
    if power_of_two:
        return _best_binary_point(histogram, bits, kind, score)
    low, high = _best_pair(histogram, score) if kind == "asymmetric" else _best_end(histogram, score, CANDIDATES[method])
    return format_of_range(low, high, bits, kind)


def _percentile(histogram: Histogram, percentile: float) -> tuple[float, float]:
    """The range outside which (100 - percentile) per cent of all values lie, within the resolution of the bins."""
    counts = histogram.counts.astype(np.float64)
    counts[histogram.bins] += histogram.zeros
    cumulative = np.cumsum(counts) / histogram.total
    outside = (100 - percentile) / 100
    edges = np.arange(-histogram.bins, histogram.bins + 1) * histogram.width
    if histogram.low >= 0:
        return 0.0, min(float(edges[np.searchsorted(cumulative, 1 - outside) + 1]), histogram.high)
    low = edges[np.searchsorted(cumulative, outside / 2, side="right")]
    high = edges[min(int(np.searchsorted(cumulative, 1 - outside / 2)), 2 * histogram.bins - 1) + 1]
    return max(float(low), histogram.low), min(float(high), histogram.high)


def _levels(bits: int, kind: str) -> int:
    """Integers that the divergence spreads the bins over."""
    return 1 << (bits - 1 if kind == "symmetric" else bits)


def _kl_score(histogram: Histogram, bits: int, kind: str) -> Score:
    """Divergence by range; infinite for ranges with fewer bins than levels."""
    levels, width = _levels(bits, kind), histogram.width
    two_sided = kind == "asymmetric"
    counts, zero_bin = (histogram.counts, histogram.bins) if two_sided else (histogram.magnitudes(), 0)

    def score(low: np.ndarray, high: np.ndarray) -> np.ndarray:
        start = np.maximum(np.rint(low / width).astype(np.int64) + zero_bin, 0) if two_sided else np.zeros(len(high), np.int64)
        stop = np.rint(high / width).astype(np.int64) + zero_bin
        result = np.full(len(high), np.inf)
        fine = stop - start >= levels
        result[fine] = divergences(counts, start[fine], stop[fine], levels)
        return result

    return score


def _mse_score(histogram: Histogram, bits: int, kind: str) -> Score:
    """Mean square error by range, of values in the middle of their bins."""
    qmin, qmax = limits(bits, kind)
    used = np.flatnonzero(histogram.counts)
    if kind == "asymmetric" and len(used) > histogram.bins // 2:
        counts = histogram.counts.reshape(-1, 4).sum(axis=1)
        centers = histogram.centers.reshape(-1, 4).mean(axis=1)[counts > 0]
        counts = counts[counts > 0]
    else:
        counts, centers = histogram.counts[used], histogram.centers[used]
    counts = counts.astype(np.float64)

    def score(low: np.ndarray, high: np.ndarray) -> np.ndarray:
        scale = ((high - low) / (qmax - qmin) if kind == "asymmetric" else high / qmax)[:, None]
        zero = np.clip(np.rint(-low[:, None] / scale), qmin, qmax) if kind == "asymmetric" else 0.0
        quantized = np.clip(np.rint(centers / scale) + zero, qmin, qmax) - zero
        return np.square(quantized * scale - centers) @ counts / histogram.total

    return score


def _best_end(histogram: Histogram, score: Score, rounds: tuple[int, ...]) -> tuple[float, float]:
    low, high = 0.0, max(-histogram.low, histogram.high)
    most = high
    for count in rounds:
        step = (high - low) / count
        tried = low + step * np.arange(1, count + 1)
        best = float(tried[int(np.argmin(score(-tried, tried)))])
        low, high = max(best - step, 0.0), min(best + step, most)
    return -best, best


def _best_pair(histogram: Histogram, score: Score) -> tuple[float, float]:
    lows, highs = (np.linspace(end / GRID, end, GRID) for end in (histogram.low, max(histogram.high, histogram.width)))
    for _ in range(2):
        low, high = (axis.reshape(-1) for axis in np.meshgrid(lows, highs, indexing="ij"))
        index = int(np.argmin(score(low, high)))
        steps = (lows[1] - lows[0], highs[1] - highs[0])
        best = (float(low[index]), float(high[index]))
        lows, highs = (np.linspace(max(abs(end) - abs(step), abs(step) / GRID), min(abs(end) + abs(step), abs(limit)), GRID) * np.sign(limit)
                       for end, step, limit in zip(best, steps, (histogram.low, max(histogram.high, histogram.width)), strict=True))
    return best


def _best_binary_point(histogram: Histogram, bits: int, kind: str, score: Score) -> Format:
    widest = format_of_range(histogram.low, histogram.high, bits, kind, power_of_two=True)
    choices = [_with_scale(widest, widest.scale / (1 << halving), histogram) for halving in range(BINARY_POINTS)]
    ends = np.array([(one.real_low, one.real_high) for one in choices])
    return choices[int(np.argmin(score(ends[:, 0], ends[:, 1])))]


def _with_scale(form: Format, scale: float, histogram: Histogram) -> Format:
    """`form` with another scale; an asymmetric grid keeps 0 at the same share of its span as the data has it."""
    if form.zero_point == 0 or form.signed:
        return replace(form, scale=scale)
    share = -histogram.low / (histogram.high - histogram.low)
    return replace(form, scale=scale, zero_point=min(max(round(share * form.high), form.low), form.high))
