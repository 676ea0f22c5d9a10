"""LD: external memory, a constant or O banks into A, W, P and X banks (`docs/design.md` section 5)."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.common import FAULT, OPCODE, VALUE_BITS, WORD_BITS, bits_for_count, engine_port, events_layout, fault, log2_of, operand
from hdl.engine import EngineFront
from hdl.memport import check_access, read_signature
from hdl.queue import Queue
from hdl.windows import ADDRESSES, DEST, DEST_BITS, ROW_BITS, Windows
from isa.table import SOURCES, WIDTHS

SOURCE = {source.name: source.code for source in SOURCES}


def units_of(config) -> tuple[int, ...]:
    """Units (in words) that this machine's bus can move: powers of two up to bus_words."""
    return tuple(1 << i for i in range(config.bus_words.bit_length()))


def packed_words(m: Module, source: data.View, pack, bus_words: int) -> data.View:
    """``result[w]`` packs the low ``pack`` bits of source words w*16/pack .. in the low bits first; words beyond are 0."""
    result = Signal(source.shape(), name="packed")
    with m.Switch(pack):
        for width in WIDTHS:
            each = WORD_BITS // width
            with m.Case(width):
                m.d.comb += [result[w].eq(Cat(*(source[w * each + i][:width] for i in range(each)))) for w in range(bus_words // each)]
    return result


class Load(wiring.Component):
    """The load engine.

    ``memory``: external reads. ``line_en``, ``line_addr``: read of the O banks; ``line_width``, ``line_first``: what the transposer
    gives in ``line_words`` for the write of this cycle. ``write_*``: the bank write of this cycle: destination, banks that
    take it, common address and per-bank offset, log2 of the words, and the data, repeated over the bus.
    ``uses_line``: an `ld` with source `o` is busy.

    A visit checks, asks for its data and remembers in ``pending`` what to do with it; the write happens when the data are there
    (memory: the response; O banks: the next cycle; a constant: the same cycle).
    """

    def __init__(self, config) -> None:
        self.config = config
        self.windows = Windows(config)
        banks, bus = self.windows.banks, config.bus_words
        words = data.ArrayLayout(unsigned(WORD_BITS), bus)
        self.pending_layout = data.StructLayout({"address": ADDRESSES, "takes": banks, "word": bits_for_count(config.cols), "last": 1})
        super().__init__({
            "ctl": Out(engine_port(config)),
            "memory": Out(read_signature(config)),
            "line_en": Out(1), "line_addr": Out(bits_for_count(config.o_depth)), "uses_line": Out(1),
            "line_width": Out(5), "line_first": Out(bits_for_count(config.cols)), "line_words": In(words),
            "write_dest": Out(DEST_BITS), "write_en": Out(banks), "write_addr": Out(data.ArrayLayout(ADDRESSES, banks)),
            "write_size": Out(bits_for_count(bus.bit_length())), "write_data": Out(words),
            "events": Out(events_layout(ext_read_words=bus, o_reads=config.cols,
                                        **{f"{name}_writes": size * bus for name, size in self.windows.sizes.items()})),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self.config
        m.submodules.front = front = EngineFront(config, "ld")
        m.submodules.windows = windows = self.windows
        m.submodules.pending = pending = Queue(max(2, 1 << config.mem_latency.bit_length()), self.pending_layout)
        wiring.connect(m, wiring.flipped(self.ctl), front.ctl)
        source, command = Signal(2), front.command
        size = log2_of(m, "log2_unit", front.regs.unit, units_of(config))
        log2_pack = log2_of(m, "log2_pack", front.regs.pack, WIDTHS)
        m.d.comb += [
            source.eq(operand(command, "ld", "source")), front.bad_config.eq(self._bad(front)),
            self.write_dest.eq(operand(command, "ld", "dest")), self.write_size.eq(size + log2_pack - 4),
            self.uses_line.eq(front.ctl.busy & (command.opcode == OPCODE["ld"]) & (source == SOURCE["o"])),
        ]
        item, visit = self._visits(m, front, windows, pending, source)
        self._writes(m, front, windows, pending, source, item, visit)
        return m

    def _bad(self, front: EngineFront):
        """Contradicting shadow registers for the `ld` at the head. (No products: they would take multipliers.)"""
        shadow, cols = front.shadow, self.config.cols
        partial = Cat((shadow.pack == width) & (shadow.unit < WORD_BITS // width) for width in WIDTHS).any()
        narrow = Cat(shadow.obits == width for width in WIDTHS if width * cols < WORD_BITS).any()
        from_o = operand(front.ctl.head.command, "ld", "source") == SOURCE["o"]
        return partial | (from_o & (narrow | (shadow.unit > cols)))

    def _visits(self, m: Module, front: EngineFront, windows: Windows, pending: Queue, source):
        """Check and ask. Returns the pending item of this cycle's visit and its strobe."""
        regs, command, config = front.regs, front.command, self.config
        at = Signal(_walk_layout(config))
        try_visit, visit, row_end, wraps = Signal(), Signal(), Signal(), Signal()
        found, item = Signal(FAULT), Signal(self.pending_layout)
        m.d.comb += [
            try_visit.eq(at.visiting & ((source == SOURCE["fill"]) | ~pending.full)),
            row_end.eq(at.units == 1), wraps.eq(at.word + regs.unit >= config.cols),
            windows.regs.eq(regs), windows.dest.eq(self.write_dest), windows.row.eq(at.row), windows.address.eq(at.bank),
            windows.size.eq(self.write_size),
            item.address.eq(at.bank), item.takes.eq(windows.takes), item.word.eq(at.word), item.last.eq(row_end & (at.rows == 1)),
            self.memory.address.eq(at.source), self.memory.words.eq(regs.unit),
            self.memory.valid.eq(try_visit & (source == SOURCE["mem"]) & ~found.valid),
            visit.eq(try_visit & ~found.valid & ((source != SOURCE["mem"]) | self.memory.ready)),
            self.line_addr.eq(at.line), self.line_en.eq(visit & (source == SOURCE["o"]) & (at.word == 0)),
            self.events.ext_read_words.eq(Mux(visit & (source == SOURCE["mem"]), regs.unit, 0)),
            self.events.o_reads.eq(Mux(self.line_en, config.cols, 0)),
            front.body_fault.eq(found),
        ]
        with m.If(try_visit):
            self._check(m, found, windows, source, at, regs, command)
        self._walk(m, front, at, visit, row_end, wraps)
        return item, visit

    def _walk(self, m: Module, front: EngineFront, at, visit, row_end, wraps) -> None:
        """Start at the first row and unit; step at the end of every visit. One adder each for source, bank and line address."""
        regs, shadow = front.regs, front.shadow
        row_at = Signal(data.StructLayout({"source": VALUE_BITS, "bank": ADDRESSES, "line": ADDRESSES}))
        following = Signal(row_at.shape())
        m.d.comb += [
            following.source.eq(Mux(row_end, row_at.source, at.source) + Mux(row_end, regs.sstride, regs.sstep)),
            following.bank.eq(Mux(row_end, row_at.bank, at.bank) + Mux(row_end, regs.pitch, regs.dstep)),
            following.line.eq(Mux(row_end, row_at.line, at.line) + Mux(row_end, regs.opitch, wraps)),
        ]
        with m.If(front.ctl.start):
            m.d.sync += [
                at.visiting.eq(front.ctl.head.command.opcode == OPCODE["ld"]),
                at.source.eq(shadow.addr), at.bank.eq(shadow.base), at.line.eq(shadow.obase), at.row.eq(shadow.j0), at.word.eq(0),
                at.rows.eq(shadow.rows), at.units.eq(shadow.units),
                row_at.source.eq(shadow.addr), row_at.bank.eq(shadow.base), row_at.line.eq(shadow.obase),
            ]
        with m.Elif(visit):
            m.d.sync += [at.source.eq(following.source), at.bank.eq(following.bank), at.line.eq(following.line), at.units.eq(at.units - 1),
                         at.word.eq(Mux(row_end | wraps, 0, at.word + regs.unit))]
            with m.If(row_end):
                m.d.sync += [row_at.eq(following), at.row.eq(at.row + 1), at.rows.eq(at.rows - 1), at.units.eq(regs.units),
                             at.visiting.eq(at.rows != 1)]

    def _check(self, m: Module, found, windows: Windows, source, at, regs, command) -> None:
        """Faults of a visit in their order; inside the condition that there is a visit."""
        access, line_beyond = Signal(FAULT), Signal()
        check_access(m, self.config, access, command.pc, at.source, regs.unit)
        m.d.comb += line_beyond.eq((source == SOURCE["o"]) & (at.line >= self.config.o_depth))
        with m.If((source == SOURCE["mem"]) & access.valid):
            m.d.comb += found.eq(access)
        with m.Elif(line_beyond):
            fault(m, found, "BANK_RANGE", command.pc, at.line)
        with m.Elif(windows.fault.valid):
            m.d.comb += [found.eq(windows.fault), found.pc.eq(command.pc)]

    def _writes(self, m: Module, front: EngineFront, windows: Windows, pending: Queue, source, item, visit) -> None:
        """Bank writes where the data are there; completion with the last of them, or at once for `sync`."""
        regs, command, bus = front.regs, front.command, self.config.bus_words
        is_fill = source == SOURCE["fill"]
        done, now, words = Signal(), Signal(self.pending_layout), Signal(data.ArrayLayout(unsigned(WORD_BITS), bus))
        writing = Signal()
        m.d.comb += [
            pending.push.eq(visit & ~is_fill), pending.entry.eq(item), pending.pop.eq(writing & ~is_fill),
            now.eq(Mux(is_fill, item, pending.head)),
            self.line_width.eq(regs.obits), self.line_first.eq(now.word),
        ]
        with m.Switch(source):
            with m.Case(SOURCE["mem"]):
                m.d.comb += [writing.eq(self.memory.response_valid & pending.valid), words.eq(self.memory.response_data)]
            with m.Case(SOURCE["fill"]):
                m.d.comb += [writing.eq(visit), words.eq(regs.fill.as_unsigned().replicate(bus))]
            with m.Case(SOURCE["o"]):
                m.d.comb += [writing.eq(pending.valid), words.eq(self.line_words)]
        packed = packed_words(m, words, regs.pack, bus)
        with m.Switch(self.write_size):
            for size in range(bus.bit_length()):
                with m.Case(size):
                    m.d.comb += [self.write_data[word].eq(packed[word % (1 << size)]) for word in range(bus)]
        m.d.comb += [self.write_addr[bank].eq(now.address - windows.offset[bank]) for bank in range(windows.banks)]
        m.d.comb += self.write_en.eq(Mux(writing, now.takes, 0))
        self._count_writes(m, windows.banks)
        m.d.comb += [
            done.eq((writing & now.last) | (front.ctl.busy & (command.opcode == OPCODE["sync"]))),
            front.last.eq(done), front.body_give.valid.eq(done), front.body_give.pc.eq(command.pc),
            front.body_give.mask.eq(Mux(done, command.signal, 0)),
        ]

    def _count_writes(self, m: Module, banks: int) -> None:
        written = Signal(range(banks * self.config.bus_words + 1))
        m.d.comb += written.eq(sum((self.write_en[bank] for bank in range(banks)), Const(0)) << self.write_size)
        for name in self.windows.sizes:
            m.d.comb += self.events[f"{name}_writes"].eq(Mux(self.write_dest == DEST[name], written, 0))


def _walk_layout(config) -> data.StructLayout:
    """Where the visits stand: whether there are any, source address, common bank address, O line, row j, word in the line, rows
    and units left."""
    return data.StructLayout({"visiting": 1, "source": VALUE_BITS, "bank": ADDRESSES, "line": ADDRESSES, "row": ROW_BITS,
                              "word": bits_for_count(config.cols), "rows": 16, "units": 16})
