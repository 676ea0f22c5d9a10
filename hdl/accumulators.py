"""The accumulators of a PE: two banks, the ACC stage that adds into them, the read ports of `acc` operands and drain."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.alu import DIGITS, borders
from hdl.common import WORD_BITS
from hdl.dot import WIDTH_LAYOUT
from isa.table import ACC_BANKS, ACC_INDEX_COUNT

INDEX_BITS = (ACC_INDEX_COUNT - 1).bit_length()
LUT_RAM = {"ram_style": "distributed"}
"""Attribute of memories that are read asynchronously: 16x4 LUT RAM, one copy for each read port."""


def acc_control() -> data.StructLayout:
    """What is common to all PEs of the array, per cycle."""
    return data.StructLayout({
        "bank": 1, "index": INDEX_BITS,  # of the entry in ACC
        "width": WIDTH_LAYOUT,           # of the entry in ACC
        "read": data.ArrayLayout(INDEX_BITS, ACC_BANKS),  # index read in each bank: that of ACC where it adds, else the drain's
        "source_bank": 1, "source_index": INDEX_BITS,  # of the entry in EXEC, for `acc` operands
        "drain_bank": 1,
    })


class Accumulators(wiring.Component):
    """ACC stage and accumulator banks of one PE.

    In a cycle with ``write`` the accumulator ``control.bank, index`` becomes ``value``, added to the old value unless ``clear``,
    at the end of the cycle; with ``split`` in the lanes of ``control.width`` without carry between them; ``control.read[bank]`` must
    then be ``index``. ``source``: low 16 bits of accumulator ``source_bank, source_index`` at the start of the cycle.
    ``drained``: accumulator ``drain_bank, read[drain_bank]`` at the start of the cycle, 0 without ``drain``.
    ``written`` is the new value, for signatures.
    """

    def __init__(self, acc_bits: int) -> None:
        self.acc_bits = acc_bits
        super().__init__({
            "control": In(acc_control()), "write": In(1), "clear": In(1), "split": In(1), "value": In(acc_bits),
            "source": Out(WORD_BITS), "drain": In(1), "drained": Out(acc_bits), "written": Out(acc_bits),
        })

    def _add(self, m: Module, old: Value) -> Value:
        """old + value on one carry chain; a guard bit at a possible border passes the carry unless a lane ends there."""
        piece = self.acc_bits // DIGITS
        ends = borders(self.control.width)
        left, right = [], []
        for digit in range(DIGITS):
            left.append(old.word_select(digit, piece))
            right.append(self.value.word_select(digit, piece))
            if digit < DIGITS - 1:
                left.append(~(ends[digit] & self.split))
                right.append(left[-1] & 0)
        chain = Signal(self.acc_bits + DIGITS - 1)
        m.d.comb += chain.eq(Cat(left) + Cat(right))
        return Cat(chain[k * (piece + 1):k * (piece + 1) + piece] for k in range(DIGITS))

    def elaborate(self, platform) -> Module:
        m = Module()
        control = self.control
        m.submodules.low = low = Memory(shape=WORD_BITS, depth=ACC_BANKS * ACC_INDEX_COUNT, init=[], attrs=LUT_RAM)
        low_write, low_read = low.write_port(), low.read_port(domain="comb")
        m.d.comb += [low_write.addr.eq(Cat(control.index, control.bank)), low_write.data.eq(self.written), low_write.en.eq(self.write),
                     low_read.addr.eq(Cat(control.source_index, control.source_bank)), self.source.eq(low_read.data)]
        reads = []
        for bank in range(ACC_BANKS):
            m.submodules[f"bank{bank}"] = memory = Memory(shape=self.acc_bits, depth=ACC_INDEX_COUNT, init=[], attrs=LUT_RAM)
            write, read = memory.write_port(), memory.read_port(domain="comb")
            m.d.comb += [write.addr.eq(control.index), write.data.eq(self.written), write.en.eq(self.write & (control.bank == bank)),
                         read.addr.eq(control.read[bank])]
            reads.append(read.data)
        old = Mux(control.bank, reads[1], reads[0]) & ~self.clear.replicate(self.acc_bits)
        m.d.comb += [
            self.written.eq(self._add(m, old)),
            self.drained.eq(Mux(control.drain_bank, reads[1], reads[0]) & self.drain.replicate(self.acc_bits)),
        ]
        return m
