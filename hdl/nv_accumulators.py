"""The accumulators of NV, two banks of one row of columns, and its ACC stage (`docs/design.md` section 15)."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from hdl.accumulators import INDEX_BITS, LUT_RAM
from isa.table import ACC_BANKS, ACC_INDEX_COUNT
from rpa.arch.config import ArrayConfig


def acc_row(config: ArrayConfig) -> data.ArrayLayout:
    """One accumulator of every column."""
    return data.ArrayLayout(unsigned(config.acc_bits), config.cols)


def nv_acc_read(config: ArrayConfig) -> wiring.Signature:
    """Read port of the accumulators, seen from NV. The drain gives bank and index; ``data`` answers in the same cycle.

    ``writing[b]``: the ACC stage writes bank b in this cycle, and ``data`` of that bank is not what was asked for.
    """
    return wiring.Signature({"bank": In(1), "index": In(INDEX_BITS), "data": Out(acc_row(config)), "writing": Out(ACC_BANKS)})


class NvAccumulators(wiring.Component):
    """In a cycle with ``write``, ``value`` is added to accumulator ``bank``, ``index`` of every column at its end, modulo 2^acc_bits; with
    ``clear`` to 0 in its place. ``drain``: see :func:`nv_acc_read`. ``acc_sig`` (debug build) is the lockstep field `nv_acc_sig`.
    """

    def __init__(self, config: ArrayConfig, *, debug: bool = False) -> None:
        self.config, self.with_debug = config, debug
        ports = {"write": In(1), "bank": In(1), "index": In(INDEX_BITS), "clear": In(1), "value": In(acc_row(config)),
                 "drain": Out(nv_acc_read(config))}
        if debug:
            ports["acc_sig"] = Out(acc_row(config))
        super().__init__(ports)

    def elaborate(self, platform) -> Module:
        m = Module()
        reads, written = [], Signal(acc_row(self.config))
        for bank in range(ACC_BANKS):
            m.submodules[f"bank{bank}"] = cells = memory.Memory(shape=acc_row(self.config), depth=ACC_INDEX_COUNT, init=[], attrs=LUT_RAM)
            write, read = cells.write_port(), cells.read_port(domain="comb")
            writing = self.drain.writing[bank]
            m.d.comb += [writing.eq(self.write & (self.bank == bank)), write.en.eq(writing), write.addr.eq(self.index), write.data.eq(written),
                         read.addr.eq(Mux(writing, self.index, self.drain.index))]
            reads.append(read.data)
        for c in range(self.config.cols):
            low, high = reads[0][c], reads[1][c]
            m.d.comb += [written[c].eq(Mux(self.clear, 0, Mux(self.bank, high, low)) + self.value[c]),
                         self.drain.data[c].eq(Mux(self.drain.bank, high, low))]
        if self.with_debug:
            with m.If(self.write):
                m.d.sync += [self.acc_sig[c].eq(self.acc_sig[c].rotate_left(1) ^ written[c] ^ Cat(self.index, self.bank))
                             for c in range(self.config.cols)]
        return m
