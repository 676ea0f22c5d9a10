"""Which banks take a row of LD, and where: the multicast windows of `docs/design.md` section 5."""

from __future__ import annotations

from amaranth import Const, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.common import FAULT, WORD_BITS, bits_for_count, fault, register_layout
from isa.table import DESTS, PARAM_WORDS, REGISTERS

ROW_BITS = 18
"""Row numbers j0 + j' are -2^15 .. 2^15 + 2^16."""
EVERY_LANE = 63
DEST = {dest.name: dest.code for dest in DESTS}
DEST_BITS = bits_for_count(len(DESTS))
ADDRESSES = WORD_BITS
"""Bank addresses are modulo 2^16."""
MAX_GROUP = next(r.maximum for r in REGISTERS if r.name == "ld.group")


def multiples(m: Module, name: str, step: Value, count: int, bits: int) -> list[Signal]:
    """Signals ``q * step`` for q = 0 .. count-1 modulo 2^bits, each one adder away from its half."""
    products = [Signal(bits, name=f"{name}_{q}") for q in range(count)]
    for q in range(1, count):
        m.d.comb += products[q].eq((products[q >> 1] << 1) + (step if q & 1 else 0))
    return products


class Windows(wiring.Component):
    """Combinational, for banks 0 .. banks-1 of whichever destination.

    ``regs``: active ld registers. ``dest``: destination; bank b exists there if b < ``sizes[dest]``. ``row``: j.
    ``takes[b]``: bank b takes the row. ``offset[b]``: q*bstep of bank b, to be subtracted from the common bank address.
    ``fault``: with the common address ``address`` and 2^``size`` words, the first bank fault of docs/design.md (valid, code, aux).
    """

    def __init__(self, config) -> None:
        self.sizes = {"a": config.rows, "w": config.cols, "p": config.cols}
        self.depths = {"a": config.a_depth, "w": config.w_depth, "p": PARAM_WORDS * config.p_entries}
        if config.nv_engine:
            self.sizes["x"], self.depths["x"] = 1, config.x_depth
        self.banks = max(self.sizes.values())
        self.bus_words = config.bus_words
        super().__init__({
            "regs": In(register_layout(config, "ld")), "dest": In(DEST_BITS), "row": In(ROW_BITS), "address": In(ADDRESSES),
            "size": In(bits_for_count(config.bus_words.bit_length())),
            "takes": Out(self.banks), "offset": Out(data.ArrayLayout(ADDRESSES, self.banks)), "fault": Out(FAULT),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        regs = self.regs
        starts = multiples(m, "start", regs.wstep, self.banks, ROW_BITS)
        offsets = multiples(m, "bank_step", regs.bstep, self.banks, ADDRESSES)
        exists = Signal(self.banks)
        with m.Switch(self.dest):
            for name, size in self.sizes.items():
                with m.Case(DEST[name]):
                    m.d.comb += exists.eq((1 << size) - 1)
        for bank in range(self.banks):
            start, lane, since = Signal(ROW_BITS, name=f"start_of_{bank}"), Signal(5, name=f"lane_of_{bank}"), Signal(ROW_BITS, name=f"since_{bank}")
            with m.Switch(regs.group):
                for group in range(MAX_GROUP + 1):
                    with m.Case(group):
                        m.d.comb += [start.eq(starts[bank >> group]), lane.eq(bank & ((1 << group) - 1)),
                                     self.offset[bank].eq(offsets[bank >> group])]
            m.d.comb += [  # a negative difference has its sign bit set and fails as too large
                since.eq(self.row - start),
                self.takes[bank].eq(exists[bank] & ((regs.sel == EVERY_LANE) | (regs.sel == lane)) & (since < regs.wlen)),
            ]
        self._check(m)
        return m

    def _check(self, m: Module) -> None:
        beyond, crooked, addresses = Signal(self.banks), Signal(self.banks), []
        low_mask, past = Signal(max(1, self.bus_words.bit_length() - 1)), Signal(ADDRESSES)
        with m.Switch(self.dest):
            for name, depth in self.depths.items():
                with m.Case(DEST[name]):
                    m.d.comb += past.eq(depth)
        m.d.comb += low_mask.eq((1 << self.size) - 1)
        for bank in range(self.banks):
            address = Signal(ADDRESSES, name=f"address_{bank}")
            addresses.append(address)
            m.d.comb += [
                address.eq(self.address - self.offset[bank]),
                beyond[bank].eq(self.takes[bank] & (address + low_mask >= past)),
                crooked[bank].eq(self.takes[bank] & ((address & low_mask) != 0)),
            ]
        for cause, faulty, others in (("MISALIGNED", crooked, ~beyond.any()), ("BANK_RANGE", beyond, Const(1))):
            for bank in reversed(range(self.banks)):
                with m.If(faulty[bank] & others):
                    fault(m, self.fault, cause, 0, addresses[bank])
