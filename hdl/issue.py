"""ISSUE, the first stage of EX: the loop nest of a `run`, its streams, bank reads and counters (`docs/design.md` section 6)."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.accumulators import INDEX_BITS
from hdl.alu import is_op
from hdl.common import FAULT, OPCODE, PC_BITS, bank_read, bits_for_count, command_layout, engine_count, events_layout, fault, operand, register_layout
from hdl.feeder import SLOT_BITS
from hdl.pe import ACC_OPS, context_layout
from hdl.streams import AffineStream, LoopNest, OperandStream
from isa.table import DIMS, WIDTHS
from rpa.arch.config import ArrayConfig

OPERAND_ENTRY = data.StructLayout({"read": 1, "hit": 1, "slot": SLOT_BITS, "slice": 3})


def feed_entry(config: ArrayConfig) -> data.StructLayout:
    """What ISSUE hands to FEED."""
    return data.StructLayout({
        "valid": 1, "step": 1, "context": 1,  # an entry; of a run; of a ctxld
        "begins": 1,                          # the first entry of its command
        "last": 1, "signal": engine_count(config), "pc": PC_BITS,
        "slot": bits_for_count(config.ctx_slots), "bank": 1, "index": INDEX_BITS, "first": 1,
        "a": OPERAND_ENTRY, "w": OPERAND_ENTRY,
    })


def lane_count(compute_bits: Value) -> Value:
    """16/compute_bits for a width of the table."""
    return Cat(compute_bits == width for width in sorted(WIDTHS, reverse=True))


def scaled(factor: Value, value: Value) -> Value:
    """factor * value by shifted additions; `*` would take a DSP."""
    return sum((Mux(bit, value << k, 0) for k, bit in enumerate(factor)), start=value & 0)


class Issue(wiring.Component):
    """One entry a cycle while a command is busy.

    ``start``, ``shadow``, ``regs``, ``command``: of the engine's front. ``entry`` is valid in the cycle of the visit; ``last`` is the visit that
    ends the command. A faulting visit gives no entry and reads nothing.
    """

    def __init__(self, config: ArrayConfig) -> None:
        self.config = config
        registers = register_layout(config, "ex")
        most = 8 * config.pes
        super().__init__({
            "start": In(1), "busy": In(1), "shadow": In(registers), "regs": In(registers), "command": In(command_layout(config)),
            "a": Out(bank_read(config.rows, config.a_depth)), "w": Out(bank_read(config.cols, config.w_depth)),
            "entry": Out(feed_entry(config)), "last": Out(1), "fault": Out(FAULT),
            "events": Out(events_layout(a_reads=config.rows, a_hits=config.rows, w_reads=config.cols, w_hits=config.cols, mac_slots=most, macs=most)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        regs, command, entry = self.regs, self.command, self.entry
        begins, is_run, step = Signal(), Signal(), Signal()
        m.d.sync += begins.eq(self.start)
        m.submodules.nest = nest = LoopNest()
        m.d.comb += [
            is_run.eq(command.opcode == OPCODE["run"]), nest.start.eq(self.start), step.eq(self.busy & is_run & ~self.fault.valid),
            nest.step.eq(step), *(nest.counts[d].eq(regs[f"n{d}"]) for d in range(DIMS)),
            self.last.eq(self.busy & Mux(is_run, step & nest.at_end, 1)),
        ]
        index, slot = self._stream(m, "c", INDEX_BITS, nest), self._stream(m, "s", len(entry.slot), nest)
        operands = {name: self._operand(m, name, nest) for name in "aw"}
        is_context = command.opcode == OPCODE["ctxld"]
        m.d.comb += [
            entry.valid.eq(self.busy & ~self.fault.valid), entry.step.eq(step), entry.context.eq(self.busy & is_context),
            entry.begins.eq(begins), entry.last.eq(self.last), entry.signal.eq(command.signal), entry.pc.eq(command.pc),
            entry.slot.eq(Mux(is_run, slot, operand(command, "ctxld", "slot"))), entry.index.eq(index),
            entry.bank.eq(operand(command, "run", "bank")),
            entry.first.eq(~regs.keep & ~(nest.nonzero & regs.red).any()),
        ]
        self._reads(m, operands, self.busy & is_run)
        self._count(m, entry, step)
        return m

    def _stream(self, m: Module, name: str, bits: int, nest: LoopNest) -> Value:
        m.submodules[name] = stream = AffineStream(bits)
        m.d.comb += [stream.start.eq(self.start), stream.step.eq(nest.step), stream.advances.eq(nest.advances),
                     stream.base.eq(self.shadow[f"{name}base"]), *(stream.strides[d].eq(self.regs[f"{name}s{d}"]) for d in range(DIMS))]
        return stream.value

    def _operand(self, m: Module, name: str, nest: LoopNest) -> OperandStream:
        regs = self.regs
        m.submodules[f"{name}_stream"] = stream = OperandStream()
        m.d.comb += [
            stream.start.eq(self.start), stream.step.eq(nest.step), stream.advances.eq(nest.advances), stream.base.eq(self.shadow[f"{name}base"]),
            stream.nonzero.eq(nest.nonzero), stream.index.eq(nest.index), stream.inner_count.eq(regs.n0),
            *(stream.strides[d].eq(regs[f"{name}s{d}"]) for d in range(DIMS)), *(stream.slot_steps[d].eq(regs[f"{name}u{d}"]) for d in range(2)),
            stream.slide.eq(regs[f"{name}slide"]), stream.hold.eq(regs[f"{name}hold"]), stream.slice_loop.eq(regs[f"{name}slice"]),
            stream.enabled.eq(regs[f"{name}en"]),
        ]
        out = self.entry[name]
        m.d.comb += [out.read.eq(stream.read), out.hit.eq(stream.hit), out.slot.eq(stream.slot), out.slice.eq(stream.slice)]
        return stream

    def _reads(self, m: Module, operands: dict[str, OperandStream], visits: Value) -> None:
        """Bank reads and their range check; A before W."""
        for name, depth in (("w", self.config.w_depth), ("a", self.config.a_depth)):
            stream, port = operands[name], getattr(self, name)
            m.d.comb += [port.en.eq(visits & stream.read & ~self.fault.valid), port.addr.eq(stream.address)]
            with m.If(visits & stream.read & (stream.address >= depth)):
                fault(m, self.fault, "BANK_RANGE", self.command.pc, stream.address)

    def _count(self, m: Module, entry: data.View, step: Value) -> None:
        config, regs, events = self.config, self.regs, self.events
        has_mac = Signal(data.ArrayLayout(unsigned(1), config.ctx_slots))
        word = data.View(context_layout(), self.command.value[:context_layout().size])
        with m.If(entry.context):
            m.d.sync += has_mac[entry.slot].eq(is_op(word.op, *ACC_OPS))
        rows, cols, pes = (Signal(range(top + 1), name=name) for name, top in (("rows", config.rows), ("cols", config.cols), ("pes", config.pes)))
        lanes = lane_count(regs.cbits)
        m.d.comb += [rows.eq(Mux(regs.rows < config.rows, regs.rows, config.rows)), cols.eq(Mux(regs.cols < config.cols, regs.cols, config.cols)),
                     pes.eq(scaled(rows, cols))]
        with m.If(step):
            m.d.comb += [
                events.a_reads.eq(Mux(entry.a.read, rows, 0)), events.a_hits.eq(Mux(entry.a.hit, rows, 0)),
                events.w_reads.eq(Mux(entry.w.read, cols, 0)), events.w_hits.eq(Mux(entry.w.hit, cols, 0)),
                events.mac_slots.eq(scaled(lanes, Const(config.pes))),
                events.macs.eq(Mux(has_mac[entry.slot], scaled(lanes, pes), 0)),
            ]
