"""Mitigation of a whole network on a chip: every tile in its macro.

In order: remap, correct, rewrite, and in the field, after `Chip.age`, recalibrate. Programming again makes cells young: give `Errors.drift_days`
0.0 and let the chip age.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from rpa.flash import check
from rpa.flash.chip import Chip
from rpa.flash.errors import FlashError
from rpa.flash.mitigate import recalibrate, write_verify
from rpa.flash.mitigate.correct import Correction, exact
from rpa.flash.mitigate.remap import Remapped, remap_network
from rpa.flash.network import FlashNet, Observer
from rpa.flash.placed import PlacedLayer, PlacedTerm, PlacedTile
from rpa.flash.spec import Wires

Floats = npt.NDArray[np.float64]
Activities = dict[int, Floats]
"""By id of a tile: (rows of the tile,) mean input of each word line, 0..1 of full drive."""
remap = remap_network
__all__ = ["Remapped", "correct", "measure_activity", "recalibrate_all", "remap", "rewrite"]


def measure_activity(net: FlashNet, images: Mapping[str, np.ndarray]) -> Activities:
    """Mean input of each word line of each tile, over images (N, H, W, C), as rows are now.

    Passes count by the square of their weight, as errors of their sums do: what low bits are is nearly without effect.
    """
    sums: Activities = {}
    counts: dict[int, float] = defaultdict(float)

    def observe(layer: PlacedLayer, term: PlacedTerm, tile: PlacedTile, x: npt.NDArray[np.integer]) -> None:
        passes, values = term.passes, x & ((1 << term.passes.abits) - 1)
        for shift, mask, weight in zip(passes.shifts, passes.masks, np.square(passes.weights.astype(np.float64)), strict=True):
            driven = weight * (values >> shift & mask).sum(axis=0, dtype=np.int64)
            sums[id(tile)] = sums[id(tile)] + driven if id(tile) in sums else driven
            counts[id(tile)] += weight * len(x) * net.spec.dac.top

    _observed(net, images, observe)
    return {key: total / counts[key] for key, total in sums.items()}


def _observed(net: FlashNet, images: Mapping[str, np.ndarray], observer: Observer) -> None:
    """Run images with an observer, without a trace in the network's counts."""
    before, net.observer = net.observer, observer
    try:
        net.run_many(images)
    finally:
        net.observer = before
        net.reset()


def correct(net: FlashNet, activities: Activities | None = None) -> dict[int, float]:
    """Correct the cells of a gate-driven network for its wires, by exact currents in the form "mean"; returns the gain of each macro.

    activities: of :func:`measure_activity`, right where wires are exact; None: the wires' own, right where `errors.ir_drop` is "factor", which loses
    the same whatever the inputs are. Other tiles of a macro are only wire while one is read, and all share a gain.
    """
    chip, wires = _chip(net), net.spec.wires
    if not isinstance(wires, Wires) or wires.drive != "gate":
        raise FlashError("correct: the macros' wires are ideal or drain-driven, must be gate-driven: correct.apply does whole macros")
    gains = {}
    for macro, tiles in _by_macro(net).items():
        wanted = [_corrected(net, wires, tile, activities, None) for tile in tiles]
        gain = max(1.0, *(each.gain for each in wanted))
        targets, where = chip.targets(macro), _used(net, tiles)
        for tile in tiles:
            made = _corrected(net, wires, tile, activities, gain)
            amp = made.cells[tile.rows] * wires.read_volt
            targets[tile.rows, tile.columns] = np.clip((amp - net.spec.min_amp) / net.spec.step_amp, 0, net.spec.top)
        chip.reprogram(macro, targets, where)
        chip.set_trim(macro, chip.trim[macro] * gain)
        gains[macro] = gain
    return gains


def rewrite(net: FlashNet, *, tolerance: float, attempts: int = 10, reads: int = 16) -> dict[int, write_verify.Rewritten]:
    """`write_verify.rewrite` of all cells that hold weights, by macro."""
    chip = _chip(net)
    return {macro: write_verify.rewrite(chip, macro, tolerance=tolerance, attempts=attempts, reads=reads, where=_used(net, tiles))
            for macro, tiles in _by_macro(net).items()}


