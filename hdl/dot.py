"""The packed dot unit of a PE: one 16-bit, two 8-bit, four 4-bit or eight 2-bit products a cycle, and their sum.

The multiplier of a DSP takes the 16-bit product and lane 0 of the 8-bit mode. The rest is logic that nests: sixteen
2x2 digit products make four 4x4 products (the 4-bit lanes), and those make lane 1 of the 8-bit mode. A narrower mode
leaves out the cross terms of the wider one. The multiplier also shifts: a power of two takes the place of y.
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
POWER_BITS = WORD_BITS + 1


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
    """A 4x4 product, or with ``split`` two 2x2 products. Combinational.

    ``product`` is the signed product; with ``split`` its low 4 bits are the product of the low halves, the rest is that of the high
    halves. ``total`` is the product, or the sum of the two.
    """

    x: In(4)
    y: In(4)
    x_signed: In(1)
    y_signed: In(1)
    split: In(1)
    product: Out(signed(9))
    total: Out(signed(9))

    def elaborate(self, platform) -> Module:
        m = Module()
        split, x, y = self.split, self.x, self.y
        low, high, left, right = (Signal(signed(5), name=name) for name in ("low", "high", "left", "right"))
        m.d.comb += [
            low.eq(_digit_product(x[:2], y[:2], self.x_signed & split, self.y_signed & split)),
            high.eq(_digit_product(x[2:], y[2:], self.x_signed, self.y_signed)),
            left.eq(_digit_product(x[2:], y[:2] & ~split.replicate(2), self.x_signed, Const(0))),
            right.eq(_digit_product(x[:2] & ~split.replicate(2), y[2:], Const(0), self.y_signed)),
            self.product.eq(Cat(low[:4], high).as_signed() + ((left + right) << 2)),
            self.total.eq(Mux(split, low + high, self.product)),
        ]
        return m


class Dot(wiring.Component):
    """Lane products of two words, their sum below 16 bits, and shifts. Combinational.

    x, y: words of lanes as wide as ``width`` says; ``x_signed``, ``y_signed``: how lanes are extended. ``low``, ``high``: the low and the
    high half of every lane product, packed as the lanes are. ``total``: the sum of the products, not valid with 16-bit lanes.
    ``shift`` (with 16-bit lanes): the product is x * ``power``, which has one bit set.
    """

    x: In(WORD_BITS)
    y: In(WORD_BITS)
    x_signed: In(1)
    y_signed: In(1)
    width: In(WIDTH_LAYOUT)
    shift: In(1)
    power: In(POWER_BITS)
    low: Out(WORD_BITS)
    high: Out(WORD_BITS)
    total: Out(signed(TOTAL_BITS))

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
            m.d.comb += [unit.x.eq(x_k), unit.y.eq(y_k), unit.x_signed.eq(xs_k), unit.y_signed.eq(ys_k), unit.split.eq(self.width.b2)]
            units.append(unit)
        return units

    def elaborate(self, platform) -> Module:
        m = Module()
        b8 = self.width.b8
        wide, byte = Signal(2 * WORD_BITS), Signal(signed(TOTAL_BITS))
        factor = Signal(signed(POWER_BITS + 1))
        m.d.comb += factor.eq(Mux(self.shift, self.power, self._dsp_operand(self.y, self.y_signed)))
        m.d.comb += wide.eq(self._dsp_operand(self.x, self.x_signed) * factor)
        unit = self._nibbles(m)
        cross = unit[0].total + unit[1].total
        outer = Mux(b8, Cat(unit[2].product[:8], unit[3].product).as_signed(), unit[2].total + unit[3].total)
        m.d.comb += [
            byte.eq(outer + Mux(b8, cross << 4, cross)),
            # Below 8 bits the multiplier's operands are 0. The sign of an 8-bit product follows from its own operands.
            self.total.eq(Cat(wide[:TOTAL_BITS]).as_signed() + byte),
        ]
        self._halves(m, wide, byte, [n.product for n in unit])
        return m

    def _halves(self, m: Module, wide: Value, byte: Value, nibbles: list[Value]) -> None:
        """Low and high halves: of the multiplier, of lane 1 of the 8-bit mode, of the 4-bit and 2-bit lanes."""
        width = self.width
        b4 = [Cat(n[4 * half:4 * half + 4] for n in nibbles) for half in range(2)]
        b2 = [Cat(n[2 * half:2 * half + 2] if low else n[4 + 2 * half:6 + 2 * half] for n in nibbles for low in (True, False)) for half in range(2)]
        b8 = [Cat(wide[8 * half:8 * half + 8], byte[8 * half:8 * half + 8]) for half in range(2)]
        b16 = [wide[WORD_BITS * half:WORD_BITS * (half + 1)] for half in range(2)]
        for target, *choices in zip((self.low, self.high), b2, b4, b8, b16, strict=True):
            masked = [value & width[name].replicate(WORD_BITS) for name, value in zip(("b2", "b4", "b8", "b16"), choices, strict=True)]
            m.d.comb += target.eq(masked[0] | masked[1] | masked[2] | masked[3])
