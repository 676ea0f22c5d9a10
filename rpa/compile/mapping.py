"""The mapping of a convolution onto the array, chosen by a closed form of loads, steps, drains and stores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rpa.arch.config import ArrayConfig
from rpa.compile.errors import CompileError
from rpa.compile.layout import Placed, align
from rpa.compile.loads import Piece, Span, Window, piece_of, piece_visits
from rpa.compile.reduction import Chunk, Reduction, chunks_of

ACCUMULATORS = 16
FEEDER_WORDS = 8
CORE_INSTRUCTIONS = 26
"""About what the core issues for a stage."""
_SLACK = 16
"""Words behind a tile that steps with zero weights may read."""
_START, _BLOCK_END = 6, 12
"""Cycles from a token to the first step, and from the last step to the last word in memory, besides drain and store themselves."""


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
class ConvPlan:
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
    weights: str
    """What one load of weights brings: `all` of the layer, those of a `group` of channels, or those of a `chunk`."""
    terms: tuple[TermPlan, ...]
    cycles: int
    """What the closed form says."""
    limit: str
    """What takes longest: `array`, `loads`, `drain`, `stores` or `core`."""
    external_words: int

    @property
    def stages(self) -> tuple[tuple[TermPlan, int], ...]:
        """(term, index of the chunk) of a block's stages."""
        return tuple((term, index) for term in self.terms for index in range(len(term.chunks)))


def origins(size: int, tile: int, count: int) -> tuple[int, ...]:
    """First positions of `count` tiles that cover `size`; the last one ends at the end."""
    return tuple(min(index * tile, size - tile) for index in range(count))


