"""Counted loops and the affine streams over them: the index side of the EX and NV engines, without multipliers."""

from collections.abc import Sequence

from amaranth import Const, Module, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from isa.table import DIMS, REGISTERS

COUNT_BITS = next(register.bits for register in REGISTERS if register.name == "ex.n0")


class LoopNest(wiring.Component):
    """Indices of ``dims`` nested loops, loop 0 innermost.

    With ``start`` all indices are 0 from the next cycle on. With ``step`` the nest goes on to the next point at the end of
    the cycle. ``counts`` are the trip counts, at least 1, constant while the nest runs. ``advances`` (one bit set, none at the
    last point) is the loop that a step would increment; the loops below it go back to 0.
    """

    def __init__(self, dims: int = DIMS) -> None:
        self.dims = dims
        counts = data.ArrayLayout(unsigned(COUNT_BITS), dims)
        super().__init__({"start": In(1), "step": In(1), "counts": In(counts), "index": Out(counts), "nonzero": Out(dims), "advances": Out(dims),
                          "at_end": Out(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        inner_ends: Value = Const(1)
        for d in range(self.dims):
            following, ends = Signal(COUNT_BITS + 1, name=f"following{d}"), Signal(name=f"ends{d}")
            m.d.comb += [following.eq(self.index[d] + 1), ends.eq(following == self.counts[d]), self.nonzero[d].eq(self.index[d] != 0),
                         self.advances[d].eq(inner_ends & ~ends)]
            with m.If(self.start | (self.step & inner_ends & ends)):
                m.d.sync += self.index[d].eq(0)
            with m.Elif(self.step & inner_ends):
                m.d.sync += self.index[d].eq(following)
            inner_ends = inner_ends & ends
        m.d.comb += self.at_end.eq(inner_ends)
        return m


class AffineStream(wiring.Component):
    """``base + sum(index[d] * stride[d])`` modulo 2^bits over a loop nest, by one addition a step.

    With ``start`` the value is ``base`` from the next cycle on. With ``step`` it goes on by the loop in ``advances``. The register of
    loop d holds the value at the current point with the loops below d at 0.
    """

    def __init__(self, bits: int, dims: int = DIMS) -> None:
        self.dims = dims
        super().__init__({
            "start": In(1), "step": In(1), "advances": In(dims), "base": In(bits),
            "strides": In(data.ArrayLayout(unsigned(bits), dims)), "value": Out(bits),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        bits = len(self.value)
        held = [self.value, *(Signal(bits, name=f"base{d}") for d in range(1, self.dims))]
        following = Signal(bits)
        m.d.comb += following.eq(_selected(self.advances, held) + _selected(self.advances, list(self.strides)))
        for d, register in enumerate(held):
            with m.If(self.start):
                m.d.sync += register.eq(self.base)
            with m.Elif(self.step & self.advances[d:].any()):
                m.d.sync += register.eq(following)
        return m


def _selected(one_hot: Value, values: Sequence[Value]) -> Value:
    """The value whose bit is set."""
    result: Value = values[0] & one_hot[0].replicate(len(values[0]))
    for bit, value in zip(one_hot[1:], values[1:], strict=True):
        result = result | (value & bit.replicate(len(value)))
    return result


class OperandStream(wiring.Component):
    """When one operand is read, from where, and into which feeder slot: address, feeder slot, hit.

    ``regs`` and the loop nest's state are those of this cycle. ``enabled`` 0: neither ``read`` nor ``hit``. ``slice``: low bits of the index
    that selects the slice.
    """

    def __init__(self) -> None:
        super().__init__({
            "start": In(1), "step": In(1), "advances": In(DIMS), "base": In(16),
            "nonzero": In(DIMS), "index": In(data.ArrayLayout(unsigned(COUNT_BITS), DIMS)), "inner_count": In(COUNT_BITS),
            "strides": In(data.ArrayLayout(unsigned(16), DIMS)), "slot_steps": In(data.ArrayLayout(unsigned(3), 2)),
            "slide": In(4), "hold": In(DIMS), "slice_loop": In(3), "enabled": In(1),
            "address": Out(16), "slot": Out(3), "slice": Out(3), "read": Out(1), "hit": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.address = address = AffineStream(16)
        m.submodules.slot = slot = AffineStream(3)
        for stream in (address, slot):
            m.d.comb += [stream.start.eq(self.start), stream.step.eq(self.step), stream.advances.eq(self.advances)]
        held = (self.hold & self.nonzero).any()
        slides = (self.slide != 0) & self.nonzero[1] & (self.index[0] + self.slide < self.inner_count)
        m.d.comb += [
            address.base.eq(self.base), address.strides.eq(self.strides), self.address.eq(address.value),
            slot.strides[0].eq(self.slot_steps[0]), slot.strides[1].eq(self.slot_steps[1]), self.slot.eq(slot.value),
            self.hit.eq(self.enabled & (held | slides)), self.read.eq(self.enabled & ~(held | slides)),
        ]
        with m.Switch(self.slice_loop):
            for d in range(DIMS):
                with m.Case(d):
                    m.d.comb += self.slice.eq(self.index[d])
        return m
