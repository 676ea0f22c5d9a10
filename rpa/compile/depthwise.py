"""Depthwise 3x3 convolutions on the mesh: a column is a word of channels, rows exchange what windows share.

Limits: 3x3, the same stride 1 or 2 in both directions, no dilation, activations at least as wide as weights and output. What does not fit
is refused with a reason, and the broadcast convolution computes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from isa.table import ACC_INDEX_COUNT
from rpa.arch.config import ArrayConfig
from rpa.arch.packing import element_range, pack
from rpa.compile.banks import Banks
from rpa.compile.commands import Command, Context, Load, Nest, Results, Stage
from rpa.compile.cost import Cost
from rpa.compile.depthwise_pattern import Pattern, pattern
from rpa.compile.errors import CompileError
from rpa.compile.flow import UNKNOWN, cost_of
from rpa.compile.layout import Layout
from rpa.compile.loads import Window, load_params, load_weights
from rpa.compile.tiling import first_new, origins
from rpa.compile.words import Group, Sink, Tile, channel_words, channels_of, fill_tile, groups_of, lane_params, load_tile, region, tile_of
from rpa.net.integer import Feature, Mac

_CHUNKINGS = 3
"""Numbers of chunks of an output row worth trying, from the least on."""


@dataclass(frozen=True, eq=False)
class DepthwisePlan:
    """How a layer is cut: tiles of rows, groups of channel words, chunks of output columns."""

    pattern: Pattern
    groups: tuple[Group, ...]
    rows: int
    """Output rows of a tile."""
    tiles: tuple[int, ...]
    """First output row of each."""
    pixels: int
    """Outputs of a block in each PE."""
    chunks: tuple[int, ...]
    """First output column of each."""
    tile: Tile
    whole_rows: bool
    """A tile holds all columns that the chunks need; else those of one chunk."""
    together: int
    """Most groups whose weights and parameters are loaded together."""
    cost: Cost = UNKNOWN


def choose(node: Mac, layout: Layout) -> list[DepthwisePlan]:
    """Plans, the fastest first. CompileError, with the reason, if this kernel cannot compute the node."""
    reason = refusal(node, layout)
    if reason is not None:
        raise CompileError(f"`{node.name}`: no depthwise mapping: {reason}")
    plans = [replace(plan, cost=_cost(node, plan, layout)) for plan in _candidates(node, layout)]
    if not plans:
        raise CompileError(f"`{node.name}`: no depthwise mapping: no tile fits the banks")
    return sorted(plans, key=lambda plan: plan.cost.key)


def refusal(node: Mac, layout: Layout) -> str | None:
    """Why a `Mac` cannot run here, or None."""
    config, output = layout.config, layout.features[node.output].feature
    if len(node.terms) != 1:
        return f"it has {len(node.terms)} terms"
    term = node.terms[0]
    source = layout.features[term.input].feature
    channels, kernel_rows, kernel_columns, depth = term.weight.shape
    if depth != 1 or term.groups != channels:
        return "its channels meet"
    if (kernel_rows, kernel_columns) != (3, 3) or term.dilation != (1, 1) or term.stride not in ((1, 1), (2, 2)):
        return f"kernel {kernel_rows}x{kernel_columns}, stride {term.stride}, dilation {term.dilation} is not 3x3 with stride 1 or 2"
    if term.weight_bits > source.bits or output.bits > source.bits:
        return f"weights of {term.weight_bits} or outputs of {output.bits} bits are wider than activations of {source.bits}"
    if config.rows < 3:
        return f"{config.rows} rows have no neighbours on both sides"
    lanes = 16 // source.bits
    if lanes > config.p_entries // 4:
        return f"{lanes} lanes need {4 * lanes} parameter entries, there are {config.p_entries}"
    return _overflow(node, source, config.acc_bits // lanes, 48 if term.stride == (2, 2) else 15)


def _overflow(node: Mac, source: Feature, bits: int, products: int) -> str | None:
    """Whether sums leave an accumulator's lane: with these weights, or by the bound of the preflight, which does not know them."""
    term = node.terms[0]
    weight = term.weight.reshape(len(term.weight), -1).astype(np.int64)
    most = (np.maximum(weight * source.high, weight * source.low)).sum(axis=1) + node.bias
    least = (np.minimum(weight * source.high, weight * source.low)).sum(axis=1) + node.bias
    low, high = element_range(bits, True)
    if least.min() < low or most.max() > high:
        return f"sums {least.min()}..{most.max()} do not fit the {bits} bits of an accumulator's lane"
    widest = max(map(abs, element_range(source.bits, source.signed))) * max(map(abs, element_range(source.bits, term.weight_signed)))
    return f"{products} products of up to {widest} may leave the {bits} bits of an accumulator's lane" if products * widest > high else None


