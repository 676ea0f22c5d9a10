"""The range of converters from what bit lines really carry: histograms of sums before conversion, on calibration images.

A range that is too small clips the largest sums, one that is too large wastes codes on sums that never come. Each layer gets the step with the
least squared error of what it computes: an error of a conversion counts with the weights of its pass and its digit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from rpa.flash.chip import Chip
from rpa.flash.errors import FlashError
from rpa.flash.mapping import Encoding, Tile
from rpa.flash.mapping import Mapping as Tiling
from rpa.flash.network import FlashNet
from rpa.flash.placed import PlacedLayer, PlacedTerm, PlacedTile

Floats = npt.NDArray[np.float64]
FREE_STEPS = 8
"""Steps in a factor of 2 that a free range is searched in."""
DIGIT_BYTES = 64 << 20


@dataclass(kw_only=True, eq=False)
class Sums:
    """Sums of bit lines of one layer before conversion, in units of (digit 1 times cell code 1), rounded to whole ones."""

    count: Floats = field(repr=False)
    """How often each sum came: (largest + 1,)."""
    weight: Floats = field(repr=False)
    """The same, each with the square of what an error of it counts in the result."""

    def add(self, sums: npt.NDArray[np.int64], weights: Floats) -> None:
        """sums (conversions, lines); weights of the same shape: 0 for lines that nothing is read from."""
        used = np.broadcast_to(weights > 0, sums.shape)
        size = max(len(self.count), int(sums.max(initial=0)) + 1)
        for name, values in (("count", None), ("weight", np.square(np.broadcast_to(weights, sums.shape)[used]))):
            grown = np.bincount(sums[used], weights=values, minlength=size).astype(np.float64)
            before = getattr(self, name)
            grown[:len(before)] += before
            setattr(self, name, grown)

    @property
    def largest(self) -> int:
        return int(np.flatnonzero(self.count).max(initial=0))

    def quantile(self, share: float) -> int:
        """The least sum that `share` of all do not exceed."""
        return int(np.searchsorted(np.cumsum(self.count), share * self.count.sum()))

    def error(self, log2_lsb: float, bits: int) -> float:
        """Root of the mean weighted square error of codes of `bits` bits with this step, in the sums' units."""
        if not self.weight.sum():
            return 0.0
        values, step = np.arange(len(self.weight)), 2.0**log2_lsb
        codes = np.minimum(np.floor(values / step + 0.5), (1 << bits) - 1)
        return float(np.sqrt(self.weight @ np.square(codes * step - values) / self.weight.sum()))

    def clipped(self, log2_lsb: float, bits: int) -> float:
        """Share of sums above the largest code."""
        first = int(np.ceil(((1 << bits) - 0.5) * 2.0**log2_lsb))
        return float(self.count[first:].sum() / max(self.count.sum(), 1))


@dataclass(frozen=True, kw_only=True)
class LayerRange:
    """The range of one layer, and what it loses."""

    layer: str
    bits: int
    log2_lsb: int
    """The best power of two: `nv.range`."""
    free_log2_lsb: float
    """The best step of any size, for studies."""
    error: float
    """Root mean square error of a conversion with the power of two, in units of (digit 1 times cell code 1)."""
    free_error: float
    clipped: float
    """Share of conversions above the largest code."""
    wasted: float
    """Share of codes above the largest sum."""
    largest: int
    sums: Sums = field(repr=False)

    def row(self) -> dict[str, object]:
        """For tables."""
        return {"layer": self.layer, "ADC bits": self.bits, "range": self.log2_lsb, "clipped [%]": 100 * self.clipped,
                "codes wasted [%]": 100 * self.wasted, "error [units]": self.error, "free step": 2.0**self.free_log2_lsb,
                "its error": self.free_error, "largest sum": self.largest, "99.9 % below": self.sums.quantile(0.999)}


def calibrate(flash: FlashNet, inputs: Mapping[str, np.ndarray], *, free: bool = False) -> dict[str, LayerRange]:
    """Run calibration images (N, H, W, C), choose each layer's range, and set it in `flash`; its counts and image numbers start anew.

    free: set the best step of any size instead of a power of two. Layers are calibrated on sums of the layers before them as they are set now.
    """
    found = {name: LayerRange(**_chosen(sums, flash.layers[name].counts.resolution), layer=name, sums=sums)
             for name, sums in collect(flash, inputs).items()}
    flash.set_ranges({name: one.free_log2_lsb if free else one.log2_lsb for name, one in found.items()})
    return found


