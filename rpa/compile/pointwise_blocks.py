"""Blocks of kernels that work pixel by pixel: a PE row is a row of outputs, a column a word of channels, an accumulator an output pixel.

What a kernel does with a block's pixels is its own; how they are cut, loaded, drained and stored is the same for all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from isa.table import ACC_INDEX_COUNT, PARAM_WORDS
from rpa.arch.config import ArrayConfig
from rpa.arch.packing import pack_params
from rpa.compile.banks import Banks
from rpa.compile.commands import Command, Context, Load, Nest, Results, Stage
from rpa.compile.cost import Cost
from rpa.compile.errors import CompileError
from rpa.compile.flow import UNKNOWN, cost_of
from rpa.compile.layout import Layout, Placed, align
from rpa.compile.loads import Window, load_params
from rpa.compile.shift import LEAD, Cycle, cycle_for
from rpa.compile.tiling import origins
from rpa.compile.words import ONE, Group, Sink, Tile, channel_words, channels_of, groups_of, load_tile, region, tile_of

_CHUNKINGS = 3
_STAGE_COST = 8
"""Cycles that a stage less is worth: less code where the cuts do not repeat evenly."""
_PIXEL_SLACK = 16
"""Words behind a tile that shifting reads for nothing."""


@dataclass(frozen=True)
class Blocks:
    """How a node's output is cut."""

    rows: int
    tiles: tuple[int, ...]
    """First output row of each tile of `rows` rows."""
    pixels: int
    chunks: tuple[int, ...]
    """First output column of each chunk of `pixels` columns."""
    cost: Cost = UNKNOWN


@dataclass(frozen=True)
class Source:
    """A feature that a block reads, as windows of `kernel` positions, `stride` apart."""

    placed: Placed
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    pads: tuple[int, int] = (0, 0)
    """Top, left."""

    def tile(self, blocks: Blocks, pixel_pitch: int, config: ArrayConfig) -> Tile:
        window = Window((blocks.rows - 1) * self.stride[0] + self.kernel[0], self.stride[0], self.kernel[0])
        return tile_of(window, (blocks.pixels - 1) * self.stride[1] + self.kernel[1], pixel_pitch, LEAD, config)

    def load(self, tile: Tile, group: Group, y: int, x: int, base: int, config: ArrayConfig) -> Load:
        """What the outputs from (y, x) on need."""
        top, left = y * self.stride[0] - self.pads[0], x * self.stride[1] - self.pads[1]
        reads = region(self.placed, (top, top + tile.window.rows), (left, left + tile.pixels), channels_of(group, self.placed.feature.bits))
        return Load(tuple(load_tile(self.placed, tile, group, top, left, base, config)), reads)


@dataclass(frozen=True)
class Place:
    """Where a block has its operands and results."""

    group: Group
    bank: int
    tiles: tuple[tuple[Tile, int], ...]
    """Of each source: how it lies, and the address of its first word."""
    w_base: int | None
    """None where the node has no constants in the W banks."""


