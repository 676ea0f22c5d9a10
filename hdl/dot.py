"""The packed dot unit of a PE: one 16-bit, two 8-bit, four 4-bit or eight 2-bit products a cycle, and their sum.

The multiplier of a DSP takes the 16-bit product and lane 0 of the 8-bit mode. The rest is logic that nests: sixteen
2x2 digit products make four 4x4 products (the 4-bit lanes), and those make lane 1 of the 8-bit mode. A narrower mode
leaves out the cross terms of the wider one. The multiplier also shifts: a power of two takes the place of y.
Every width's lanes are outputs; who needs them chooses.
"""

from functools import cache

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.common import WORD_BITS

WIDTH_LAYOUT = data.StructLayout({"b2": 1, "b4": 1, "b8": 1, "b16": 1})
"""Lane width, one bit set: the register value 2, 4, 8 or 16 shifted right by one."""
ONE_LANE = 0b1000
"""WIDTH_LAYOUT for a single 16-bit lane."""
TOTAL_BITS = 18
"""A signed value that holds the sum of two 8-bit products, and with it those of narrower ones."""
PLACE_BITS = (WORD_BITS - 1).bit_length()
HALVES = data.ArrayLayout(WORD_BITS, 4)
"""A word for every width of WIDTH_LAYOUT."""


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
    """A 4x4 product and, for ``split``, two 2x2 products. Combinational.

    ``product``: the signed product without ``split``. ``low``, ``high``: with ``split`` the products of the low and of the high halves.
    ``total``: the product, or with ``split`` the sum of the two.
    """

    x: In(4)
    y: In(4)
    x_signed: In(1)
    y_signed: In(1)
    split: In(1)
    low: Out(signed(5))
    high: Out(signed(5))
    product: Out(signed(9))
    total: Out(signed(9))

    def elaborate(self, platform) -> Module:
        m = Module()
        split, x, y = self.split, self.x, self.y
        left, right = (Signal(signed(5), name=name) for name in ("left", "right"))
        m.d.comb += [
            self.low.eq(_digit_product(x[:2], y[:2], self.x_signed & split, self.y_signed & split)),
            self.high.eq(_digit_product(x[2:], y[2:], self.x_signed, self.y_signed)),
            left.eq(_digit_product(x[2:], y[:2], self.x_signed, Const(0))),
            right.eq(_digit_product(x[:2], y[2:], Const(0), self.y_signed)),
            self.product.eq(Cat(self.low[:4], self.high).as_signed() + ((left + right) << 2)),
            self.total.eq(Mux(split, self.low + self.high, self.product)),
        ]
        return m


class Dot(wiring.Component):
    """Lane products of two words, their sum below 16 bits, and shifts. Combinational.

    x, y: words of lanes as wide as ``width`` says; ``x_signed``, ``y_signed``: how lanes are extended. ``low[k]``, ``high[k]``: the low and the
    high half of every lane product, packed as the lanes are, for the width of bit k of WIDTH_LAYOUT; those of the other widths mean nothing.
    ``total``: the sum of the products, not valid with 16-bit lanes.
    ``shift`` (with 16-bit lanes): the product is x * 2^``places``; ``right``: x shifted right by 15 - ``places`` then.
    """

    x: In(WORD_BITS)
    y: In(WORD_BITS)
    x_signed: In(1)
    y_signed: In(1)
    width: In(WIDTH_LAYOUT)
    shift: In(1)
    places: In(PLACE_BITS)
    low: Out(HALVES)
    high: Out(HALVES)
    right: Out(WORD_BITS)
    total: Out(signed(TOTAL_BITS))

    def _x_operand(self) -> Value:
        """The word, or its low byte, as a signed 17-bit operand."""
        b16 = self.width.b16
        sign = self.x_signed & Mux(b16, self.x[15], self.x[7])
        return Cat(self.x[:8], Mux(b16, self.x[8:], sign.replicate(8)), sign).as_signed()

    def _y_operand(self, m: Module) -> Value:
        """The same of y, or 2^places, which is the product of two one-hot digits; these also carry the sign of the low byte."""
        word, b16, plain = self.y, self.width.b16, ~self.shift
        fill = Signal()
        m.d.comb += fill.eq(self.y_signed & word[7] & ~b16)
        fine, coarse = (Cat((digit == k) & self.shift for k in range(4)) for digit in (self.places[:2], self.places[2:]))
        low = [(word[k] & plain) | (fine[k % 4] & coarse[k // 4]) for k in range(8)]
        fine, coarse = fine | fill.replicate(4), coarse | fill.replicate(4)
        high = [(word[k] & b16 & plain) | (fine[k % 4] & coarse[k // 4]) for k in range(8, 16)]
        return Cat(low, high, self.y_signed & Mux(b16, word[15], word[7]) & plain).as_signed()

    def _nibbles(self, m: Module) -> list[Nibble]:
        """Units 0, 1: 4-bit lanes 0, 1, or the cross terms of the 8-bit product; units 2, 3: lanes 2, 3, or its outer terms."""
        b8 = self.width.b8
        x, y = ([word.word_select(k, 4) for k in range(4)] for word in (self.x, self.y))
        xs, ys, lane = self.x_signed, self.y_signed, ~b8
        operands = ((Mux(b8, x[2], x[0]), Mux(b8, y[3], y[0]), xs & lane, ys), (Mux(b8, x[3], x[1]), Mux(b8, y[2], y[1]), xs, ys & lane),
                    (x[2], y[2], xs & lane, ys & lane), (x[3], y[3], xs, ys))
        units = []
        for k, (x_k, y_k, xs_k, ys_k) in enumerate(operands):
            m.submodules[f"nibble{k}"] = unit = Nibble()
            m.d.comb += [unit.x.eq(x_k), unit.y.eq(y_k), unit.x_signed.eq(xs_k), unit.y_signed.eq(ys_k), unit.split.eq(self.width.b2)]
            units.append(unit)
        return units

    def elaborate(self, platform) -> Module:
        m = Module()
        wide, byte, cross = Signal(2 * WORD_BITS), Signal(signed(2 * 8 + 1)), Signal(signed(10))
        factor = Signal(signed(WORD_BITS + 1))
        m.d.comb += factor.eq(self._y_operand(m))
        m.d.comb += wide.eq(self._x_operand() * factor)
        unit = self._nibbles(m)
        outer, pairs = Cat(unit[2].product[4:8], unit[3].product).as_signed(), unit[2].total + unit[3].total
        m.d.comb += [
            cross.eq(unit[0].total + unit[1].total), byte.eq(Cat(unit[2].product[:4], outer + cross)),
            self.total.eq(Mux(self.width.b8, Cat(wide[:TOTAL_BITS]).as_signed(), pairs) + Mux(self.width.b8, byte, cross)),
            self.right.eq(wide[WORD_BITS - 1:]),
        ]
        for half, target in enumerate((self.low, self.high)):
            m.d.comb += [
                target[0].eq(Cat(digit[2 * half:2 * half + 2] for n in unit for digit in (n.low, n.high))),
                target[1].eq(Cat(n.product[4 * half:4 * half + 4] for n in unit)),
                target[2].eq(Cat(part[8 * half:8 * half + 8] for part in (wide, byte))), target[3].eq(wide.word_select(half, WORD_BITS)),
            ]
        return m