def collect(flash: FlashNet, inputs: Mapping[str, np.ndarray]) -> dict[str, Sums]:
    """Histograms of each layer's sums before conversion, with the chip's static errors, without operations that drive no word line."""
    if flash.observer is not None:
        raise FlashError("calibrate: the network has an observer already; take it away first")
    found = {name: Sums(count=np.zeros(1), weight=np.zeros(1)) for name in flash.layers}

    def observe(layer: PlacedLayer, term: PlacedTerm, tile: PlacedTile, x: npt.NDArray[np.integer]) -> None:
        cells, lanes = _cells(flash, tile), lane_weights(term.tiling, tile.tile)
        step = max(1, DIGIT_BYTES // (8 * len(term.passes.shifts) * (x.shape[1] + 3 * cells.shape[1])))
        for start in range(0, len(x), step):
            digits = term.passes.digits(x[start:start + step])
            driven = digits.any(axis=2)
            weights = np.broadcast_to(np.abs(term.passes.weights), driven.shape)[driven]
            sums = np.floor(digits[driven].astype(np.float64) @ cells + 0.5).astype(np.int64)
            found[layer.node.name].add(sums, weights[:, None] * lanes)

    flash.observer = observe
    try:
        flash.run_many(inputs)
    finally:
        flash.observer = None
        flash.reset()
    return found


def lane_weights(tiling: Tiling, tile: Tile) -> Floats:
    """What a code of each bit line counts: its digit's place; the reference line counts in every output, lanes without output nowhere."""
    places = 2.0 ** (tiling.cell_bits * np.arange(tiling.slices))
    groups = -(-tile.outs // tiling.line)
    lanes = np.zeros((tile.lines, tiling.line))
    used = (np.arange(groups * tiling.line) < tile.outs).reshape(groups, 1, tiling.line)
    signs = 2 if tiling.encoding == Encoding.DIFFERENTIAL else 1
    lanes[:groups * tiling.group_lines] = (used * np.tile(places, signs)[None, :, None]).reshape(-1, tiling.line)
    if tiling.encoding == Encoding.REFERENCE:
        lanes[-1, :tiling.slices] = places * np.sqrt(tile.outs)
    return lanes.reshape(-1)


def _cells(flash: FlashNet, tile: PlacedTile) -> Floats:
    """(rows, lines) what a digit of 1 adds to each sum."""
    if not isinstance(flash.chip, Chip):
        return tile.tile.cells.astype(np.float64)
    effective = flash.chip.effective_cells(tile.place.macro)[tile.rows, tile.columns]
    return effective / float(1 << flash.chip.fraction_bits)


def _chosen(sums: Sums, bits: int) -> dict:
    largest = sums.largest
    top = max(0, largest.bit_length())
    best = min(range(top + 1), key=lambda log2: (sums.error(log2, bits), log2))
    free = min(np.arange(top * FREE_STEPS + 1) / FREE_STEPS, key=lambda log2: (sums.error(log2, bits), log2))
    codes = 1 << bits
    used = min(codes, int(largest / 2.0**best + 0.5) + 1)
    return {"bits": bits, "log2_lsb": best, "free_log2_lsb": float(free), "error": sums.error(best, bits), "free_error": sums.error(free, bits),
            "clipped": sums.clipped(best, bits), "wasted": 1 - used / codes, "largest": largest}


def bars(one: LayerRange, *, bins: int = 16, width: int = 40) -> list[str]:
    """The histogram as lines of text: sums up to, share of conversions, a bar; behind the last code "clips"."""
    sums, end = one.sums, ((1 << one.bits) - 0.5) * 2.0**one.log2_lsb
    edges = np.unique(np.linspace(0, max(one.largest + 1, min(end, 2.0 * one.largest + 1)), bins + 1).astype(int))
    total = max(sums.count.sum(), 1)
    shares = [float(sums.count[low:high].sum() / total) for low, high in pairwise(edges)]
    lines = []
    for (low, high), share in zip(pairwise(edges), shares, strict=True):
        note = "  clips" if low > end else "  never" if low > one.largest else ""
        lines.append(f"{low:>8} ..{high - 1:>8} {100 * share:8.3f} % {'#' * round(width * share / max(max(shares), 1e-12))}{note}")
    return lines
