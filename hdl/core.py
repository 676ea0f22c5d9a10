"""The control core: one instruction a cycle (`docs/design.md` section 2)."""

from __future__ import annotations

from amaranth import Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.choose import choose
from hdl.common import FAULT, OPCODE, PC_BITS, VALUE_BITS, EntryKind, engine_count, entry_layout, fault, operand
from hdl.core_alu import CoreAlu
from hdl.decode import ContextCheck, Decoder, ValueCheck
from hdl.loops import LoopStack
from isa.table import CORE_REGISTERS, COUNTER_BITS, INSTRUCTIONS

_IMMEDIATE = [i.opcode for i in INSTRUCTIONS if any(f.name in ("imm", "shamt", "count") for f in i.fields)]
"""Opcodes whose second operand (`loopi`: whose count, `set`: whose value) stands in the word."""
REGISTERS_LAYOUT = data.ArrayLayout(unsigned(VALUE_BITS), CORE_REGISTERS)
COMMIT = data.StructLayout({
    "valid": 1,   # an instruction completes in this cycle
    "pc": VALUE_BITS,
    "word": VALUE_BITS,
    "writes": 1,  # it writes `rd` (not r0) with `value`
    "rd": 4,
    "value": VALUE_BITS,
})


def _is(opcode, *names: str):
    return opcode.matches(*(OPCODE[name] for name in names))


