"""From packed lanes to the value that goes into the accumulator: lanes moved apart and extended to accumulator lanes."""

from amaranth.hdl import Cat, Module, Mux, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.common import WORD_BITS
from hdl.dot import WIDTH_LAYOUT


def extend(value: Value, bits: int) -> Value:
    """Low ``bits`` bits of a value, extended by its top bit."""
    if len(value) >= bits:
        return value[:bits]
    return Cat(value, value[-1].replicate(bits - len(value)))


def by_width(width: data.View, b2: Value, b4: Value, b8: Value, b16: Value) -> Value:
    """The alternative of the lane width in use."""
    return Mux(width.b2 | width.b4, Mux(width.b2, b2, b4), Mux(width.b8, b8, b16))


class Spread(wiring.Component):
    """Value of ``acc_bits`` for the ACC stage: each lane in a lane of acc_bits/lanes bits. Combinational.

    ``width.b16`` goes before the other widths. A lane is twice as wide as ``width`` says: its low half stands in ``low``, its high half in
    ``high``, both packed. With ``is_signed`` it is
    extended by its top bit, otherwise by 0.
    """

    def __init__(self, acc_bits: int) -> None:
        self.acc_bits = acc_bits
        super().__init__({"low": In(WORD_BITS), "high": In(WORD_BITS), "width": In(WIDTH_LAYOUT), "is_signed": In(1), "value": Out(acc_bits)})

    def _lanes(self, bits: int) -> Value:
        count = WORD_BITS // bits
        lanes = [Cat(self.low.word_select(k, bits), self.high.word_select(k, bits)) for k in range(count)]
        return Cat(extend(Cat(lane, lane[-1] & self.is_signed), self.acc_bits // count) for lane in lanes)

    def elaborate(self, platform) -> Module:
        m = Module()
        narrower = by_width(self.width, *(self._lanes(bits) for bits in (2, 4, 8)), self._lanes(16))
        m.d.comb += self.value.eq(Mux(self.width.b16, self._lanes(16), narrower))
        return m
