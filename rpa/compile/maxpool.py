"""Max pooling: a PE keeps the largest word of its window, lane by lane, while the words of the window's pixels shift in one after the other."""

from __future__ import annotations

from rpa.arch.packing import element_range
from rpa.compile.banks import Banks
from rpa.compile.commands import Command, Context
from rpa.compile.errors import CompileError
from rpa.compile.layout import Layout
from rpa.compile.pointwise_blocks import Blocks, Group, PixelKernel, Place, Source, cheapest
from rpa.compile.shift import contexts
from rpa.net.integer import MaxPool


def choose(node: MaxPool, layout: Layout) -> list[Blocks]:
    """Cuts, the fastest first. CompileError if positions outside the image would count."""
    placed = layout.features[node.input]
    source = placed.feature
    if any(node.pads) and placed.border_value != source.low:
        raise CompileError(f"`{node.name}`: a convolution pads `{source.name}` too, so its border holds the zero point {source.zero_point}, which is "
                           f"above the least value {source.low} and would count as a maximum; use an asymmetric range, or pool without pads")
    return cheapest(lambda blocks, target, banks: MaxPooling(node, blocks, target, banks), layout.features[node.output], layout, node.name)


class MaxPooling(PixelKernel):
    """Stages of a `MaxPool`.

    In every step that takes a word, r0 becomes the larger of both; before that it is limited to a W word: the least value for the first
    position of a window, so that r0 starts anew, else the largest, which changes nothing. After every position r0 goes to the accumulator.
    """

    tail = 1

    def __init__(self, node: MaxPool, blocks: Blocks, layout: Layout, banks: Banks) -> None:
        super().__init__(node.name, node.output, blocks, layout, banks)
        self.node = node
        self.sources = (Source(layout.features[node.input], node.kernel, node.stride, node.pads[:2]),)
        self.bits = self.output.feature.bits

    def label(self) -> str:
        source, (height, width) = self.sources[0].placed.feature, self.node.kernel
        return f"{self.name}: max pool {height}x{width} of {'x'.join(map(str, source.shape))} -> {'x'.join(map(str, self.output.feature.shape))}"

    def contexts(self) -> tuple[Context, ...]:
        return contexts(self.cycle.lines("max r0, {word} -> r0", "mov r0 -> acc", "min r0, w -> r0"))

    def needs_weights(self, group: Group) -> bool:
        return group.index == 0

    def weights(self, group: Group, w_base: int) -> tuple[Command, ...]:
        low, high = element_range(self.bits, self.output.feature.signed)
        mask, every = (1 << self.bits) - 1, 0xFFFF // ((1 << self.bits) - 1)
        positions = self.node.kernel[0] * self.node.kernel[1]
        fill = {"ld.fill": (high & mask) * every, "ld.base": w_base + 1, "ld.units": max(1, positions - 1), "ld.dstep": 1}
        return Command("ld w, fill", {"ld.fill": (low & mask) * every, "ld.base": w_base, "ld.dstep": 1}), Command("ld w, fill", fill)

    def runs(self, place: Place) -> tuple[Command, ...]:
        (height, width), (tile, _) = self.node.kernel, place.tiles[0]
        registers = {**self.common(place, asigned=self.output.feature.signed), **self.pixel_loop(place, 0, 4, self.node.stride[1]),
                     "ex.n2": width, "ex.as2": tile.pixel_pitch, "ex.ws2": 1, "ex.n3": height, "ex.as3": tile.row_pitch, "ex.ws3": width}
        return (Command(f"run {place.bank}", registers),)
