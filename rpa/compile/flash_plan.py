"""Layers on NOR-flash macros: which weights go to which cells of which macro, before any command is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from isa.table import ACC_INDEX_COUNT
from rpa.arch.config import ArrayConfig
from rpa.compile.banks import Banks
from rpa.compile.errors import CompileError
from rpa.flash.errors import FlashError
from rpa.flash.mapping import Encoding, Tile, tiles
from rpa.flash.pack import Position, pack
from rpa.flash.passes import activation_bits
from rpa.flash.wordlines import WORD_BITS, Box, boxes, matrix, pixel_words
from rpa.net.integer import Feature, IntNet, Mac, Term


@dataclass(frozen=True, kw_only=True)
class Placement:
    """How a layer lies on macros."""

    encoding: Encoding = Encoding.REFERENCE
    ranges: tuple[int, ...] | None = None
    """log2 of a conversion's step, 0..15, for each term; None: the least with which no sum that the weights can give is cut off."""


@dataclass(frozen=True)
class Site:
    """A tile in its place, and what drives it."""

    term: int
    box: Box
    tile: Tile
    place: Position
    slices: int
    encoding: Encoding
    log2_lsb: int
    keep: bool
    """Its sums are added to what tiles before it left."""


@dataclass(frozen=True)
class OutputWindow:
    """Groups of outputs that are computed together: at most as many as there are accumulators."""

    first_group: int
    groups: int
    sites: tuple[Site, ...]


@dataclass(frozen=True)
class FlashLayer:
    """A node on macros."""

    node: Mac
    windows: tuple[OutputWindow, ...]

    @property
    def sites(self) -> tuple[Site, ...]:
        return tuple(site for window in self.windows for site in window.sites)

    @property
    def macros(self) -> tuple[int, ...]:
        return tuple(sorted({site.place.macro for site in self.sites}))


@dataclass(frozen=True)
class _Cut:
    """A tile before it has a place."""

    term: int
    box: Box
    tile: Tile
    slices: int
    log2_lsb: int
    keep: bool


def plan_layers(net: IntNet, config: ArrayConfig, placements: Mapping[str, Placement]) -> dict[str, FlashLayer]:
    """Cells of every placed node, packed into the macros in the order of the network.

    Raises CompileError that names every node that cannot be placed: unknown names, nodes without weights, weights that do not fit the cells,
    groups whose tiles overlap, too few macros.
    """
    faults = _unknown(net, config, placements)
    cut: dict[str, list[tuple[int, int, list[_Cut]]]] = {}
    for node in net.nodes if not faults else ():
        if node.name in placements and isinstance(node, Mac):
            try:
                cut[node.name] = _windows(node, net, config, placements[node.name])
            except (FlashError, CompileError) as error:
                faults.append(f"`{node.name}`: {error}")
    if faults:
        raise CompileError("cannot place on NOR-flash macros:\n" + "\n".join(f"  {fault}" for fault in faults))
    return _packed(net, config, placements, cut)


def _unknown(net: IntNet, config: ArrayConfig, placements: Mapping[str, Placement]) -> list[str]:
    nodes = {node.name: node for node in net.nodes}
    faults = [f"`{name}`: there is no such node; there are {', '.join(nodes)}" for name in placements if name not in nodes]
    faults += [f"`{name}` is a {type(nodes[name]).__name__}: only layers with weights go to macros"
               for name in placements if name in nodes and not isinstance(nodes[name], Mac)]
    if placements and not config.nv_macros:
        faults.append("this machine has no macros (`nv_macros` is 0): choose a configuration that has, such as hybrid")
    return faults


