"""Kullback-Leibler divergence between a histogram and its quantized form, for many clipping ranges at once.

Definition. Let c be counts in bins and [start, stop) the bins that a range keeps. P has c in these bins, with everything below `start`
added to the first and everything from `stop` on added to the last. The n = stop - start >= levels bins are cut into `levels` groups,
group g from bin start + floor(g * n / levels) up to the next group's first. Q spreads the counts that c (without the outliers) has in a
group evenly over those bins of the group in which P is not zero. Both are normalised to sum 1, and

    D = sum over bins with P > 0 of P * ln(P / max(Q, EPSILON)), in nats.

EPSILON stands for what Q says cannot occur, such as a last bin that holds outliers only. Outliers are in P and not in Q, so clipping
costs; that a group has empty bins is not held against Q.

Source: the calibration published by NVIDIA (GTC 2017, s7310), made independent of the number of bins per group. Groups are sums, so D needs
only prefix sums: O(levels) for a range instead of O(bins).
"""

from __future__ import annotations

import numpy as np

EPSILON = 1e-10
_CHUNK = 1 << 21
"""Groups looked at together; bounds memory."""


def divergences(counts: np.ndarray, start: np.ndarray, stop: np.ndarray, levels: int) -> np.ndarray:
    """D of each candidate range.

    counts: (B,), not negative, with a positive sum. start, stop: integers (T,), 0 <= start, start + levels <= stop; stop may lie beyond B
    (those bins are empty). levels >= 2. Returns float64 (T,); infinity for a range without any counts.
    """
    counts = np.asarray(counts, np.float64)
    start, stop = np.broadcast_arrays(np.asarray(start, np.int64), np.asarray(stop, np.int64))
    step = max(1, _CHUNK // levels)
    if not len(start):
        return np.empty(0)
    parts = [_divergences(counts, start[at:at + step], stop[at:at + step], levels) for at in range(0, len(start), step)]
    return np.concatenate(parts)


def _prefix(values: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(values)])


def _xlogx(values: np.ndarray) -> np.ndarray:
    return values * np.log(np.where(values > 0, values, 1.0))


def _divergences(counts: np.ndarray, start: np.ndarray, stop: np.ndarray, levels: int) -> np.ndarray:
    mass, plogp, filled = _prefix(counts), _prefix(_xlogx(counts)), _prefix(counts > 0)
    most, total = len(counts), mass[-1]
    first, last = np.minimum(start, most), np.minimum(stop, most)
    below, above = mass[first], total - mass[last]
    at_first = np.where(start < most, counts[np.minimum(start, most - 1)], 0.0)
    at_last = np.where(stop <= most, counts[np.minimum(stop, most) - 1], 0.0)

    # sum of P ln P, where only the first and the last bin differ from the counts
    entropy = plogp[last] - plogp[first]
    entropy += _xlogx(at_first + below) - _xlogx(at_first) + _xlogx(at_last + above) - _xlogx(at_last)

    bounds = start[:, None] + np.arange(levels + 1) * (stop - start)[:, None] // levels
    bounds = np.minimum(bounds, most)
    groups = np.diff(mass[bounds], axis=1)
    bins = np.diff(filled[bounds], axis=1)
    bins[:, 0] += (at_first == 0) & (below > 0)
    bins[:, -1] += (at_last == 0) & (above > 0)
    kept = mass[last] - mass[first]
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.log(np.maximum(groups / np.maximum(bins, 1) / kept[:, None], EPSILON))
    groups[:, 0] += below
    groups[:, -1] += above
    cross = (groups * np.where(groups > 0, spread, 0.0)).sum(axis=1)
    result = (entropy - cross) / total - np.log(total)
    return np.where(kept > 0, result, np.inf)
