"""Token counters between the engines: token[giver][taker], 0..15."""

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.common import FAULT, engine_count, fault, give_layout
from isa.table import TOKEN_MAX
from rpa.arch.config import ArrayConfig

TOKEN_BITS = TOKEN_MAX.bit_length()


class Tokens(wiring.Component):
    """Counts tokens; says who may start; finds overflows.

    ``wait[e]``: wait mask of engine e's head; ``ok[e]``: every registered count that it names is at least 1. ``start[e]``:
    e starts in this cycle and takes them. ``give[e]``: what e completes in this cycle; both act at the end of the
    cycle. A full counter that is given a token and loses none keeps 15 and raises ``overflow[e]`` of the giver (aux
    16*from + to, the lowest receiver). ``counts[giver * engines + taker]``.
    """

    def __init__(self, config: ArrayConfig) -> None:
        self.engines = engines = engine_count(config)
        super().__init__({
            "wait": In(data.ArrayLayout(unsigned(engines), engines)), "start": In(engines),
            "give": In(data.ArrayLayout(give_layout(config), engines)), "ok": Out(engines), "overflow": Out(data.ArrayLayout(FAULT, engines)),
            "counts": Out(data.ArrayLayout(unsigned(TOKEN_BITS), engines * engines)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        engines = range(self.engines)
        enough = [[Signal(name=f"enough_{taker}_{giver}") for giver in engines] for taker in engines]
        for giver in engines:
            for taker in reversed(engines):
                count = self.counts[giver * self.engines + taker]
                more = self.give[giver].mask[taker]
                less = self.start[taker] & self.wait[taker][giver]
                spilt = more & ~less & (count == TOKEN_MAX)
                m.d.comb += enough[taker][giver].eq(~self.wait[taker][giver] | (count != 0))
                with m.If(spilt):
                    fault(m, self.overflow[giver], "TOKEN_OVERFLOW", self.give[giver].pc, 16 * giver + taker)
                with m.Else():
                    m.d.sync += count.eq(count + Mux(more == less, 0, Mux(more, 1, -1)))
        for taker in engines:
            m.d.comb += self.ok[taker].eq(Cat(enough[taker]).all())
        return m
