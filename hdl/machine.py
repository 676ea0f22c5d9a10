"""The machine: core, queues, tokens, engines, banks, counters, faults, connected (no logic of its own beyond that)."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.common import (
    ENGINE_COUNT,
    FAULT,
    OPCODE,
    PC_BITS,
    VALUE_BITS,
    Sharing,
    engine_codes,
    entry_layout,
    events_layout,
    operand,
)
from hdl.core import COMMIT, Core
from hdl.counters import Counters, sum_events, summed_layout
from hdl.drain import Drain
from hdl.execute import Execute
from hdl.fault import Faults
from hdl.load import SOURCE, Load
from hdl.macro import signature as macro_signature
from hdl.memport import read_signature, write_signature
from hdl.nv import Nv
from hdl.queue import Queue
from hdl.storage import Storage
from hdl.store import Store
from hdl.tokens import TOKEN_BITS, Tokens
from isa.table import CORE_REGISTERS, COUNTER_BITS
from rpa.arch.config import ArrayConfig
from rpa.arch.lockstep import record_fields

_PCS = data.ArrayLayout(unsigned(PC_BITS), ENGINE_COUNT)
LOG = data.StructLayout({
    "retire": COMMIT,
    "start": ENGINE_COUNT,     # engines that start a command in this cycle
    "start_pc": _PCS,
    "complete": ENGINE_COUNT,  # engines that complete one
    "complete_pc": _PCS,
})
"""What the commit log needs of a cycle, besides the external write port; valid in that cycle (combinational)."""


def debug_layout(config) -> data.StructLayout:
    """The lockstep record as hardware: every field of :mod:`rpa.arch.lockstep`, its elements packed from bit 0 on."""
    return data.StructLayout({field.name: field.count * field.bits for field in record_fields(config)})


def _idle_counts(config: ArrayConfig) -> data.StructLayout:
    names = ["cycles", "instructions", "fence", *(f"{e}_{kind}" for e in engine_codes(config) for kind in ("run", "wait", "idle", "full"))]
    return events_layout(**{name: 1 for name in names})


class Machine(wiring.Component):
    """Runs while it is clocked; the owner stops it after the cycle with ``done`` or ``fault.valid``.

    ``word`` is the instruction at the address that ``next_pc`` had in the cycle before (0 in the first cycle). ``code_words``
    and ``limit`` (0: none) stay constant. ``latched``: the registered fault. ``select``, ``selected``: counter read-out, for the host while the core
    does not need it (``select_counter`` is 1). ``registers``: r0 .. r15.
    ``macro``: what stands behind the engine NV (:mod:`hdl.macro`), on a machine that has it.
    ``debug`` (registered) and ``log`` exist in a debug build.
    """

    def __init__(self, config, *, debug: bool = False, sharing: Sharing | None = None) -> None:
        self.config, self.with_debug, self.sharing = config, debug, sharing
        ports = {
            "word": In(VALUE_BITS), "next_pc": Out(VALUE_BITS), "code_words": In(PC_BITS + 1), "limit": In(COUNTER_BITS),
            "read": Out(read_signature(config)), "write": Out(write_signature(config)),
            "done": Out(1), "fault": Out(FAULT), "latched": Out(FAULT), "finished": Out(1),
            "select_counter": In(1), "select": In(8), "selected": Out(COUNTER_BITS),
            "registers": Out(data.ArrayLayout(unsigned(VALUE_BITS), CORE_REGISTERS)),
        }
        if config.nv_engine:
            ports["macro"] = Out(macro_signature(config))
        if debug:
            ports |= {"debug": Out(debug_layout(config)), "log": Out(LOG)}
        super().__init__(ports)

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self.config
        m.submodules.control = core = Core(config)
        m.submodules.ld = ld = Load(config)
        m.submodules.ex = ex = Execute(config, debug=self.with_debug, sharing=self.sharing)
        m.submodules.dr = dr = Drain(config, debug=self.with_debug)
        m.submodules.st = st = Store(config)
        engines = [ld, ex, dr, st]
        if config.nv_engine:
            m.submodules.nv = nv = Nv(config, debug=self.with_debug)
            engines.append(nv)
            wiring.connect(m, nv.acc, dr.nv_acc)
            wiring.connect(m, wiring.flipped(self.macro), nv.macro)
        queues = [Queue(config.queue_depth, entry_layout(config)) for _ in engines]
        for name, queue in zip(engine_codes(config), queues, strict=True):
            m.submodules[f"queue_{name}"] = queue
        m.submodules.tokens = tokens = Tokens(config)
        m.d.comb += [core.word.eq(self.word), core.code_words.eq(self.code_words), self.next_pc.eq(core.next_pc),
                     self.registers.eq(core.registers)]
        wiring.connect(m, wiring.flipped(self.read), ld.memory)
        wiring.connect(m, wiring.flipped(self.write), st.memory)
        self._connect_queues(m, core, engines, queues, tokens)
        self._line_port(m, ld, st)
        storage = self._storage(m, ld, ex, dr, st)
        if config.nv_engine:
            wiring.connect(m, storage.x, nv.x)
        counters = self._counters(m, core, engines)
        self._faults(m, core, engines, queues, tokens, counters)
        if self.with_debug:
            self._debug(m, core, engines, queues, tokens, counters)
        return m

    def _connect_queues(self, m: Module, core, engines, queues, tokens) -> None:
        for e, (engine, queue) in enumerate(zip(engines, queues, strict=True)):
            ctl = engine.ctl
            m.d.comb += [
                queue.push.eq(core.push[e]), queue.entry.eq(core.entry), core.full[e].eq(queue.full), queue.pop.eq(ctl.pop),
                ctl.head.eq(queue.head), ctl.head_valid.eq(queue.valid), core.quiet[e].eq(ctl.quiet & ~queue.valid),
                tokens.wait[e].eq(queue.head.command.wait), tokens.start[e].eq(ctl.start), tokens.give[e].eq(ctl.give),
                ctl.tokens_ok.eq(tokens.ok[e]),
            ]

    def _line_port(self, m: Module, ld, st) -> None:
        """Who may start a command that reads lines of the O banks; ST goes first."""
        wants = ld.ctl.head.command
        from_o = (wants.opcode == OPCODE["ld"]) & (operand(wants, "ld", "source") == SOURCE["o"])
        st_starts = st.ctl.start & (st.ctl.head.command.opcode == OPCODE["st"])
        m.d.comb += [
            st.ctl.port_free.eq((st.ctl.head.command.opcode != OPCODE["st"]) | ~ld.uses_line),
            ld.ctl.port_free.eq(~from_o | ~(st.uses_line | st_starts)),
        ]

    def _storage(self, m: Module, ld, ex, dr, st) -> Storage:
        m.submodules.storage = storage = Storage(self.config, self.sharing)
        wiring.connect(m, storage.a, ex.a)
        wiring.connect(m, storage.w, ex.w)
        wiring.connect(m, storage.p, dr.p)
        wiring.connect(m, storage.o, dr.o)
        wiring.connect(m, ex.acc, dr.acc)
        m.d.comb += [getattr(storage, name).eq(getattr(ld, name)) for name in ("write_dest", "write_en", "write_addr", "write_size", "write_data")]
        m.d.comb += [
            storage.ld_uses_line.eq(ld.uses_line), storage.ld_en.eq(ld.line_en), storage.ld_addr.eq(ld.line_addr),
            storage.ld_width.eq(ld.line_width), storage.ld_first.eq(ld.line_first), ld.line_words.eq(storage.words),
            storage.st_en.eq(st.line_en), storage.st_addr.eq(st.line_addr),
            storage.st_width.eq(st.line_width), storage.st_first.eq(st.line_first), st.line_words.eq(storage.words),
        ]
        return storage

    def _counters(self, m: Module, core, engines) -> Counters:
        own = Signal(_idle_counts(self.config))
        events = [own, *(engine.events for engine in engines)]
        m.submodules.counters = counters = Counters(summed_layout([view.shape() for view in events]))
        sum_events(m, counters.increments, events)
        m.d.comb += [own.cycles.eq(1), own.instructions.eq(core.retire.valid), own.fence.eq(core.at_fence)]
        for (name, e), engine in zip(engine_codes(self.config).items(), engines, strict=True):
            m.d.comb += [own[f"{name}_run"].eq(engine.ctl.run), own[f"{name}_wait"].eq(engine.ctl.waiting),
                         own[f"{name}_idle"].eq(~engine.ctl.run & ~engine.ctl.waiting), own[f"{name}_full"].eq(core.at_full[e])]
        m.d.comb += [counters.select.eq(core.counter), core.counter_value.eq(counters.selected), self.selected.eq(counters.selected)]
        with m.If(self.select_counter):
            m.d.comb += counters.select.eq(self.select)
        return counters

    def _faults(self, m: Module, core, engines, queues, tokens, counters) -> None:
        m.submodules.faults = faults = Faults(self.config)
        m.d.comb += [
            faults.core.eq(core.fault), faults.overflows.eq(tokens.overflow), faults.stopped.eq(core.halted | core.blocked),
            faults.halted.eq(core.halted), faults.cycles.eq(counters.values[0]), faults.limit.eq(self.limit), faults.pc.eq(core.pc),
            self.fault.eq(faults.fault), self.done.eq(faults.done),
        ]
        for e, (engine, queue) in enumerate(zip(engines, queues, strict=True)):
            ctl = engine.ctl
            m.d.comb += [faults.engines[e].eq(ctl.fault), faults.quiet[e].eq(ctl.quiet), faults.waiting[e].eq(queue.valid),
                         faults.moves[e].eq(ctl.pop), faults.head_pc[e].eq(queue.head.command.pc)]
        with m.If(faults.fault.valid):
            m.d.sync += self.latched.eq(faults.fault)
        with m.If(faults.done):
            m.d.sync += self.finished.eq(1)

    def _debug(self, m: Module, core, engines, queues, tokens, counters) -> None:
        bits = {field.name: field.bits for field in record_fields(self.config)}
        shown = {
            "pc": core.pc, "halted": core.halted, "loop_depth": core.loop_depth, "r": Cat(core.registers[i] for i in range(1, CORE_REGISTERS)),
            "busy": Cat(engine.ctl.busy for engine in engines), "token": _square(tokens), "counter": counters.values, "fault": self.latched.code,
            "queue_count": Cat(Cat(queue.count, Const(0, 8))[:bits["queue_count"]] for queue in queues),
        }
        for engine in engines:
            part = getattr(engine, "debug", None)
            shown |= {name: part[name] for name, _ in part.shape()} if part is not None else {}
        m.d.comb += [self.debug[name].eq(value.as_value() if isinstance(value, data.View) else value) for name, value in shown.items()]
        log = self.log
        m.d.comb += [log.retire.eq(core.retire), log.start.eq(Cat(engine.ctl.start for engine in engines)),
                     log.complete.eq(Cat(engine.ctl.give.valid for engine in engines))]
        for e, engine in enumerate(engines):
            m.d.comb += [log.start_pc[e].eq(engine.ctl.head.command.pc), log.complete_pc[e].eq(engine.ctl.give.pc)]


def _square(tokens: Tokens) -> Value:
    """Token counts as records have them, [giver][taker], with those of an engine that the machine does not have: 0."""
    engines, none = tokens.engines, Const(0, TOKEN_BITS)
    rows = range(ENGINE_COUNT)
    return Cat(tokens.counts[g * engines + t] if g < engines and t < engines else none for g in rows for t in rows)
