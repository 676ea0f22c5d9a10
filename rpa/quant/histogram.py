"""Streaming histograms of real numbers: one pass over the data, whatever its range turns out to be."""

from __future__ import annotations

import numpy as np

from rpa.quant.errors import QuantError

BINS = 4096
"""Bins on each side of zero. After a doubling half of them hold data, so 2048 always resolve the larger side."""


class Histogram:
    """Counts of values in 2 * bins equal bins over [-limit, limit]; bin k is [(k - bins) * width, (k - bins + 1) * width).

    The limit is the largest magnitude of the first values that are not all zero; when a later value is beyond it the limit doubles and
    neighbouring bins merge, which is exact. Exact zeros are counted apart: every grid represents them exactly, so they say nothing
    about where to clip.
    """

    def __init__(self, name: str = "values", bins: int = BINS) -> None:
        if bins < 2 or bins % 2:
            raise QuantError(f"histogram of `{name}`: bins is {bins}, must be even and at least 2")
        self.name = name
        self.bins = bins
        self.limit = 0.0
        self.counts = np.zeros(2 * bins, np.int64)
        self.zeros = 0
        self.total = 0
        """Values seen, zeros included."""
        self.low = 0.0
        self.high = 0.0
        """Smallest and largest value seen; 0 is always within."""
        self.squares = 0.0
        """Sum of the squares."""

    @property
    def width(self) -> float:
        """Of one bin; 0 while only zeros were seen."""
        return self.limit / self.bins

    @property
    def centers(self) -> np.ndarray:
        """float64 (2 * bins,)."""
        return (np.arange(-self.bins, self.bins) + 0.5) * self.width

    @property
    def mean_square(self) -> float:
        return self.squares / self.total if self.total else 0.0

    def add(self, values: np.ndarray) -> None:
        """Count finite real numbers of any shape. QuantError if one is not finite."""
        flat = np.asarray(values).reshape(-1)
        if not flat.size:
            return
        low, high = float(flat.min()), float(flat.max())
        if not np.isfinite(low) or not np.isfinite(high):
            raise QuantError(f"`{self.name}` has values that are not finite (NaN or infinity) in the calibration data; "
                             "the network overflows or the data is damaged")
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.total += flat.size
        self.squares += float(np.dot(flat, flat)) if flat.dtype == np.float64 else float(np.square(flat, dtype=np.float64).sum())
        most = max(-low, high)
        if most > 0:
            self._reach(most)
            flat = flat[flat != 0]
            index = np.floor(flat * (self.bins / self.limit)).astype(np.int64) + self.bins
            self.counts += np.bincount(np.clip(index, 0, 2 * self.bins - 1), minlength=2 * self.bins)
        self.zeros = self.total - int(self.counts.sum())

    def _reach(self, most: float) -> None:
        """Make the limit at least `most`."""
        if self.limit == 0:
            self.limit = most
        while self.limit < most:
            half = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.zeros_like(self.counts)
            self.counts[self.bins // 2:self.bins // 2 + self.bins] = half
            self.limit *= 2

    def magnitudes(self) -> np.ndarray:
        """Counts of |x| in `bins` bins over [0, limit]; int64."""
        return self.counts[self.bins:] + self.counts[:self.bins][::-1]
