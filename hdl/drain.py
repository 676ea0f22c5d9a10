"""DR: accumulators through requantization into the O banks, stages D0 to D5 (`docs/design.md` section 7)."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.common import WORD_BITS, bank_write, engine_port, events_layout, fault, param_read
from hdl.dot import WIDTH_LAYOUT
from hdl.drain_walk import DrainWalk, drain_entry
from hdl.engine import EngineFront
from hdl.execute import acc_read
from hdl.nv_accumulators import nv_acc_read
from hdl.requantize import Requantizer
from hdl.spread import by_width
from isa.table import ACC_INDEX_COUNT, WIDTHS
from rpa.arch.config import ArrayConfig

STAGES = 5
"""Pipeline registers after D0: entry k (from 0) is in stage D(k+1)."""


class Drain(wiring.Component):
    """The drain engine: a visit a cycle, five cycles from the visit (D0) to the write of its word (D5); nothing stalls.

    ``acc``: accumulators of the PEs; ``nv_acc``: those of NV, on a machine that has it.
    """

    def __init__(self, config: ArrayConfig, *, debug: bool = False) -> None:
        self.config, self.with_debug = config, debug
        ports = {
            "ctl": Out(engine_port(config)), "acc": In(acc_read(config)),
            "p": Out(param_read(config.cols, config.p_entries)), "o": Out(bank_write(config.cols, config.o_depth)),
            "events": Out(events_layout(rq_elements=config.cols, rq_saturations=config.cols, o_writes=config.cols)),
        }
        if config.nv_engine:
            ports["nv_acc"] = In(nv_acc_read(config))
        if debug:
            ports["debug"] = Out(data.StructLayout({"dr_valid": STAGES, "lfsr": config.cols * 32, "dr_q": config.cols * WORD_BITS}))
        super().__init__(ports)

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self.config
        m.submodules.front = front = EngineFront(config, "dr")
        m.submodules.walk = walk = DrainWalk(config)
        columns = [Requantizer(config.acc_bits, c) for c in range(config.cols)]
        for c, column in enumerate(columns):
            m.submodules[f"column{c}"] = column
        wiring.connect(m, wiring.flipped(self.ctl), front.ctl)
        shadow = front.shadow
        rows = Mux(shadow.nv, 1, config.rows) if config.nv_engine else config.rows
        m.d.comb += [
            front.bad_config.eq((shadow.row0 + shadow.rows > rows) | (shadow.acc0 + shadow.accs > ACC_INDEX_COUNT)), front.last.eq(walk.last),
            walk.start.eq(front.ctl.start), walk.busy.eq(front.ctl.busy), walk.shadow.eq(shadow), walk.regs.eq(front.regs),
            walk.command.eq(front.command),
            self.acc.row.eq(walk.row), self.acc.bank.eq(walk.bank), self.acc.index.eq(walk.index),
            self.p.en.eq(walk.param_en), self.p.addr.eq(walk.param),
        ]
        self._sources(m, front, walk)
        stages = [Signal(drain_entry(config), name=f"d{k + 1}") for k in range(STAGES)]
        bad_shift = self._bad_shift(m, columns, stages[0])
        taken = [walk.entry, *stages[:-1]]
        for entry, stage in zip(taken, stages, strict=True):
            m.d.sync += stage.eq(entry)
        with m.If(bad_shift):
            m.d.sync += [stages[1].valid.eq(0), stages[1].scaling.valid.eq(0)]
        m.d.comb += front.pipe_busy.eq(Cat(stage.valid for stage in stages).any())
        self._columns(m, front, walk, columns, stages)
        self._d5(m, front, columns, stages[4])
        self._faults(m, front, walk, columns, stages, bad_shift)
        if self.with_debug:
            shown = {"dr_valid": Cat(stage.valid for stage in stages), "lfsr": Cat(column.lfsr for column in columns),
                     "dr_q": Cat(column.q for column in columns)}
            m.d.comb += [self.debug[name].eq(value) for name, value in shown.items()]
        return m

    def _sources(self, m: Module, front: EngineFront, walk: DrainWalk) -> None:
        """Which accumulators are drained."""
        m.d.comb += [walk.raw_acc.eq(self.acc.data), walk.writing.eq(self.acc.writing)]
        if self.config.nv_engine:
            m.d.comb += [self.nv_acc.bank.eq(walk.bank), self.nv_acc.index.eq(walk.index)]
            with m.If(front.regs.nv):
                m.d.comb += [walk.raw_acc.eq(self.nv_acc.data), walk.writing.eq(self.nv_acc.writing)]

    def _bad_shift(self, m: Module, columns: list[Requantizer], d1: data.View) -> Value:
        """Whether an entry in D1 has a shift that its rounding does not take."""
        bad = Signal()
        checked = d1.scaling.valid & ~d1.scaling.raw
        m.d.comb += bad.eq(checked & Cat(column.bad_shift for column in columns).any())
        return bad

    def _columns(self, m: Module, front: EngineFront, walk: DrainWalk, columns: list[Requantizer], stages: list[data.View]) -> None:
        """Accumulators into D1 of the columns; control of their stages."""
        d1, _, d3, d4, _ = stages
        for c, column in enumerate(columns):
            control = column.control
            m.d.sync += column.acc.eq(walk.acc[c])
            m.d.comb += [
                column.entry.eq(self.p.data[c]), control.lanes.eq(front.regs.lanes), control.pre.eq(front.regs.pre),
                control.d1.eq(d1.scaling), control.d3.eq(d3.scaling), control.d4.eq(d4.scaling),
                control.seed.eq(d3.valid & d3.seed), control.seed_value.eq(d3.seed_value),
            ]
        saturated = sum((column.saturated for column in columns), start=Const(0))
        m.d.comb += [self.events.rq_elements.eq(Mux(walk.entry.scaling.valid, self.config.cols, 0)),
                     self.events.rq_saturations.eq(Mux(d4.scaling.valid, saturated, 0))]

    def _d5(self, m: Module, front: EngineFront, columns: list[Requantizer], d5: data.View) -> None:
        """Pack the element into the open word; write the word when it is complete."""
        write = Signal()
        width = Cat(d5.bits == bits for bits in WIDTHS)
        ones = (1 << d5.bits) - 1
        place = Signal(WORD_BITS)
        m.d.comb += [
            place.eq(ones << d5.position), write.eq(d5.write & ~self._o_fault(d5)), self.o.en.eq(write), self.o.addr.eq(d5.address),
            self.events.o_writes.eq(Mux(write, self.config.cols, 0)),
            front.body_give.valid.eq(d5.valid & d5.last & ~self._o_fault(d5)), front.body_give.pc.eq(d5.pc),
            front.body_give.mask.eq(Mux(front.body_give.valid, d5.signal, 0)),
        ]
        for c, column in enumerate(columns):
            kept, repeated, word = Signal(WORD_BITS), Signal(WORD_BITS), Signal(WORD_BITS)
            m.d.comb += [repeated.eq(by_width(data.View(WIDTH_LAYOUT, width), *(column.q[:bits].replicate(WORD_BITS // bits) for bits in WIDTHS))),
                         word.eq(kept | (repeated & place)), self.o.data[c].eq(word)]
            with m.If(d5.scaling.valid):
                m.d.sync += kept.eq(Mux(d5.write, 0, word))

    def _o_fault(self, d5: data.View) -> Value:
        return d5.write & (d5.address >= self.config.o_depth)

    def _faults(self, m: Module, front: EngineFront, walk: DrainWalk, columns: list[Requantizer], stages: list[data.View], bad_shift: Value) -> None:
        """The oldest stage's fault first: D5, D1, D0."""
        d1, d5 = stages[0], stages[4]
        shift: Value = columns[-1].shift
        for column in reversed(columns[:-1]):
            shift = Mux(column.bad_shift, column.shift, shift)
        with m.If(self._o_fault(d5)):
            fault(m, front.body_fault, "BANK_RANGE", d5.pc, d5.address)
        with m.Elif(bad_shift):
            fault(m, front.body_fault, "RQ_SHIFT", d1.pc, shift)
        with m.Else():
            m.d.comb += front.body_fault.eq(walk.fault)
