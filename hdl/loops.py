"""The zero-overhead loop stack of the control core."""

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.common import PC_BITS, VALUE_BITS
from isa.table import LOOP_DEPTH

ADDRESS_BITS = PC_BITS + 4
"""Bits of a loop end that are kept: every pc + offset of a fetched instruction is distinct in them (17 bits of pc + 1, an
18-bit signed offset), so an end outside the program never looks like one inside."""


class LoopStack(wiring.Component):
    """At most LOOP_DEPTH nested loops.

    ``next_pc`` is the sequential successor of the instruction that executes. ``step``: it completes without a jump and is no
    `loop`; if the top entry ends here, ``again`` tells that the core goes to ``start`` instead, and the entry counts or
    leaves at the end of the cycle. ``push``: a loop with body ``next_pc`` .. ``end`` - 1 and ``count`` >= 1 begins; allowed
    while ``full`` is 0. ``depth`` is registered.
    """

    next_pc: In(PC_BITS + 1)
    step: In(1)
    push: In(1)
    end: In(VALUE_BITS)
    count: In(VALUE_BITS)
    again: Out(1)
    start: Out(PC_BITS + 1)
    full: Out(1)
    depth: Out(range(LOOP_DEPTH + 1))

    def elaborate(self, platform) -> Module:
        m = Module()
        layout = data.StructLayout({"start": PC_BITS + 1, "end": ADDRESS_BITS, "count": VALUE_BITS})
        stack = [Signal(layout, name=f"entry_{i}") for i in range(LOOP_DEPTH)]
        top = Signal(layout)
        at_end = Signal()
        with m.Switch(self.depth):
            for i in range(LOOP_DEPTH):
                with m.Case(i + 1):
                    m.d.comb += top.eq(stack[i])
        m.d.comb += [
            at_end.eq((self.depth != 0) & (top.end == self.next_pc)),
            self.again.eq(at_end & (top.count > 1)),
            self.start.eq(top.start),
            self.full.eq(self.depth == LOOP_DEPTH),
        ]
        with m.If(self.push):
            m.d.sync += self.depth.eq(self.depth + 1)
        with m.Elif(self.step & at_end & ~self.again):
            m.d.sync += self.depth.eq(self.depth - 1)
        for i in range(LOOP_DEPTH):
            with m.If(self.push & (self.depth == i)):
                m.d.sync += [stack[i].start.eq(self.next_pc), stack[i].end.eq(self.end), stack[i].count.eq(self.count)]
            with m.Elif(self.step & self.again & (self.depth == i + 1)):
                m.d.sync += stack[i].count.eq(stack[i].count - 1)
        return m
