"""Concatenation of channels: words of each input are copied to their place in the output's pixels."""

from __future__ import annotations

from rpa.compile.banks import Banks
from rpa.compile.commands import Command, Context
from rpa.compile.errors import CompileError
from rpa.compile.layout import Layout
from rpa.compile.pointwise_blocks import Blocks, Group, PixelKernel, Place, Source, cheapest
from rpa.compile.shift import contexts
from rpa.compile.words import channel_words, groups_of
from rpa.net.integer import Concat


def choose(node: Concat, layout: Layout) -> list[Blocks]:
    """Cuts, the fastest first. CompileError if an input would begin within a word."""
    for name in node.inputs[:-1]:
        feature = layout.features[name].feature
        if feature.shape[2] * feature.bits % 16:
            raise CompileError(f"`{node.name}`: `{name}` has {feature.shape[2]} channels of {feature.bits} bits, not whole words, so what follows it "
                               f"would have to move within words; use a multiple of {16 // feature.bits} channels")
    return cheapest(lambda blocks, target, banks: Concatenation(node, blocks, target, banks), layout.features[node.output], layout, node.name)


class Concatenation(PixelKernel):
    """Stages of a `Concat`: the step that takes a pixel's words sets the accumulators, the drain changes nothing."""

    def __init__(self, node: Concat, blocks: Blocks, layout: Layout, banks: Banks) -> None:
        super().__init__(node.name, node.output, blocks, layout, banks)
        self.sources = tuple(Source(layout.features[name]) for name in node.inputs)
        self.bits = self.output.feature.bits

    def label(self) -> str:
        parts = " + ".join(str(source.placed.feature.shape[2]) for source in self.sources)
        return f"{self.name}: {parts} channels -> {'x'.join(map(str, self.output.feature.shape))}"

    def groups(self) -> tuple[tuple[Group, int, tuple[Source, ...]], ...]:
        found, first = [], 0
        for source in self.sources:
            words = channel_words(source.placed)
            found += [(group, first, (source,)) for group in groups_of(words, self.config)]
            first += words
        return tuple(found)

    def contexts(self) -> tuple[Context, ...]:
        return contexts(self.cycle.lines("mov {word} -> acc"))

    def runs(self, place: Place) -> tuple[Command | Context, ...]:
        registers = {**self.common(place, asigned=self.output.feature.signed), **self.pixel_loop(place, 0, 2)}
        return (Command(f"run {place.bank}", registers),)
