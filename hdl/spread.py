"""From products or ALU results to the value that goes into the accumulator: lanes moved apart to accumulator lanes."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.common import WORD_BITS
from hdl.dot import WIDTH_LAYOUT, dot_outputs


def extend(value: Value, bits: int) -> Value:
    """Low ``bits`` bits of a value, extended as its own signedness says."""
    if len(value) >= bits:
        return value[:bits]
    return Cat(value, value[-1].replicate(bits - len(value)))


def by_width(width: data.View, b2: Value, b4: Value, b8: Value, b16: Value) -> Value:
    """The alternative of the lane width in use."""
    return Mux(width.b2 | width.b4, Mux(width.b2, b2, b4), Mux(width.b8, b8, b16))


class Spread(wiring.Component):
    """Value of ``acc_bits`` for the ACC stage. Combinational.

    take_result: the lanes of ``result``, extended as ``is_signed`` says, each into a lane of acc_bits/lanes bits.
    Otherwise ``split``: the lane products, likewise; or else their sum.
    """

    def __init__(self, acc_bits: int) -> None:
        self.acc_bits = acc_bits
        super().__init__({
            "dot": In(dot_outputs()), "result": In(WORD_BITS), "width": In(WIDTH_LAYOUT), "is_signed": In(1),
            "take_result": In(1), "split": In(1), "value": Out(acc_bits),
        })

    def _lanes(self, lanes: Sequence[Value]) -> Value:
        return Cat(extend(lane, self.acc_bits // len(lanes)) for lane in lanes)

    def _result_lanes(self, count: int) -> Value:
        bits = WORD_BITS // count
        lanes = [self.result.word_select(k, bits) for k in range(count)]
        return self._lanes([Cat(lane, lane[-1] & self.is_signed) for lane in lanes])

    def elaborate(self, platform) -> Module:
        m = Module()
        dot = self.dot
        total = extend(dot.total, self.acc_bits)
        products = by_width(self.width, self._lanes(list(dot.p2)), self._lanes(list(dot.p4)), self._lanes([dot.p16[:17], dot.p8[:17]]), total)
        results = by_width(self.width, *(self._result_lanes(count) for count in (8, 4, 2, 1)))
        m.d.comb += self.value.eq(Mux(self.take_result, results, Mux(self.split, products, total)))
        return m
