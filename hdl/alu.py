"""The lane-wise ALU of a PE: one adder with switchable lane borders, one shifter, bit logic."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.common import WORD_BITS
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
    """Result of every PE operation, and the two comparisons. Combinational.

    op: a code of `isa.table.PE_OPS`. low, high: halves of the dot unit's products, or of its shift; ``result`` is ``low`` for
    `mac`, `macl`, `mul` and `shl`, ``high`` for `shr` and `sra`, and 0 for operations without a result. ``equal`` and ``less`` compare 16 bits
    and are valid for `ceq` and `clt`. ``cut[k]``: a lane ends below digit k + 1.
    """

    op: In(OP_BITS)
    x: In(WORD_BITS)
    y: In(WORD_BITS)
    low: In(WORD_BITS)
    high: In(WORD_BITS)
    flag: In(1)
    is_signed: In(1)
    cut: In(DIGITS - 1)
    result: Out(WORD_BITS)
    equal: Out(1)
    less: Out(1)

    def _add(self, m: Module) -> LaneAdder:
        """The adder: x + y, x - y (also to compare) or 0 - x; the top bit of signed lanes flipped so that they compare as unsigned."""
        m.submodules.adder = adder = LaneAdder()
        negate, subtract, flips, whole = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [negate.eq(is_op(self.op, "abs")), subtract.eq(~is_op(self.op, "add")), flips.eq(self.is_signed | negate),
                     whole.eq(is_op(self.op, "ceq", "clt")), adder.cut.eq(self.cut & ~whole.replicate(DIGITS - 1))]
        flip = Cat(Cat(Const(0, DIGIT - 1), end & flips) for end in (*adder.cut, Const(1)))
        m.d.comb += [
            adder.a.eq((self.x & ~negate.replicate(WORD_BITS)) ^ flip),
            adder.b.eq(Mux(negate, self.x, self.y) ^ flip ^ subtract.replicate(WORD_BITS)),
            adder.subtract.eq(subtract), self.less.eq(~adder.carry[-1]), self.equal.eq(adder.total == 0),
        ]
        return adder

    def _less_lanes(self, m: Module, adder: LaneAdder) -> Value:
        """For each digit: x < y (`abs`: 0 < x) in its lane."""
        less = Signal(DIGITS)
        m.d.comb += less[-1].eq(~adder.carry[-1])
        for digit in range(DIGITS - 1):
            m.d.comb += less[digit].eq(Mux(adder.cut[digit], ~adder.carry[digit], less[digit + 1]))
        return less

    def elaborate(self, platform) -> Module:
        m = Module()
        op, adder = self.op, self._add(m)
        less = self._less_lanes(m, adder)
        compares, takes_less, takes_x, takes_y = Signal(), Signal(), Signal(), Signal()
        both, one = Signal(), Signal()
        m.d.comb += [
            compares.eq(is_op(op, "min", "max", "abs")), takes_less.eq(is_op(op, "min", "abs")),
            takes_x.eq(is_op(op, "mov") | (is_op(op, "sel") & self.flag)), takes_y.eq(is_op(op, "sel") & ~self.flag),
            both.eq(~is_op(op, "xor", "nop", "ceq", "clt")), one.eq(is_op(op, "or", "xor")),
        ]
        sums, products = is_op(op, "add", "sub"), is_op(op, "mac", "macl", "mul", "shl", "shr", "sra")
        right = is_op(op, "shr", "sra")
        for digit in range(DIGITS):
            # Bits that are 1 in both words, in x alone, in y alone: kept or not.
            x_less = less[digit] == takes_less
            keep_x, keep_y, total = (Signal(name=f"{name}{digit}") for name in ("keep_x", "keep_y", "total"))
            m.d.comb += [keep_x.eq(one | takes_x | (compares & x_less)), keep_y.eq(one | takes_y | (compares & ~x_less)),
                         total.eq(sums | (is_op(op, "abs") & ~less[digit]))]
            x, y, added, low, high = (word.word_select(digit, DIGIT) for word in (self.x, self.y, adder.total, self.low, self.high))
            logic = (x & y & both.replicate(DIGIT)) | (x & ~y & keep_x.replicate(DIGIT)) | (~x & y & keep_y.replicate(DIGIT))
            m.d.comb += self.result.word_select(digit, DIGIT).eq(Mux(products, Mux(right, high, low), Mux(total, added, logic)))
        return m
