"""Helpers of the control half's tests: run a component clock by clock, and a core on a list of words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from amaranth.sim import Simulator

from hdl.core import Core
from isa.encoding import encode
from isa.table import COUNTERS, FAULTS, REGISTERS

REGISTER = {register.name: register.index for register in REGISTERS}
COUNTER = {counter.name: counter.index for counter in COUNTERS}
FAULT_NAME = {fault.code: fault.name for fault in FAULTS}


def simulate(component, bench: Callable) -> None:
    """Run async ``bench(ctx)`` on a clocked component; the first cycle is the one before the first tick."""
    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@dataclass
class CoreRun:
    """What a core did: registers at the end, cycles that executed or stalled, pushes as (cycle, engine mask, kind, value, pc)."""

    registers: list[int] = field(default_factory=list)
    cycles: int = 0
    pcs: list[int] = field(default_factory=list)
    pushes: list[tuple[int, ...]] = field(default_factory=list)
    fault: tuple[str, int, int] | None = None


def run_core(config, words: list[int], *, limit: int = 400, full: Callable[[int], int] = lambda cycle: 0,
             quiet: Callable[[int], int] = lambda cycle: -1, counter: int = 0) -> CoreRun:
    """Execute words until `halt` or a fault; queue and engine states of cycle k come from ``full`` and ``quiet``."""
    run, core = CoreRun(), Core(config)

    async def bench(ctx):
        ctx.set(core.code_words, len(words))
        ctx.set(core.counter_value, counter)
        word = words[0]
        for cycle in range(1, limit + 1):
            ctx.set(core.word, word)
            ctx.set(core.full, full(cycle))
            ctx.set(core.quiet, quiet(cycle) & (1 << len(core.quiet)) - 1)
            run.cycles = cycle
            run.pcs.append(ctx.get(core.pc))
            if ctx.get(core.push):
                entry = ctx.get(core.entry)
                run.pushes.append((cycle, ctx.get(core.push), entry.kind.value, entry.command.value, entry.command.pc))
            if ctx.get(core.fault.valid):
                run.fault = (FAULT_NAME[ctx.get(core.fault.code)], ctx.get(core.fault.pc), ctx.get(core.fault.aux))
                break
            address = ctx.get(core.next_pc)
            word = words[address] if address < len(words) else 0
            await ctx.tick()
            if ctx.get(core.halted):
                break
        run.registers = [ctx.get(core.registers[i]) for i in range(16)]

    simulate(core, bench)
    return run


def li(rd: int, value: int) -> list[int]:
    """Words that load a 32-bit value."""
    return [encode("lui", rd=rd, imm=value >> 16 & 0xFFFF), encode("ori", rd=rd, rs=rd, imm=value & 0xFFFF)]


def addi(rd: int, rs: int, imm: int) -> int:
    return encode("addi", rd=rd, rs=rs, imm=imm)
