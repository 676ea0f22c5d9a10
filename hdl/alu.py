"""The lane-wise ALU of a PE: one adder with switchable lane borders, one shifter, bit logic."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.common import WORD_BITS
from hdl.dot import WIDTH_LAYOUT
from isa.table import CONTEXT_FIELDS, PE_OPS

DIGIT = 2
"""Bits of the narrowest lane; every lane border lies between two digits."""
DIGITS = WORD_BITS // DIGIT
OP_BITS = next(field.bits for field in CONTEXT_FIELDS if field.name == "op")
OP_CODE = {op.name: op.code for op in PE_OPS}


def borders(width: data.View) -> list[Value]:
    """Whether a lane ends below digit 1, 2, ..., 7."""
    odd, two, four = width.b2, width.b2 | width.b4, ~width.b16
    return [four if digit == 4 else two if digit % 4 == 2 else odd for digit in range(1, DIGITS)]


def is_op(op: Value, *names: str) -> Value:
    """1 if ``op`` is one of the named operations."""
    return Cat(op == OP_CODE[name] for name in names).any()


class LaneAdder(wiring.Component):
    """``a + b`` or ``a - b`` in lanes, on one carry chain with a guard bit at every possible border. Combinational.

    cut[k]: a lane ends below digit k + 1. ``carry[k]``: carry out of digit k; without borrow ``carry`` is 1 in a
    subtraction; meaningful where a lane ends. ``b`` comes already inverted in a subtraction.
    """

    a: In(WORD_BITS)
    b: In(WORD_BITS)
    subtract: In(1)
    cut: In(DIGITS - 1)
    total: Out(WORD_BITS)
    carry: Out(DIGITS)

    def elaborate(self, platform) -> Module:
        m = Module()
        left, right = [], []
        for digit in range(DIGITS):
            left.append(self.a.word_select(digit, DIGIT))
            right.append(self.b.word_select(digit, DIGIT))
            if digit < DIGITS - 1:  # the guard passes the carry (1 + 0), starts a subtraction (1 + 1) or an addition (0 + 0)
                left.append(~self.cut[digit] | self.subtract)
                right.append(self.cut[digit] & self.subtract)
        chain = Signal(WORD_BITS + DIGITS + 1)
        # A carry of 1 + 1 (or 0) below the chain brings the first lane's carry in.
        m.d.comb += chain.eq(Cat(self.subtract, *left) + Cat(self.subtract, *right))
        step = DIGIT + 1
        for digit in range(DIGITS):
            m.d.comb += [self.total.word_select(digit, DIGIT).eq(chain[1 + step * digit:1 + step * digit + DIGIT]),
                         self.carry[digit].eq(chain[step * (digit + 1)])]
        return m


class Alu(wiring.Component):
    """Result of every PE operation that has one, and the two comparisons. Combinational.

    op: a code of `isa.table.PE_OPS`; ``result`` is 0 for those without a result. product: ``mul``'s result. ``equal`` and
    ``less`` compare 16 bits and are valid for ``ceq`` and ``clt``.
    """

    op: In(OP_BITS)
    x: In(WORD_BITS)
    y: In(WORD_BITS)
    product: In(WORD_BITS)
    flag: In(1)
    is_signed: In(1)
    width: In(WIDTH_LAYOUT)
    result: Out(WORD_BITS)
    equal: Out(1)
    less: Out(1)

    def _add(self, m: Module) -> LaneAdder:
        """The adder: x + y, x - y (also to compare) or 0 - x; the top bit of signed lanes flipped so that they compare as unsigned."""
        m.submodules.adder = adder = LaneAdder()
        negate, whole, subtract = is_op(self.op, "abs"), is_op(self.op, "ceq", "clt"), ~is_op(self.op, "add")
        cut = Cat(borders(self.width)) & ~whole.replicate(DIGITS - 1)
        top = Cat(Cat(Const(0, DIGIT - 1), end) for end in (*cut, Const(1)))
        flip = top & (self.is_signed | negate).replicate(WORD_BITS)
        m.d.comb += [
            adder.a.eq((self.x & ~negate.replicate(WORD_BITS)) ^ flip),
            adder.b.eq(Mux(negate, self.x, self.y) ^ flip ^ subtract.replicate(WORD_BITS)),
            adder.subtract.eq(subtract), adder.cut.eq(cut),
            self.less.eq(~adder.carry[-1]), self.equal.eq(adder.total == 0),
        ]
        return adder

    def _pick(self, adder: LaneAdder) -> Value:
        """x, y or the adder's total per lane: mov, sel, min, max and abs."""
        less = [~adder.carry[-1]]
        for digit in range(DIGITS - 2, -1, -1):
            less.insert(0, Mux(adder.cut[digit], ~adder.carry[digit], less[0]))
        smaller, fixed = is_op(self.op, "min", "abs"), is_op(self.op, "mov") | (is_op(self.op, "sel") & self.flag)
        compares = is_op(self.op, "min", "max", "abs")
        invert = Mux(compares, ~smaller, fixed)
        # abs: 0 < x takes x, like min: x < y takes x
        take_x = Cat(((bit & compares) ^ invert).replicate(DIGIT) for bit in less)
        other = Mux(is_op(self.op, "abs"), adder.total, self.y)
        return (self.x & take_x) | (other & ~take_x)

    def _shift(self) -> Value:
        left, fill = is_op(self.op, "shl"), is_op(self.op, "sra") & self.x[-1]
        forward = Mux(left, self.x[::-1], self.x)
        shifted = (Cat(forward, fill).as_signed() >> self.y[:4])[:WORD_BITS]
        return Mux(left, shifted[::-1], shifted)

    def elaborate(self, platform) -> Module:
        m = Module()
        adder = self._add(m)
        groups = (
            (("add", "sub"), adder.total), (("mov", "sel", "min", "max", "abs"), self._pick(adder)), (("mul",), self.product),
            (("and",), self.x & self.y), (("or",), self.x | self.y), (("xor",), self.x ^ self.y),
            (("shl", "shr", "sra"), self._shift()),
        )
        with m.Switch(self.op):
            for names, value in groups:
                with m.Case(*(OP_CODE[name] for name in names)):
                    m.d.comb += self.result.eq(value)
        return m
