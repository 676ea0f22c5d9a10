"""Layers of an integer network placed on macros: which terms, which tiles, where."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from isa.errors import did_you_mean
from isa.table import ACC_INDEX_COUNT
from rpa.flash import check
from rpa.flash.activity import activity
from rpa.flash.counts import LayerCounts, TileCounts
from rpa.flash.errors import FlashError
from rpa.flash.mapping import WEIGHT_BITS_MAX, Encoding, Tile, lines_per_group, tiles
from rpa.flash.mapping import Mapping as Tiling
from rpa.flash.pack import Position, pack
from rpa.flash.passes import activation_bits
from rpa.flash.patterns import Passes
from rpa.flash.sparsity import line_bounds
from rpa.flash.spec import MacroSpec
from rpa.flash.wordlines import WORD_BITS, boxes, matrix, pixel_words
from rpa.net.integer import IntNet, Mac, Term

ALL = "all"
LOG2_LIMITS = (-8, 24)
"""Steps of codes that a chip can have, as powers of two."""
Wanted = str | Collection[str] | Mapping[str, "Placement"]
"""ALL, names of nodes, or a placement for each name."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """How a node goes to macros. FlashError for values that no macro has."""

    encoding: Encoding = Encoding.DIFFERENTIAL
    log2_lsb: float | None = None
    """One step of the code as a power of two of (digit 1 times cell code 1), `nv.range`; None: the finest with which no sum can clip. Whole numbers
    are the machine's; others are for studies."""
    weight_bits: int | None = None
    """Width that the cells are made for; None: what the weights need."""
    terms: tuple[int, ...] | None = None
    """Indices of the terms that go to macros; None: those that join channels."""

    def __post_init__(self) -> None:
        if self.encoding not in list(Encoding):
            raise FlashError(f"Placement: `encoding` is {self.encoding!r}, must be one of {', '.join(each.name.lower() for each in Encoding)}")
        if self.log2_lsb is not None:
            check.number("Placement", "log2_lsb", self.log2_lsb, *LOG2_LIMITS)
        if self.weight_bits is not None:
            check.integer("Placement", "weight_bits", self.weight_bits, 1, WEIGHT_BITS_MAX)


@dataclass(kw_only=True, eq=False)
class PlacedTile:
    """A tile in its macro."""

    tile: Tile
    place: Position
    columns: slice
    counts: TileCounts
    row_charge: npt.NDArray[np.int64] = field(repr=False)
    """(rows,) sum of a word line's cell codes."""
    first: int = 0
    """Number of its first operation among those of its macro for one image."""

    @property
    def rows(self) -> slice:
        return slice(self.place.row0, self.place.row0 + self.tile.rows)

    @property
    def inputs(self) -> slice | npt.NDArray[np.int64]:
        """The layer's inputs on its word lines; a slice where they are neighbours."""
        inputs = self.tile.inputs
        first, last = int(inputs[0]), int(inputs[-1])
        return slice(first, last + 1) if np.array_equal(inputs, np.arange(first, last + 1)) else inputs


@dataclass(kw_only=True, eq=False)
class PlacedTerm:
    """A term of a node on macros."""

    index: int
    term: Term
    bits: int
    """Container of its input."""
    zero_point: int
    passes: Passes
    tiling: Tiling = field(repr=False)
    tiles: list[PlacedTile]
    positions: int
    """Vectors of one image."""

    @property
    def operations(self) -> int:
        """Operations of one tile for one image."""
        return self.positions * self.passes.shifts.size


@dataclass(kw_only=True, eq=False)
class PlacedLayer:
    """A node on macros."""

    node: Mac
    placement: Placement
    terms: list[PlacedTerm]
    log2_lsb: float
    counts: LayerCounts

    @property
    def tiles(self) -> list[PlacedTile]:
        return [tile for term in self.terms for tile in term.tiles]


