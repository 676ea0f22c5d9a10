"""ST: O banks into external memory, transposed across columns (`docs/design.md` section 8)."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.common import FAULT, OPCODE, VALUE_BITS, WORD_BITS, bits_for_count, engine_port, events_layout, fault
from hdl.engine import EngineFront
from hdl.memport import check_access, write_signature
from isa.table import WIDTHS

STEPS = (1, 2, 4, 8)
"""Elements that one step can cover, as `st.xstep` has them."""


class Store(wiring.Component):
    """The store engine: a visit reads a line (where it needs a new one), the next cycle writes one unit of it.

    ``memory``: external writes. ``line_en``, ``line_addr``: read of the O banks. ``line_width``, ``line_first``: what the
    transposer gives in ``line_words`` for the write of this cycle. ``uses_line``: an `st` is busy.
    A memory that is not ready holds the write, and with it the visits.
    """

    def __init__(self, config) -> None:
        self.config = config
        words = data.ArrayLayout(unsigned(WORD_BITS), config.bus_words)
        self.word_bits = bits_for_count(config.cols)
        super().__init__({
            "ctl": Out(engine_port(config)),
            "memory": Out(write_signature(config)),
            "line_en": Out(1), "line_addr": Out(bits_for_count(config.o_depth)), "uses_line": Out(1),
            "line_width": Out(5), "line_first": Out(self.word_bits), "line_words": In(words),
            "events": Out(events_layout(ext_write_words=config.bus_words, o_reads=config.cols)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.front = front = EngineFront(self.config, "st")
        wiring.connect(m, wiring.flipped(self.ctl), front.ctl)
        regs, command = front.regs, front.command
        unit = Signal(data.StructLayout({"valid": 1, "last": 1, "address": VALUE_BITS, "first": self.word_bits}))
        sent, free, done = Signal(), Signal(), Signal()
        m.d.comb += [
            front.bad_config.eq(self._bad(front)),
            self.uses_line.eq(front.ctl.busy & (command.opcode == OPCODE["st"])),
            self.line_width.eq(regs.bits), self.line_first.eq(unit.first),
            self.memory.valid.eq(unit.valid), self.memory.address.eq(unit.address), self.memory.data.eq(self.line_words),
            self.memory.mask.eq((1 << regs.unit) - 1),
            sent.eq(unit.valid & self.memory.ready), free.eq(~unit.valid | self.memory.ready),
            self.events.ext_write_words.eq(Mux(sent, regs.unit, 0)),
            done.eq((sent & unit.last) | (front.ctl.busy & (command.opcode == OPCODE["sync"]))),
            front.last.eq(done), front.body_give.valid.eq(done), front.body_give.pc.eq(command.pc),
            front.body_give.mask.eq(Mux(done, command.signal, 0)),
        ]
        with m.If(sent):
            m.d.sync += unit.valid.eq(0)
        self._visits(m, front, unit, free)
        return m

    def _bad(self, front: EngineFront):
        """Contradicting shadow registers for the `st` at the head."""
        shadow, cols = front.shadow, self.config.cols
        narrow = Cat(shadow.bits == width for width in WIDTHS if width * cols < WORD_BITS).any()
        long_step = Cat((shadow.bits == width) & (shadow.xstep > WORD_BITS // width) for width in WIDTHS).any()
        return narrow | (shadow.unit > cols) | long_step

    def _visits(self, m: Module, front: EngineFront, unit, free) -> None:
        """Check, read the line where a new one is needed, hand one unit to the next cycle."""
        regs, command, config = front.regs, front.command, self.config
        at = Signal(data.StructLayout({"visiting": 1, "rows": 16, "steps": 16, "units": 8, "first_unit": 1, "element": 4, "word": self.word_bits,
                                       "line": 16, "address": VALUE_BITS}))
        try_visit, visit, reads, found, access = Signal(), Signal(), Signal(), Signal(FAULT), Signal(FAULT)
        step_end, row_end = Signal(), Signal()
        m.d.comb += [
            step_end.eq(at.units == 1), row_end.eq(step_end & (at.steps == 1)), reads.eq(at.first_unit & (at.element == 0)),
            try_visit.eq(at.visiting & free), visit.eq(try_visit & ~found.valid), front.body_fault.eq(found),
            self.line_en.eq(visit & reads), self.line_addr.eq(at.line), self.events.o_reads.eq(Mux(self.line_en, config.cols, 0)),
        ]
        with m.If(try_visit):
            check_access(m, config, access, command.pc, at.address, regs.unit)
            with m.If(reads & (at.line >= config.o_depth)):
                fault(m, found, "BANK_RANGE", command.pc, at.line)
            with m.Else():
                m.d.comb += found.eq(access)
        with m.If(visit):
            m.d.sync += [unit.valid.eq(1), unit.last.eq(row_end & (at.rows == 1)), unit.address.eq(at.address), unit.first.eq(at.word)]
        self._walk(m, front, at, visit, step_end, row_end)

    def _walk(self, m: Module, front: EngineFront, at, visit, step_end, row_end) -> None:
        """Start at the first row, step and unit; move on at the end of every visit."""
        regs, shadow = front.regs, front.shadow
        step_at = Signal(data.StructLayout({"address": VALUE_BITS, "word": self.word_bits}))
        row_at = Signal(data.StructLayout({"address": VALUE_BITS, "line": 16}))
        next_address, element, next_line = Signal(VALUE_BITS), Signal(5), Signal(16)
        line_ends, step_words = Signal(), self._step_words(m, regs)
        m.d.comb += [
            next_address.eq(Mux(row_end, row_at.address, Mux(step_end, step_at.address, at.address))
                            + Mux(row_end, regs.rstride, Mux(step_end, regs.xstride, regs.wstride))),
            element.eq(at.element + regs.xstep), line_ends.eq(Cat((regs.bits == w) & (element == WORD_BITS // w) for w in WIDTHS).any()),
            next_line.eq(Mux(row_end, row_at.line, at.line) + Mux(row_end, regs.pitch, line_ends)),
        ]
        with m.If(front.ctl.start):
            m.d.sync += [
                at.visiting.eq(front.ctl.head.command.opcode == OPCODE["st"]), at.first_unit.eq(1),
                at.rows.eq(shadow.rows), at.steps.eq(shadow.xs), at.units.eq(shadow.ws), at.element.eq(0), at.word.eq(shadow.col0),
                at.line.eq(shadow.base), at.address.eq(shadow.addr), step_at.address.eq(shadow.addr), step_at.word.eq(shadow.col0),
                row_at.address.eq(shadow.addr), row_at.line.eq(shadow.base),
            ]
        with m.Elif(visit):
            m.d.sync += [at.address.eq(next_address), at.units.eq(at.units - 1), at.first_unit.eq(step_end), at.word.eq(at.word + regs.unit)]
            with m.If(step_end):
                m.d.sync += [at.units.eq(regs.ws), at.steps.eq(at.steps - 1), at.element.eq(Mux(line_ends, 0, element)),
                             at.word.eq(step_at.word + step_words), at.line.eq(next_line),
                             step_at.address.eq(next_address), step_at.word.eq(step_at.word + step_words)]
            with m.If(row_end):
                m.d.sync += [at.rows.eq(at.rows - 1), at.steps.eq(regs.xs), at.element.eq(0), at.word.eq(regs.col0), step_at.word.eq(regs.col0),
                             row_at.address.eq(next_address), row_at.line.eq(next_line), at.visiting.eq(at.rows != 1)]

    def _step_words(self, m: Module, regs) -> Signal:
        """Words of the transposed line that one step covers, xstep*cols/e, modulo cols."""
        words = Signal(self.word_bits, name="step_words")
        for width in WIDTHS:
            for step in STEPS:
                if step * width < WORD_BITS and self.config.cols * width >= WORD_BITS:
                    with m.If((regs.bits == width) & (regs.xstep == step)):
                        m.d.comb += words.eq(step * self.config.cols * width // WORD_BITS)
        return words
