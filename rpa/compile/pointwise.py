"""Functions of one number (`Lookup`) and products of two features (`Product`), pixel by pixel, lane by lane."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rpa.arch.packing import element_range, pack
from rpa.compile.banks import Banks
from rpa.compile.commands import Command, Context, Load
from rpa.compile.errors import CompileError
from rpa.compile.layout import Layout, align
from rpa.compile.pointwise_blocks import Blocks, Group, PixelKernel, Place, Source, cheapest
from rpa.compile.pointwise_table import pieces_of
from rpa.compile.shift import FIRST_SLOT, contexts, moving
from rpa.compile.words import channels_of, region
from rpa.net.integer import Feature, Lookup, Product

_BY_WORD, _PAIR = "macl r1, w", "macl r0, r1"


def choose_lookup(node: Lookup, layout: Layout) -> list[Blocks]:
    """Cuts, the fastest first. CompileError, with the reason, if this array cannot compute the table."""
    source, output = layout.features[node.input].feature, layout.features[node.output].feature
    if source.bits > 8 or output.bits > source.bits:
        raise CompileError(f"`{node.name}`: a table from {source.bits} to {output.bits} bits; inputs may have at most 8 bits, outputs no more "
                           "than inputs")
    pieces = pieces_of(node.table, source.low, source.bits)
    words, most = 3 * len(pieces.slope), Banks(layout.config).w_words
    if words > most:
        raise CompileError(f"`{node.name}`: a table of {len(pieces.slope)} pieces needs {words} words, half a W bank has {most}")
    lane = layout.config.acc_bits * source.bits // 16
    widest = max(map(abs, element_range(source.bits, source.signed))) << (source.bits - 1)
    if len(pieces.slope) * widest >= 1 << (lane - 1):
        raise CompileError(f"`{node.name}`: {len(pieces.slope)} products of up to {widest} may leave the {lane} bits of an accumulator's lane")
    return cheapest(lambda blocks, target, banks: Table(node, blocks, target, banks), layout.features[node.output], layout, node.name)


class Table(PixelKernel):
    """Stages of a `Lookup`: the words of a pixel come into r1; then every piece of the table takes three steps."""

    def __init__(self, node: Lookup, blocks: Blocks, layout: Layout, banks: Banks) -> None:
        super().__init__(node.name, node.output, blocks, layout, banks)
        source = layout.features[node.input]
        self.sources, self.bits, self.signed = (Source(source),), source.feature.bits, source.feature.signed
        self.pieces = pieces_of(node.table, source.feature.low, self.bits)

    def label(self) -> str:
        return f"{self.name}: table of {len(self.pieces.slope)} pieces on {'x'.join(map(str, self.output.feature.shape))}"

    def contexts(self) -> tuple[Context, ...]:
        steps = (("all: max r1, w -> r0",), ("all: min r0, w -> r0",), ("all: macl r0, w",))
        return contexts(self.cycle.lines("mov {word} -> r1") | dict(enumerate(steps, self.cycle.slots)))

    def needs_weights(self, group: Group) -> bool:
        return group.index == 0

    def weights(self, group: Group, w_base: int) -> tuple[Command, ...]:
        words = self.pieces.words(self.bits, signed=self.signed)
        padded = np.zeros(align(len(words), self.config.bus_words), np.uint16)
        padded[:len(words)] = words
        unit = self.config.bus_words
        return (Command("ld w, mem", {"ld.addr": self.layout.constant(padded), "ld.unit": unit, "ld.units": len(padded) // unit,
                                      "ld.sstep": 2 * unit, "ld.dstep": unit, "ld.base": w_base}),)

    def parameters(self) -> tuple[int, int, int]:
        return (self.pieces.constant, 1 << 30, 30)

    def runs(self, place: Place) -> tuple[Command, ...]:
        """Two runs for every pixel, which differ in as few registers as can be: loops 0 and 1 bring the words, 3 and 4 are steps and pieces."""
        shared = {**self.common(place, asigned=self.signed), **self.pixel_loop(place, 0, 2), "ex.n2": 1, "ex.ws3": 1, "ex.ss3": 1, "ex.ws4": 3,
                  "ex.red": 0b010000}
        compute = {"ex.n0": 1, "ex.n1": 1, "ex.n3": 3, "ex.n4": len(self.pieces.slope), "ex.sbase": FIRST_SLOT + self.cycle.slots, "ex.aen": 0}
        pitch, commands = place.tiles[0][0].pixel_pitch, []
        for pixel in range(self.blocks.pixels):
            bring = {**shared, "ex.abase": shared["ex.abase"] + pixel * pitch, "ex.cbase": pixel}
            commands += [Command(f"run {place.bank}", bring), Command(f"run {place.bank}", {**bring, **compute})]
        return tuple(commands)


def choose_product(node: Product, layout: Layout) -> list[Blocks]:
    """Cuts, the fastest first. CompileError, with the reason, if this array cannot compute the product."""
    a, b, output = (layout.features[name].feature for name in (*node.inputs, node.output))
    if a.bits != b.bits or output.bits > a.bits:
        raise CompileError(f"`{node.name}`: a product of {a.bits} and {b.bits} bits with {output.bits} bits; both factors must have the same width, "
                           "the result no more")
    lane = layout.config.acc_bits * a.bits // 16
    bound = _bound(a, b)
    if bound >= 1 << (lane - 1):
        raise CompileError(f"`{node.name}`: sums of up to {bound} may leave the {lane} bits of an accumulator's lane")
    return cheapest(lambda blocks, target, banks: Multiply(node, blocks, target, banks), layout.features[node.output], layout, node.name)


def _bound(a: Feature, b: Feature) -> int:
    """The bound of the preflight for a product with its corrections."""
    widest = [max(map(abs, element_range(feature.bits, feature.signed))) for feature in (a, b)]
    constant = 1 << (a.bits - 1)
    return widest[0] * widest[1] + constant * (len(_parts(-b.zero_point, a.bits)) * widest[0] + len(_parts(-a.zero_point, a.bits)) * widest[1])


def _parts(value: int, bits: int) -> list[int]:
    """Numbers of `bits` signed bits that add up to value, none for 0."""
    least, most = element_range(bits, True)
    parts = []
    while value:
        parts.append(max(least, min(most, value)))
        value -= parts[-1]
    return parts


class Multiply(PixelKernel):
    """Stages of a `Product`: (a - za)(b - zb) = a b - zb a - za b + za zb, the last in the drain.

    Words of a pixel of `a` come into r1. b is a word of each column's W bank if it is one pixel; else it comes into r1 behind `a`, which
    moves on to r0. Terms with zero points take further runs over the same pixels.
    """

    tail = 1

    def __init__(self, node: Product, blocks: Blocks, layout: Layout, banks: Banks) -> None:
        super().__init__(node.name, node.output, blocks, layout, banks)
        self.node = node
        self.a, self.b = (layout.features[name] for name in node.inputs)
        self.bits, self.rounding = self.a.feature.bits, node.rounding
        self.drain_zero_point = self.output.feature.zero_point
        self.broadcast = self.b.feature.shape[:2] == (1, 1) != self.a.feature.shape[:2]
        self.sources = (Source(self.a),) if self.broadcast else (Source(self.a), Source(self.b))
        self._a_parts, self._b_parts = (_parts(-feature.zero_point, self.bits) for feature in (self.b.feature, self.a.feature))

    def label(self) -> str:
        return f"{self.name}: {'x'.join(map(str, self.a.feature.shape))} times {'x'.join(map(str, self.b.feature.shape))}"

    def contexts(self) -> tuple[Context, ...]:
        lines = self.cycle.lines("mov {word} -> r1", _BY_WORD if self.broadcast else _PAIR, "nop" if self.broadcast else "mov r1 -> r0")
        return contexts(lines | ({self.cycle.slots: ("all: macl a, w",)} if self.broadcast else {}))

    def needs_weights(self, group: Group) -> bool:
        return self.broadcast or group.index == 0

    def weights(self, group: Group, w_base: int) -> tuple[Command, ...]:
        """Constants; word 0 is b's, or unused."""
        constants = self._a_parts if self.broadcast else self._a_parts + self._b_parts
        words = pack(np.tile(np.array([0, *constants])[:, None], (1, 16 // self.bits)), self.bits)[:, 0]
        return tuple(Command("ld w, fill", {"ld.fill": int(word), "ld.base": w_base + 1 + index}) for index, word in enumerate(words))

    def weight_loads(self, group: Group, w_base: int) -> tuple[Load, ...]:
        if not self.broadcast:
            return ()
        command = Command("ld w, mem", {"ld.addr": self.b.at(0, 0, group.first), "ld.rows": group.count, "ld.sstride": 2, "ld.base": w_base,
                                        "ld.wstep": 1})
        return (Load((command,), region(self.b, (0, 1), (0, 1), channels_of(group, self.bits))),)

    def fills(self, base: int) -> tuple[Load, ...]:
        """-za as words that the A bus shows to all columns, to multiply b's word with."""
        if not self.broadcast:
            return ()
        words = pack(np.tile(np.array(self._b_parts or [0])[:, None], (1, 16 // self.bits)), self.bits)[:, 0]
        where = region(self.a, (0, 0), (0, 0), (0, 0))
        return tuple(Load((Command("ld a, fill", {"ld.fill": int(word), "ld.base": base + index}),), where)
                     for index, word in enumerate(words) if self._b_parts)

    def parameters(self) -> tuple[int, int, int]:
        return (self.a.feature.zero_point * self.b.feature.zero_point, self.node.multiplier, self.node.shift)

    def runs(self, place: Place) -> tuple[Command | Context, ...]:
        items: list[Command | Context] = []
        for number, (operation, registers) in enumerate(self._terms(place)):
            if not self.broadcast and (self._a_parts or self._b_parts):
                items.append(Context(FIRST_SLOT + self.cycle.slots - 1, moving(operation)))
            items.append(Command(f"run {place.bank}", {**registers, "ex.keep": int(number > 0)}))
        return tuple(items)

    def _terms(self, place: Place) -> Iterator[tuple[str, dict[str, int]]]:
        """(last operation of a pixel's cycle, registers) of the run of each term; the first run starts the accumulators in every step."""
        a, b, w_base = self.a.feature, self.b.feature, place.w_base
        assert w_base is not None       # every group has words of its own, or those of the first
        product = self.common(place, asigned=a.signed, wsigned=b.signed)
        if self.broadcast:
            yield _BY_WORD, {**product, **self.pixel_loop(place, 0, 2)}
        else:
            (_, first), (_, second) = place.tiles
            yield _PAIR, {**product, **self.pixel_loop(place, 0, 3), "ex.n2": 2, "ex.as2": second - first}
        for index in range(len(self._a_parts)):
            yield _BY_WORD, {**self.common(place, asigned=a.signed), **self.pixel_loop(place, 0, 2), "ex.wbase": w_base + 2 + index}
        for index in range(len(self._b_parts)):
            if self.broadcast:
                yield "", {**self.common(place, asigned=True, wsigned=b.signed), "ex.sbase": FIRST_SLOT + self.cycle.slots,
                           "ex.n0": self.blocks.pixels, "ex.cs0": 1, "ex.abase": self._constant_address(place) + index}
            else:
                yield _BY_WORD, {**self.common(place, asigned=b.signed), **self.pixel_loop(place, 1, 2),
                                 "ex.wbase": w_base + 2 + len(self._a_parts) + index}

    def _constant_address(self, place: Place) -> int:
        tile, base = place.tiles[-1]
        return base + align(tile.words, self.config.bus_words)
