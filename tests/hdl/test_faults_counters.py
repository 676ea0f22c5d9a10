"""Which fault of a cycle counts, and the sum of counter events, against the order in docs/design.md section 3."""

from __future__ import annotations

from itertools import combinations

import pytest
from amaranth import Module, Signal
from amaranth.sim import Simulator

from hdl.common import FAULT_CODE, events_layout
from hdl.counters import Counters, sum_events, summed_layout
from hdl.fault import Faults
from isa.table import COUNTERS
from rpa.arch.config import ArrayConfig
from tests.hdl.control_bench import simulate

TINY = ArrayConfig.preset("tiny")
ORDER = ["core", "ld", "ld overflow", "ex", "ex overflow", "dr", "dr overflow", "st", "st overflow", "nv", "nv overflow", "deadlock", "limit"]
ALL = 0b11111
PORT = {"core": ("core", None), **{f"{e}{tail}": (port, k) for k, e in enumerate(("ld", "ex", "dr", "st", "nv"))
                                   for tail, port in (("", "engines"), (" overflow", "overflows"))}}


def raise_fault(ctx, faults: Faults, name: str) -> tuple[int, int, int]:
    """Make one source report; returns the (code, pc, aux) that it stands for."""
    if name == "deadlock":
        for port, value in (("stopped", 1), ("quiet", ALL), ("waiting", 0b0110), ("moves", 0)):
            ctx.set(getattr(faults, port), value)
        ctx.set(faults.head_pc[1], 77)
        return FAULT_CODE["DEADLOCK"], 77, 0b0110
    if name == "limit":
        ctx.set(faults.cycles, 99)
        ctx.set(faults.limit, 100)
        ctx.set(faults.pc, 5)
        return FAULT_CODE["CYCLE_LIMIT"], 5, 100
    port, index = PORT[name]
    code = 1 + ORDER.index(name)
    target = getattr(faults, port) if index is None else getattr(faults, port)[index]
    ctx.set(target, {"valid": 1, "code": code, "pc": 10 + code, "aux": 20 + code})
    return code, 10 + code, 20 + code


@pytest.mark.parametrize(("first", "second"), list(combinations(ORDER, 2)))
def test_the_first_in_order_counts(first, second):
    faults = Faults(TINY)

    async def bench(ctx):
        raise_fault(ctx, faults, second)
        expected = raise_fault(ctx, faults, first)
        await ctx.delay(1e-9)
        found = ctx.get(faults.fault)
        assert (found.valid, found.code, found.pc, found.aux) == (1, *expected)

    simulator = Simulator(faults)
    simulator.add_testbench(bench)
    simulator.run()


def test_no_deadlock_while_anything_moves_and_no_limit_in_the_last_cycle():
    faults = Faults(TINY)

    async def bench(ctx):
        for port, value in (("stopped", 1), ("quiet", ALL), ("waiting", 2), ("moves", 2)):
            ctx.set(getattr(faults, port), value)
        await ctx.delay(1e-9)
        assert not ctx.get(faults.fault.valid)
        ctx.set(faults.moves, 0)
        ctx.set(faults.quiet, 0b11101)
        await ctx.delay(1e-9)
        assert not ctx.get(faults.fault.valid)
        for port, value in (("quiet", ALL), ("waiting", 0), ("halted", 1), ("cycles", 9), ("limit", 10)):
            ctx.set(getattr(faults, port), value)
        await ctx.delay(1e-9)
        assert ctx.get(faults.done) and not ctx.get(faults.fault.valid)

    simulator = Simulator(faults)
    simulator.add_testbench(bench)
    simulator.run()


def test_counters_add_every_block_and_wrap_at_48_bits():
    layouts = [events_layout(o_reads=8, cycles=1), events_layout(o_reads=5)]
    counters = Counters(summed_layout(layouts))
    m = Module()
    m.submodules.counters = counters
    views = [Signal(layout) for layout in layouts]
    sum_events(m, counters.increments, views)
    o_reads = next(counter.index for counter in COUNTERS if counter.name == "o_reads")

    async def bench(ctx):
        ctx.set(counters.select, o_reads)
        ctx.set(views[0], {"o_reads": 8, "cycles": 1})
        ctx.set(views[1], {"o_reads": 5})
        for k in range(4):
            assert (ctx.get(counters.selected), ctx.get(counters.values[0])) == (13 * k, k)
            await ctx.tick()
        ctx.set(counters.values[o_reads], (1 << 48) - 6)
        await ctx.tick()
        assert ctx.get(counters.selected) == 7
        for counter in COUNTERS:
            ctx.set(counters.select, counter.index)
            assert ctx.get(counters.selected) == {"o_reads": 7, "cycles": 5}.get(counter.name, 0), counter.name
        ctx.set(counters.select, len(COUNTERS))
        assert ctx.get(counters.selected) == 0

    simulate(m, bench)