def place_layers(net: IntNet, placement: Wanted, spec: MacroSpec, *, line: int,
                 macros: int | None) -> tuple[dict[str, PlacedLayer], npt.NDArray[np.int64]]:
    """Layers by name in the network's order, and how many operations each macro does for one image.

    line: columns of the machine's array. macros: how many there are; None: as many as needed. Raises FlashError for names that are no sum of products
    of the net, and for layers that do not fit.
    """
    layers = {node.name: _layer(net, node, one, spec, line) for node, one in _placements(net, placement)}
    return layers, _place(layers.values(), spec, line, macros)


def _layer(net: IntNet, node: Mac, placement: Placement, spec: MacroSpec, line: int) -> PlacedLayer:
    try:
        terms = _terms(net, node, placement, spec, line)
    except FlashError as error:
        raise FlashError(f"`{node.name}`: {error}") from None
    log2_lsb = placement.log2_lsb
    if log2_lsb is None:
        log2_lsb = max((_finest(tile.tile, spec) for term in terms for tile in term.tiles), default=0)
    tiles_of = [tile.counts for term in terms for tile in term.tiles]
    counts = LayerCounts(name=node.name, spec=spec, log2_lsb=log2_lsb, tiles=tiles_of, output_bits=net.features[node.output].bits,
                         weight_bits=max(term.weight_bits for term in node.terms),
                         activation_bits=max(net.features[term.input].bits for term in node.terms))
    return PlacedLayer(node=node, placement=placement, terms=terms, log2_lsb=log2_lsb, counts=counts)


