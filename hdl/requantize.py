"""Requantization of one column, stages D1 to D4 of the drain (`docs/design.md` section 7)."""

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.common import WORD_BITS
from hdl.lfsr import LFSR_BITS, Lfsr
from hdl.spread import extend
from isa.table import PARAM_WORDS, REGISTERS, ROUNDINGS

ROUND = {rounding.name: rounding.code for rounding in ROUNDINGS}
SHIFT_MIN, SHIFT_MAX, SHIFT_MIN_GEMMLOWP = 1, 62, 31
V_BITS = 32
MULTIPLIER_BITS = 31
PRODUCT_BITS = V_BITS + MULTIPLIER_BITS
LOW_BITS = 31
"""Bits below the doubling high multiply of gemmlowp rounding."""
QUOTIENT_BITS = 19
"""A quotient beyond this many signed bits is outside every lo..hi after any zero point, so it saturates here."""
SHIFT_PARAM_BITS = 7


def register_shape(name: str) -> Shape:
    register = next(register for register in REGISTERS if register.name == name)
    return Shape(register.bits, signed=register.signed)


def scaling() -> data.StructLayout:
    """What travels with an element from D1 to D4: its command's settings, and which half of a raw value it is."""
    return data.StructLayout({"valid": 1, "round": register_shape("dr.round"), "raw": 1, "half": 1,
                              **{name: register_shape(f"dr.{name}") for name in ("zp", "lo", "hi")}})


def rq_control() -> data.StructLayout:
    """What is common to all columns, per cycle."""
    return data.StructLayout({
        "lanes": register_shape("dr.lanes"), "pre": register_shape("dr.pre"), "d1": scaling(), "d3": scaling(), "d4": scaling(),
        "seed": 1, "seed_value": LFSR_BITS,  # in D3
    })


def saturate(value: Value, bits: int) -> tuple[Value, Value]:
    """A signed value clamped to ``bits`` bits, and whether that changed it."""
    sign, top = value[-1], value[bits - 1:]
    changed = top.any() & ~top.all()
    return Mux(changed, Cat((~sign).replicate(bits - 1), sign), value[:bits]).as_signed(), changed


def shift_right(m: Module, value: Value, amount: Value, bits: int) -> tuple[Value, Value, Value]:
    """``value >> amount`` for a signed value, cut to ``bits`` signed bits.

    Returns (result, whether a bit above the result is unlike its sign, whether a 1 was shifted out). Each stage keeps only
    what later ones can still bring into the result.
    """
    sign, overflow, lost = value[-1], [], []
    for k in reversed(range(len(amount))):
        step = 1 << k
        keep = min(len(value), bits + step - 1)
        odd = value ^ sign.replicate(len(value))
        overflow.append(Mux(amount[k], odd[keep + step:].any(), odd[keep:].any()))
        lost.append(value[:step].any() & amount[k])
        shifted = extend(value[step:], keep) if len(value) > step else sign.replicate(keep)
        stage = Signal(keep, name=f"shifted{k}")
        m.d.comb += stage.eq(Mux(amount[k], shifted, value[:keep]))
        value = stage
    return value, Cat(overflow, value[-1] ^ sign).any(), Cat(lost).any()


