"""The random number source of one column's stochastic rounding."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rpa.arch.lfsr import LFSR_RESET, LFSR_TAPS, lfsr_seed

LFSR_BITS = 32


class Lfsr(wiring.Component):
    """Galois LFSR of column ``column``; ``state`` is registered.

    ``step``: one step at the end of the cycle. ``load``: the column's state for the seed ``value``, instead.
    """

    def __init__(self, column: int) -> None:
        self.mask = int(lfsr_seed(0, column))
        super().__init__({"step": In(1), "load": In(1), "value": In(LFSR_BITS), "state": Out(LFSR_BITS, init=LFSR_RESET)})

    def elaborate(self, platform) -> Module:
        m = Module()
        seeded = Signal(LFSR_BITS)
        m.d.comb += seeded.eq(self.value ^ self.mask)
        with m.If(self.load):
            m.d.sync += self.state.eq(Mux(seeded == 0, LFSR_RESET, seeded))
        with m.Elif(self.step):
            m.d.sync += self.state.eq((self.state >> 1) ^ Mux(self.state[0], LFSR_TAPS, 0))
        return m