def recalibrate_all(net: FlashNet, images: Mapping[str, np.ndarray] | None = None, *, vectors: int = 64,
                    seed: int = 0) -> dict[int, recalibrate.Recalibrated]:
    """`recalibrate.recalibrate` of all macros: each tile is driven by `vectors` inputs; bit lines that tiles share get one gain for all.

    images: inputs are drawn from the digits that these images (N, H, W, C) drive; None: they are random. A gain is right for inputs like those it was
    measured with.

    What is expected of a stuck cell is what it is stuck at: no gain can make up for it, and codes around it may have been chosen with it in mind.
    """
    check.integer("recalibrate", "vectors", vectors, 1, 1 << 16)
    chip, rng, found = _chip(net), np.random.default_rng(seed), {}
    seen = {} if images is None else _drawn_digits(net, images, vectors, rng)
    for macro, tiles in _by_macro(net).items():
        digits = np.zeros((len(tiles), vectors, net.spec.rows), np.uint8)
        expected = np.zeros((len(tiles), vectors, net.spec.cols))
        for index, tile in enumerate(tiles):
            drawn = seen.get(id(tile))
            digits[index, :, tile.rows] = rng.integers(0, net.spec.dac.top + 1, (vectors, tile.tile.rows), np.uint8) if drawn is None else drawn
            for other in tiles:
                expected[index][:, other.columns] += digits[index][:, other.rows].astype(np.float64) @ _said(chip, other)
        found[macro] = recalibrate.recalibrate(chip, macro, digits.reshape(-1, net.spec.rows), expected=expected.reshape(-1, net.spec.cols))
    return found


def _drawn_digits(net: FlashNet, images: Mapping[str, np.ndarray], vectors: int, rng: np.random.Generator) -> dict[int, npt.NDArray[np.uint8]]:
    """By id of a tile: (vectors, rows of the tile) digits of operations of these images, drawn at random."""
    found: dict[int, npt.NDArray[np.uint8]] = {}

    def observe(layer: PlacedLayer, term: PlacedTerm, tile: PlacedTile, x: npt.NDArray[np.integer]) -> None:
        steps = term.passes.shifts.size
        digits = term.passes.digits(x[rng.integers(0, len(x), vectors)])
        found[id(tile)] = digits[np.arange(vectors), rng.integers(0, steps, vectors)]

    _observed(net, images, observe)
    return found


def _said(chip: Chip, tile: PlacedTile) -> Floats:
    """Codes of a tile's cells, those of stuck ones what they are stuck at."""
    off, on = (mask[tile.rows, tile.columns] for mask in chip.defects(tile.place.macro))
    return np.where(on, float(chip.spec.top), np.where(off, 0.0, tile.tile.cells))


def _corrected(net: FlashNet, wires: Wires, tile: PlacedTile, activities: Activities | None, gain: float | None) -> Correction:
    """Correction of one tile where it lies: (rows of the macro, columns of the tile)."""
    cells, share = np.zeros((net.spec.rows, tile.tile.cells.shape[1])), np.zeros(net.spec.rows)
    cells[tile.rows] = (net.spec.min_amp + tile.tile.cells * net.spec.step_amp) / wires.read_volt
    share[tile.rows] = wires.activity if activities is None else activities.get(id(tile), wires.activity)
    return exact(cells, wires, form="mean", activity=share, limit=net.spec.device.max_amp / wires.read_volt, gain=gain)


def _by_macro(net: FlashNet) -> dict[int, list[PlacedTile]]:
    found = defaultdict(list)
    for layer in net.layers.values():
        for tile in layer.tiles:
            found[tile.place.macro].append(tile)
    return dict(found)


def _used(net: FlashNet, tiles: list[PlacedTile]) -> npt.NDArray[np.bool_]:
    used = np.zeros((net.spec.rows, net.spec.cols), bool)
    for tile in tiles:
        used[tile.rows, tile.columns] = True
    return used


def _chip(net: FlashNet) -> Chip:
    if not isinstance(net.chip, Chip):
        raise FlashError(f"the network runs on a {type(net.chip).__name__}, must be on a Chip to be mitigated")
    return net.chip