class Requantizer(wiring.Component):
    """Four pipelined stages; an element a cycle.

    D1: the lane stands lowest in ``acc`` (the rest above it means nothing), ``entry`` the parameter entry. ``bad_shift``: the entry's
    ``shift`` is outside what the rounding takes; whether that matters is the caller's knowledge.
    D4: ``saturated``: the element was changed by saturation. ``q`` is registered: the element from the cycle after its D4 on.
    ``lfsr`` is the registered state of the column's LFSR.
    """

    def __init__(self, acc_bits: int, column: int) -> None:
        self.acc_bits, self.column = acc_bits, column
        super().__init__({
            "control": In(rq_control()), "acc": In(acc_bits), "entry": In(data.ArrayLayout(unsigned(WORD_BITS), PARAM_WORDS)),
            "bad_shift": Out(1), "shift": Out(SHIFT_PARAM_BITS), "saturated": Out(1), "q": Out(WORD_BITS), "lfsr": Out(LFSR_BITS),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        v, clipped = self._d1(m)
        product, shift, v, clipped = self._d2(m, v, clipped)
        quotient, v, clipped = self._d3(m, product, shift, v, clipped)
        self._d4(m, quotient, v, clipped)
        return m

    def _d1(self, m: Module) -> tuple[Signal, Signal]:
        """Bias, pre-shift with rounding, saturation to 32 bits; registers of D2."""
        control, words = self.control, self.entry
        bias = extend(Cat(words[k] for k in range(3)).as_signed(), self.acc_bits)
        total = Signal(self.acc_bits)
        m.d.comb += total.eq(self.acc + bias)
        lane = Signal(signed(self.acc_bits))
        m.d.comb += lane.eq(total)
        with m.If(~control.d1.raw), m.Switch(control.lanes):
            for lanes in (2, 4, 8):
                with m.Case(lanes):
                    m.d.comb += lane.eq(total[:self.acc_bits // lanes].as_signed())
        # floor((x + 2^(pre-1)) / 2^pre) is the shifted value plus the last bit shifted out.
        padded = Signal(signed(self.acc_bits + 1))
        rounded = Signal(signed(self.acc_bits + 1))
        m.d.comb += [padded.eq(Cat(Const(0, 1), lane).as_signed() >> control.pre), rounded.eq((padded >> 1) + padded[0])]
        value, changed = saturate(rounded, V_BITS)
        least = Mux(control.d1.round == ROUND["gemmlowp"], SHIFT_MIN_GEMMLOWP, SHIFT_MIN)
        m.d.comb += [self.shift.eq(words[5]), self.bad_shift.eq((self.shift < least) | (self.shift > SHIFT_MAX))]
        v, clipped = Signal(signed(V_BITS), name="d2_v"), Signal(name="d2_clipped")
        m.d.sync += [v.eq(value), clipped.eq(changed)]
        return v, clipped

    def _d2(self, m: Module, v: Signal, clipped: Signal) -> tuple[Signal, Signal, Signal, Signal]:
        """The product; registers of D3."""
        multiplier, shift = Signal(MULTIPLIER_BITS, name="d2_multiplier"), Signal(SHIFT_PARAM_BITS - 1, name="d2_shift")
        m.d.sync += [multiplier.eq(Cat(self.entry[3], self.entry[4])), shift.eq(self.shift)]
        product, next_shift = Signal(signed(PRODUCT_BITS), name="d3_product"), Signal(SHIFT_PARAM_BITS - 1, name="d3_shift")
        next_v, next_clipped = Signal(signed(V_BITS), name="d3_v"), Signal(name="d3_clipped")
        m.d.sync += [product.eq(v * multiplier), next_shift.eq(shift), next_v.eq(v), next_clipped.eq(clipped)]
        return product, next_shift, next_v, next_clipped

    def _d3(self, m: Module, product: Signal, shift: Signal, v: Signal, clipped: Signal) -> tuple[Signal, Signal, Signal]:
        """The rounded quotient; registers of D4. The fraction stands in LFSR_BITS bits below the quotient, the rest of it in `lost`."""
        control = self.control.d3
        m.submodules.lfsr = lfsr = Lfsr(self.column)
        m.d.comb += [lfsr.step.eq(control.valid & (control.round == ROUND["stochastic"])), lfsr.load.eq(self.control.seed),
                     lfsr.value.eq(self.control.seed_value), self.lfsr.eq(lfsr.state)]
        gemmlowp = control.round == ROUND["gemmlowp"]
        high = Signal(signed(PRODUCT_BITS + 1))
        m.d.comb += high.eq(product + (gemmlowp << (LOW_BITS - 1)))
        dividend = Signal(LFSR_BITS + PRODUCT_BITS + 1)
        m.d.comb += dividend.eq(Cat(Const(0, LFSR_BITS), high[:LOW_BITS] & ~gemmlowp.replicate(LOW_BITS), high[LOW_BITS:]))
        window, overflow, lost = shift_right(m, dividend, shift, LFSR_BITS + QUOTIENT_BITS)
        fraction, whole, sign = window[:LFSR_BITS], window[LFSR_BITS:], product[-1]
        half, rest = fraction[-1], fraction[:-1].any() | lost
        up = Signal()
        with m.Switch(control.round):
            with m.Case(ROUND["half_up"]):
                m.d.comb += up.eq(half)
            with m.Case(ROUND["half_even"]):
                m.d.comb += up.eq(half & (rest | whole[0]))
            with m.Case(ROUND["gemmlowp"]):
                m.d.comb += up.eq(half & (rest | ~high[-1]))
            with m.Case(ROUND["stochastic"]):
                m.d.comb += up.eq((fraction + lfsr.state)[LFSR_BITS])
        limit = Cat((~sign).replicate(QUOTIENT_BITS - 1), sign)
        quotient = Signal(signed(QUOTIENT_BITS + 1), name="d4_quotient")
        next_v, next_clipped = Signal(signed(V_BITS), name="d4_v"), Signal(name="d4_clipped")
        m.d.sync += [quotient.eq(Mux(overflow, limit, whole).as_signed() + up), next_v.eq(v), next_clipped.eq(clipped)]
        return quotient, next_v, next_clipped

    def _d4(self, m: Module, quotient: Signal, v: Signal, clipped: Signal) -> None:
        """Zero point and limits, or a half of the raw value."""
        control = self.control.d4
        moved, floored, value = (Signal(signed(QUOTIENT_BITS + 2), name=name) for name in ("moved", "floored", "clamped"))
        m.d.comb += [
            moved.eq(quotient + control.zp), floored.eq(Mux(moved < control.lo, control.lo, moved)),
            value.eq(Mux(floored > control.hi, control.hi, floored)),
            self.saturated.eq(Mux(control.raw, clipped & ~control.half, clipped | (value != moved))),
        ]
        with m.If(control.valid):
            m.d.sync += self.q.eq(Mux(control.raw, v.word_select(control.half, WORD_BITS), value))
