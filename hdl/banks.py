"""Bank memories: A, W and X word banks, P banks, O banks (`docs/design.md` section 4). All are 0 at power-on."""

from __future__ import annotations

from amaranth import Cat, Module, Signal, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from hdl.common import WORD_BITS, bits_for_count
from isa.table import PARAM_WORDS

WORDS = unsigned(WORD_BITS)
PARAM_USED = 6
"""Words of a parameter entry that are stored where a memory row is one entry; the rest is ignored by definition."""


def write_port(addr_bits: int, bus_words: int) -> dict:
    """Members of a bank's write port, seen from the bank.

    At the end of a cycle with ``w_en`` the D = 2^``w_size`` words of the aligned block at word address ``w_addr`` become
    ``w_data[i mod bus_words]`` for word i of the memory row; the writer repeats the D words over ``w_data``.
    """
    return {"w_en": In(1), "w_addr": In(addr_bits), "w_size": In(bits_for_count(bus_words.bit_length())),
            "w_data": In(data.ArrayLayout(WORDS, bus_words))}


def _write_row(m: Module, bank, write, row_words: int, stored: int, bus_words: int) -> None:
    """Drive memory port ``write`` (rows of ``row_words`` words, of which ``stored`` exist, an enable per word)."""
    log2_row = (row_words - 1).bit_length()
    column = bank.w_addr[:log2_row]
    mask = []
    for word in range(stored):
        same = Signal(name=f"same_{word}")
        with m.Switch(bank.w_size):
            for size in range(min(log2_row, bus_words.bit_length() - 1) + 1):
                with m.Case(size):
                    m.d.comb += same.eq(column[size:] == word >> size)
        mask.append(same & bank.w_en)
    m.d.comb += [write.en.eq(Cat(*mask)), write.addr.eq(bank.w_addr[log2_row:]),
                 write.data.eq(Cat(*(bank.w_data[word % bus_words] for word in range(stored))))]


def _selected(m: Module, row, width: int, read, part):
    """The ``width`` bits of memory row ``row`` that address bits ``part`` named when ``read`` was 1; all of it where there are no such bits."""
    if len(part) == 0:
        return row
    kept = Signal(len(part))
    with m.If(read):
        m.d.sync += kept.eq(part)
    return row.word_select(kept, width)


class WordBank(wiring.Component):
    """One A, W or X bank: 16-bit read port, write port of up to ``bus_words`` words.

    ``r_en``, ``r_addr`` in cycle t, ``r_data`` from t+1 on; it holds while ``r_en`` is 0. A read in the cycle of a write to the
    same word gives the old one.
    """

    def __init__(self, depth: int, bus_words: int) -> None:
        self.depth, self.bus_words = depth, bus_words
        addr_bits = bits_for_count(depth)
        super().__init__({"r_en": In(1), "r_addr": In(addr_bits), "r_data": Out(WORD_BITS), **write_port(addr_bits, bus_words)})

    def elaborate(self, platform) -> Module:
        m = Module()
        width, log2_row = self.bus_words * WORD_BITS, (self.bus_words - 1).bit_length()
        m.submodules.words = words = memory.Memory(shape=unsigned(width), depth=self.depth // self.bus_words, init=[])
        write, read = words.write_port(granularity=WORD_BITS), words.read_port()
        _write_row(m, self, write, self.bus_words, self.bus_words, self.bus_words)
        m.d.comb += [read.en.eq(self.r_en), read.addr.eq(self.r_addr[log2_row:]),
                     self.r_data.eq(_selected(m, read.data, WORD_BITS, self.r_en, self.r_addr[:log2_row]))]
        return m


class ParamBank(wiring.Component):
    """One P bank: reads whole entries, is written like a word bank of 8 * ``entries`` words.

    ``r_en``, ``r_addr`` (an entry) in cycle t, ``r_data[w]`` from t+1 on. Reserved words read as 0 or as what was written.
    """

    def __init__(self, entries: int, bus_words: int) -> None:
        self.entries, self.bus_words = entries, bus_words
        super().__init__({"r_en": In(1), "r_addr": In(bits_for_count(entries)), "r_data": Out(data.ArrayLayout(WORDS, PARAM_WORDS)),
                          **write_port(bits_for_count(entries * PARAM_WORDS), bus_words)})

    def elaborate(self, platform) -> Module:
        m = Module()
        row_words = max(PARAM_WORDS, self.bus_words)
        stored = PARAM_USED if row_words == PARAM_WORDS else row_words
        per_row = row_words // PARAM_WORDS
        log2_per_row = (per_row - 1).bit_length()
        rows = max(2, self.entries // per_row)  # a memory of one row has no address
        m.submodules.rows = cells = memory.Memory(shape=unsigned(stored * WORD_BITS), depth=rows, init=[])
        write, read = cells.write_port(granularity=WORD_BITS), cells.read_port()
        _write_row(m, self, write, row_words, stored, self.bus_words)
        m.d.comb += [read.en.eq(self.r_en), read.addr.eq(self.r_addr[log2_per_row:]),
                     self.r_data.eq(_selected(m, read.data, PARAM_WORDS * WORD_BITS, self.r_en, self.r_addr[:log2_per_row]))]
        return m


class OutputBanks(wiring.Component):
    """All O banks: one common write address (DR), one common read address (ST or LD).

    ``line`` is the read data, one word of every bank; it holds while ``r_en`` is 0, which makes it the line register.
    """

    def __init__(self, banks: int, depth: int) -> None:
        self.banks, self.depth = banks, depth
        line = data.ArrayLayout(WORDS, banks)
        addr_bits = bits_for_count(depth)
        super().__init__({"r_en": In(1), "r_addr": In(addr_bits), "line": Out(line),
                          "w_en": In(1), "w_addr": In(addr_bits), "w_data": In(line)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.lines = lines = memory.Memory(shape=unsigned(self.banks * WORD_BITS), depth=self.depth, init=[])
        write, read = lines.write_port(), lines.read_port()
        m.d.comb += [write.en.eq(self.w_en), write.addr.eq(self.w_addr), write.data.eq(self.w_data),
                     read.en.eq(self.r_en), read.addr.eq(self.r_addr), self.line.eq(read.data)]
        return m
