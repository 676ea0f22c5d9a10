"""The whole machine through its host port: end, faults and counters of small programs, worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from isa.encoding import encode
from rpa.arch.config import ArrayConfig
from tests.hdl.control_bench import REGISTER, addi, simulate
from tests.hdl.top_bench import TopBench, run_top

TINY = ArrayConfig.preset("tiny")
HALT = encode("halt")
LD, EX, DR, ST = 1, 2, 4, 8


def setting(name: str, value: int) -> int:
    return encode("set", reg=REGISTER[name], imm=value)


def test_a_program_of_three_instructions_takes_four_cycles():
    """Two additions and the halt; the machine is done in the cycle after, which is counted."""
    run = run_top(TINY, [addi(1, 0, 5), addi(2, 1, 6), HALT])
    assert run.status == 0b10 and run.fault is None
    assert run.registers[:3] == [0, 5, 11]
    assert (run.counters["cycles"], run.counters["instructions"]) == (4, 3)
    assert [run.counters[f"{e}_idle"] for e in ("ld", "ex", "dr", "st", "nv")] == [4, 4, 4, 4, 4]


def test_load_takes_rows_units_and_latency():
    """Cycle 1 pushes, 2 starts, the visits are 3..8, the last write and the end of busy is 8 + 4 = 12; done in 13."""
    words = [setting("ld.rows", 3), setting("ld.units", 2), encode("ld", dest=0, source=0), HALT]
    run = run_top(TINY, words)
    assert run.fault is None
    assert run.counters["cycles"] == 13 + 2  # two `set` before
    assert run.counters["ld_run"] == 1 + 6 + 4
    assert run.counters["ext_read_words"] == 6
    assert run.counters["a_writes"] == 2 * 2  # the window is row 0, its two units go to both banks (wstep is 0)
    assert run.counters["ld_wait"] == 0


def test_store_writes_zero_lines_in_rows_plus_two_cycles():
    memory = np.full(TINY.mem_bytes // 2, 7, np.int64)
    run = run_top(TINY, [setting("st.xs", 3), setting("st.xstride", 2), setting("st.addr", 8), encode("st"), HALT], memory)
    assert run.counters["st_run"] == 1 + 3 + 1
    assert (run.counters["o_reads"], run.counters["ext_write_words"]) == (6, 3)
    assert run.memory[3:8].tolist() == [7, 0, 0, 0, 7]


def test_tokens_order_engines_and_a_missing_one_is_a_deadlock():
    good = run_top(TINY, [encode("sync", engine=1, wait=LD), encode("sync", engine=0, signal=EX), HALT])
    assert good.fault is None and good.counters["ex_wait"] == 3
    bad = run_top(TINY, [encode("sync", engine=1, wait=LD), encode("sync", engine=3, wait=EX), HALT])
    assert bad.fault == ("DEADLOCK", 0, EX | ST)


def test_instructions_beyond_the_first_65536():
    """A large network's program reaches there: jumps, links, and the place of a command that waits for ever."""
    words = {0: encode("jal", rd=1, offset=70_000), 70_000: encode("jal", rd=2, offset=2), 70_002: encode("sync", engine=1, wait=LD), 70_003: HALT}
    run = run_top(replace(TINY, imem_words=1 << 17), words)
    assert run.registers[1:3] == [1, 70_001]
    assert run.fault == ("DEADLOCK", 70_002, EX)


def test_sixteenth_token_overflows():
    run = run_top(TINY, [encode("loopi", count=16, offset=2), encode("sync", engine=0, signal=ST), HALT])
    assert run.fault == ("TOKEN_OVERFLOW", 1, 3)


def test_cycle_limit_stops_an_endless_program():
    run = run_top(TINY, [encode("jal", rd=0, offset=0)], limit=50)
    assert run.fault == ("CYCLE_LIMIT", 0, 50) and run.counters["cycles"] == 50


def test_limit_equal_to_the_last_cycle_is_no_fault():
    assert run_top(TINY, [HALT], limit=2).fault is None
    assert run_top(TINY, [addi(1, 0, 1), HALT], limit=2).fault == ("CYCLE_LIMIT", 1, 2)


def test_slow_memory_changes_cycles_only():
    words = [setting("ld.rows", 5), setting("ld.sstride", 2), encode("ld", dest=0, source=0), setting("st.xs", 4), encode("st"), HALT]
    quick, slow = run_top(TINY, words), run_top(TINY, words, ready=lambda cycle: cycle % 3 == 0, slower=9)
    assert slow.fault is None and slow.counters["cycles"] > quick.counters["cycles"]
    changed = {name for name in quick.counters if quick.counters[name] != slow.counters[name]}
    assert changed <= {"cycles", "ld_run", "st_run", "ld_idle", "ex_idle", "dr_idle", "st_idle", "nv_idle"}


def test_a_second_start_begins_afresh_and_nothing_changes_in_between():
    bench = TopBench(TINY, [encode("loopi", count=3, offset=2), addi(1, 1, 1), encode("sync", engine=0, signal=EX), HALT],
                     np.zeros(TINY.mem_bytes // 2, np.int64))
    seen = []

    async def script(ctx):
        await bench.load(ctx)
        for _ in range(2):
            await bench.start(ctx)
            await bench.results(ctx)
            seen.append((bench.run.registers, dict(bench.run.counters)))
            for _ in range(20):
                await ctx.tick()
            await bench.results(ctx)
            seen.append((bench.run.registers, dict(bench.run.counters)))

    simulate(bench.top, script)
    assert seen[0] == seen[1] == seen[2] == seen[3] and seen[0][0][1] == 3
