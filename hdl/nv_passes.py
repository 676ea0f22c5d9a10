"""Passes of a vector, and the resolution that a pass needs (`docs/design.md` section 15)."""

from __future__ import annotations

from amaranth import Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common import register_layout, sum_of
from hdl.macro import RANGE_BITS
from rpa.arch.config import ArrayConfig

PLACE_BITS = 4
"""Bits of the place of a digit in an activation of 16 bits."""


class NvPasses(wiring.Component):
    """``begin``: the next pass is the first of a vector. ``step``: the pass is over. In between, registered: ``width`` bits of the
    activations from bit ``place`` on are driven; ``sign``: that is the sign bit, of negative weight. ``first``, ``last``: pass of its vector.
    """

    def __init__(self, config: ArrayConfig) -> None:
        self.dac_bits = config.nv_dac_bits
        super().__init__({"regs": In(register_layout(config, "nv")), "begin": In(1), "step": In(1), "width": Out(range(self.dac_bits + 1)),
                          "place": Out(PLACE_BITS), "sign": Out(1), "first": Out(1), "last": Out(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        left, signed = Signal.like(self.regs.abits), self.regs.asigned  # bits below the sign that no pass has driven
        m.d.comb += [
            self.sign.eq(left == 0), self.width.eq(Mux(self.sign, 1, Mux(left < self.dac_bits, left, self.dac_bits))),
            self.last.eq(self.sign | (~signed & (left <= self.dac_bits))),
        ]
        with m.If(self.begin):
            m.d.sync += [left.eq(self.regs.abits - signed), self.place.eq(0), self.first.eq(1)]
        with m.Elif(self.step):
            m.d.sync += [left.eq(left - Mux(self.sign, 0, self.width)), self.place.eq(self.place + self.width), self.first.eq(0)]
        return m


class Resolution(wiring.Component):
    """Combinational. ``active``: word lines with a digit that is not 0; ``bits``: bits of the largest code that is possible, at most those of
    a converter; ``limit``: all ones in as many bits.
    """

    def __init__(self, config: ArrayConfig) -> None:
        self.config = config
        super().__init__({"digits": In(config.nv_rows * config.nv_dac_bits), "range": In(RANGE_BITS), "active": Out(range(config.nv_rows + 1)),
                          "bits": Out(range(config.nv_adc_bits + 1)), "limit": Out(config.nv_adc_bits)})

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self.config
        top = ((1 << config.nv_dac_bits) - 1) * ((1 << config.nv_cell_bits) - 1)
        half, largest = Signal(1 << RANGE_BITS), Signal(range(config.nv_rows * top + 1))
        driven = [self.digits.word_select(row, config.nv_dac_bits).any() for row in range(config.nv_rows)]
        m.d.comb += [
            self.active.eq(sum_of(driven)), half.eq((Const(1) << self.range) >> 1), largest.eq((self.active * top + half) >> self.range),
            # A bit of a code is needed where it or a higher one of the largest is set, or where the converter's range ends.
            *(self.limit[bit].eq(largest[bit:].any()) for bit in range(min(config.nv_adc_bits, len(largest)))),
            self.bits.eq(sum_of(list(self.limit))),
        ]
        return m
