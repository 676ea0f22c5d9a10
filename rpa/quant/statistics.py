"""What calibration data do in a network: a histogram and channel moments of each activation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from rpa.quant.blocks import Block
from rpa.quant.errors import QuantError
from rpa.quant.histogram import Histogram
from rpa.quant.scales import Format


@dataclass(frozen=True, kw_only=True, eq=False)
class Observed:
    """Of one activation."""

    histogram: Histogram
    """Of all values; shared by activations that must have one format."""
    mean: np.ndarray
    """E[x] of each channel, (C,)."""
    mean_square: np.ndarray
    """E[x^2] of each channel, (C,)."""
    formats: dict[object, Format] = field(default_factory=dict, repr=False)
    """Formats that were fitted to the histogram, kept by what was asked for."""


def share_formats(blocks: Iterable[Block]) -> dict[str, str]:
    """For each activation of the blocks the name under which it shares one format with others.

    Maximum pooling keeps its input's format, a concatenation and all its inputs have one, and a part of a PRelu has that of its input.
    """
    parent: dict[str, str] = {}

    def find(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    for block in blocks:
        for name in block.inputs:
            if block.keeps_format:
                parent[find(block.output)] = find(name)
            else:
                find(name)
        find(block.output)
    return {name: find(name) for name in parent}


class Collector:
    """Gathers :class:`Observed` from batches of activations."""

    def __init__(self, shared: Mapping[str, str], derived: Iterable[str] = ()) -> None:
        """shared: from `share_formats`. derived: activations whose values all occur in another one of the same format."""
        self._shared = shared
        self._derived = frozenset(derived)
        self._histograms: dict[str, Histogram] = {}
        self._sums: dict[str, np.ndarray] = {}
        self._counts: dict[str, int] = {}

    def add(self, batch: Mapping[str, np.ndarray]) -> None:
        """Activations (N, C, H, W) by name."""
        for name, values in batch.items():
            group = self._shared.get(name, name)
            histogram = self._histograms.setdefault(group, Histogram(name))
            if name not in self._derived:
                histogram.add(values)
            flat = np.asarray(values, np.float64).transpose(1, 0, 2, 3).reshape(values.shape[1], -1)
            sums = np.stack([flat.sum(axis=1), np.einsum("cn,cn->c", flat, flat)])
            self._sums[name] = self._sums.get(name, 0) + sums
            self._counts[name] = self._counts.get(name, 0) + flat.shape[1]

    def observed(self) -> dict[str, Observed]:
        """By name of an activation. QuantError if nothing was added."""
        if not self._sums:
            raise QuantError("no calibration data")
        result = {}
        for name, sums in self._sums.items():
            mean, square = sums / self._counts[name]
            result[name] = Observed(histogram=self._histograms[self._shared.get(name, name)], mean=mean, mean_square=square)
        return result
