"""The architectural counters."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.choose import choose
from isa.table import COUNTER_BITS, COUNTERS


class Counters(wiring.Component):
    """Adds ``increments`` (a field per counter) at the end of every cycle; ``values[index]`` is registered, modulo 2^48.

    ``selected`` is the value of counter ``select``, in the same cycle; 0 for an unknown one.
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
        # An unknown counter is an even select that names no pair of values.
        count = len(COUNTERS)
        known = self.select < count
        values = [self.values[k] for k in range(count)] + [Const(0, COUNTER_BITS)] * (count % 2)
        m.d.comb += self.selected.eq(choose(m, Cat(self.select[0] & known, self.select[1:]), values))
        for counter in COUNTERS:
            m.d.sync += self.values[counter.index].eq(self.values[counter.index] + self.increments[counter.name])
        return m


def summed_layout(blocks: list[data.StructLayout]) -> data.StructLayout:
    """Layout of `Counters.increments` for blocks with these `events` layouts: wide enough for the sum of each counter."""
    fields = {}
    for counter in COUNTERS:
        largest = sum((1 << block[counter.name].width) - 1 for block in blocks if counter.name in dict(block))
        fields[counter.name] = unsigned(max(1, largest.bit_length()))
    return data.StructLayout(fields)


def sum_events(m: Module, increments: data.View, events: list[data.View]) -> None:
    """Drive each field of ``increments`` with the sum of the fields of that name."""
    for counter in COUNTERS:
        total = Signal(increments.shape()[counter.name].shape, name=f"total_{counter.name}")
        parts = [view[counter.name] for view in events if counter.name in dict(view.shape())]
        m.d.comb += [total.eq(sum(parts, Const(0))), increments[counter.name].eq(total)]