def _terms(net: IntNet, node: Mac, placement: Placement, spec: MacroSpec, line: int) -> list[PlacedTerm]:
    """Terms in tiles of the same groups of outputs, at most as many as the machine has accumulators for: then what runs over several terms and
    cuts into one accumulator always concerns whole tiles."""
    indices = _macro_terms(node, placement)
    terms = [_term(net, node, index, placement, spec, line, spec.cols // line) for index in indices]
    room = [_groups(term.tiling, spec.cols // line) for term in terms]
    most = min(ACC_INDEX_COUNT, *room)
    lines = [most * term.tiling.group_lines + int(term.tiling.encoding == Encoding.REFERENCE) for term in terms]
    return [term if groups == most else _term(net, node, index, placement, spec, line, limit)
            for term, groups, index, limit in zip(terms, room, indices, lines, strict=True)]


def _groups(tiling: Tiling, lines: int) -> int:
    """Groups of outputs that a tile of so many lines has."""
    return (lines - int(tiling.encoding == Encoding.REFERENCE)) // tiling.group_lines


def _term(net: IntNet, node: Mac, index: int, placement: Placement, spec: MacroSpec, line: int, lines: int) -> PlacedTerm:
    term = node.terms[index]
    feature = net.features[term.input]
    weights, present = matrix(term, feature.bits)
    elements, words = WORD_BITS // feature.bits, pixel_words(feature.shape[2], feature.bits)
    kernel = term.weight.shape[1], term.weight.shape[2]
    parts = boxes(kernel, words, elements, spec.rows)
    abits, signed = activation_bits(feature.low, feature.high)
    passes = Passes(abits, spec.dac.bits, signed)
    tiling = tiles(weights, cell_bits=spec.cell_bits, rows=spec.rows, cols=lines * line, line=line, encoding=placement.encoding,
                   weight_bits=placement.weight_bits, cuts=[part.inputs(kernel[1], words, elements) for part in parts], present=present)
    height, width, _ = net.features[node.output].shape
    return PlacedTerm(index=index, term=term, bits=feature.bits, zero_point=feature.zero_point, passes=passes, tiling=tiling,
                      tiles=[_placed(tiling, tile, parts[tile.cut].count, passes) for tile in tiling.tiles], positions=height * width)


def _place(layers: Iterable[PlacedLayer], spec: MacroSpec, line: int, macros: int | None) -> npt.NDArray[np.int64]:
    """Give every tile its place and its operations' numbers; returns how many operations each macro does for one image."""
    placed = [(term, tile) for layer in layers for term in layer.terms for tile in term.tiles]
    places = pack([(tile.tile.rows, tile.tile.lines) for _, tile in placed], rows=spec.rows, lines=spec.cols // line, macros=macros)
    per_image = np.zeros(macros or max((place.macro + 1 for place in places), default=1), np.int64)
    for (term, tile), place in zip(placed, places, strict=True):
        start = place.line0 * line
        tile.place, tile.columns = place, slice(start, start + tile.tile.lines * line)
        tile.first = int(per_image[place.macro])
        per_image[place.macro] += term.operations
    return per_image


def _finest(tile: Tile, spec: MacroSpec) -> int:
    """The smallest power of two with which no sum of an ideal tile clips."""
    most = int(tile.cells.astype(np.int64).sum(axis=0).max()) * spec.dac.top
    codes = (1 << spec.adc.code_bits) - 1
    return next(log2 for log2 in range(32) if (most + ((1 << log2) >> 1)) >> log2 <= codes)


def _placements(net: IntNet, placement: Wanted) -> list[tuple[Mac, Placement]]:
    """The nodes that go to macros, in the network's order."""
    macs = {node.name: node for node in net.nodes if isinstance(node, Mac)}
    if isinstance(placement, str) and placement == ALL:
        return [(node, Placement()) for node in macs.values() if any(map(joins_channels, node.terms))]
    if not isinstance(placement, Collection):
        raise FlashError(f"placement: {placement!r}, must be \"all\", names of layers, or a Placement for each name")
    if not isinstance(placement, Mapping):
        placement = dict.fromkeys([placement] if isinstance(placement, str) else placement, Placement())
    for name, one in placement.items():
        check.instance("placement", name, one, Placement, or_ideal=False)
        if name not in macs:
            hint = did_you_mean(name, tuple(macs)) or f"there are {', '.join(macs)}"
            raise FlashError(f"`{net.name}` has no sum of products called `{name}`; {hint}")
    return [(node, placement[name]) for name, node in macs.items() if name in placement]


def joins_channels(term: Term) -> bool:
    """Whether an output of the term depends on several channels, or on the only one."""
    return term.groups == 1 or term.weight.shape[3] > 1


def _macro_terms(node: Mac, placement: Placement) -> tuple[int, ...]:
    if placement.terms is not None:
        for index in placement.terms:
            if not 0 <= index < len(node.terms):
                raise FlashError(f"term {index} does not exist, there are 0..{len(node.terms) - 1}")
        return placement.terms
    joining = tuple(index for index, term in enumerate(node.terms) if joins_channels(term))
    return joining or tuple(range(len(node.terms)))


def _placed(tiling: Tiling, tile: Tile, words: int, passes: Passes) -> PlacedTile:
    """A tile with empty counts, not yet in a macro."""
    reference_visits = tiling.slices if tiling.encoding == Encoding.REFERENCE else 0
    visits = reference_visits + -(-tile.outs // tiling.line) * lines_per_group(tiling.encoding, tiling.slices)
    counts = TileCounts(rows=tile.rows, outs=tile.outs, lines=tile.lines, bit_lines=tile.cells.shape[1], words=words,
                        passes=passes.shifts.size, kernel_lines=visits, active=np.zeros(tile.rows + 1, np.int64),
                        bounds=line_bounds(tile.cells, passes.dac_bits))
    return PlacedTile(tile=tile, place=Position(0, 0, 0), columns=slice(0, 0), counts=counts, row_charge=tile.cells.sum(axis=1, dtype=np.int64))


def count_operations(tile: PlacedTile, passes: Passes, x: npt.NDArray[np.integer]) -> None:
    """Add the operations that activations x (vectors, word lines of the tile) take to the tile's counts."""
    counts = tile.counts
    operations, digits = activity(x, passes)
    counts.vectors += len(x)
    counts.active += operations
    counts.digit_sum += int(digits.sum())
    counts.charge += int(digits @ tile.row_charge)