class PixelKernel(ABC):
    """Stages of one node. A subclass says what runs, and which constants it needs."""

    tail = 0
    """Steps that a pixel's cycle has behind the one in which its words are there: `rpa.compile.shift.Cycle`."""
    bits: int
    """Compute width: that of the sources."""
    sources: tuple[Source, ...]

    def __init__(self, name: str, output: str, blocks: Blocks, layout: Layout, banks: Banks) -> None:
        self.name, self.blocks, self.layout, self.banks = name, blocks, layout, banks
        self.config = layout.config
        self.output = layout.features[output]
        self._entry: int | None = None
        self._w_base: int | None = None

    @property
    def cycle(self) -> Cycle:
        """The steps that bring a pixel: as many as the widest group needs."""
        return cycle_for(max(group.count for group, _, _ in self.groups()), self.tail)

    @abstractmethod
    def contexts(self) -> tuple[Context, ...]:
        """Contexts that all runs use."""

    @abstractmethod
    def runs(self, place: Place) -> tuple[Command | Context, ...]:
        """What computes a block into the accumulators 0 .. pixels - 1."""

    @abstractmethod
    def label(self) -> str:
        """What the nest is called."""

    def needs_weights(self, group: Group) -> bool:
        """Whether `weights` loads W words for this group; if not, those of the group before serve it, too."""
        return False

    def weights(self, group: Group, w_base: int) -> tuple[Command, ...]:
        """Loads of constants into the W banks, where `needs_weights`; none unless told."""
        return ()

    def weight_loads(self, group: Group, w_base: int) -> tuple[Load, ...]:
        """Loads of results of earlier nodes into the W banks; then `weights` must load something, too."""
        return ()

    def parameters(self) -> tuple[int, int, int]:
        """Bias, multiplier and shift of every channel."""
        return ONE

    rounding = "half_even"
    drain_zero_point = 0
    """Added in the drain."""

    def groups(self) -> tuple[tuple[Group, int, tuple[Source, ...]], ...]:
        """(words, first word of the output's pixel, sources) of each pass over the output."""
        return tuple((group, 0, self.sources) for group in groups_of(channel_words(self.sources[0].placed), self.config))

    def nest(self) -> Nest:
        contexts, items = self.contexts(), []
        for group, first_word, sources in self.groups():
            w_base, constants, loads = self._operands(group)
            tiles = []
            for y in self.blocks.tiles:
                stages = []
                for x in self.blocks.chunks:
                    stages.append(self._stage(y, x, group, first_word, sources, w_base, (constants, loads, contexts)))
                    constants, loads, contexts = (), (), ()
                tiles.append(Nest("", tuple(stages)))
            items.append(Nest("", tuple(tiles)))
        return Nest(self.label(), tuple(items))

    def _operands(self, group: Group) -> tuple[int | None, tuple[Command, ...], tuple[Load, ...]]:
        """W address, constants and loads that a group's first stage brings."""
        constants: tuple[Command, ...] = ()
        loads: tuple[Load, ...] = ()
        if self.needs_weights(group):
            self._w_base = self.banks.next_w()
            constants, loads = self.weights(group, self._w_base), self.weight_loads(group, self._w_base)
        if self._entry is None:
            self._entry = self.banks.next_p()
            entry = pack_params(*self.parameters()).reshape(1, 1, PARAM_WORDS)
            constants += (load_params(self.layout, np.tile(entry, (self.config.cols, 1, 1)), self._entry)[0],)
        return self._w_base, constants, loads

    def _stage(self, y: int, x: int, group: Group, first_word: int, sources: tuple[Source, ...], w_base: int | None,
               first: tuple[tuple[Command, ...], tuple[Load, ...], tuple[Context, ...]]) -> Stage:
        constants, loads, contexts = first
        base = self.banks.next_a()
        tiles, pitch = [], self._pitch(sources)
        for source in sources:
            tile = source.tile(self.blocks, pitch, self.config)
            tiles.append((tile, base))
            loads += (source.load(tile, group, y, x, base, self.config),)
            base += align(tile.words, self.config.bus_words)
        loads += self.fills(base)
        bank, o_base = self.banks.next_block()
        runs = self.runs(Place(group, bank, tuple(tiles), w_base))
        return Stage(constants, loads, (*contexts, *runs), self._results(y, x, group, first_word, bank, o_base))

    def fills(self, base: int) -> tuple[Load, ...]:
        """Constants in the A banks from `base`; none unless told."""
        return ()

    def _pitch(self, sources: tuple[Source, ...]) -> int:
        """Words from a pixel to the next: as many as a group has."""
        return min(self.config.cols, 16, *(channel_words(source.placed) for source in sources))

    def _results(self, y: int, x: int, group: Group, first_word: int, bank: int, o_base: int) -> Results:
        assert self._entry is not None
        sink = Sink(self.output, self.bits, self.blocks.rows, self.blocks.pixels, self.config)
        drain = sink.drain(bank, o_base, self._entry, rounding=self.rounding, by_lane=False, zero_point=self.drain_zero_point)
        first, end = channels_of(group, self.bits)
        shift = first_word * 16 // self.output.feature.bits
        writes = region(self.output, (y, y + self.blocks.rows), (x, x + self.blocks.pixels), (first + shift, end + shift))
        return Results(drain, (sink.store(group, o_base, y, x, first_word),), writes)

    def common(self, place: Place, *, asigned: bool, wsigned: bool = True) -> dict[str, int]:
        """Registers that all runs of a block share."""
        weights = {"ex.wen": 0} if place.w_base is None else {"ex.wbase": place.w_base}
        return {"ex.abits": self.bits, "ex.wbits": self.bits, "ex.cbits": self.bits, "ex.asigned": int(asigned), "ex.wsigned": int(wsigned),
                "ex.rows": self.blocks.rows, "ex.cols": place.group.count, **weights}

    def pixel_loop(self, place: Place, source: int, loop: int, stride: int = 1) -> dict[str, int]:
        """The cycle that brings a pixel of a source, in loops 0 and 1, and the loop over the block's pixels."""
        tile, base = place.tiles[source]
        return {**self.cycle.registers(), f"ex.n{loop}": self.blocks.pixels, f"ex.as{loop}": stride * tile.pixel_pitch, f"ex.cs{loop}": 1,
                "ex.abase": tile.at(base, 0) + self.cycle.start}

    def a_words(self) -> int:
        """Words that a block needs in the A banks."""
        return max(sum(align(source.tile(self.blocks, self._pitch(sources), self.config).words, self.config.bus_words) for source in sources)
                   for _, _, sources in self.groups()) + _PIXEL_SLACK + self.config.bus_words


def cuts(output: Placed, config: ArrayConfig) -> Iterator[Blocks]:
    """Ways to cut an output worth trying."""
    height, width, _ = output.feature.shape
    passes = -(-height // config.rows)
    rows = -(-height // passes)
    least = -(-width // ACC_INDEX_COUNT)
    for count in range(least, min(width, 2 * least + _CHUNKINGS) + 1):
        pixels = -(-width // count)
        yield Blocks(rows, origins(height, rows, passes), pixels, origins(width, pixels, -(-width // pixels)))


def cheapest(make, output: Placed, layout: Layout, name: str) -> list[Blocks]:
    """Cuts of a node that fit the banks, the fastest first. make(blocks, layout, banks) gives the kernel. CompileError if none fits."""
    found = []
    for blocks in cuts(output, layout.config):
        banks = Banks(layout.config)
        kernel: PixelKernel = make(blocks, replace(layout, dry=True), banks)
        if kernel.a_words() <= banks.a_words and blocks.rows * blocks.pixels <= banks.o_words:
            found.append(replace(blocks, cost=cost_of(kernel.nest(), layout.config)))
    if not found:
        raise CompileError(f"`{name}`: no part of a row of `{output.feature.name}` fits the banks; use deeper A banks")
    return sorted(found, key=lambda blocks: blocks.cost.key[0] + _STAGE_COST * len(blocks.chunks) * len(blocks.tiles))
