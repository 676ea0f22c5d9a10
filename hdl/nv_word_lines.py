"""The activations on the word lines, and the digits of them that a pass drives (`docs/design.md` section 15)."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common import WORD_BITS, register_layout
from hdl.nv_plan import elements_of
from isa.table import WIDTHS
from rpa.arch.config import ArrayConfig

LANES = WORD_BITS // min(WIDTHS)
"""Most activations in a word."""
LANE_BITS = (LANES - 1).bit_length()


class WordLines(wiring.Component):
    """``clear``: every activation becomes 0 and the next word is the first of a vector. ``load``: the elements of ``word`` go to the next
    word lines, as many as are left of nv.rows. ``digits``: the low ``width`` bits (1..dac_bits) of every activation; with ``shift`` these leave.
    A word may come in the cycle after a clear, not in the same.
    """

    def __init__(self, config: ArrayConfig) -> None:
        self.config = config
        super().__init__({
            "regs": In(register_layout(config, "nv")), "clear": In(1), "load": In(1), "word": In(WORD_BITS), "shift": In(1),
            "width": In(range(config.nv_dac_bits + 1)), "digits": Out(config.nv_rows * config.nv_dac_bits),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        rows, dac_bits = self.config.nv_rows, self.config.nv_dac_bits
        lanes, takes, groups = self._lanes(m)
        mask = (1 << self.width) - 1
        for row in range(rows):
            activation, lane = Signal(WORD_BITS, name=f"activation{row}"), row % LANES
            m.d.comb += self.digits.word_select(row, dac_bits).eq(activation[:dac_bits] & mask)
            with m.If(self.clear):
                m.d.sync += activation.eq(0)
            with m.Elif(takes[lane] & (groups[lane] == row // LANES)):
                m.d.sync += activation.eq(lanes[lane])
            with m.Elif(self.shift):
                m.d.sync += activation.eq(activation >> self.width)
        return m

    def _lanes(self, m: Module) -> tuple[list[Value], Value, list[Value]]:
        """What word line LANES*groups[l] + l takes of the word, for every lane l, and whether it does."""
        regs = self.regs
        each, next_row, left = Signal(LANE_BITS + 1), Signal.like(regs.row0), Signal.like(regs.rows)
        offset, group = next_row[:LANE_BITS], next_row[LANE_BITS:]
        m.d.comb += each.eq(elements_of(regs.ebits))
        with m.If(self.clear):
            m.d.sync += [next_row.eq(regs.row0), left.eq(regs.rows)]
        with m.Elif(self.load):
            m.d.sync += [next_row.eq(next_row + each), left.eq(Mux(left > each, left - each, 0))]
        elements, takes, groups = self._elements(m), Signal(LANES), []
        for lane in range(LANES):
            number = Signal(LANE_BITS, name=f"number{lane}")  # of the element in the word
            m.d.comb += [number.eq(lane - offset), takes[lane].eq(self.load & (number < each) & (number < left))]
            groups.append(group + (offset > lane) if lane < LANES - 1 else group)  # no offset is beyond the last lane
        turned = Cat(*elements)
        for k in range(LANE_BITS):
            by = WORD_BITS << k
            following = Signal(LANES * WORD_BITS, name=f"turned{k}")
            m.d.comb += following.eq(Mux(offset[k], turned.rotate_left(by), turned))
            turned = following
        return [turned.word_select(lane, WORD_BITS) for lane in range(LANES)], takes, groups

    def _elements(self, m: Module) -> list[Signal]:
        """The elements of the word at width nv.ebits, 0 behind the last."""
        elements = [Signal(WORD_BITS, name=f"element{e}") for e in range(LANES)]
        with m.Switch(self.regs.ebits):
            for width in WIDTHS:
                with m.Case(width):
                    m.d.comb += [element.eq(self.word.word_select(e, width) if e < WORD_BITS // width else Const(0))
                                 for e, element in enumerate(elements)]
        return elements
