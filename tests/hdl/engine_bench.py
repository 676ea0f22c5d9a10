"""Drives LD and ST alone: a list of entries as their queue, a memory with latency, a line of O words, every cycle recorded."""

from __future__ import annotations

from collections import deque

from hdl.common import ARGS_BITS, EntryKind
from isa.encoding import BY_NAME, encode
from isa.spec import OPCODE_LO
from tests.hdl.control_bench import FAULT_NAME, REGISTER

ARGS_LO = BY_NAME["ctxld"].field("slot").lo
"""The lowest bit of an engine operand in the instruction word."""


def entries(owner: str, settings: dict[str, int], command: str, *, signal: int = 0, pc: int = 7, **operands: int) -> list[dict]:
    """Queue entries that set registers (short names) and then issue one command."""
    queue = [{"kind": EntryKind.SET, "register": REGISTER[f"{owner}.{name}"], "command": {"value": value & 0xFFFF_FFFF}}
             for name, value in settings.items()]
    word = encode(command, signal=signal, **operands)
    queue.append({"kind": EntryKind.COMMAND, "register": 0, "command": {
        "opcode": word >> OPCODE_LO, "args": word >> ARGS_LO & (1 << ARGS_BITS) - 1, "wait": 0, "signal": signal, "pc": pc, "value": 0}})
    return queue


class EngineBench:
    """One engine under a queue; subclasses say what else it is connected to. After ``run`` cycle numbers count from 1."""

    def __init__(self, engine) -> None:
        self.engine = engine
        self.start = self.complete = None
        self.fault = None
        self.gives: list[tuple[int, int, int]] = []
        """(cycle, mask, pc) of completions."""
        self.totals: dict[str, int] = {}

    def drive(self, ctx, cycle: int) -> None:
        """Set this cycle's inputs."""

    def sample(self, ctx, cycle: int) -> None:
        """Record this cycle."""

    def bench(self, queue: list[dict], cycles: int):
        pending = deque(queue)

        async def run(ctx):
            ctl = self.engine.ctl
            ctx.set(ctl.tokens_ok, 1)
            for cycle in range(1, cycles + 1):
                ctx.set(ctl.head_valid, bool(pending))
                if pending:
                    ctx.set(ctl.head, pending[0])
                self.drive(ctx, cycle)
                self._watch(ctx, cycle)
                self.sample(ctx, cycle)
                if self.fault:
                    return
                if ctx.get(ctl.pop):
                    pending.popleft()
                await ctx.tick()

        return run

    def _watch(self, ctx, cycle: int) -> None:
        ctl = self.engine.ctl
        if ctx.get(ctl.start):
            self.start = cycle
        if ctx.get(ctl.give.valid):
            self.gives.append((cycle, ctx.get(ctl.give.mask), ctx.get(ctl.give.pc)))
        if ctx.get(ctl.fault.valid):
            self.fault = (FAULT_NAME[ctx.get(ctl.fault.code)], ctx.get(ctl.fault.pc), ctx.get(ctl.fault.aux))
        for name, _ in self.engine.events.shape():
            self.totals[name] = self.totals.get(name, 0) + ctx.get(self.engine.events[name])
