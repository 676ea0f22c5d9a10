"""Feeder of one PE row or column: eight held words, and the slicer that cuts narrow operands into compute-width lanes."""

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.accumulators import LUT_RAM
from hdl.common import WORD_BITS
from isa.table import FEEDER_SLOTS, WIDTHS

SLOT_BITS = (FEEDER_SLOTS - 1).bit_length()


def feed_control() -> data.StructLayout:
    """What is common to all feeders of one operand, in FEED.

    ``read``: the bank's word is taken, and kept in ``slot``; ``hit``: the word of ``slot`` is taken; neither: 0. ``active``: the entry is
    a step. ``bits``, ``compute_bits``: widths of operand and lanes; ``slice``: number of the slice.
    """
    return data.StructLayout({"active": 1, "read": 1, "hit": 1, "slot": SLOT_BITS, "slice": 3, "bits": 5, "compute_bits": 5, "is_signed": 1})


def slice_shift(control: data.View) -> Value:
    """Where the slice begins in its word, in steps of 2 bits: slice * 16/r/2 with r = compute_bits/bits, slice modulo r."""
    two, four, eight = (_ratio(control, ratio) for ratio in (2, 4, 8))
    s = control.slice
    return Cat(eight & s[0], (four & s[0]) | (eight & s[1]), (two & s[0]) | (four & s[1]) | (eight & s[2]))


def _ratio(control: data.View, ratio: int) -> Value:
    pairs = [(width, width * ratio) for width in WIDTHS if width * ratio in WIDTHS]
    return Cat((control.bits == bits) & (control.compute_bits == compute) for bits, compute in pairs).any()


class Slicer(wiring.Component):
    """The lanes of a slice: 16/compute_bits elements of ``bits`` bits, each extended to ``compute_bits``. Combinational.

    ``shift``: see :func:`slice_shift`. With equal widths the word itself.
    """

    def __init__(self) -> None:
        super().__init__({"control": In(feed_control()), "shift": In(3), "word": In(WORD_BITS), "lanes": Out(WORD_BITS)})

    def elaborate(self, platform) -> Module:
        m = Module()
        control = self.control
        segment = Signal(WORD_BITS)
        m.d.comb += [segment.eq(self.word >> Cat(0, self.shift)), self.lanes.eq(segment)]
        for bits in WIDTHS:
            for compute in WIDTHS:
                if bits < compute:
                    elements = [segment.word_select(k, bits) for k in range(WORD_BITS // compute)]
                    lanes = [Cat(e, (e[-1] & control.is_signed).replicate(compute - bits)) for e in elements]
                    with m.If((control.bits == bits) & (control.compute_bits == compute)):
                        m.d.comb += self.lanes.eq(Cat(lanes))
        return m


class Feeder(wiring.Component):
    """One row's or column's word on its way from the bank to the bus.

    In FEED: ``word`` is the bank's answer; ``held_valid``: ``control.slot`` was filled in this run; ``enable``: the row or column works.
    ``bus`` is registered: from the next cycle on the lanes of the step; it keeps its value without a step.
    """

    def __init__(self) -> None:
        super().__init__({"control": In(feed_control()), "shift": In(3), "held_valid": In(1), "enable": In(1), "word": In(WORD_BITS),
                          "bus": Out(WORD_BITS)})

    def elaborate(self, platform) -> Module:
        m = Module()
        control = self.control
        m.submodules.held = held = Memory(shape=WORD_BITS, depth=FEEDER_SLOTS, init=[], attrs=LUT_RAM)
        write, read = held.write_port(), held.read_port(domain="comb")
        m.submodules.slicer = slicer = Slicer()
        use = self.enable & (control.read | (control.hit & self.held_valid))
        m.d.comb += [
            write.addr.eq(control.slot), write.data.eq(self.word), write.en.eq(control.active & control.read), read.addr.eq(control.slot),
            slicer.control.eq(control), slicer.shift.eq(self.shift),
            slicer.word.eq(Mux(control.read, self.word, read.data) & use.replicate(WORD_BITS)),
        ]
        with m.If(control.active):
            m.d.sync += self.bus.eq(slicer.lanes)
        return m
