"""The front of an engine: what all four do alike with the head of their queue (`docs/design.md` section 3).

An engine (`hdl.load`, `hdl.execute`, `hdl.drain`, `hdl.store`) is a component with a port ``ctl: Out(ENGINE_PORT)``; it
holds one :class:`EngineFront`, passes ``ctl`` through to it, and implements the body::

    m.submodules.front = front = EngineFront("dr")
    wiring.connect(m, wiring.flipped(self.ctl), front.ctl)
    m.d.comb += [front.bad_config.eq(...), front.last.eq(...), front.pipe_busy.eq(...)]
"""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.common import COMMAND, ENGINE_CODE, ENGINE_PORT, FAULT, GIVE, EntryKind, fault, register_layout, register_resets
from isa.table import INSTRUCTIONS, REGISTERS


class EngineFront(wiring.Component):
    """Pops the queue, keeps shadow and active registers, decides starts.

    Towards the machine: ``ctl``, see :data:`hdl.common.ENGINE_PORT`. Towards the body, in a cycle t with ``ctl.start``:
    ``regs`` and ``command`` hold the new command's registers and operands from t+1 on, until the end of the cycle of
    the next start. The body does its first visit in t+1; ``ctl.busy`` is 1 from t+1 up to and including the cycle in which
    the body raises ``last``. The next start can be one cycle after that, and then ``regs`` changes at its end: what a
    later pipeline stage needs of ``regs`` or ``command`` must travel with the pipeline.

    Faults: a body fault goes before a bad start of the same cycle (the older work first). A bad start pops nothing and
    starts nothing; the head then counts as waiting.
    """

    def __init__(self, engine: str) -> None:
        self.engine = engine
        self.layout = register_layout(engine)
        (self.working,) = (i.opcode for i in INSTRUCTIONS if i.engine == engine and "ILLEGAL_CONFIG" in i.faults)
        """The one opcode whose registers are checked at the start; never that of sync, seed, ctxld."""
        super().__init__({
            "ctl": Out(ENGINE_PORT),
            "shadow": Out(self.layout),  # registered; what a start in this cycle would make active
            "regs": Out(self.layout),  # registered; the active registers
            "command": Out(COMMAND),  # registered; the command that started last
            "bad_config": In(1),  # from `shadow` and `ctl.head.command`: the working command must not start
            "last": In(1),  # this cycle is the last in which the command is busy; only while busy
            "pipe_busy": In(1),  # a pipeline register behind the visits holds an entry (registered)
            "body_give": In(GIVE),  # what completes in this cycle
            "body_fault": In(FAULT),  # what the body found in this cycle, the oldest stage first
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        head, ctl = self.ctl.head, self.ctl
        shadow = Signal(self.layout, init=register_resets(self.engine))
        active = Signal(self.layout, init=register_resets(self.engine))
        busy = Signal()
        is_command, ready, bad = Signal(), Signal(), Signal()
        working = head.command.opcode == self.working
        m.d.comb += [
            self.shadow.eq(shadow), self.regs.eq(active),
            is_command.eq(ctl.head_valid & (head.kind == EntryKind.COMMAND)),
            ready.eq(is_command & ~busy & ctl.tokens_ok & ctl.port_free),
            bad.eq(ready & working & self.bad_config),
            ctl.start.eq(ready & ~bad),
            ctl.pop.eq(ctl.start | (ctl.head_valid & ~is_command)),
            ctl.busy.eq(busy), ctl.quiet.eq(~busy & ~self.pipe_busy),
            ctl.give.eq(self.body_give),
            ctl.run.eq(busy | ctl.start),
            ctl.waiting.eq(~ctl.run & is_command),
        ]
        with m.If(self.body_fault.valid):
            m.d.comb += ctl.fault.eq(self.body_fault)
        with m.Elif(bad):
            fault(m, ctl.fault, "ILLEGAL_CONFIG", head.command.pc, ENGINE_CODE[self.engine])
        with m.If(ctl.start):
            m.d.sync += [active.eq(shadow), self.command.eq(head.command), busy.eq(1)]
        with m.Elif(self.last):
            m.d.sync += busy.eq(0)
        self._shadow_writes(m, shadow)
        return m

    def _shadow_writes(self, m: Module, shadow: data.View) -> None:
        """SET and RESET at the head: applied at the end of the cycle, also while the engine is busy."""
        ctl, head = self.ctl, self.ctl.head
        with m.If(ctl.head_valid & (head.kind == EntryKind.RESET)):
            m.d.sync += [shadow[name].eq(value) for name, value in register_resets(self.engine).items()]
        with m.Elif(ctl.head_valid & (head.kind == EntryKind.SET)), m.Switch(head.register):
            for register in REGISTERS:
                if register.engine == self.engine:
                    with m.Case(register.index):
                        m.d.sync += shadow[register.name.partition(".")[2]].eq(head.command.value)
