"""All bank memories of the machine behind the ports of the engines that use them."""

from __future__ import annotations

from amaranth import Module, Mux, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.banks import OutputBanks, ParamBank, WordBank
from hdl.common import Sharing, bank_read, bank_write, bits_for_count, param_read, place
from hdl.transpose import Transposer
from hdl.windows import ADDRESSES, DEST, DEST_BITS


class Storage(wiring.Component):
    """A, W, P, O and X banks and the transposer.

    ``a``, ``w``: operand reads (EX). ``x``: reads of NV, on a machine that has it. ``p``: parameter reads, ``o``: result writes (DR).
    ``write_*``: bank writes of LD.
    ``ld_*`` and ``st_*``: line reads, and what of the line is wanted in this cycle; ``words`` answers both. ``ld_uses_line``: LD holds the
    line; the machine never lets both hold it.
    """

    def __init__(self, config, sharing: Sharing | None = None) -> None:
        self.config, self.sharing = config, sharing
        banks, bus = max(config.rows, config.cols), config.bus_words
        words = data.ArrayLayout(unsigned(16), bus)
        line_addr, first = bits_for_count(config.o_depth), bits_for_count(config.cols)
        ports = {"x": In(bank_read(1, config.x_depth))} if config.nv_engine else {}
        super().__init__({
            "a": In(bank_read(config.rows, config.a_depth)), "w": In(bank_read(config.cols, config.w_depth)),
            "p": In(param_read(config.cols, config.p_entries)), "o": In(bank_write(config.cols, config.o_depth)),
            "write_dest": In(DEST_BITS), "write_en": In(banks), "write_addr": In(data.ArrayLayout(ADDRESSES, banks)),
            "write_size": In(bits_for_count(bus.bit_length())), "write_data": In(words),
            "ld_uses_line": In(1), "ld_en": In(1), "ld_addr": In(line_addr), "ld_width": In(5), "ld_first": In(first),
            "st_en": In(1), "st_addr": In(line_addr), "st_width": In(5), "st_first": In(first),
            "words": Out(words), **ports,
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        config, bus = self.config, self.config.bus_words
        self._banks(m, "a", config.rows, self.a, lambda: WordBank(config.a_depth, bus))
        self._banks(m, "w", config.cols, self.w, lambda: WordBank(config.w_depth, bus))
        self._banks(m, "p", config.cols, self.p, lambda: ParamBank(config.p_entries, bus))
        if config.nv_engine:
            self._banks(m, "x", 1, self.x, lambda: WordBank(config.x_depth, bus))
        m.submodules.o = o = OutputBanks(config.cols, config.o_depth)
        m.submodules.transposer = turn = Transposer(config.cols, bus)
        m.d.comb += [
            o.w_en.eq(self.o.en), o.w_addr.eq(self.o.addr), o.w_data.eq(self.o.data),
            o.r_en.eq(self.ld_en | self.st_en), o.r_addr.eq(Mux(self.ld_en, self.ld_addr, self.st_addr)),
            turn.line.eq(o.line), turn.width.eq(Mux(self.ld_uses_line, self.ld_width, self.st_width)),
            turn.first.eq(Mux(self.ld_uses_line, self.ld_first, self.st_first)), self.words.eq(turn.words),
        ]
        return m

    def _banks(self, m: Module, name: str, count: int, port, build) -> None:
        for b in range(count):
            bank = place(m, f"{name}_{b}", build, module=f"rpa_{name}_bank", sharing=self.sharing)
            m.d.comb += [
                bank.r_en.eq(port.en), bank.r_addr.eq(port.addr), port.data[b].eq(bank.r_data),
                bank.w_en.eq(self.write_en[b] & (self.write_dest == DEST[name])), bank.w_addr.eq(self.write_addr[b]),
                bank.w_size.eq(self.write_size), bank.w_data.eq(self.write_data),
            ]
