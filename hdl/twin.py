"""The digital twin of the NOR-flash macros: exact codes at the times of the real thing (`docs/design.md` section 15).

A converter works on every NADC-th bit line. The cells of those stand in its memory, a word per bit line, and what a bit line sums up
is a dot product of that word with the digits.
"""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from hdl.common import Sharing, bits_for_count, place, sum_of
from hdl.macro import RANGE_BITS, signature
from rpa.arch.config import ArrayConfig
from rpa.arch.macro import CELLS_IN_A_WORD

_OPERATION = ("digits", "range", "limit")


class Converter(wiring.Component):
    """One converter with its bit lines, ``slot`` by slot, of every macro.

    ``program``: ``cell`` goes to word line ``row`` of bit line ``prog_slot`` of ``prog_macro``. ``macro``, ``slot``: the bit line of the next cycle.
    ``convert``: the bit line that was named in the cycle before gets its code. ``codes`` are registered, slot 0 in the low bits.
    """

    def __init__(self, config: ArrayConfig) -> None:
        self.config = config
        macro, slot = bits_for_count(config.nv_macros), bits_for_count(config.nv_adc_share)
        super().__init__({
            "program": In(1), "prog_macro": In(macro), "prog_slot": In(slot), "row": In(bits_for_count(config.nv_rows)),
            "cell": In(config.nv_cell_bits), "macro": In(macro), "slot": In(slot), "convert": In(1),
            "digits": In(config.nv_rows * config.nv_dac_bits), "range": In(RANGE_BITS), "limit": In(config.nv_adc_bits),
            "codes": Out(config.nv_adc_share * config.nv_adc_bits),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        config, cell_bits = self.config, self.config.nv_cell_bits
        rows, slots = config.nv_rows, 1 << len(self.slot)
        m.submodules.cells = cells = memory.Memory(shape=unsigned(rows * cell_bits), depth=config.nv_macros * slots, init=[])
        write, read = cells.write_port(granularity=cell_bits), cells.read_port()
        at, total = Signal.like(self.slot), Signal(range(rows * ((1 << config.nv_dac_bits) - 1) * ((1 << cell_bits) - 1) + 1))
        half, code = Signal(1 << RANGE_BITS), Signal(len(total) + 1)
        m.d.comb += [
            write.en.eq(Mux(self.program, Const(1) << self.row, 0)), write.data.eq(self.cell.replicate(rows)),
            write.addr.eq(Cat(self.prog_slot, self.prog_macro)), read.addr.eq(Cat(self.slot, self.macro)),
            total.eq(sum_of([read.data.word_select(row, cell_bits) * self.digits.word_select(row, config.nv_dac_bits) for row in range(rows)])),
            half.eq((Const(1) << self.range) >> 1), code.eq((total + half) >> self.range),
        ]
        m.d.sync += at.eq(self.slot)
        with m.If(self.convert):
            m.d.sync += self.codes.word_select(at, config.nv_adc_bits).eq(Mux(code < self.limit, code, self.limit))
        return m


class Twin(wiring.Component):
    """All macros of a machine as an exact circuit: ``done`` nv_settle + ceil(lines*cols / converters) * nv_adc_cycles cycles after ``start``.

    Cells are 0 at power-on and keep their codes over a reset, as the contents of banks do.
    """

    def __init__(self, config: ArrayConfig, sharing: Sharing | None = None) -> None:
        self.config, self.sharing = config, sharing
        super().__init__({"port": In(signature(config))})

    def elaborate(self, platform) -> Module:
        m = Module()
        config, port = self.config, self.port
        converters = [place(m, f"converter{k}", lambda: Converter(config), module="rpa_converter", sharing=self.sharing)
                      for k in range(config.nv_adcs)]
        self._program(m, converters)
        kept = Signal(data.StructLayout({name: len(getattr(port, name)) for name in (*_OPERATION, "macro")}))
        with m.If(port.start):
            m.d.sync += [kept[name].eq(getattr(port, name)) for name, _ in kept.shape()]
        convert, slots = self._rounds(m)
        for k, converter in enumerate(converters):
            slot = Signal(len(slots[k]), name=f"slot{k}")
            m.d.comb += [
                *(getattr(converter, name).eq(kept[name]) for name in _OPERATION), converter.macro.eq(Mux(port.start, port.macro, kept.macro)),
                slot.eq(slots[k]), converter.slot.eq(slot),
            ]
            past = Signal(name=f"past{k}")  # the last round can go on behind the last bit line
            m.d.sync += past.eq(slot >= config.nv_adc_share)
            m.d.comb += converter.convert.eq(convert & ~past)
            for s in range(config.nv_adc_share):
                m.d.comb += port.codes.word_select(s * config.nv_adcs + k, config.nv_adc_bits).eq(converter.codes.word_select(s, config.nv_adc_bits))
        return m

    def _program(self, m: Module, converters: list[Converter]) -> None:
        """Four neighbouring cells go to four converters."""
        port, sets = self.port, len(converters) // CELLS_IN_A_WORD
        which, slot = Signal(bits_for_count(sets)), Signal(bits_for_count(self.config.nv_adc_share))
        m.d.comb += [which.eq(port.prog_col % sets), slot.eq(port.prog_col // sets)]
        for k, converter in enumerate(converters):
            m.d.comb += [
                converter.program.eq(port.prog_valid & (which == k // CELLS_IN_A_WORD)), converter.prog_macro.eq(port.prog_macro),
                converter.prog_slot.eq(slot), converter.row.eq(port.prog_row),
                converter.cell.eq(port.prog_data.word_select(k % CELLS_IN_A_WORD, self.config.nv_cell_bits)),
            ]

    def _rounds(self, m: Module) -> tuple[Value, list[Value]]:
        """Whether a round of conversions ends in the next cycle, and the slot at which each converter is then."""
        config, port, adcs = self.config, self.port, self.config.nv_adcs
        first = Signal(range(config.nv_cols + 1))
        timer, left = Signal(range(config.nv_settle + config.nv_adc_cycles)), Signal(range(config.nv_cols + 1))
        slot, begin, past_begin = Signal(range(config.nv_adc_share + 1)), Signal(range(adcs)), Signal(range(adcs))
        next_slot, convert, ends = Signal.like(slot), Signal(), Signal()
        m.d.comb += [first.eq(port.line0 * config.cols), begin.eq(Mux(port.start, first % adcs, past_begin)),
                     convert.eq(timer == 1), ends.eq(convert & (left <= adcs)),
                     next_slot.eq(Mux(port.start, first // adcs, slot + convert))]
        m.d.sync += [port.done.eq(ends), past_begin.eq(begin), slot.eq(next_slot)]
        with m.If(port.start):
            m.d.sync += [timer.eq(config.nv_settle + config.nv_adc_cycles - 1), left.eq(port.lines * config.cols)]
        with m.Elif(convert):
            m.d.sync += [timer.eq(Mux(ends, 0, config.nv_adc_cycles)), left.eq(left - adcs)]
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        return convert, [*(next_slot + (begin > k) for k in range(adcs - 1)), next_slot]
