"""Cycles and engine counters of tiny programs, worked out by hand from design.md (cycle 1 executes the first instruction)."""

from __future__ import annotations

import pytest

from isa.table import COUNTERS
from rpa.arch.config import ArrayConfig
from rpa.emu.fast.machine import execute
from tests.emu_fast.build import Code, blank

TINY = ArrayConfig.preset("tiny")
INDEX = {counter.name: counter.index for counter in COUNTERS}


def figures(code: Code, *names: str) -> tuple[int, ...]:
    done = execute(code.program(), blank(code.config), max_cycles=10_000)
    assert done.stepped_because is None
    assert done.outcome.fault is None
    return tuple(int(done.outcome.counters[INDEX[name]]) for name in names)


def test_halt_alone_takes_two_cycles() -> None:
    # Cycle 1 executes halt, cycle 2 sees `halted` and quiescent engines.
    assert figures(Code(TINY).halt(), "cycles", "instructions") == (2, 1)


def test_fill_of_one_word() -> None:
    # 1 push; 2 start (halt executes); 3 visit and write; 4 quiescent.
    code = Code(TINY).ld("a", "fill").halt()
    assert figures(code, "cycles", "ld_run", "ld_wait", "ld_idle", "a_writes") == (4, 2, 0, 2, 2)


@pytest.mark.parametrize(("source", "latency"), [("mem", TINY.mem_latency), ("fill", 0)])
def test_load_takes_rows_times_units_and_the_latency(source: str, latency: int) -> None:
    # 3 sets in cycles 1..3, ld pushed in 4, started in 5, visits 6..17, busy until 17 + latency, quiescent one later.
    code = Code(TINY).set(ld_rows=3, ld_units=4, ld_pitch=4).ld("a", source).halt()
    assert figures(code, "cycles", "ld_run") == (18 + latency, 13 + latency)


def test_run_drains_its_pipeline() -> None:
    # 1 set, 2 push, 3 start, 4..8 five steps, ACC of the last in 11, quiescent in 12.
    code = Code(TINY).set(ex_n0=5).run().halt()
    assert figures(code, "cycles", "ex_run", "mac_slots", "macs") == (12, 6, 20, 0)


def test_drain_drains_its_pipeline() -> None:
    # P banks need a legal shift: word 5 = 1. 4 sets, ld 5..; fence; drain of 2 rows x 3 accumulators.
    code = Code(TINY).set(ld_fill=1, ld_units=8, ld_dstep=1, dr_rows=2).ld("p", "fill")
    # ld is pushed in 5, started in 6, visits 7..14, quiescent in 15: the fence that executes in 6 completes in 15.
    code.fence("ld").set(dr_accs=3).drain().halt()
    # set in 16, drain pushed in 17, started in 18, D0 19..24, D5 of the last in 29, quiescent in 30.
    assert figures(code, "cycles", "fence", "dr_run", "rq_elements", "o_writes") == (30, 9, 7, 12, 12)


def test_store_takes_one_cycle_more_than_visits() -> None:
    # 2 sets, st pushed in 3, started in 4, visits 5..10, last write in 11, quiescent in 12.
    code = Code(TINY).set(st_rows=2, st_xs=3, st_xstep=1).st().halt()
    assert figures(code, "cycles", "st_run", "ext_write_words") == (13, 8, 6)


def test_core_waits_for_a_full_queue() -> None:
    # Queue of 4. ld pushed in 1 and started in 2 with 20 visits; four more commands fill the queue in 2..5; the sixth waits
    # from 6 until the second has been popped. The first is busy in 3..22, so the second starts in 23 and there is room in 24.
    code = Code(TINY).set(ld_rows=20)
    for _ in range(6):
        code.ld("a", "fill")
    # The set shifts everything by one cycle: tried in 7, pushed in 25.
    assert figures(code.halt(), "ld_full") == (18,)


def test_tokens_make_a_command_wait() -> None:
    # ld: pushed 2, started 3, visits 4..13, signal at the end of 13. ex sync: pushed 3, head in 4, starts in 14.
    code = Code(TINY).set(ld_rows=10).ld("a", "fill", signal="ex").sync("ex", wait="ld").halt()
    assert figures(code, "ex_wait", "ex_run", "cycles") == (10, 2, 19)


def test_store_and_load_share_the_port_of_the_o_banks() -> None:
    # st: sets 1, 2; pushed 3, started 4, busy 5..15 (10 visits and the write behind the last), free in 16.
    # ld from o: pushed 4, head in 5, waits until 16.
    code = Code(TINY).set(st_rows=10, ld_pitch=0).st().ld("a", "o").halt()
    assert figures(code, "st_run", "ld_wait") == (12, 11)


def test_counter_reads_see_the_cycles_before() -> None:
    # rdctr cycles in cycle 1 gives 0, in cycle 2 gives 1.
    code = Code(TINY).rdctr(1, INDEX["cycles"]).rdctr(2, INDEX["cycles"]).rdctr(3, INDEX["instructions"]).halt()
    done = execute(code.program(), blank(TINY), max_cycles=100)
    assert done.outcome.registers[1:4] == (0, 1, 2)


def test_counter_reads_in_the_middle_of_a_load() -> None:
    # ld pushed in 4, started in 5, visits from 6, writes of 2 banks from 6 on. rdctr in cycle 8: 5, 6, 7 ran; 6 and 7 wrote.
    code = Code(TINY).set(ld_rows=20, ld_pitch=1, ld_wlen=20).ld("a", "fill").op("add", rd=0, rs=0, rt=0).op("add", rd=0, rs=0, rt=0)
    code.op("add", rd=0, rs=0, rt=0).rdctr(1, INDEX["ld_run"]).rdctr(2, INDEX["a_writes"]).halt()
    done = execute(code.program(), blank(TINY), max_cycles=100)
    assert done.outcome.registers[1:3] == (3, 6)


def test_an_endless_loop_ends_at_the_limit() -> None:
    code = Code(TINY).op("addi", rd=1, rs=0, imm=5).op("jal", rd=2, offset=0)
    done = execute(code.program(), blank(TINY), max_cycles=1_000_000_007)
    fault = done.outcome.fault
    assert done.stepped_because is None
    assert (fault.name, fault.pc, fault.aux) == ("CYCLE_LIMIT", 1, 1_000_000_007)
    assert done.outcome.counters[:2].tolist() == [1_000_000_007, 1_000_000_007]
    assert done.outcome.registers[:3] == (0, 5, 2)
