"""The packed dot unit of a PE: one 16-bit, two 8-bit, four 4-bit or eight 2-bit products a cycle, and their sum.

One multiplier of the DSP takes the 16-bit product and lane 0 of the 8-bit mode. The rest is logic that nests: sixteen
2x2 digit products make four 4x4 products (the 4-bit lanes), and those make lane 1 of the 8-bit mode. A narrower mode
leaves out the cross terms of the wider one.
"""

from functools import cache

from amaranth.hdl import Cat, Const, Module, Mux, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.common import WORD_BITS

WIDTH_LAYOUT = data.StructLayout({"b2": 1, "b4": 1, "b8": 1, "b16": 1})
"""Lane width, one bit set: the register value 2, 4, 8 or 16 shifted right by one."""
PRODUCT_BITS = 33
"""A signed value that holds every 16x16 product, signed or not, and every sum of narrower ones."""


@cache
def _digit_tables() -> tuple[int, ...]:
    """Truth tables, one per result bit, of the 2x2 product over the index {y_signed, x_signed, y, x}."""
    tables = [0] * 5
    for index in range(64):
        x, y, x_signed, y_signed = index & 3, index >> 2 & 3, index >> 4 & 1, index >> 5
        product = (x - 4 * (x_signed & x >> 1)) * (y - 4 * (y_signed & y >> 1))
        for bit in range(5):
            tables[bit] |= (product >> bit & 1) << index
    return tuple(tables)


def _digit_product(x: Value, y: Value, x_signed: Value, y_signed: Value) -> Value:
    """Product of two 2-bit digits as a signed 5-bit value; tables, because a `*` would cost a DSP."""
    low = Cat(x, y)
    plain = [Const(table & 0xFFFF, 16).bit_select(low, 1) for table in _digit_tables()[:2]]
    index = Cat(low, x_signed, y_signed)
    return Cat(plain, *(Const(table, 64).bit_select(index, 1) for table in _digit_tables()[2:])).as_signed()


class Nibble(wiring.Component):
    """A 4x4 product, or with ``split`` the sum of the two 2x2 products of its halves. Combinational.

    ``total`` is the product (or sum); ``low`` and ``high`` are the digit products of the halves, valid with ``split``.
    """

    x: In(4)
    y: In(4)
    x_signed: In(1)
    y_signed: In(1)
    split: In(1)
    total: Out(signed(9))
    low: Out(signed(5))
    high: Out(signed(5))

    def elaborate(self, platform) -> Module:
        m = Module()
        split, x, y = self.split, self.x, self.y
        m.d.comb += [
            self.low.eq(_digit_product(x[:2], y[:2], self.x_signed & split, self.y_signed & split)),
            self.high.eq(_digit_product(x[2:], y[2:], self.x_signed, self.y_signed)),
        ]
        left = _digit_product(x[2:], y[:2] & ~split.replicate(2), self.x_signed, Const(0))
        right = _digit_product(x[:2] & ~split.replicate(2), y[2:], Const(0), self.y_signed)
        base = Mux(split, (self.high + self.low), Cat(self.low[:4], self.high).as_signed())
        m.d.comb += self.total.eq(base + ((left + right) << 2))
        return m


def dot_outputs() -> data.StructLayout:
    """Results of the dot unit; every field but ``total`` is valid in its own mode only.

    ``total``: sum over the lanes. ``p16``: the product of the 16-bit mode, and lane 0 of the 8-bit mode; ``p8``: lane 1 of the
    8-bit mode; ``p4[k]``, ``p2[k]``: lane k of the narrow modes.
    """
    return data.StructLayout({"total": signed(PRODUCT_BITS), "p16": signed(PRODUCT_BITS), "p8": signed(18),
                              "p4": data.ArrayLayout(signed(9), 4), "p2": data.ArrayLayout(signed(5), 8)})


class Dot(wiring.Component):
    """Lane products of two words and their sum. Combinational.

    x, y: words of lanes as wide as ``width`` says; ``x_signed``, ``y_signed``: how lanes are extended. ``out``: see
    :func:`dot_outputs`.
    """

    x: In(WORD_BITS)
    y: In(WORD_BITS)
    x_signed: In(1)
    y_signed: In(1)
    width: In(WIDTH_LAYOUT)
    out: Out(dot_outputs())

    def low_halves(self) -> Value:
        """The low half of every lane product, packed: what `mul` gives."""
        out, width = self.out, self.width
        narrow = Mux(width.b2, Cat(product[:2] for product in out.p2), Cat(product[:4] for product in out.p4))
        high = Mux(width.b8, out.p8[:8], out.p16[8:16])
        return Mux(width.b2 | width.b4, narrow, Cat(out.p16[:8], high))

    def _dsp_operand(self, word: Value, is_signed: Value) -> Value:
        """The word, its low byte, or 0 as a signed 17-bit operand."""
        b16, b8 = self.width.b16, self.width.b8
        fill = is_signed & Mux(b16, word[15], word[7] & b8)
        return Cat(word[:8] & (b16 | b8).replicate(8), Mux(b16, word[8:], fill.replicate(8)), fill).as_signed()

    def _nibbles(self, m: Module) -> list[Nibble]:
        """Units 0, 1: 4-bit lanes 0, 1, or the cross terms of the 8-bit product; units 2, 3: lanes 2, 3, or its outer terms."""
        b8, narrow = self.width.b8, ~self.width.b16
        x = [self.x.word_select(k, 4) & narrow.replicate(4) for k in range(4)]
        y = [self.y.word_select(k, 4) for k in range(4)]
        xs, ys, lane = self.x_signed, self.y_signed, ~b8
        operands = ((Mux(b8, x[2], x[0]), Mux(b8, y[3], y[0]), xs & lane, ys), (Mux(b8, x[3], x[1]), Mux(b8, y[2], y[1]), xs, ys & lane),
                    (x[2], y[2], xs & lane, ys & lane), (x[3], y[3], xs, ys))
        units = []
        for k, (x_k, y_k, xs_k, ys_k) in enumerate(operands):
            m.submodules[f"nibble{k}"] = unit = Nibble()
            m.d.comb += [unit.x.eq(x_k), unit.y.eq(y_k), unit.x_signed.eq(xs_k), unit.y_signed.eq(ys_k), unit.split.eq(self.width.b2),
                         self.out.p4[k].eq(unit.total), self.out.p2[2 * k].eq(unit.low), self.out.p2[2 * k + 1].eq(unit.high)]
            units.append(unit)
        return units

    def elaborate(self, platform) -> Module:
        m = Module()
        b8 = self.width.b8
        m.d.comb += self.out.p16.eq(self._dsp_operand(self.x, self.x_signed) * self._dsp_operand(self.y, self.y_signed))
        unit = self._nibbles(m)
        cross = unit[0].total + unit[1].total
        outer = Mux(b8, Cat(unit[2].total[:8], unit[3].total).as_signed(), unit[2].total + unit[3].total)
        m.d.comb += [
            self.out.p8.eq(outer + Mux(b8, cross << 4, cross)),
            self.out.total.eq(self.out.p16 + self.out.p8),
        ]
        return m
