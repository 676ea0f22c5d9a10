"""EX: ISSUE, FEED, EXEC and ACC around the PE array (`docs/design.md` section 6)."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.accumulators import INDEX_BITS
from hdl.array import PeArray
from hdl.common import PC_BITS, WORD_BITS, Sharing, bank_read, bits_for_count, engine_count, engine_port
from hdl.dot import WIDTH_LAYOUT
from hdl.engine import EngineFront
from hdl.feeder import Feeder, feed_control, slice_shift
from hdl.issue import Issue, feed_entry
from isa.table import ACC_BANKS, FEEDER_SLOTS, WIDTHS
from rpa.arch.config import ArrayConfig


def acc_read(config: ArrayConfig) -> wiring.Signature:
    """Read port of the accumulators, seen from EX. The drain gives row, bank and index; ``data`` answers in the same cycle.

    ``writing[b]``: the ACC stage writes bank b in this cycle, and ``data`` of that bank is not what was asked for.
    """
    return wiring.Signature({
        "row": In(bits_for_count(config.rows)), "bank": In(1), "index": In(INDEX_BITS),
        "data": Out(data.ArrayLayout(unsigned(config.acc_bits), config.cols)), "writing": Out(ACC_BANKS),
    })


def _stage_entry(config: ArrayConfig, **own) -> data.StructLayout:
    """What a stage behind FEED holds: of every entry, and its ``own`` fields."""
    return data.StructLayout({"valid": 1, "last": 1, "signal": engine_count(config), "pc": PC_BITS, "bank": 1, "index": INDEX_BITS,
                              "width": WIDTH_LAYOUT, **own})


class Execute(wiring.Component):
    """The execute engine. An entry is in ISSUE, FEED, EXEC and ACC in four successive cycles; nothing stalls.

    The active registers of a command are there until the FEED of its last entry; what later stages need travels with the entry.
    """

    def __init__(self, config: ArrayConfig, *, debug: bool = False, sharing: Sharing | None = None) -> None:
        self.config, self.with_debug = config, debug
        self.issue = Issue(config)
        self.array = PeArray(config, debug=debug, sharing=sharing)
        ports = {
            "ctl": Out(engine_port(config)), "a": Out(bank_read(config.rows, config.a_depth)), "w": Out(bank_read(config.cols, config.w_depth)),
            "acc": Out(acc_read(config)), "events": Out(self.issue.events.shape()),
        }
        if debug:
            shown = {"ex_valid": 3, "abus": config.rows * WORD_BITS, "wbus": config.cols * WORD_BITS}
            of_array = {name: field.width for name, field in self.array.debug.shape()}
            ports["debug"] = Out(data.StructLayout({**shown, **of_array}))
        super().__init__(ports)

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.front = front = EngineFront(self.config, "ex")
        m.submodules.issue, m.submodules.array = issue, array = self.issue, self.array
        wiring.connect(m, wiring.flipped(self.ctl), front.ctl)
        shadow = front.shadow
        m.d.comb += [
            front.bad_config.eq((shadow.cbits < shadow.abits) | (shadow.cbits < shadow.wbits)), front.last.eq(issue.last),
            front.body_fault.eq(issue.fault), self.events.eq(issue.events),
            issue.start.eq(front.ctl.start), issue.busy.eq(front.ctl.busy), issue.shadow.eq(shadow), issue.regs.eq(front.regs),
            issue.command.eq(front.command),
        ]
        for name in "aw":
            mine, theirs = getattr(issue, name), getattr(self, name)
            m.d.comb += [theirs.en.eq(mine.en), theirs.addr.eq(mine.addr)]
        feed, acc = Signal(feed_entry(self.config)), Signal(_stage_entry(self.config, writes=1))
        execute = Signal(_stage_entry(self.config, step=1, first=1, a_signed=1, w_signed=1))
        m.d.sync += feed.eq(issue.entry)
        m.d.comb += front.pipe_busy.eq(feed.valid | execute.valid | acc.valid)
        buses = self._feed(m, front, feed)
        self._exec(m, front, feed, execute)
        self._acc(m, front, execute, acc)
        if self.with_debug:
            shown = {"ex_valid": Cat(feed.valid, execute.valid, acc.valid), "abus": Cat(buses["a"]), "wbus": Cat(buses["w"])}
            shown |= {name: array.debug[name] for name, _ in array.debug.shape()}
            m.d.comb += [self.debug[name].eq(value) for name, value in shown.items()]
        return m

    def _feed(self, m: Module, front: EngineFront, feed: data.View) -> dict[str, list[Value]]:
        """FEED: words onto the buses, and context words into the PEs."""
        regs, array = front.regs, self.array
        buses = {}
        for name, count, bus, limit in (("a", self.config.rows, array.a, regs.rows), ("w", self.config.cols, array.w, regs.cols)):
            control, valid = self._feed_control(m, name, regs, feed)
            shift, held_valid = Signal(3, name=f"{name}_shift"), Signal(name=f"{name}_held_valid")
            m.d.comb += [shift.eq(slice_shift(control)), held_valid.eq(valid.bit_select(control.slot, 1) & ~feed.begins)]
            buses[name] = []
            for k in range(count):
                m.submodules[f"{name}_feeder{k}"] = feeder = Feeder()
                m.d.comb += [feeder.control.eq(control), feeder.shift.eq(shift), feeder.held_valid.eq(held_valid), feeder.enable.eq(k < limit),
                             feeder.word.eq(getattr(self, name).data[k]), bus[k].eq(feeder.bus)]
                buses[name].append(feeder.bus)
        m.d.comb += [
            array.control.slot.eq(feed.slot), array.control.word.eq(front.command.value),
            array.ctx_rows.eq(regs.rmask & feed.context.replicate(self.config.rows)), array.ctx_cols.eq(regs.cmask),
        ]
        return buses

    def _feed_control(self, m: Module, name: str, regs: data.View, feed: data.View) -> tuple[data.View, Signal]:
        """Control of the feeders of one operand, and which of their slots were filled in this run."""
        control, valid, entry = Signal(feed_control(), name=f"{name}_control"), Signal(FEEDER_SLOTS, name=f"{name}_valid"), feed[name]
        m.d.comb += [
            control.active.eq(feed.step), control.read.eq(entry.read), control.hit.eq(entry.hit), control.slot.eq(entry.slot),
            control.slice.eq(entry.slice), control.bits.eq(regs[f"{name}bits"]), control.compute_bits.eq(regs.cbits),
            control.is_signed.eq(regs[f"{name}signed"]),
        ]
        with m.If(feed.step):
            kept = Mux(feed.begins, 0, valid)
            m.d.sync += valid.eq(kept | Mux(entry.read, 1 << entry.slot, 0))
        return control, valid

    def _exec(self, m: Module, front: EngineFront, feed: data.View, execute: data.View) -> None:
        """From FEED to EXEC: the entry, and which rows and columns work."""
        regs, array = front.regs, self.array
        rows, cols = range(self.config.rows), range(self.config.cols)
        passed = ("valid", "last", "signal", "pc", "step", "bank", "index", "first")
        row_active, col_active = Signal(len(rows)), Signal(len(cols))
        m.d.sync += [
            *(execute[name].eq(feed[name]) for name in passed),
            execute.width.eq(Cat(regs.cbits == width for width in WIDTHS)), execute.a_signed.eq(regs.asigned), execute.w_signed.eq(regs.wsigned),
            row_active.eq(Cat(feed.step & (r < regs.rows) for r in rows)), col_active.eq(Cat(c < regs.cols for c in cols)),
        ]
        control = array.control
        m.d.comb += [
            control.width.eq(execute.width), control.a_signed.eq(execute.a_signed), control.w_signed.eq(execute.w_signed),
            control.first.eq(execute.first), control.acc.source_bank.eq(execute.bank), control.acc.source_index.eq(execute.index),
            array.row_active.eq(row_active), array.col_active.eq(col_active),
        ]

    def _acc(self, m: Module, front: EngineFront, execute: data.View, acc: data.View) -> None:
        """From EXEC to ACC: the accumulators' ports; the end of a command."""
        array, control, port = self.array, self.array.control.acc, self.acc
        m.d.sync += [*(acc[name].eq(execute[name]) for name in ("valid", "last", "signal", "pc", "bank", "index", "width")),
                     acc.writes.eq(array.acc_use)]
        m.d.comb += [
            control.bank.eq(acc.bank), control.index.eq(acc.index), control.width.eq(acc.width), control.drain_bank.eq(port.bank),
            array.drain_rows.eq(1 << port.row), port.data.eq(array.drained),
            front.body_give.valid.eq(acc.valid & acc.last), front.body_give.mask.eq(Mux(front.body_give.valid, acc.signal, 0)),
            front.body_give.pc.eq(acc.pc),
        ]
        for bank in range(ACC_BANKS):
            m.d.comb += [port.writing[bank].eq(acc.writes & (acc.bank == bank)),
                         control.read[bank].eq(Mux(port.writing[bank], acc.index, port.index))]