def tilings(height: int, width: int, config: ArrayConfig) -> Iterator[tuple[Tiling, int, int]]:
    """(tiling, tiles along a row, tiles along a column), balanced so that as little as possible is computed twice."""
    seen = set()
    for group in range(config.rows.bit_length()):
        most = config.rows >> group
        if (1 << group) > width or not most:
            break
        passes = -(-height // most)
        rows = -(-height // passes)
        least = max(1, -(-width // (ACCUMULATORS << group)))
        for across in range(least, 4 * least + 4):
            pixels = -(-width // (across << group))
            if pixels > ACCUMULATORS or pixels << group > width + (1 << group) - 1:
                continue
            tiling = Tiling(rows, group, pixels)
            across_needed = max(1, -(-width // tiling.columns))
            if (tiling, across_needed) not in seen:
                seen.add((tiling, across_needed))
                yield tiling, across_needed, passes


def segment_origins(width: int, tiling: Tiling, first: int) -> tuple[int, ...]:
    """First output column of each segment of a tile that begins at column `first`."""
    return tuple(min(first + lane * tiling.pixels, width - tiling.pixels) for lane in range(1 << tiling.group))


def _term_plan(reduction: Reduction, tiling: Tiling, starts: list[int], words: int, config: ArrayConfig, *, whole: bool) -> TermPlan:
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


def _chunk_sizes(reduction: Reduction, config: ArrayConfig) -> list[int]:
    """Sizes of chunks worth trying, in narrow words: all, and halves of it that still load whole units."""
    total = reduction.narrow_words
    sizes = [total]
    unit = max(1, config.bus_words // reduction.act_ratio)
    size = unit
    while size < total:
        sizes.append(size)
        size *= 2
    return sizes


def choose(reductions: tuple[Reduction, ...], output: Placed, config: ArrayConfig, name: str) -> ConvPlan:
    """The mapping with the fewest cycles, then the least external traffic. CompileError if none fits the banks."""
    best: ConvPlan | None = None
    for plan in _candidates(reductions, output, config):
        if best is None or (plan.cycles, plan.external_words) < (best.cycles, best.external_words):
            best = plan
    if best is None:
        raise CompileError(f"`{name}`: no tile of this layer fits the banks (half of a_depth {config.a_depth} and of w_depth {config.w_depth}); "
                           "use deeper banks or narrower operands")
    return best


def _candidates(reductions: tuple[Reduction, ...], output: Placed, config: ArrayConfig) -> Iterator[ConvPlan]:
    height, width, channels = output.feature.shape
    groups = -(-channels // config.cols)
    sizes = [_chunk_sizes(reduction, config) for reduction in reductions]
    for tiling, across, passes in tilings(height, width, config):
        columns, rows = origins(width, min(tiling.columns, width), across), origins(height, tiling.rows, passes)
        starts = sorted({start for first in columns for start in segment_origins(width, tiling, first)})
        for level in range(max(map(len, sizes))):
            words = [options[0] if level == 0 else options[max(1, len(options) - level)] if len(options) > 1 else options[0] for options in sizes]
            grouped = any(reduction.term.groups > 1 for reduction in reductions)
            for whole in (True, False) if grouped and groups > 1 else (grouped,):
                terms = tuple(_term_plan(reduction, tiling, starts, size, config, whole=whole)
                              for reduction, size in zip(reductions, words, strict=True))
                yield from _orders(terms, tiling, columns, rows, groups, output, config)


def _orders(terms: tuple[TermPlan, ...], tiling: Tiling, columns: tuple[int, ...], rows: tuple[int, ...], groups: int, output: Placed,
            config: ArrayConfig) -> Iterator[ConvPlan]:
    a_half, w_half = config.a_depth // 2 - _SLACK, config.w_depth // 2
    sizes = [piece.pitch * term.window.length for term in terms for piece in term.pieces]
    taps = [term.tap_words_total(chunk) for term in terms for chunk in term.chunks]
    if max(sizes) > a_half or align(max(taps), config.bus_words) > w_half:
        return
    resident = sum(sizes) <= a_half and all(term.every_group for term in terms)
    scope = "all" if align(sum(taps) * groups, config.bus_words) <= w_half else "group" if align(sum(taps), config.bus_words) <= w_half else "chunk"
    tiles = len(columns) * len(rows)
    orders = {True} if groups == 1 or tiles == 1 else {True, False}
    for tiles_outer in orders:
        yield _costed(terms, tiling, columns, rows, groups, tiles_outer, tiles_outer and resident, scope, output, config)


def _costed(terms, tiling: Tiling, columns, rows, groups: int, tiles_outer: bool, resident: bool, scope: str, output: Placed,
            config: ArrayConfig) -> ConvPlan:
    tiles = len(columns) * len(rows)
    blocks = tiles * groups
    stages = [(term, chunk, piece) for term in terms for chunk, piece in zip(term.chunks, term.pieces, strict=True)]
    lanes = 1 << tiling.group
    overhead = config.mem_latency + 1
    array = blocks * sum(term.steps(chunk, tiling.pixels) + 1 for term, chunk, _ in stages)

    act_commands = act_visits = act_words = 0
    first_load = 0
    for term, _, piece in stages:
        commands, visits = piece_visits(term.reduction.placed, piece, term.window)
        act_commands, act_visits, act_words = act_commands + commands * lanes, act_visits + visits * lanes, act_words + visits * lanes * piece.unit
        first_load = first_load or lanes * (visits + commands * overhead)
    repeat_a = tiles if resident else blocks
    taps = [align(term.tap_words_total(chunk), config.bus_words) for term, chunk, _ in stages]
    repeat_w = 1 if scope == "all" or (scope == "group" and (not tiles_outer or tiles == 1)) or (scope == "chunk" and tiles == 1) else tiles
    weight_words = config.cols * groups * sum(taps)
    weight_commands = {"all": 1, "group": groups, "chunk": groups * len(stages)}[scope] * repeat_w
    loads = repeat_a * (act_visits + act_commands * overhead) + repeat_w * weight_words // config.bus_words + weight_commands * overhead

    drain = blocks * tiling.pe_rows * tiling.pixels
    store_visits, store_words = _store_cost(tiling, output, groups, config)
    stores = blocks * (store_visits + 2 * lanes)
    core = blocks * len(stages) * CORE_INSTRUCTIONS
    times = {"array": array, "loads": loads, "drain": drain + 2 * blocks, "stores": stores, "core": core}
    limit = max(times, key=times.__getitem__)
    tail = tiling.pe_rows * tiling.pixels + store_visits // lanes + _BLOCK_END
    cycles = times[limit] + _START + tail + (first_load if tiles * groups > 0 else 0) // 2
    external = repeat_a * act_words + repeat_w * weight_words + blocks * store_words
    return ConvPlan(tiling, columns, rows, groups, tiles_outer, resident, scope, terms, cycles, limit, external)


def _store_cost(tiling: Tiling, output: Placed, groups: int, config: ArrayConfig) -> tuple[int, int]:
    """Visits of `st` for a block, and words."""
    unit, units, xstep = store_shape(tiling, output, groups, config)
    visits = tiling.pe_rows * (tiling.pixels // xstep) * units
    return visits, visits * unit


def store_shape(tiling: Tiling, output: Placed, groups: int, config: ArrayConfig) -> tuple[int, int, int]:
    """(words a visit, visits a step, pixels a step) of a block's stores: several pixels at once where they lie together in memory."""
    bits = output.feature.bits
    words = config.cols * bits // 16
    xstep = 1
    if groups == 1:
        while 2 * xstep <= 16 // bits and tiling.pixels % (2 * xstep) == 0:
            xstep *= 2
    unit = min(config.bus_words, words * xstep)
    return unit, words * xstep // unit, xstep
