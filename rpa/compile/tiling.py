"""How a convolution is cut into blocks and stages: tiles of output pixels, groups of output channels, chunks of input channels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from isa.table import ACC_INDEX_COUNT
from rpa.arch.config import ArrayConfig
from rpa.compile.layout import Placed
from rpa.compile.loads import Piece, Span, Window, largest_unit, piece_of
from rpa.compile.reduction import Chunk, Reduction, chunks_of


@dataclass(frozen=True)
class Tiling:
    """Output pixels of one block: `rows` x (`pixels` << group) of them, each PE row a segment of `pixels` of an output row."""

    rows: int
    group: int
    """log2 of the segments in a row of the block."""
    pixels: int
    """Accumulators in flight."""

    @property
    def pe_rows(self) -> int:
        return self.rows << self.group

    @property
    def columns(self) -> int:
        return self.pixels << self.group


@dataclass(frozen=True, eq=False)
class TermPlan:
    """A term cut into chunks, each loaded as a piece and run as a stage."""

    reduction: Reduction
    window: Window
    chunks: tuple[Chunk, ...]
    pieces: tuple[Piece, ...]
    every_group: bool
    """A piece holds the channels of all groups of output channels, not only those of one group's window."""

    def steps(self, chunk: Chunk, pixels: int) -> int:
        r, s = self.reduction.kernel
        return r * s * chunk.words * self.reduction.slices * pixels

    def tap_words_total(self, chunk: Chunk) -> int:
        """W words of a chunk, all taps."""
        r, s = self.reduction.kernel
        return r * s * self.reduction.tap_words(chunk)


@dataclass(frozen=True, eq=False)
class Shape:
    """A mapping. Blocks are visited tile by tile with the groups of channels inside (`tiles_outer`), or the other way round."""

    tiling: Tiling
    columns: tuple[int, ...]
    """First output column of each tile; neighbours overlap where the width does not divide."""
    rows: tuple[int, ...]
    """First output row of each tile."""
    groups: int
    tiles_outer: bool
    resident_tile: bool
    """All chunks of a tile stay in the A banks while the groups of channels go by."""
    merged: bool
    """A block is one stage: all its chunks are loaded before its first run."""
    weights: str
    """What one load of weights brings: `all` of the layer, those of a `group` of channels, or those of a `chunk`."""
    terms: tuple[TermPlan, ...]
    paired: bool = False
    """The first stages of a tile's first two groups of channels come first: they keep the array busy until all of the tile has arrived."""

    @cached_property
    def stages(self) -> tuple[tuple[TermPlan, int], ...]:
        """(term, index of the chunk) of a block's stages."""
        return tuple((term, index) for term in self.terms for index in range(len(term.chunks)))

    @property
    def loads_weights_once(self) -> bool:
        """Whether no weight is loaded a second time for another tile."""
        return self.weights == "all" or self.tiles == 1 or (self.weights == "group" and not (self.tiles_outer and self.groups > 1))

    @property
    def weight_loads(self) -> int:
        """How often weights are loaded, where none is loaded a second time."""
        return {"all": 1, "group": self.groups, "chunk": self.groups * len(self.stages)}[self.weights]

    @property
    def tiles(self) -> int:
        return len(self.columns) * len(self.rows)


def origins(size: int, tile: int, count: int) -> tuple[int, ...]:
    """First positions of `count` tiles that cover `size`; the last one ends at the end."""
    return tuple(min(index * tile, size - tile) for index in range(count))


def first_new(at: int, starts: tuple[int, ...], tile: int) -> int:
    """First position of the tile at `at` that no tile before it covers: where tiles overlap, they hold the same values."""
    return max((start + tile for start in starts if start < at), default=at)


def tilings(height: int, width: int, config: ArrayConfig) -> Iterator[tuple[Tiling, int, int]]:
    """(tiling, tiles along a row, tiles along a column), balanced so that as little as possible is computed twice."""
    seen = set()
    for group in range(config.rows.bit_length()):
        most = config.rows >> group
        if (1 << group) > width or not most:
            break
        passes = -(-height // most)
        rows = -(-height // passes)
        least = max(1, -(-width // (ACC_INDEX_COUNT << group)))
        for across in range(least, 4 * least + 4):
            pixels = -(-width // (across << group))
            if pixels > ACC_INDEX_COUNT or pixels << group > width + (1 << group) - 1:
                continue
            tiling = Tiling(rows, group, pixels)
            across_needed = max(1, -(-width // tiling.columns))
            if (tiling, across_needed) not in seen:
                seen.add((tiling, across_needed))
                yield tiling, across_needed, passes


def segment_origins(width: int, tiling: Tiling, first: int) -> tuple[int, ...]:
    """First output column of each segment of a tile that begins at column `first`."""
    return tuple(min(first + lane * tiling.pixels, width - tiling.pixels) for lane in range(1 << tiling.group))


def term_plan(reduction: Reduction, tiling: Tiling, starts: list[int], words: int, config: ArrayConfig, *, whole: bool) -> TermPlan:
    """Plan a term for output segments that begin at these columns, in chunks of at most `words` narrow words.

    whole: where the window is one chunk, load the channels of all groups at once.
    """
    term = reduction.term
    r, s = reduction.kernel
    reach_y, reach_x = term.dilation[0] * (r - 1) + 1, term.dilation[1] * (s - 1) + 1
    if r == 1 and term.stride[0] > 1:       # rows between are not loaded
        window = Window(tiling.rows, 1, 1, tiling.group, term.stride[0])
    else:
        window = Window((tiling.rows - 1) * term.stride[0] + reach_y, term.stride[0], reach_y, tiling.group)
    inputs = [x * term.stride[1] - term.pads[1] for x in starts]
    chunks = chunks_of(reduction, words)
    every_group = whole and len(chunks) == 1
    pieces = []
    for chunk in chunks:
        first, count = (0, reduction.placed.pixel_words) if every_group else reduction.act_words(chunk)
        if s == 1 and term.stride[1] > 1:
            span = Span(tiling.pixels, first, count, term.stride[1])
        else:
            span = Span((tiling.pixels - 1) * term.stride[1] + reach_x, first, count)
        shift = 0 if every_group or term.groups == 1 else reduction.first_channel(1) * reduction.act_bits // 16
        pieces.append(piece_of(reduction.placed, span, inputs, config, shift))
    return TermPlan(reduction, window, chunks, tuple(pieces), every_group or term.groups == 1)


def chunk_sizes(reduction: Reduction, config: ArrayConfig) -> list[int]:
    """Sizes of chunks worth trying, in narrow words: all, and halves of it that still load whole units."""
    total = reduction.narrow_words
    sizes = [total]
    unit = max(1, config.bus_words // reduction.act_ratio)
    size = unit
    while size < total:
        sizes.append(size)
        size *= 2
    if len(sizes) == 1 and total > 1:
        sizes.append(-(-total // 2))
    return sizes


def store_shape(shape: Shape, output: Placed, config: ArrayConfig) -> tuple[int, int, int]:
    """(words a visit, visits a step, pixels a step) of a block's stores: several pixels at once where they lie together in memory."""
    bits = output.feature.bits
    words = config.cols * bits // 16
    xstep = 1
    if shape.groups == 1:
        while 2 * xstep <= 16 // bits and shape.tiling.pixels % (2 * xstep) == 0:
            xstep *= 2
    starts = (start for first in shape.columns for start in segment_origins(output.feature.shape[1], shape.tiling, first))
    unit = largest_unit(config, words * xstep, output.pixel_words * xstep, *(output.offset_words(0, start) for start in starts))
    return unit, words * xstep // unit, xstep
