"""Layers on NOR-flash macros: which tile runs when, from where `rpa.flash.placed` has put the cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import groupby

from isa.table import ACC_INDEX_COUNT
from rpa.arch.config import ArrayConfig
from rpa.compile.banks import Banks
from rpa.compile.errors import CompileError
from rpa.flash.errors import FlashError
from rpa.flash.mapping import Encoding, Tile
from rpa.flash.pack import Position
from rpa.flash.placed import PlacedLayer, PlacedTerm, Placement, place_layers
from rpa.flash.spec import MacroSpec, for_config
from rpa.flash.wordlines import WORD_BITS, Box, boxes, pixel_words
from rpa.net.integer import IntNet, Mac

LEAST_COLUMNS = 4
"""Cells are programmed four at a time, and a line must be whole words of them."""


@dataclass(frozen=True)
class Site:
    """A tile in its place, and what drives it."""

    term: int
    box: Box
    tile: Tile
    place: Position
    slices: int
    encoding: Encoding
    act_bits: int
    act_signed: bool
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
    log2_lsb: int

    @property
    def sites(self) -> tuple[Site, ...]:
        return tuple(site for window in self.windows for site in window.sites)

    @property
    def macros(self) -> tuple[int, ...]:
        return tuple(sorted({site.place.macro for site in self.sites}))


def plan_layers(net: IntNet, config: ArrayConfig, placements: Mapping[str, Placement]) -> dict[str, FlashLayer]:
    """Tiles of every placed node, by name, in the order of the network. All terms of a node go to macros.

    Raises CompileError: unknown names, nodes without weights, weights that do not fit the cells, groups whose tiles overlap, too few macros.
    """
    if not placements:
        return {}
    if not config.nv_macros:
        raise CompileError("this machine has no NOR-flash macros (`nv_macros` is 0): choose a configuration that has, such as hybrid")
    if config.cols < LEAST_COLUMNS:
        raise CompileError(f"an array of {config.cols} columns has lines of {config.cols} cells, and macros are programmed {LEAST_COLUMNS} cells at "
                           f"a time; use at least {LEAST_COLUMNS} columns")
    terms = {node.name: tuple(range(len(node.terms))) for node in net.nodes if isinstance(node, Mac)}
    whole = {name: replace(one, terms=terms.get(name)) for name, one in placements.items()}
    try:
        layers, _ = place_layers(net, whole, for_config(config, MacroSpec()), line=config.cols, macros=config.nv_macros)
    except FlashError as error:
        raise CompileError(f"cannot place on NOR-flash macros: {error}") from None
    return {name: _layer(layer, net, config) for name, layer in layers.items()}


def _layer(layer: PlacedLayer, net: IntNet, config: ArrayConfig) -> FlashLayer:
    name, limit = layer.node.name, layer.log2_lsb
    if limit != int(limit) or not 0 <= limit <= 15:
        raise CompileError(f"`{name}`: the step of a conversion is 2^{limit}, on the machine it must be a whole power, 2^0..2^15")
    if min(ACC_INDEX_COUNT, Banks(config).p_entries) < _most_groups(layer, config.cols):
        raise CompileError(f"`{name}`: {_most_groups(layer, config.cols)} groups of outputs in a tile need as many parameter entries, "
                           f"a part of the P banks has {Banks(config).p_entries}; give more `p_entries`")
    sites = sorted((site for term in layer.terms for site in _sites(term, config)), key=lambda site: site.tile.outputs.start)
    windows = [_window(name, list(group), config.cols) for _, group in groupby(sites, key=lambda site: site.tile.outputs.start)]
    total = -(-len(layer.node.bias) // config.cols)
    if sum(window.groups for window in windows) != total:
        raise CompileError(f"`{name}`: the groups of its convolution share lines of outputs; compute it on the array")
    return FlashLayer(layer.node, tuple(windows), int(limit))


def _most_groups(layer: PlacedLayer, cols: int) -> int:
    return max(-(-tile.tile.outs // cols) for tile in layer.tiles)


def _sites(term: PlacedTerm, config: ArrayConfig) -> list[Site]:
    kernel, channels = (term.term.weight.shape[1], term.term.weight.shape[2]), term.term.weight.shape[3] * term.term.groups
    cuts = boxes(kernel, pixel_words(channels, term.bits), WORD_BITS // term.bits, config.nv_rows)
    return [Site(term.index, cuts[placed.tile.cut], placed.tile, placed.place, term.tiling.slices, term.tiling.encoding, term.passes.abits,
                 bool(term.passes.signed), keep=True) for placed in term.tiles]


def _window(name: str, sites: list[Site], cols: int) -> OutputWindow:
    """Tiles of the same outputs: the first starts the sums. Tiles that only some of the outputs have must not be the first."""
    first, end = sites[0].tile.outputs.start, max(site.tile.outputs.stop for site in sites)
    if sites[0].tile.outputs.stop != end:
        raise CompileError(f"`{name}`: the groups of its convolution share lines of outputs; compute it on the array")
    return OutputWindow(first // cols, -(-(end - first) // cols), (replace(sites[0], keep=False), *sites[1:]))
