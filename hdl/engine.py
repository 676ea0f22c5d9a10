"""The front of an engine: what all of them do alike with the head of their queue (`docs/design.md` section 3).

An engine (`hdl.load`, `hdl.execute`, `hdl.drain`, `hdl.store`, `hdl.nv`) is a component with a port ``ctl: Out(engine_port(config))``; it
holds one :class:`EngineFront`, passes ``ctl`` through to it, and implements the body::

    m.submodules.front = front = EngineFront(config, "dr")
    wiring.connect(m, wiring.flipped(self.ctl), front.ctl)
    m.d.comb += [front.bad_config.eq(...), front.last.eq(...), front.pipe_busy.eq(...)]
"""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.common import ENGINE_CODE, FAULT, EntryKind, command_layout, engine_port, fault, give_layout, register_layout, registers_of
from isa.table import INSTRUCTIONS
from rpa.arch.config import ArrayConfig


class EngineFront(wiring.Component):
    """Pops the queue, keeps shadow and active registers, decides starts.

    Towards the machine: ``ctl``, see :func:`hdl.common.engine_port`. Towards the body, in a cycle t with ``ctl.start``:
    ``regs`` and ``command`` hold the new command's registers and operands from t+1 on, until the end of the cycle of
    the next start. The body does its first visit in t+1; ``ctl.busy`` is 1 from t+1 up to and including the cycle in which
    the body raises ``last``. The next start can be one cycle after that, and then ``regs`` changes at its end: what a
    later pipeline stage needs of ``regs`` or ``command`` must travel with the pipeline.

    Faults: a body fault goes before a bad start of the same cycle (the older work first). A bad start pops nothing and
    starts nothing; the head then counts as waiting.
    """

    def __init__(self, config: ArrayConfig, engine: str) -> None:
        self.engine = engine
        self.registers = registers_of(config, engine)
        self.layout = register_layout(config, engine)
        self.working = [i.opcode for i in INSTRUCTIONS if i.engine == engine and "ILLEGAL_CONFIG" in i.faults]
        """Opcodes whose registers are checked at the start; never those of sync, seed, ctxld."""
        super().__init__({
            "ctl": Out(engine_port(config)),
            "shadow": Out(self.layout),  # registered; what a start in this cycle would make active
            "regs": Out(self.layout),  # registered; the active registers
            "command": Out(command_layout(config)),  # registered; the command that started last
            "bad_config": In(1),  # from `shadow` and `ctl.head.command`: the working command must not start
            "last": In(1),  # this cycle is the last in which the command is busy; only while busy
            "pipe_busy": In(1),  # a pipeline register behind the visits holds an entry (registered)
            "body_give": In(give_layout(config)),  # what completes in this cycle
            "body_fault": In(FAULT),  # what the body found in this cycle, the oldest stage first
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        head, ctl = self.ctl.head, self.ctl
        resets = {name: register.reset for name, register in self.registers.items()}
        shadow, active = Signal(self.layout, init=resets), Signal(self.layout, init=resets)
        busy = Signal()
        is_command, ready, bad = Signal(), Signal(), Signal()
        working = head.command.opcode.matches(*self.working)
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
            m.d.sync += [shadow[name].eq(register.reset) for name, register in self.registers.items()]
        with m.Elif(ctl.head_valid & (head.kind == EntryKind.SET)), m.Switch(head.register):
            for name, register in self.registers.items():
                with m.Case(register.index):
                    m.d.sync += shadow[name].eq(head.command.value)
