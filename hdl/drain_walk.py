"""D0 of the drain: the walk over PE rows, accumulators and lanes, the accumulator read, and where each element will go."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.accumulators import INDEX_BITS
from hdl.common import (
    FAULT,
    OPCODE,
    PC_BITS,
    VALUE_BITS,
    WORD_BITS,
    bits_for_count,
    command_layout,
    engine_count,
    fault,
    log2_of,
    operand,
    register_layout,
)
from hdl.requantize import scaling
from isa.table import ACC_BANKS
from rpa.arch.config import ArrayConfig

PARAM_BITS = 14
"""dr.param plus the largest steps over 16 accumulators and 8 lanes."""
LANE_COUNTS = (1, 2, 4, 8)
RAW_HALVES = 2


def drain_entry(config: ArrayConfig) -> data.StructLayout:
    """An entry on its way from D1 to D5; ``scaling.valid`` is set for elements only, not for `sync` and `seed`."""
    return data.StructLayout({
        "valid": 1, "last": 1, "signal": engine_count(config), "pc": PC_BITS, "seed": 1, "seed_value": VALUE_BITS,
        "scaling": scaling(), "bits": 5, "position": 4,  # first bit of the element in its word
        "write": 1, "address": 16,                       # the word is complete with this element, and goes there
    })


class DrainWalk(wiring.Component):
    """One visit a cycle while a command is busy.

    ``start``, ``busy``, ``shadow``, ``regs``, ``command``: of the engine's front. ``row``, ``bank``, ``index``: accumulators read in this
    cycle; ``raw_acc`` their values; ``acc``: these with the visited lane at the bottom, what is above it means nothing. ``writing[b]``: EX
    writes bank b in this cycle. ``param``: parameter entry, read when ``param_en``.
    ``entry`` is what D1 takes; ``last``: the visit that ends the command.
    """

    def __init__(self, config: ArrayConfig) -> None:
        self.config = config
        registers = register_layout(config, "dr")
        accs = data.ArrayLayout(unsigned(config.acc_bits), config.cols)
        super().__init__({
            "start": In(1), "busy": In(1), "shadow": In(registers), "regs": In(registers), "command": In(command_layout(config)),
            "row": Out(bits_for_count(config.rows)), "bank": Out(1), "index": Out(INDEX_BITS), "raw_acc": In(accs), "acc": Out(accs),
            "writing": In(ACC_BANKS), "param_en": Out(1), "param": Out(bits_for_count(config.p_entries)),
            "entry": Out(drain_entry(config)), "last": Out(1), "fault": Out(FAULT),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        regs, command, config = self.regs, self.command, self.config
        at = Signal(data.StructLayout({"rows": 6, "accs": 5, "lane": 3, "row": len(self.row), "index": INDEX_BITS,
                                       "param": PARAM_BITS, "acc_param": PARAM_BITS, "address": 16, "row_address": 16, "position": 4}))
        is_drain, lane_end, row_end, step = Signal(), Signal(), Signal(), Signal()
        lanes = Mux(regs.raw, RAW_HALVES, regs.lanes)
        m.d.comb += [
            is_drain.eq(command.opcode == OPCODE["drain"]), lane_end.eq(at.lane + 1 == lanes), row_end.eq(lane_end & (at.accs == 1)),
            step.eq(self.busy & is_drain & ~self.fault.valid), self.last.eq(self.busy & Mux(is_drain, step & row_end & (at.rows == 1), 1)),
            self.row.eq(at.row), self.bank.eq(operand(command, "drain", "bank")), self.index.eq(at.index),
            self.param_en.eq(step), self.param.eq(at.param),
        ]
        with m.If(self.busy & is_drain):
            with m.If(at.param >= config.p_entries):
                fault(m, self.fault, "BANK_RANGE", command.pc, at.param)
            with m.Elif(self.writing.bit_select(self.bank, 1)):
                fault(m, self.fault, "ACC_CONFLICT", command.pc, self.bank)
        full = self._entry(m, at, is_drain, row_end, step)
        self._move(m, at, step, lane_end, row_end, full)
        self._lanes(m, at)
        return m

    def _entry(self, m: Module, at: data.View, is_drain: Value, row_end: Value, step: Value) -> Value:
        """What goes to D1. Returns whether this element fills its word."""
        regs, command, entry = self.regs, self.command, self.entry
        bits, full = Signal(5), Signal()
        m.d.comb += [
            bits.eq(Mux(regs.raw, WORD_BITS, regs.bits)), full.eq(at.position + bits == WORD_BITS),
            entry.valid.eq(self.busy & ~self.fault.valid), entry.last.eq(self.last), entry.signal.eq(command.signal), entry.pc.eq(command.pc),
            entry.seed.eq(self.busy & (command.opcode == OPCODE["seed"])), entry.seed_value.eq(command.value),
            entry.scaling.valid.eq(step), entry.scaling.half.eq(at.lane[0]),
            *(entry.scaling[name].eq(regs[name]) for name in ("round", "raw", "zp", "lo", "hi")),
            entry.bits.eq(bits), entry.position.eq(at.position), entry.write.eq(step & (full | row_end)), entry.address.eq(at.address),
        ]
        return full

    def _move(self, m: Module, at: data.View, step: Value, lane_end: Value, row_end: Value, full: Value) -> None:
        regs, shadow = self.regs, self.shadow
        next_row_address = at.row_address + regs.pitch
        with m.If(self.start):
            m.d.sync += [
                at.rows.eq(shadow.rows), at.accs.eq(shadow.accs), at.lane.eq(0), at.row.eq(shadow.row0), at.index.eq(shadow.acc0),
                at.param.eq(shadow.param), at.acc_param.eq(shadow.param), at.address.eq(shadow.base), at.row_address.eq(shadow.base),
                at.position.eq(0),
            ]
        with m.Elif(step):
            next_param = at.acc_param + regs.pacc
            m.d.sync += [at.lane.eq(at.lane + 1), at.position.eq(at.position + self.entry.bits), at.address.eq(at.address + full),
                         at.param.eq(at.param + Mux(regs.raw, 0, regs.plane))]
            with m.If(lane_end):
                m.d.sync += [at.lane.eq(0), at.accs.eq(at.accs - 1), at.index.eq(at.index + 1), at.param.eq(next_param),
                             at.acc_param.eq(next_param)]
            with m.If(row_end):
                m.d.sync += [at.accs.eq(regs.accs), at.index.eq(regs.acc0), at.param.eq(regs.param), at.acc_param.eq(regs.param),
                             at.rows.eq(at.rows - 1), at.row.eq(at.row + 1), at.position.eq(0),
                             at.address.eq(next_row_address), at.row_address.eq(next_row_address)]

    def _lanes(self, m: Module, at: data.View) -> None:
        """Bring the visited lane to the bottom: by halves, quarters and eighths of the accumulator."""
        acc_bits = self.config.acc_bits
        log2_lanes, by = log2_of(m, "log2_lanes", self.regs.lanes, LANE_COUNTS), Signal(len(LANE_COUNTS) - 1)
        m.d.comb += by.eq(Mux(self.regs.raw, 0, at.lane << (len(LANE_COUNTS) - 1)) >> log2_lanes)
        for c, acc in enumerate(self.raw_acc):
            for k in reversed(range(len(by))):
                # A shift by half the accumulator leaves a half that counts, and so on; what is above belongs to no lane.
                part = acc_bits >> (len(by) - k)
                value = Signal(acc_bits, name=f"column{c}_by{k}")
                m.d.comb += value.eq(Cat(Mux(by[k], acc[part:2 * part], acc[:part]), acc[part:]))
                acc = value
            m.d.comb += self.acc[c].eq(acc)