def _candidates(node: Mac, layout: Layout) -> Iterator[DepthwisePlan]:
    source = layout.features[node.terms[0].input]
    groups = groups_of(channel_words(source), layout.config)
    steps = pattern(node.terms[0].stride[0], groups[0].count)
    width = layout.features[node.output].feature.shape[1]
    least = -(-width // steps.most_pixels)
    for count in range(least, min(width, least + _CHUNKINGS) + 1):
        pixels = -(-width // count)
        chunks = origins(width, pixels, -(-width // pixels))
        for whole_rows in (True, False) if len(chunks) > 1 else (True,):
            plan = _plan(node, layout, steps, groups, pixels, chunks, whole_rows=whole_rows)
            if plan is not None:
                yield from (replace(plan, together=size) for size in sorted({-(-plan.together // parts) for parts in (1, 2, 4)}))


def _plan(node: Mac, layout: Layout, steps: Pattern, groups: tuple[Group, ...], pixels: int, chunks: tuple[int, ...], *,
          whole_rows: bool) -> DepthwisePlan | None:
    """A plan, or None if it does not fit the banks."""
    config = layout.config
    height, width, _ = layout.features[node.output].feature.shape
    most = min(config.rows - steps.extra_rows, height)
    passes = -(-height // most)
    rows = -(-height // passes)
    window = Window(steps.stride * (rows + steps.extra_rows), steps.stride, steps.stride)
    source, output = layout.features[node.terms[0].input], layout.features[node.output]
    pitch = groups[0].count
    tile = tile_of(window, steps.input_pixels(width if whole_rows else pixels), pitch, steps.lead, config)
    banks = Banks(config)
    together = min(len(groups), banks.p_entries * source.feature.bits // 16, (banks.w_words - steps.reach) // len(steps.taps) + 1)
    lines = -(-pixels * output.feature.bits // source.feature.bits)
    words = tile.words + (steps.ahead(pitch) + 1) * pitch
    if words > banks.a_words or together < 1 or rows * lines > banks.o_words:
        return None
    return DepthwisePlan(steps, groups, rows, origins(height, rows, passes), pixels, chunks, tile, whole_rows, together)


def _cost(node: Mac, plan: DepthwisePlan, layout: Layout) -> Cost:
    return cost_of(Depthwise(node, plan, replace(layout, dry=True), Banks(layout.config)).nest(), layout.config)


@dataclass(frozen=True)
class _Operands:
    """A group of words, its first W word and its first parameter entry."""

    group: Group
    weights: int
    params: int


class Depthwise:
    """Stages of a depthwise `Mac` under a plan."""

    def __init__(self, node: Mac, plan: DepthwisePlan, layout: Layout, banks: Banks) -> None:
        self.node, self.term, self.plan, self.layout, self.banks = node, node.terms[0], plan, layout, banks
        self.config: ArrayConfig = layout.config
        self.source, self.output = layout.features[self.term.input], layout.features[node.output]
        self.bits = self.source.feature.bits
        self.sink = Sink(self.output, self.bits, plan.rows, plan.pixels, self.config)
        self._filled: set[int] = set()
        self._contexts: tuple[Context, ...] = plan.pattern.contexts

    def nest(self) -> Nest:
        plan = self.plan
        items: list[Nest] = []
        for first in range(0, len(plan.groups), plan.together):
            items.append(self._set(plan.groups[first:first + plan.together]))
        shapes = ["x".join(map(str, placed.feature.shape)) for placed in (self.source, self.output)]
        return Nest(f"{self.node.name}: depthwise {shapes[0]} w 3x3 -> {shapes[1]}", tuple(items))

    def _set(self, groups: tuple[Group, ...]) -> Nest:
        """All tiles for groups whose weights and parameters are in the banks together."""
        w_base, param = self.banks.next_w(), self.banks.next_p()
        constants: tuple[Command, ...] = (self._weights(groups, w_base), self._params(groups, param))
        lanes = 16 // self.bits
        tiles = []
        for y in self.plan.tiles:
            blocks = []
            for number, group in enumerate(groups):
                operands = _Operands(group, w_base + number * len(self.plan.pattern.taps), param + number * lanes)
                blocks.append(Nest("", tuple(self._blocks(y, operands, constants))))
                constants = ()
            tiles.append(Nest("", tuple(blocks)))
        return Nest("", tuple(tiles))

    def _weights(self, groups: tuple[Group, ...], base: int) -> Command:
        plan, lanes = self.plan, 16 // self.bits
        channels = len(self.term.weight)
        weight = np.zeros((-(-channels // lanes) * lanes + 1, 3, 3), np.int64)      # the last one is zero: words without a tap
        weight[:channels] = self.term.weight[..., 0]
        words = np.zeros((self.config.cols, len(groups), len(plan.pattern.taps)), np.uint16)
        for number, group in enumerate(groups):
            for index, tap in enumerate(plan.pattern.taps):
                if tap is not None:
                    taken = weight[group.first * lanes:(group.first + group.count) * lanes, tap[0], tap[1]].reshape(-1, lanes)
                    words[:len(taken), number, index] = pack(taken, self.bits, signed=self.term.weight_signed, what="weight")[:, 0]
        return load_weights(self.layout, words.reshape(self.config.cols, -1), base)[0]

    def _params(self, groups: tuple[Group, ...], entry: int) -> Command:
        node = self.node
        entries = lane_params(node.bias, node.multiplier, node.shift, groups, 16 // self.bits, self.config.cols)
        return load_params(self.layout, entries, entry)[0]

    def _blocks(self, y: int, operands: _Operands, constants: tuple[Command, ...]) -> Iterator[Stage]:
        """The chunks of a tile, for a group of channel words."""
        plan, stride, left, group = self.plan, self.term.stride[1], self.term.pads[1], operands.group
        base, first, loaded = 0, 0, 0
        for number, x in enumerate(plan.chunks):
            if number == 0 or not plan.whole_rows:
                base, first, loaded = self.banks.next_a(), x, 0
            # What steps read ahead must not be loaded meanwhile.
            ahead = plan.pattern.input_pixels(plan.pixels) + plan.pattern.ahead(plan.tile.pixel_pitch)
            needed = min((x - first) * stride + ahead, plan.tile.pixels)
            loads = self._load(y, first * stride - left, group, base, (loaded, needed))
            loaded = needed
            bank, o_base = self.banks.next_block()
            address = plan.tile.at(base, (x - first) * stride)
            runs = plan.pattern.runs(bank, self._common(group, operands.weights), address, plan.tile.pixel_pitch, plan.tile.row_pitch, plan.pixels)
            yield Stage(constants, loads, (*self._contexts, *runs), self._results(y, x, group, bank, o_base, operands.params))
            constants, self._contexts = (), ()

    def _common(self, group: Group, w_base: int) -> dict[str, int]:
        return {"ex.abits": self.bits, "ex.wbits": self.bits, "ex.cbits": self.bits, "ex.asigned": int(self.source.feature.signed),
                "ex.wsigned": int(self.term.weight_signed), "ex.rows": self.plan.rows + self.plan.pattern.extra_rows, "ex.cols": group.count,
                "ex.wbase": w_base}

    def _load(self, y: int, x: int, group: Group, base: int, pixels: tuple[int, int]) -> tuple[Load, ...]:
        """Input rows of the output rows from y on; pixels (half-open) of a tile that begins in column x.

        What a tile of whole rows needs of the border is filled in once.
        """
        plan, stride = self.plan, self.term.stride[0]
        height, width, _ = self.source.feature.shape
        top = y * stride - self.term.pads[0] - (stride - 1)
        rows = (stride - 1, plan.tile.window.rows)
        fills: tuple[Command, ...] = ()
        if plan.whole_rows:
            image = (max(0, -x), min(plan.tile.pixels, width - x))
            pixels = (max(pixels[0], image[0]), min(pixels[1], image[1]))
            if len(plan.tiles) == 1:
                rows = (max(rows[0], -top), min(rows[1], height - top))
            if base not in self._filled:
                self._filled.add(base)
                fills = tuple(self._fills(image))
        if pixels[0] >= pixels[1]:
            return ()
        commands = load_tile(self.source, plan.tile, group, top, x, base, self.config, rows=rows, pixels=pixels)
        reads = region(self.source, (top + rows[0], top + rows[1]), (x + pixels[0], x + pixels[1]), channels_of(group, self.bits))
        return (Load((*(Command(fill.text, {**fill.registers, "ld.base": fill.registers["ld.base"] + base}) for fill in fills), *commands), reads),)

    def _fills(self, pixels: tuple[int, int]) -> Iterator[Command]:
        """Zero points around the image, for a tile at address 0: the columns beside it, and all of it where rows are left out."""
        plan, word = self.plan, self.source.fill_word
        if len(plan.tiles) == 1 and (self.term.pads[0] or self.term.pads[2]):
            yield fill_tile(plan.tile, 0, word, (0, plan.tile.pixels), self.config)
            return
        for first, end in ((0, pixels[0]), (pixels[1], plan.tile.pixels)):
            if first < end:
                yield fill_tile(plan.tile, 0, word, (first, end), self.config)

    def _results(self, y: int, x: int, group: Group, bank: int, o_base: int, param: int) -> Results:
        node, plan = self.node, self.plan
        drain = self.sink.drain(bank, o_base, param, row0=1, pre=node.pre, rounding=node.rounding)
        new = first_new(y, plan.tiles, plan.rows), first_new(x, plan.chunks, plan.pixels)
        writes = region(self.output, (new[0], y + plan.rows), (new[1], x + plan.pixels), channels_of(group, self.bits))
        return Results(drain, (self.sink.store(group, o_base, y, x),), writes)


assert ACC_INDEX_COUNT == 16, "the patterns count accumulators modulo 16"
