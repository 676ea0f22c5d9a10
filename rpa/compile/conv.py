"""The broadcast convolution: rows are output pixels, columns are output channels. Every `Mac` can run this way."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from isa.table import FEEDER_SLOTS, PARAM_WORDS
from rpa.arch.numerics import rounding_code
from rpa.compile.banks import Banks
from rpa.compile.commands import Command, Context, Load, Nest, Region, Results, Stage
from rpa.compile.layout import Layout, Placed, align
from rpa.compile.loads import EVERY_LANE, Piece, Window, load_params, load_piece, load_weights, params_of, weights_command
from rpa.compile.mapping import ConvPlan
from rpa.compile.tiling import TermPlan, first_new, segment_origins, store_shape
from rpa.net.integer import Mac

MULTIPLY = Context(0, ("all: mac a, w",))
_FEW_LOADS = 64
"""Loads of weights that may lie behind each other. More are a loop, and its turns are alike where loads alternate the halves of the banks."""
_KX, _PIXEL, _SLICE, _KY, _WORD = range(5)


class Convolution:
    """Stages of one `Mac` under a plan."""

    def __init__(self, node: Mac, plan: ConvPlan, layout: Layout, banks: Banks) -> None:
        self.node, self.plan, self.layout, self.banks = node, plan.shape, layout, banks
        self.config = layout.config
        self.output: Placed = layout.features[node.output]
        self._weight_base: dict[tuple[int, int], int] = {}
        self._weight_loads: dict[object, tuple[int, int]] = {}
        self._param_loads: dict[int, Command] = {}
        self._params_of_group: dict[int, int] = {}
        self._tile_base = 0
        self._store_shape = store_shape(self.plan, self.output, self.config)
        self._rounding = rounding_code(node.rounding)

    def nest(self) -> Nest:
        plan = self.plan
        tiles = [(y, x) for x in plan.columns for y in plan.rows]
        if plan.tiles_outer:
            items = [Nest("", [Nest("", self._tile(y, x)) for y in plan.rows]) for x in plan.columns]
            return Nest(self.label(), (Nest("", (MULTIPLY,)), *items))
        items = [Nest("", [self._block(y, x, group) for y, x in tiles]) for group in range(plan.groups)]
        return Nest(self.label(), (Nest("", (MULTIPLY,)), *items))

    def label(self) -> str:
        sources = " + ".join(f"{'x'.join(map(str, term.reduction.placed.feature.shape))} w {'x'.join(map(str, term.reduction.kernel))}"
                             for term in self.plan.terms)
        return f"{self.node.name}: {sources} -> {'x'.join(map(str, self.output.feature.shape))}"

    # -- blocks and stages ------------------------------------------------------------------------------------------------------

    def _tile(self, y: int, x: int) -> list[Nest]:
        """All groups of channels of a tile."""
        groups = range(self.plan.groups)
        if not self.plan.paired:
            return [self._block(y, x, group) for group in groups]
        first, second = self._stages(y, x, 0), self._stages(y, x, 1)
        pair = Nest("", [next(first), next(second), *first, *second])
        return [pair, *(self._block(y, x, group) for group in groups[2:])]

    def _block(self, y: int, x: int, group: int) -> Nest:
        stages = list(self._stages(y, x, group))
        return Nest("", [_merge(stages)] if self.plan.merged else stages)

    def _stages(self, y: int, x: int, group: int) -> Iterator[Stage]:
        """The stages of a block; banks are given out when a stage is asked for."""
        bank, o_base = self.banks.next_block()
        last = len(self.plan.stages) - 1
        a_offset = 0
        for index, (term, chunk) in enumerate(self.plan.stages):
            constants = tuple(self._constants(y, x, group, index))
            loads, base, a_offset = self._activations(term, chunk, y, x, group, index, a_offset)
            run = self._run(term, chunk, base, self._weight_base[(group, index)], group, bank, keep=index > 0)
            results = self._results(y, x, group, bank, o_base) if index == last else None
            yield Stage(constants, loads, (run,), results, index == 0)

    def _constants(self, y: int, x: int, group: int, index: int) -> Iterator[Command]:
        """Loads of weights and parameters that this stage is the first to need."""
        scope, plan = self.plan.weights, self.plan
        first_tile = (y, x) == (plan.rows[0], plan.columns[0])
        if scope == "all":
            if first_tile and group == 0 and index == 0:
                yield self._load_weights("all", [(g, i) for g in range(plan.groups) for i in range(len(plan.stages))])
        elif scope == "group":
            if index == 0 and (first_tile or (plan.tiles_outer and plan.groups > 1)):
                yield self._load_weights(group, [(group, i) for i in range(len(plan.stages))])
        elif first_tile or plan.groups * len(plan.stages) > 1:
            yield self._load_weights((group, index), [(group, index)])
        if index == 0:
            yield from self._parameters(group)

    def _load_weights(self, key: object, pieces: list[tuple[int, int]]) -> Command:
        """Load these (group, stage)s' weights into the next half of the W banks."""
        words = [self._words(group, index) for group, index in pieces]
        packed = self.plan.loads_weights_once and self.plan.weight_loads <= _FEW_LOADS
        base = offset = self.banks.append_w(sum(piece.shape[1] for piece in words)) if packed else self.banks.next_w()
        for (group, index), piece in zip(pieces, words, strict=True):
            self._weight_base[(group, index)] = offset
            offset += piece.shape[1]
        if key not in self._weight_loads:
            command, _ = load_weights(self.layout, np.concatenate(words, axis=1), base)
            self._weight_loads[key] = (command.registers["ld.addr"], command.registers["ld.units"])
            return command
        address, units = self._weight_loads[key]
        return weights_command(self.config, address, units, base)

    def _words(self, group: int, index: int) -> np.ndarray:
        term, chunk = self.plan.stages[index]
        if self.layout.dry:
            return np.zeros((self.config.cols, term.tap_words_total(term.chunks[chunk])), np.uint16)
        words = term.reduction.weights(group, term.chunks[chunk])
        padded = np.zeros((self.config.cols, words.shape[1]), np.uint16)
        padded[:len(words)] = words
        return padded

    def _parameters(self, group: int) -> Iterator[Command]:
        """Parameters of as many groups of channels as a part of the P banks holds, at the first of them."""
        most = self.banks.p_entries
        first = group // most * most
        if self._params_of_group.get(group) is not None:
            return
        self._params_of_group.clear()
        count = min(most, self.plan.groups - first)
        entry = self.banks.append_p(count)
        if first not in self._param_loads:
            entries = params_of(self.node, first * self.config.cols, count, self.config.cols)
            self._param_loads[first] = load_params(self.layout, entries, entry)[0]
        command = self._param_loads[first]
        self._params_of_group.update({first + index: entry + index for index in range(count)})
        yield Command(command.text, {**command.registers, "ld.base": PARAM_WORDS * entry})

    def _activations(self, term: TermPlan, chunk: int, y: int, x: int, group: int, index: int, offset: int):
        """(loads, A address of the chunk, offset of the next chunk in a resident tile)."""
        piece = term.pieces[chunk]
        size = align(piece.pitch * term.window.length, self.config.bus_words)
        shift = self._window_shift(term, group)
        moved, in_bank = (0, shift) if term.every_group else (shift, 0)
        if self.plan.resident_tile:
            if index == 0 and group == 0:
                self._tile_base = self.banks.next_a()
            base = self._tile_base + offset
            if group > 0:
                return (), base + in_bank, offset + size
        elif self.plan.merged:
            if index == 0:
                self._tile_base = self.banks.next_a()
            base = self._tile_base + offset
        else:
            base = self.banks.next_a()
        placed = term.reduction.placed
        source = term.reduction.term
        top = y * source.stride[0] - source.pads[0]
        loads = []
        for lane, start in enumerate(self._segments(x)):
            left = start * source.stride[1] - source.pads[1]
            lanes = lane if self.plan.tiling.group else EVERY_LANE
            commands = tuple(Command(command.text, {**command.registers, "ld.addr": command.registers["ld.addr"] + 2 * moved})
                             for command in load_piece(placed, piece, term.window, top, left, base, lanes))
            loads.append(Load(commands, _touched(placed, piece, term.window, top, left, moved)))
        return tuple(loads), base + in_bank, offset + size

    def _window_shift(self, term: TermPlan, group: int) -> int:
        """First word of the channel window of a group of output channels."""
        reduction = term.reduction
        return reduction.first_channel(group) * reduction.act_bits // 16

    def _segments(self, x: int) -> tuple[int, ...]:
        return segment_origins(self.output.feature.shape[1], self.plan.tiling, x)

    # -- commands ---------------------------------------------------------------------------------------------------------------

    def _run(self, term: TermPlan, index: int, a_base: int, w_base: int, group: int, bank: int, *, keep: bool) -> Command:
        reduction, chunk, piece = term.reduction, term.chunks[index], term.pieces[index]
        source = reduction.term
        r, s = reduction.kernel
        pixel_step = piece.span.words
        dense = piece.span.pixel_stride == 1
        tap, a_wider = reduction.tap_words(chunk), int(reduction.act_bits > reduction.weight_bits)
        slices = reduction.slices
        counts = {_KX: s, _PIXEL: self.plan.tiling.pixels, _SLICE: slices, _KY: r, _WORD: chunk.words}
        a_steps = {_KX: source.dilation[1] * pixel_step, _PIXEL: (source.stride[1] if dense else 1) * pixel_step, _SLICE: a_wider,
                   _KY: source.dilation[0] * piece.pitch, _WORD: reduction.act_ratio}
        w_steps = {_KX: tap, _SLICE: 1 - a_wider, _KY: s * tap, _WORD: reduction.weight_ratio}
        order = (_KX, _PIXEL, _SLICE, _KY, _WORD) if s <= FEEDER_SLOTS else (_PIXEL, _KX, _SLICE, _KY, _WORD)
        place = {loop: position for position, loop in enumerate(order)}
        registers = {f"ex.n{place[loop]}": count for loop, count in counts.items()}
        registers |= {f"ex.as{place[loop]}": step for loop, step in a_steps.items()}
        registers |= {f"ex.ws{place[loop]}": step for loop, step in w_steps.items()}
        registers |= {f"ex.cs{place[_PIXEL]}": 1, "ex.red": sum(1 << place[loop] for loop in order if loop != _PIXEL), "ex.keep": int(keep)}
        registers |= {"ex.abits": reduction.act_bits, "ex.wbits": reduction.weight_bits, "ex.cbits": reduction.compute_bits,
                      "ex.asigned": int(reduction.placed.feature.signed), "ex.wsigned": int(source.weight_signed),
                      "ex.aslice": place[_SLICE], "ex.wslice": place[_SLICE]}
        registers |= self._feeders(source.stride[1], source.dilation[1], s, a_wider, dense, place)
        registers |= {"ex.rows": self.plan.tiling.pe_rows, "ex.cols": min(self.config.cols, self.output.feature.shape[2] - group * self.config.cols),
                      "ex.abase": a_base + piece.lead, "ex.wbase": w_base}
        return Command(f"run {bank}", registers)

    @staticmethod
    def _feeders(stride: int, dilation: int, s: int, a_wider: int, dense: bool, place: dict[int, int]) -> dict[str, int]:
        """A word is read once for all taps of a kernel row where windows slide; a weight once for all pixels."""
        hold = 1 << place[_PIXEL]
        if s > FEEDER_SLOTS:
            return {"ex.whold": hold}
        registers = {"ex.wu0": 1, "ex.whold": hold | a_wider << place[_SLICE]}
        if dense and dilation == 1 and stride < s:
            registers |= {"ex.au0": 1, "ex.au1": stride % FEEDER_SLOTS, "ex.aslide": stride}
        return registers

    def _results(self, y: int, x: int, group: int, bank: int, o_base: int) -> Results:
        tiling, feature, node = self.plan.tiling, self.output.feature, self.node
        pitch = -(-tiling.pixels * feature.bits // 16)
        drain = Command(f"drain {bank}", {
            "dr.rows": tiling.pe_rows, "dr.accs": tiling.pixels, "dr.base": o_base, "dr.pitch": pitch, "dr.param": self._params_of_group[group],
            "dr.pre": node.pre, "dr.round": self._rounding, "dr.zp": feature.zero_point, "dr.lo": feature.low, "dr.hi": feature.high,
            "dr.bits": feature.bits})
        segments = self._segments(x)
        stores = tuple(self._store(lane, y, start, group, o_base, pitch) for lane, start in enumerate(segments))
        channels = (group * self.config.cols, (group + 1) * self.config.cols)
        new = first_new(y, self.plan.rows, tiling.rows), first_new(x, self.plan.columns, tiling.columns)
        region = Region(feature.name, (new[0], y + tiling.rows), (new[1], segments[-1] + tiling.pixels), channels)
        return Results(drain, stores, region)

    def _store(self, lane: int, y: int, x: int, group: int, o_base: int, pitch: int) -> Command:
        tiling, output, config = self.plan.tiling, self.output, self.config
        unit, units, xstep = self._store_shape
        words = config.cols * output.feature.bits // 16
        return Command("st", {
            "st.addr": output.at(y, x, group * words), "st.rows": tiling.rows, "st.xs": tiling.pixels // xstep, "st.ws": units, "st.xstep": xstep,
            "st.unit": unit, "st.base": o_base + lane * pitch, "st.pitch": pitch << tiling.group, "st.bits": output.feature.bits,
            "st.rstride": 2 * output.row_words, "st.xstride": 2 * output.pixel_words * xstep, "st.wstride": 2 * unit})


def _touched(placed: Placed, piece: Piece, window: Window, top: int, left: int, moved: int) -> Region:
    """What loads of a piece at this column read, with what whole units bring along."""
    span, words = piece.span, placed.pixel_words
    rows = (top, top + (window.rows - 1) * window.row_stride + 1)
    if not span.whole(placed):
        reach = (span.pixels - 1) * span.pixel_stride + 1
        bits = placed.feature.bits
        channels = ((span.word + moved) * 16 // bits, (span.word + moved + span.words) * 16 // bits)
        return Region(placed.feature.name, rows, (left, left + reach), channels)
    first, last = left - -(-piece.lead // words), left + -(-(piece.pitch - piece.lead) // words)
    every = (0, placed.feature.shape[2])
    if placed.offset_words(0, last) > placed.offset_words(1, -placed.border[1]):    # on into the next row
        return Region(placed.feature.name, (rows[0], rows[1] + 1), (-placed.border[1], placed.feature.shape[1]), every)
    return Region(placed.feature.name, rows, (first, last), every)


def _merge(stages: list[Stage]) -> Stage:
    """One stage that does what these do one after the other."""
    constants: list[Command] = []
    loads: list[Load] = []
    runs: list[Command | Context] = []
    for stage in stages:
        constants += stage.constants
        loads += stage.loads
        runs += stage.runs
    return Stage(tuple(constants), tuple(loads), tuple(runs), stages[-1].results, stages[0].begins)
