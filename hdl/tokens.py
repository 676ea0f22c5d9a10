"""Token counters between the engines: token[giver][taker], 0..15."""

from amaranth import Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.common import ENGINE_COUNT, FAULT, GIVE, fault
from isa.table import TOKEN_MAX

TOKEN_BITS = TOKEN_MAX.bit_length()
_PER_ENGINE = data.ArrayLayout(unsigned(ENGINE_COUNT), ENGINE_COUNT)


class Tokens(wiring.Component):
    """Counts tokens; says who may start; finds overflows.

    ``wait[e]``: wait mask of engine e's head; ``ok[e]``: every registered count that it names is at least 1. ``start[e]``:
    e starts in this cycle and takes them. ``give[e]``: what e completes in this cycle; both act at the end of the
    cycle. A full counter that is given a token and loses none keeps 15 and raises ``overflow[e]`` of the giver (aux
    16*from + to, the lowest receiver).
    """

    wait: In(_PER_ENGINE)
    start: In(ENGINE_COUNT)
    give: In(data.ArrayLayout(GIVE, ENGINE_COUNT))
    ok: Out(ENGINE_COUNT)
    overflow: Out(data.ArrayLayout(FAULT, ENGINE_COUNT))
    counts: Out(data.ArrayLayout(unsigned(TOKEN_BITS), ENGINE_COUNT * ENGINE_COUNT))

    def elaborate(self, platform) -> Module:
        m = Module()
        enough = [[Signal(name=f"enough_{taker}_{giver}") for giver in range(ENGINE_COUNT)] for taker in range(ENGINE_COUNT)]
        for giver in range(ENGINE_COUNT):
            for taker in reversed(range(ENGINE_COUNT)):
                count = self.counts[giver * ENGINE_COUNT + taker]
                more = self.give[giver].mask[taker]
                less = self.start[taker] & self.wait[taker][giver]
                spilt = more & ~less & (count == TOKEN_MAX)
                m.d.comb += enough[taker][giver].eq(~self.wait[taker][giver] | (count != 0))
                with m.If(spilt):
                    fault(m, self.overflow[giver], "TOKEN_OVERFLOW", self.give[giver].pc, 16 * giver + taker)
                with m.Else():
                    m.d.sync += count.eq(count + Mux(more == less, 0, Mux(more, 1, -1)))
        for taker in range(ENGINE_COUNT):
            m.d.comb += self.ok[taker].eq(enough[taker][0] & enough[taker][1] & enough[taker][2] & enough[taker][3])
        return m
