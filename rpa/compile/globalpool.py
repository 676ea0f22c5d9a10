"""Global average pooling: PE rows hold different channels, an accumulator is a word of channels, and one column adds up all pixels.

All channels have the same weight, so PE rows need not share what they pool: words are read once and no partial sums meet.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from isa.table import ACC_INDEX_COUNT, PARAM_WORDS
from rpa.arch.config import ArrayConfig
from rpa.arch.numerics import rounding_code
from rpa.arch.packing import element_range, pack_params
from rpa.compile.banks import Banks
from rpa.compile.commands import Command, Context, Load, Nest, Results, Stage
from rpa.compile.cost import Cost
from rpa.compile.errors import CompileError
from rpa.compile.flow import UNKNOWN, cost_of
from rpa.compile.layout import Layout
from rpa.compile.loads import load_params
from rpa.compile.shift import FIRST_SLOT
from rpa.compile.words import Group, channel_words, channels_of, region
from rpa.net.integer import Feature, Mac

_MOST_PARTS = 8
"""Parts of the image that are loaded one by one."""


@dataclass(frozen=True)
class PoolPlan:
    """PE row r pools `words` words of every pixel; the image comes in parts of `pixels` pixels or `rows` rows."""

    words: int
    parts: tuple[tuple[int, int], ...]
    """Pixels of each part, half-open, in order of rows; whole rows where the pixels do not follow each other in memory."""
    cost: Cost = UNKNOWN


def choose(node: Mac, layout: Layout) -> list[PoolPlan]:
    """Plans, the fastest first. CompileError, with the reason, if this kernel cannot compute the node."""
    reason = refusal(node, layout)
    if reason is not None:
        raise CompileError(f"`{node.name}`: no global pooling: {reason}")
    config, source = layout.config, layout.features[node.terms[0].input]
    plans, words = [], 1
    while words <= min(config.bus_words, ACC_INDEX_COUNT) and source.pixel_words % words == 0:
        whole = words * layout.features[node.output].feature.bits % source.feature.bits == 0      # a PE row gives whole words
        for count in range(1, _MOST_PARTS + 1) if whole else ():
            plan = PoolPlan(words, _parts(source, count))
            fits = words * max(end - first for first, end in plan.parts) <= Banks(config).a_words
            if fits and _bounded(node, plan, source.feature, config):
                plans.append(replace(plan, cost=_cost(node, plan, layout)))
        words *= 2
    if not plans:
        raise CompileError(f"`{node.name}`: no global pooling: no way to give each PE row whole words of a pixel of {source.pixel_words} "
                           "fits the A banks")
    return sorted(plans, key=lambda plan: plan.cost.key)


def _bounded(node: Mac, plan: PoolPlan, source: Feature, config: ArrayConfig) -> bool:
    """Whether the preflight's bound, which looks at the weight only where it must, stays within an accumulator's lane."""
    most = max(map(abs, element_range(source.bits, source.signed)))
    widest, weight = max(map(abs, element_range(source.bits, node.terms[0].weight_signed))), abs(int(node.terms[0].weight.flat[0]))
    limit, bound = (1 << (config.acc_bits * source.bits // 16 - 1)) - 1, 0
    for first, end in plan.parts:
        loose, exact = (bound + (end - first) * most * factor for factor in (widest, weight))
        bound = loose if loose <= limit else exact
    return bound <= limit


def _contiguous(source) -> bool:
    """Whether the pixels of the image follow each other."""
    return source.row_words == source.feature.shape[1] * source.pixel_words


def _parts(source, count: int) -> tuple[tuple[int, int], ...]:
    height, width, _ = source.feature.shape
    step = 1 if _contiguous(source) else width
    total = height * width // step
    size = -(-total // count)
    return tuple((first * step, min(first + size, total) * step) for first in range(0, total, size))


def _cost(node: Mac, plan: PoolPlan, layout: Layout) -> Cost:
    return cost_of(GlobalPool(node, plan, replace(layout, dry=True), Banks(layout.config)).nest(), layout.config)


def refusal(node: Mac, layout: Layout) -> str | None:
    """Why a `Mac` cannot run here, or None."""
    if len(node.terms) != 1:
        return f"it has {len(node.terms)} terms"
    term = node.terms[0]
    source, output = layout.features[term.input].feature, layout.features[node.output].feature
    if output.shape[:2] != (1, 1) or term.weight.shape[1:] != (*source.shape[:2], 1) or term.groups != source.shape[2] or any(term.pads):
        return "it does not add up the whole image channel by channel"
    uniform = (term.weight, node.bias, node.multiplier, node.shift)
    if any((values != values.flat[0]).any() for values in uniform):
        return "channels or positions have different weights or parameters"
    if term.weight_bits > source.bits:
        return f"weights of {term.weight_bits} bits are wider than activations of {source.bits}"
    lane = layout.config.acc_bits * source.bits // 16
    most = source.shape[0] * source.shape[1] * abs(int(term.weight.flat[0])) * max(map(abs, element_range(source.bits, source.signed)))
    if most + abs(int(node.bias[0])) >= 1 << (lane - 1):
        return f"sums of up to {most} do not fit the {lane} bits of an accumulator's lane"
    return None


class GlobalPool:
    """Stages of a global average pooling under a plan."""

    def __init__(self, node: Mac, plan: PoolPlan, layout: Layout, banks: Banks) -> None:
        self.node, self.term, self.plan, self.layout, self.banks = node, node.terms[0], plan, layout, banks
        self.config = layout.config
        self.source, self.output = layout.features[self.term.input], layout.features[node.output]
        self.bits = self.source.feature.bits

    def nest(self) -> Nest:
        words, size = channel_words(self.source), self.config.rows * self.plan.words
        passes = [Group(index, first, min(size, words - first)) for index, first in enumerate(range(0, words, size))]
        constants = self._constants()
        items = []
        for group in passes:
            items.append(Nest("", tuple(self._pass(group, constants))))
            constants = ()
        shape = "x".join(map(str, self.source.feature.shape))
        return Nest(f"{self.node.name}: sum over all pixels of {shape}", (Context(FIRST_SLOT, ("all: macl a, w",)), *items))

    def _constants(self) -> tuple[Command, ...]:
        node = self.node
        self._w_base, self._entry = self.banks.append_w(1), self.banks.append_p(1)
        weight = int(self.term.weight.flat[0]) & ((1 << self.bits) - 1)
        fill = Command("ld w, fill", {"ld.fill": weight * (0xFFFF // ((1 << self.bits) - 1)), "ld.base": self._w_base})
        entry = pack_params(node.bias[:1], node.multiplier[:1], node.shift[:1]).reshape(1, 1, PARAM_WORDS)
        return fill, load_params(self.layout, np.tile(entry, (self.config.cols, 1, 1)), self._entry)[0]

    def _pass(self, group: Group, constants: tuple[Command, ...]) -> list[Stage]:
        bank, o_base = self.banks.next_block()
        stages = []
        for number, part in enumerate(self.plan.parts):
            base = self.banks.next_a()
            results = self._results(group, bank, o_base) if number == len(self.plan.parts) - 1 else None
            stages.append(Stage(constants, (self._load(group, part, base),), (self._run(group, part, base, bank, keep=number > 0),), results))
            constants = ()
        return stages

    def _rows(self, group: Group) -> int:
        return -(-group.count // self.plan.words)

    def _load(self, group: Group, part: tuple[int, int], base: int) -> Load:
        width, words = self.source.feature.shape[1], self.plan.words
        first, end = part
        size = end - first if _contiguous(self.source) else width
        commands = tuple(Command("ld a, mem", {
            "ld.addr": self.source.at(start // width, start % width, group.first), "ld.rows": self._rows(group), "ld.sstride": 2 * words,
            "ld.unit": words, "ld.units": size, "ld.sstep": 2 * self.source.pixel_words, "ld.base": base + (start - first) * words,
            "ld.dstep": words, "ld.wstep": 1}) for start in range(first, end, size))
        rows = (first // width, -(-end // width))
        return Load(commands, region(self.source, rows, (0, width), channels_of(group, self.bits)))

    def _run(self, group: Group, part: tuple[int, int], base: int, bank: int, *, keep: bool) -> Command:
        words = self.plan.words
        return Command(f"run {bank}", {
            "ex.n0": words, "ex.as0": 1, "ex.cs0": 1, "ex.n1": part[1] - part[0], "ex.as1": words, "ex.red": 0b10, "ex.keep": int(keep),
            "ex.sbase": FIRST_SLOT, "ex.abase": base, "ex.wbase": self._w_base, "ex.whold": 0b11, "ex.rows": self._rows(group), "ex.cols": 1,
            "ex.abits": self.bits, "ex.wbits": self.bits, "ex.cbits": self.bits, "ex.asigned": int(self.source.feature.signed),
            "ex.wsigned": int(self.term.weight_signed)})

    def _results(self, group: Group, bank: int, o_base: int) -> Results:
        """Column 0 of the O banks holds the channels in order."""
        node, feature, lanes = self.node, self.output.feature, 16 // self.bits
        row_words = -(-self.plan.words * lanes * feature.bits // 16)
        drain = Command(f"drain {bank}", {
            "dr.rows": self._rows(group), "dr.accs": self.plan.words, "dr.lanes": lanes, "dr.base": o_base, "dr.pitch": row_words,
            "dr.param": self._entry, "dr.pre": node.pre, "dr.round": rounding_code(node.rounding),
            "dr.zp": feature.zero_point, "dr.lo": feature.low, "dr.hi": feature.high, "dr.bits": feature.bits})
        first, count = group.first * feature.bits // self.bits, -(-group.count * feature.bits // self.bits)
        full, rest = divmod(count, row_words)
        stores = [(0, full, row_words)] * (full > 0) + [(full, 1, rest)] * (rest > 0)
        commands = tuple(Command("st", {
            "st.addr": self.output.at(0, 0, first + row * row_words), "st.rows": rows, "st.xs": words, "st.base": o_base + row * row_words,
            "st.pitch": row_words, "st.rstride": 2 * row_words, "st.xstride": 2}) for row, rows, words in stores)
        return Results(drain, commands, region(self.output, (0, 1), (0, 1), channels_of(group, self.bits)))
