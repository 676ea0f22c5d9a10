"""Remapping around defects: rows and outputs change places so that stuck cells meet the weights they hurt least, then weights are repaired.

Which inputs meet which word lines is free where inputs are gathered before they are driven; which outputs meet which bit lines, where
those who read them know.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rpa.flash.chip import Chip
from rpa.flash.errors import FlashError
from rpa.flash.mapping import Encoding, Mapping, Tile
from rpa.flash.mitigate.assignment import assign
from rpa.flash.mitigate.repair import HEALTHY, repaired, said
from rpa.flash.network import FlashNet
from rpa.flash.placed import PlacedTile

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Order:
    """Who is where after remapping."""

    rows: Ints
    """(rows,) the row of weights on each word line."""
    outputs: Ints
    """(outputs,) the output at each place."""
    before: float
    """Sum of squared errors of all weights after repair, nobody moved ..."""
    after: float
    """... and in this order."""


def remap(values: npt.ArrayLike, stuck: npt.ArrayLike, *, cell_bits: int, differential: bool, rows: bool = True, outputs: bool = False,
          sweeps: int = 4) -> Order:
    """Order of the rows, of the outputs or of both, that makes the squared error of weights least after repair.

    values: (rows, outputs) integers. stuck: (rows, outputs, K) codes that cells are stuck at, or HEALTHY, as of `repair.repaired`. With both,
    rows and outputs are ordered in turn, `sweeps` times at most: each step is the best there is for the other's order, together they need not be.
    """
    wanted, fixed = np.asarray(values, np.int64), np.asarray(stuck, np.int64)
    if wanted.ndim != 2 or fixed.shape[:2] != wanted.shape or fixed.ndim != 3:
        raise FlashError(f"remap: values have shape {wanted.shape} and stuck codes {fixed.shape}, must be (rows, outputs) and (rows, outputs, cells)")
    row_order, output_order = (np.arange(count) for count in wanted.shape)
    before = best = _error(wanted, fixed, cell_bits, differential)
    for _ in range(sweeps):
        if rows:
            row_order = assign(_costs(wanted[:, output_order], fixed, cell_bits, differential))
        if outputs:
            output_order = assign(_costs(wanted[row_order].T, fixed.swapaxes(0, 1), cell_bits, differential))
        last, best = best, _error(wanted[row_order][:, output_order], fixed, cell_bits, differential)
        if not (rows and outputs) or best >= last:
            break
    return Order(rows=row_order, outputs=output_order, before=before, after=best)


@dataclass(frozen=True, kw_only=True)
class Remapped:
    """What happened to one tile of a network."""

    layer: str
    macro: int
    stuck: int
    """Stuck cells of the tile that would say another code."""
    damage: float
    """Sum of squared errors of its weights as they were mapped, in units of the weights ..."""
    repaired: float
    """... with repair, nobody moved ..."""
    remapped: float
    """... and with repair and rows in a better order."""


def remap_network(net: FlashNet, *, rows: bool = True) -> list[Remapped]:
    """Repair all tiles of a network on a `Chip` and, with `rows`, reorder their word lines; programs the cells, whose age begins now.

    The network computes the same as before but for defects. Cells of reference columns stay as they are. Outputs stay where they are, as other layers
    read them.
    """
    if not isinstance(net.chip, Chip):
        raise FlashError(f"remap: the network runs on a {type(net.chip).__name__}, must be on a Chip, whose defects are known")
    return [_remap_tile(net.chip, name, term.tiling, tile, rows) for name, layer in net.layers.items() for term in layer.terms for tile in term.tiles]


def _remap_tile(chip: Chip, name: str, tiling: Mapping, placed: PlacedTile, rows: bool) -> Remapped:
    off, on = (mask[placed.rows, placed.columns] for mask in chip.defects(placed.place.macro))
    fixed = np.where(on, chip.spec.top, np.where(off, 0, HEALTHY))
    tile, bits, pairs = placed.tile, tiling.cell_bits, tiling.encoding == Encoding.DIFFERENTIAL
    cells, stuck = _weight_cells(tiling, tile, tile.cells.astype(np.int64)), _weight_cells(tiling, tile, fixed).copy()
    values, flat = said(cells, cell_bits=bits, differential=pairs), (tile.rows, -1)
    stuck.reshape(*flat, stuck.shape[-1])[:, tile.outs:] = HEALTHY  # lanes behind the last output hold no weights
    order = np.arange(tile.rows)
    if rows:
        order = remap(values.reshape(flat), stuck.reshape(*flat, stuck.shape[-1]), cell_bits=bits, differential=pairs).rows
    damage = said(np.where(stuck == HEALTHY, cells, stuck), cell_bits=bits, differential=pairs) - values
    left = [_error(each, stuck, bits, pairs) for each in (values, values[order])]
    moved, codes = cells[order], tile.cells[order].copy()
    hurt = ((stuck != HEALTHY) & (stuck != moved)).any(axis=-1)
    moved[hurt] = repaired(values[order][hurt], stuck[hurt], cell_bits=bits, differential=pairs)[0]
    _weight_cells(tiling, tile, codes)[...] = moved
    placed.tile = replace(tile, inputs=tile.inputs[order], cells=codes)
    placed.row_charge = codes.sum(axis=1, dtype=np.int64)
    for row, line in enumerate(codes, placed.place.row0):
        chip.program(placed.place.macro, row, placed.columns.start, line)
    wrong = int(((stuck != HEALTHY) & (stuck != cells)).sum())
    return Remapped(layer=name, macro=placed.place.macro, stuck=wrong, damage=float(np.square(damage).sum()), repaired=left[0], remapped=left[1])


def _weight_cells(tiling: Mapping, tile: Tile, cells: npt.NDArray) -> npt.NDArray:
    """A view (rows, groups, line, K) of cells (rows, lines * line) without the reference column: what is last makes up a weight."""
    per_group = tiling.group_lines
    groups = -(-tile.outs // tiling.line)
    used = cells[:, :groups * per_group * tiling.line]
    return used.reshape(len(cells), groups, per_group, tiling.line).swapaxes(2, 3)


def _error(values: Ints, stuck: Ints, cell_bits: int, differential: bool) -> float:
    hurt = (stuck != HEALTHY).any(axis=-1)
    return float(np.square(repaired(values[hurt], stuck[hurt], cell_bits=cell_bits, differential=differential)[1]).sum())


def _costs(values: Ints, stuck: Ints, cell_bits: int, differential: bool) -> npt.NDArray[np.float64]:
    """(items, places) squared error of the values (items, others) of an item in each place, whose cells are stuck (places, others, K)."""
    costs = np.zeros((len(values), len(stuck)))
    for place, cells in enumerate(stuck):
        others = np.flatnonzero((cells != HEALTHY).any(axis=-1))
        if len(others):
            missed = repaired(values[:, others], cells[others], cell_bits=cell_bits, differential=differential)[1]
            costs[:, place] = np.square(missed).sum(axis=1)
    return costs