def _windows(node: Mac, net: IntNet, config: ArrayConfig, placement: Placement) -> list[tuple[int, int, list[_Cut]]]:
    """(first group, groups, tiles) of each window of outputs."""
    if placement.ranges is not None and (len(placement.ranges) != len(node.terms) or not all(0 <= value <= 15 for value in placement.ranges)):
        raise CompileError(f"ranges are {placement.ranges}, must be {len(node.terms)} numbers 0..15, one a term")
    total = -(-len(node.bias) // config.cols)
    most = min(ACC_INDEX_COUNT, Banks(config).p_entries)
    count = -(-total // most)
    size = -(-total // count)
    found = []
    for first in range(0, total, size):
        groups = min(size, total - first)
        outputs = slice(first * config.cols, min((first + groups) * config.cols, len(node.bias)))
        cuts: list[_Cut] = []
        started: set[int] = set()
        for number, term in enumerate(node.terms):
            wanted = None if placement.ranges is None else placement.ranges[number]
            cuts += _term_tiles(number, term, net.features[term.input], outputs, config, placement.encoding, wanted, started)
        if len(started) != groups:
            raise CompileError(f"{groups - len(started)} groups of outputs have no weights")
        found.append((first, groups, cuts))
    return found


def _term_tiles(number: int, term: Term, source: Feature, outputs: slice, config: ArrayConfig, encoding: Encoding, wanted: int | None,
                started: set[int]) -> list[_Cut]:
    """Tiles of a term for a window of outputs. started: groups of the window that a tile before has begun; grows."""
    elements, words = WORD_BITS // source.bits, pixel_words(source.shape[2], source.bits)
    kernel = (term.weight.shape[1], term.weight.shape[2])
    weights, present = matrix(term, source.bits)
    cut = boxes(kernel, words, elements, config.nv_rows)
    made = tiles(weights[outputs], cell_bits=config.nv_cell_bits, rows=config.nv_rows, cols=config.nv_cols, line=config.cols, encoding=encoding,
                 cuts=[box.inputs(kernel[1], words, elements) for box in cut], present=present[outputs])
    found = []
    for tile in made.tiles:
        mine = set(range(tile.outputs.start // config.cols, -(-tile.outputs.stop // config.cols)))
        if mine & started not in (set(), mine):
            raise CompileError("groups of a convolution share a line of outputs with others that are not complete; compute it on the array")
        found.append(_Cut(number, cut[tile.cut], tile, made.slices, _range(tile, config) if wanted is None else wanted, keep=mine <= started))
        started |= mine
    return found


def _range(tile: Tile, config: ArrayConfig) -> int:
    """log2 of the least step with which the largest sum of a bit line is a code."""
    largest = int(tile.cells.astype(np.int64).sum(axis=0).max()) * ((1 << config.nv_dac_bits) - 1)
    return max(0, largest.bit_length() - config.nv_adc_bits)


def _packed(net: IntNet, config: ArrayConfig, placements: Mapping[str, Placement],
            cut: dict[str, list[tuple[int, int, list[_Cut]]]]) -> dict[str, FlashLayer]:
    every = [one for windows in cut.values() for _, _, cuts in windows for one in cuts]
    try:
        places = iter(pack([(one.tile.rows, one.tile.lines) for one in every], rows=config.nv_rows, lines=config.nv_cols // config.cols,
                           macros=config.nv_macros))
    except FlashError as error:
        raise CompileError(f"cannot place on NOR-flash macros: {error}") from None
    nodes = {node.name: node for node in net.nodes if isinstance(node, Mac)}
    layers = {}
    for name, windows in cut.items():
        encoding = placements[name].encoding
        layers[name] = FlashLayer(nodes[name], tuple(
            OutputWindow(first, groups, tuple(Site(one.term, one.box, one.tile, next(places), one.slices, encoding, one.log2_lsb, one.keep)
                                              for one in cuts)) for first, groups, cuts in windows))
    return layers


def act_bits(feature: Feature) -> tuple[int, bool]:
    """(bits, signed) with which a feature's values drive word lines: those that occur and the border's."""
    return activation_bits(min(feature.low, feature.zero_point), max(feature.high, feature.zero_point))
