"""Deadlock, the cycle limit, and which fault of a cycle counts (`docs/design.md` section 3)."""

from amaranth import Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.common import FAULT, PC_BITS, VALUE_BITS, engine_count, fault
from isa.table import COUNTER_BITS
from rpa.arch.config import ArrayConfig


class Faults(wiring.Component):
    """Combinational. ``fault`` is the one that counts in this cycle, ``done`` that the machine finishes with this cycle.

    ``core``, ``engines``, ``overflows``: what the units found. For the deadlock: ``stopped`` (core halted or stalled), ``halted``
    (registered), ``quiet`` (engine idle and its pipeline empty), ``waiting`` (its queue is not empty), ``moves`` (it starts or pops), ``head_pc``.
    ``cycles``: the registered counter; ``limit``: 0 for none; ``pc``: the core's.
    """

    def __init__(self, config: ArrayConfig) -> None:
        self.count = count = engine_count(config)
        found = data.ArrayLayout(FAULT, count)
        super().__init__({
            "core": In(FAULT), "engines": In(found), "overflows": In(found), "stopped": In(1), "halted": In(1),
            "quiet": In(count), "waiting": In(count), "moves": In(count), "head_pc": In(data.ArrayLayout(unsigned(PC_BITS), count)),
            "cycles": In(COUNTER_BITS), "limit": In(COUNTER_BITS), "pc": In(VALUE_BITS), "fault": Out(FAULT), "done": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        dead, late = Signal(FAULT), Signal(FAULT)
        blocked_pc = Signal(PC_BITS)
        for e in reversed(range(self.count)):
            with m.If(self.waiting[e]):
                m.d.comb += blocked_pc.eq(self.head_pc[e])
        m.d.comb += self.done.eq(self.halted & self.quiet.all() & (self.waiting == 0))
        with m.If(self.stopped & self.quiet.all() & (self.moves == 0) & (self.waiting != 0)):
            fault(m, dead, "DEADLOCK", blocked_pc, self.waiting)
        with m.If((self.limit != 0) & (self.cycles + 1 == self.limit) & ~self.done):
            fault(m, late, "CYCLE_LIMIT", self.pc, self.limit)
        in_order = [self.core]
        for e in range(self.count):
            in_order += [self.engines[e], self.overflows[e]]
        for found in reversed([*in_order, dead, late]):
            with m.If(found.valid):
                m.d.comb += self.fault.eq(found)
        return m
