"""The transposer between the O banks' line register and what takes words from it (ST, and LD from source `o`)."""

from __future__ import annotations

from amaranth import Cat, Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.common import WORD_BITS, bits_for_count
from isa.table import WIDTHS


def transposed(line: list, width: int) -> list:
    """Words of the transposed line at ``width`` bits: word t*(cols/e) + w holds elements t of columns e*w .. e*w+e-1.

    ``line``: one 16-bit value per column; there must be at least e = 16/width columns.
    """
    elements = WORD_BITS // width
    groups = len(line) // elements
    return [Cat(*(line[elements * w + i][t * width:(t + 1) * width] for i in range(elements)))
            for t in range(elements) for w in range(groups)]


class Transposer(wiring.Component):
    """Combinational: ``words[k]`` is word (``first`` + k) mod cols of ``line``, transposed at ``width`` bits.

    One instance serves ST and LD, because they never hold the O banks' read port at the same time. Widths with
    cols*width < 16 give 0.
    """

    def __init__(self, cols: int, bus_words: int) -> None:
        self.cols, self.bus_words = cols, bus_words
        word = unsigned(WORD_BITS)
        super().__init__({"line": In(data.ArrayLayout(word, cols)), "width": In(max(WIDTHS).bit_length()),
                          "first": In(bits_for_count(cols)), "words": Out(data.ArrayLayout(word, bus_words))})

    def elaborate(self, platform) -> Module:
        m = Module()
        columns = [self.line[c] for c in range(self.cols)]
        turned = Signal(self.cols * WORD_BITS)
        with m.Switch(self.width):
            for width in WIDTHS:
                if self.cols * width >= WORD_BITS:
                    with m.Case(width):
                        m.d.comb += turned.eq(Cat(*transposed(columns, width)))
        with m.Switch(self.first):
            for first in range(self.cols):
                with m.Case(first) if self.cols > 1 else m.Default():
                    m.d.comb += [self.words[k].eq(turned.word_select((first + k) % self.cols, WORD_BITS)) for k in range(self.bus_words)]
        return m
