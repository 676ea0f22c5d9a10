"""The architectural counters."""

from __future__ import annotations

from amaranth import Const, Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.choose import choose
from isa.table import COUNTER_BITS, COUNTERS

NOWHERE = 254
"""An even place behind the last counter that an instruction can name."""


class Counters(wiring.Component):
    """Adds ``increments`` (a field per counter) at the end of every cycle; ``values[index]`` is registered, modulo 2^48.

    A counter without a field stays 0. ``selected`` is the value of counter ``select``, in the same cycle; 0 for an unknown one.
    """

    def __init__(self, increments: data.StructLayout) -> None:
        super().__init__({
            "increments": In(increments),
            "select": In(8),
            "selected": Out(COUNTER_BITS),
            "values": Out(data.ArrayLayout(unsigned(COUNTER_BITS), len(COUNTERS))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        counted = [counter for counter in COUNTERS if counter.name in dict(self.increments.shape())]
        values = [self.values[counter.index] for counter in counted] + [Const(0, COUNTER_BITS)] * (len(counted) % 2)
        m.d.comb += self.selected.eq(choose(m, self._place(m, [counter.index for counter in counted]), values))
        for counter in counted:
            m.d.sync += self.values[counter.index].eq(self.values[counter.index] + self.increments[counter.name])
        return m

    def _place(self, m: Module, indices: list[int]) -> Signal:
        """Where ``select`` stands among ``indices``; for any other number an even place that names no pair of values."""
        place = Signal(len(self.select), init=NOWHERE)
        with m.Switch(self.select):
            for k, index in enumerate(indices):
                with m.Case(index):
                    m.d.comb += place.eq(k)
        return place


def summed_layout(blocks: list[data.StructLayout]) -> data.StructLayout:
    """Layout of `Counters.increments` for blocks with these `events` layouts: wide enough for the sum of each counter that they feed."""
    fields = {}
    for counter in COUNTERS:
        largest = sum((1 << block[counter.name].width) - 1 for block in blocks if counter.name in dict(block))
        if largest:
            fields[counter.name] = unsigned(largest.bit_length())
    return data.StructLayout(fields)


def sum_events(m: Module, increments: data.View, events: list[data.View]) -> None:
    """Drive each field of ``increments`` with the sum of the fields of that name."""
    for name, field in increments.shape():
        total = Signal(field.shape, name=f"total_{name}")
        parts = [view[name] for view in events if name in dict(view.shape())]
        m.d.comb += [total.eq(sum(parts, Const(0))), increments[name].eq(total)]