class Core(wiring.Component):
    """Fetches nothing itself: ``word`` is the instruction at registered ``pc``, ``next_pc`` (combinational) the address whose
    word must stand at ``word`` in the next cycle. While ``halted`` it does nothing.

    ``entry`` goes to queue e where ``push[e]``; ``full[e]`` and ``quiet[e]`` (queue empty, engine quiescent) are registered state
    of the engines. ``counter`` asks for a counter, ``counter_value`` is its registered value, in the same cycle.
    ``blocked``: this cycle stalls, at a fence (``at_fence``) or at the full queue ``at_full[e]``. ``retire``: what completes.
    """

    def __init__(self, config) -> None:
        self.config = config
        engines = engine_count(config)
        super().__init__({
            "word": In(VALUE_BITS),
            "code_words": In(PC_BITS + 1),
            "pc": Out(VALUE_BITS),
            "next_pc": Out(VALUE_BITS),
            "halted": Out(1),
            "push": Out(engines),
            "entry": Out(entry_layout(config)),
            "full": In(engines),
            "quiet": In(engines),
            "counter": Out(8),
            "counter_value": In(COUNTER_BITS),
            "at_fence": Out(1),
            "at_full": Out(engines),
            "blocked": Out(1),
            "retire": Out(COMMIT),
            "fault": Out(FAULT),
            "loop_depth": Out(3),
            "registers": Out(REGISTERS_LAYOUT),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.decoder = decoder = Decoder(self.config)
        m.submodules.alu = alu = CoreAlu()
        m.submodules.loops = loops = LoopStack()
        d = decoder.decoded
        a, b, rt, active = Signal(VALUE_BITS), Signal(VALUE_BITS), Signal(VALUE_BITS), Signal()
        m.d.comb += [
            decoder.word.eq(self.word), active.eq(~self.halted),
            a.eq(self._read(m, d.rs)), rt.eq(self._read(m, d.rt)),
            b.eq(Mux(d.opcode.matches(*_IMMEDIATE), d.immediate, rt)),
            alu.opcode.eq(d.opcode), alu.a.eq(a), alu.b.eq(b),
            self.counter.eq(d.counter), self.loop_depth.eq(loops.depth),
        ]
        self._faults(m, d, a, b, loops, active)
        self._queues(m, d, a, b, active)
        self._flow(m, d, a, b, loops, alu)
        self._write_back(m, d, alu)
        return m

    def _read(self, m: Module, number):
        """Register read port; r0 is never written and stays 0."""
        return choose(m, number, [Const(0, VALUE_BITS), *(self.registers[i] for i in range(1, CORE_REGISTERS))])

    def _faults(self, m: Module, d, a, b, loops, active) -> None:
        m.submodules.value_check = value_check = ValueCheck(self.config)
        m.submodules.context_check = context_check = ContextCheck(self.config)
        slot = operand(d, "ctxld", "slot")
        m.d.comb += [value_check.register.eq(d.register), value_check.value.eq(b), context_check.slot.eq(slot), context_check.word.eq(a)]
        loop_count = Mux(_is(d.opcode, "loopi"), d.immediate, a)
        with m.If(active):
            with m.If(self.pc >= self.code_words):
                fault(m, self.fault, "FETCH", self.pc, self.pc)
            with m.Elif(~d.legal):
                fault(m, self.fault, "ILLEGAL_OPCODE", self.pc, self.word)
            with m.Elif(_is(d.opcode, "set", "setr") & ~value_check.ok):
                fault(m, self.fault, "ILLEGAL_CONFIG", self.pc, b)
            with m.Elif(_is(d.opcode, "ctxld") & ~context_check.slot_ok):
                fault(m, self.fault, "ILLEGAL_CONTEXT", self.pc, slot)
            with m.Elif(_is(d.opcode, "ctxld") & ~context_check.word_ok):
                fault(m, self.fault, "ILLEGAL_CONTEXT", self.pc, a)
            with m.Elif(_is(d.opcode, "loop", "loopi") & (loop_count != 0) & loops.full):
                fault(m, self.fault, "LOOP_DEPTH", self.pc)

    def _queues(self, m: Module, d, a, b, active) -> None:
        """Pushes and stalls; ``retire.valid`` is everything that neither faults nor stalls."""
        go = Signal()
        is_fence = _is(d.opcode, "fence")
        command = self.entry.command
        m.d.comb += [
            go.eq(active & ~self.fault.valid),
            self.at_fence.eq(go & is_fence & ((d.engines & ~self.quiet) != 0)),
            self.at_full.eq(Mux(go & ~is_fence, d.engines & self.full, 0)),
            self.blocked.eq(self.at_fence | (self.at_full != 0)),
            self.retire.valid.eq(go & ~self.blocked),
            self.push.eq(Mux(self.retire.valid & ~is_fence, d.engines, 0)),
            self.entry.register.eq(d.register), command.opcode.eq(d.opcode), command.args.eq(d.args),
            command.wait.eq(d.wait), command.signal.eq(d.signal), command.pc.eq(self.pc),
            command.value.eq(Mux(_is(d.opcode, "ctxld"), a, b)),
            self.entry.kind.eq(Mux(_is(d.opcode, "set", "setr"), EntryKind.SET, Mux(_is(d.opcode, "reset"), EntryKind.RESET, EntryKind.COMMAND))),
        ]

    def _flow(self, m: Module, d, a, b, loops, alu) -> None:
        """The next pc: sequential, back to a loop's start, or a jump."""
        after, target = Signal(PC_BITS + 1), Signal(VALUE_BITS)
        is_loop = _is(d.opcode, "loop", "loopi")
        count = Mux(_is(d.opcode, "loopi"), d.immediate, a)
        jump = Signal()
        m.d.comb += [
            after.eq(self.pc[:PC_BITS] + Const(1)), target.eq(self.pc + d.offset),
            jump.eq(alu.taken | _is(d.opcode, "jal", "jalr") | (is_loop & (count == 0))),
            loops.next_pc.eq(after), loops.end.eq(target), loops.count.eq(count),
            loops.push.eq(self.retire.valid & is_loop & (count != 0)),
            loops.step.eq(self.retire.valid & ~is_loop & ~jump),
            self.next_pc.eq(self.pc),
        ]
        with m.If(self.retire.valid):
            with m.If(_is(d.opcode, "jalr")):
                m.d.comb += self.next_pc.eq(a + d.immediate)
            with m.Elif(jump):
                m.d.comb += self.next_pc.eq(target)
            with m.Elif(loops.step & loops.again):
                m.d.comb += self.next_pc.eq(loops.start)
            with m.Else():
                m.d.comb += self.next_pc.eq(after)
            with m.If(_is(d.opcode, "halt")):
                m.d.sync += self.halted.eq(1)
        m.d.sync += self.pc.eq(self.next_pc)

    def _write_back(self, m: Module, d, alu) -> None:
        retire = self.retire
        links, reads = _is(d.opcode, "jal", "jalr"), _is(d.opcode, "rdctr", "rdctrh")
        m.d.comb += [
            retire.pc.eq(self.pc), retire.word.eq(self.word), retire.rd.eq(d.rd),
            retire.writes.eq(retire.valid & (alu.writes | links | reads) & (d.rd != 0)),
            retire.value.eq(alu.result),
        ]
        with m.If(links):
            m.d.comb += retire.value.eq(self.pc[:PC_BITS] + Const(1))
        with m.Elif(_is(d.opcode, "rdctr")):
            m.d.comb += retire.value.eq(self.counter_value)
        with m.Elif(_is(d.opcode, "rdctrh")):
            m.d.comb += retire.value.eq(self.counter_value[VALUE_BITS:])
        for i in range(1, CORE_REGISTERS):
            with m.If(retire.writes & (retire.rd == i)):
                m.d.sync += self.registers[i].eq(retire.value)
