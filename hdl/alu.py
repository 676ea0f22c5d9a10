"""The lane-wise ALU of a PE: one adder with switchable lane borders, one shifter, bit logic."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.choose import constant_or, stage
from hdl.common import WORD_BITS
from hdl.dot import HALVES, WIDTH_LAYOUT
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

    op: a code of `isa.table.PE_OPS`. low, right: lane products and right shift of the dot unit, ``width`` says of which lanes; ``result`` is
    taken from ``low`` for `mac`, `macl`, `mul` and `shl`, ``right`` for `shr` and `sra`; it means nothing for `nop`, `ceq` and `clt`. ``equal`` and
    ``less`` compare 16 bits and are valid for `ceq` and `clt`. A shift has one lane of 16 bits in ``width``.
    ``cut[k]``: a lane ends below digit k + 1.
    """

    op: In(OP_BITS)
    x: In(WORD_BITS)
    y: In(WORD_BITS)
    low: In(HALVES)
    right: In(WORD_BITS)
    width: In(WIDTH_LAYOUT)
    flag: In(1)
    is_signed: In(1)
    cut: In(DIGITS - 1)
    result: Out(WORD_BITS)
    equal: Out(1)
    less: Out(1)

    def _add(self, m: Module) -> LaneAdder:
        """The adder: x + y, x - y (also to compare), 0 - x, or y as it is; the top bit of signed lanes flipped so that they compare as unsigned."""
        m.submodules.adder = adder = LaneAdder()
        negate, subtract, flips, whole, logic = Signal(), Signal(), Signal(), Signal(), Signal()
        m.d.comb += [negate.eq(is_op(self.op, "abs")), logic.eq(is_op(self.op, "and", "or", "xor")), subtract.eq(~(is_op(self.op, "add") | logic)),
                     flips.eq((self.is_signed | negate) & subtract),
                     whole.eq(is_op(self.op, "ceq", "clt")), adder.cut.eq(self.cut & ~whole.replicate(DIGITS - 1))]
        flip = Cat(Cat(Const(0, DIGIT - 1), end & flips) for end in (*adder.cut, Const(1)))
        m.d.comb += [
            adder.a.eq((self.x & ~(negate | logic).replicate(WORD_BITS)) ^ flip),
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

    def _own(self, m: Module, adder: LaneAdder, odd: Value) -> Value:
        """Result of the operations without products, of products ``odd`` in every bit: x, y or neither, combined with the sum."""
        op, less = self.op, self._less_lanes(m, adder)
        compares, swaps, takes_less, takes_x, takes_y, sums, both, negate = (Signal(name=name) for name in (
            "compares", "swaps", "takes_less", "takes_x", "takes_y", "sums", "both", "negate"))
        m.d.comb += [
            compares.eq(is_op(op, "min", "max", "abs")), swaps.eq(is_op(op, "min", "max")), takes_less.eq(is_op(op, "min", "abs")),
            takes_x.eq(is_op(op, "mov", "and", "or", "xor") | (is_op(op, "sel") & self.flag) | odd),
            takes_y.eq((is_op(op, "sel") & ~self.flag) | odd),
            sums.eq(is_op(op, "add", "sub", "xor", "or")), both.eq(is_op(op, "and", "or")), negate.eq(is_op(op, "abs")),
        ]
        result = []
        for digit in range(DIGITS):
            x_less, keep_x, keep_y, differs = (Signal(name=f"{name}{digit}") for name in ("x_less", "keep_x", "keep_y", "differs"))
            m.d.comb += [x_less.eq(less[digit] == takes_less), keep_x.eq(takes_x | (compares & x_less)), keep_y.eq(takes_y | (swaps & ~x_less)),
                         differs.eq(sums | (negate & ~less[digit]))]
            x, y, added = (word.word_select(digit, DIGIT) for word in (self.x, self.y, adder.total))
            kept = Signal(DIGIT, name=f"kept{digit}")
            m.d.comb += kept.eq(constant_or(keep_x, keep_y, x, y))
            # With the sum (or y, for bit logic): kept as it is, exclusive or, and, or.
            result.append((kept & ~both.replicate(DIGIT) & ~(added & differs.replicate(DIGIT))) | (~kept & added & differs.replicate(DIGIT))
                          | (kept & added & both.replicate(DIGIT)) | (kept & (both & differs).replicate(DIGIT)))
        return Cat(result)

    def elaborate(self, platform) -> Module:
        m = Module()
        adder, width = self._add(m), self.width
        products, right, odd, narrow, wide = (Signal(name=name) for name in ("products", "right_shift", "odd", "narrow", "wide"))
        m.d.comb += [
            right.eq(is_op(self.op, "shr", "sra")), products.eq(is_op(self.op, "mac", "macl", "mul", "shl")),
            narrow.eq(products & (width.b2 | width.b4)), wide.eq(products & (width.b8 | width.b16)), odd.eq(products & (width.b4 | width.b16)),
        ]
        own = self._own(m, adder, odd)
        lanes = stage(m, stage(m, own, narrow, self.low[0], self.low[1]), wide, self.low[2], self.low[3])
        m.d.comb += self.result.eq(Mux(right, self.right, lanes))
        return m
