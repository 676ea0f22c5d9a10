"""Deadlock, the cycle limit, and which fault of a cycle counts (`docs/design.md` section 3)."""

from amaranth import Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.common import ENGINE_COUNT, FAULT, PC_BITS, VALUE_BITS, fault
from isa.table import COUNTER_BITS


class Faults(wiring.Component):
    """Combinational. ``fault`` is the one that counts in this cycle, ``done`` that the machine finishes with this cycle.

    ``core``, ``engines``, ``overflows``: what the units found. For the deadlock: ``stopped`` (core halted or stalled), ``halted``
    (registered), ``quiet`` (engine idle and its pipeline empty), ``waiting`` (its queue is not empty), ``moves`` (it starts or pops), ``head_pc``.
    ``cycles``: the registered counter; ``limit``: 0 for none; ``pc``: the core's.
    """

    core: In(FAULT)
    engines: In(data.ArrayLayout(FAULT, ENGINE_COUNT))
    overflows: In(data.ArrayLayout(FAULT, ENGINE_COUNT))
    stopped: In(1)
    halted: In(1)
    quiet: In(ENGINE_COUNT)
    waiting: In(ENGINE_COUNT)
    moves: In(ENGINE_COUNT)
    head_pc: In(data.ArrayLayout(unsigned(PC_BITS), ENGINE_COUNT))
    cycles: In(COUNTER_BITS)
    limit: In(COUNTER_BITS)
    pc: In(VALUE_BITS)
    fault: Out(FAULT)
    done: Out(1)

    def elaborate(self, platform) -> Module:
        m = Module()
        dead, late = Signal(FAULT), Signal(FAULT)
        blocked_pc = Signal(PC_BITS)
        for e in reversed(range(ENGINE_COUNT)):
            with m.If(self.waiting[e]):
                m.d.comb += blocked_pc.eq(self.head_pc[e])
        m.d.comb += self.done.eq(self.halted & self.quiet.all() & (self.waiting == 0))
        with m.If(self.stopped & self.quiet.all() & (self.moves == 0) & (self.waiting != 0)):
            fault(m, dead, "DEADLOCK", blocked_pc, self.waiting)
        with m.If((self.limit != 0) & (self.cycles + 1 == self.limit) & ~self.done):
            fault(m, late, "CYCLE_LIMIT", self.pc, self.limit)
        in_order = [self.core]
        for e in range(ENGINE_COUNT):
            in_order += [self.engines[e], self.overflows[e]]
        for found in reversed([*in_order, dead, late]):
            with m.If(found.valid):
                m.d.comb += self.fault.eq(found)
        return m
