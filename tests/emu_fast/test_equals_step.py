"""Fast = stepping emulator on programs written for one timing rule each."""

from __future__ import annotations

import numpy as np
import pytest

from isa import assemble
from isa.table import COUNTERS
from rpa.arch.config import ArrayConfig
from tests.emu_fast.same import same

TINY = ArrayConfig.preset("tiny")
SMALL = ArrayConfig.preset("small")

PARAMS = """
        set ld.fill, 33                 ; every word of the P banks: bias, multiplier and a shift of 33
        set ld.units, 16
        set ld.dstep, 1
        ld  p, fill
        reset ld
        fence ld
"""
BUSY = PARAMS + """
.context multiply
  all: mac a, w
.end
        ctx multiply, 0
        set ld.rows, 5
        set ld.units, 3
        set ld.unit, 2
        set ld.sstride, 12
        set ld.sstep, 4
        set ld.pitch, 6
        set ld.dstep, 2
        set ld.wlen, 5
        set ex.n, 7, 3, 2
        set ex.as, 1, 2
        set ex.ws, 1
        set ex.ahold, 4
        set ex.cs, 0, 1
        set ex.red, 5
        set ex.abase, 100
        set dr.rows, ROWS
        set dr.accs, 3
        set dr.pitch, 2
        set dr.base, 64
        set dr.bits, 8
        set st.rows, 4
        set st.xs, 3
        set st.addr, 0x1000
        set st.rstride, 64
        set st.xstride, 2
"""
"""All four engines prepared to work on different words at the same time."""
EVERYTHING = BUSY + "        ld a, mem\n        run 0\n        drain 1\n        st\n"


def random_memory(config: ArrayConfig, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, config.mem_bytes, dtype=np.uint8)


def check(source: str, config: ArrayConfig = TINY, **options) -> None:
    same(assemble(source, config), random_memory(config), **options)


def wait_cycles(count: int) -> str:
    return "        nop\n" * count


CASES = {
    "halt": "        halt\n",
    "all engines at once": EVERYTHING + "        halt\n",
    "fence of each engine": EVERYTHING + "        fence st\n        fence dr\n        fence ex\n        fence ld\n        halt\n",
    "fence with nothing to wait for": "        fence ld, ex, dr, st\n        halt\n",
    "fence behind a register write": "        set st.rows, 3\n        fence st\n        set dr.rows, 1\n        halt\n",
    "writes behind a busy engine": EVERYTHING + """
        set ex.n, 2
        set ex.n, 3
        run 1
        set ex.n, 1
        run 1
        halt
""",
    "reset behind a busy engine": EVERYTHING + """
        reset ld
        set ld.base, 700
        ld w, fill
        reset ex
        run 1
        halt
""",
    "ping pong of load and run": BUSY + """
        sync ex signal(ld)
        sync ex signal(ld)
        loopi 6, over
        set ld.base, 0
        ld a, mem wait(ex) signal(ex)
        set ex.abase, 0
        run 0 wait(ld) signal(ld)
        set ld.base, 200
        ld a, mem wait(ex) signal(ex)
        set ex.abase, 200
        run 1 wait(ld) signal(ld)
over:
        halt
""",
    "pipeline of all engines": BUSY + """
        sync dr signal(ex)
        sync dr signal(ex)
        sync st signal(dr)
        loopi 5, over
        run 0 wait(dr) signal(dr)
        drain 0 wait(ex, st) signal(ex, st)
        st wait(dr) signal(dr)
        run 1 wait(dr) signal(dr)
        drain 1 wait(ex, st) signal(ex, st)
        st wait(dr) signal(dr)
over:
        halt
""",
    "tokens to itself": "        sync ex signal(ex)\n        run 0 wait(ex) signal(ex)\n        ctxld 0, r0 wait(ex)\n        halt\n",
    "several waits": EVERYTHING + """
        sync ld signal(st, dr)
        sync ex signal(st)
        sync dr wait(ld) signal(st)
        sync st wait(ld, ex, dr)
        halt
""",
    "store before load from o": BUSY + "        st\n        ld w, o\n        halt\n",
    "load from o before store": BUSY + "        ld w, o\n        st\n        ld w, o\n        st\n        halt\n",
    "store and load from o in the same cycle": BUSY + """
        sync ld wait(dr)
        sync st wait(dr)
        ld a, o wait(dr)
        st wait(dr)
        sync dr signal(ld, st)
        sync dr signal(ld, st)
        halt
""",
    "sync does not take the port": BUSY + """
        ld w, o
        sync st
        sync st
        st
        sync ld
        ld w, o
        halt
""",
    "fifteen tokens": "        loopi 15, all\n        sync ld signal(ex)\nall:\n        fence ld\n        loopi 15, taken\n        sync ex wait(ld)\n"
                      "taken:  halt\n",
    "nested loops and branches": """
        li  r1, 0
        loopi 3, a
        addi r1, r1, 1
        loopi 2, b
        add r2, r2, r1
        sync ex signal(dr)
b:      sync dr wait(ex)
a:      blt r1, r2, c
        addi r3, r3, 9
c:      jal r4, d
        halt
d:      mul r5, r2, r2
        jalr r0, r4, 0
""",
    "loop that is skipped": "        li r1, 0\n        loop r1, a\n        run 0\n        nop\na:      halt\n",
}


@pytest.mark.parametrize("config", [TINY, SMALL], ids=["tiny", "small"])
@pytest.mark.parametrize("name", CASES)
def test_rule(name: str, config: ArrayConfig) -> None:
    check(CASES[name], config, by_events=True)


@pytest.mark.parametrize("engine", ["ld", "ex", "dr", "st"])
@pytest.mark.parametrize("entries", [3, 4, 5, 9])
def test_full_queue(engine: str, entries: int) -> None:
    command = {"ld": "ld a, mem", "ex": "run 0", "dr": "drain 0", "st": "st"}[engine]
    check(BUSY + f"        {command}\n" * entries + "        rdctr r1, cycles\n        halt\n", by_events=True)


@pytest.mark.parametrize("delay", [0, 5, 12, 40])
@pytest.mark.parametrize("counter", [counter.name for counter in COUNTERS])
def test_counter_reads_at_any_time(counter: str, delay: int) -> None:
    """Fourteen reads in a row, in the middle of everything; then one more after the engines went on."""
    reads = "".join(f"        rdctr r{number}, {counter}\n" for number in range(1, 14))
    later = f"        run 1\n        fence ex\n        rdctr r14, {counter}\n        halt\n"
    check(EVERYTHING + wait_cycles(delay) + reads + later, by_events=True)


def test_upper_half_of_a_counter() -> None:
    check("        rdctrh r1, cycles\n        rdctr r2, cycles\n        halt\n", by_events=True)


def test_program_that_waits_for_a_counter() -> None:
    source = EVERYTHING + "        li r2, 20\nagain:  rdctr r1, a_reads\n        bltu r1, r2, again\n        rdctr r3, cycles\n        halt\n"
    check(source, by_events=True)


def test_every_cycle_limit() -> None:
    """Stopped in each cycle of a program that keeps all engines busy."""
    program = assemble(EVERYTHING + "        fence ld, ex, dr, st\n        halt\n", TINY)
    memory = random_memory(TINY)
    cycles = same(program, memory).outcome.cycles
    for limit in range(1, cycles + 3):
        assert (same(program, memory, max_cycles=limit).outcome.fault is None) == (limit >= cycles)


FAULTS = {
    "fetch": "        nop\n",
    "jump outside": "        jalr r0, r0, -1\n",
    "loop depth": "        loopi 2, e\n        loopi 2, d\n        loopi 2, c\n        loopi 2, b\n        loopi 2, a\n        nop\n"
                  "        nop\na:      nop\nb:      nop\nc:      nop\nd:      nop\ne:      halt\n",
    "register value": "        li r1, 5000\n        setr ex.n0, r1\n        halt\n",
    "context": "        li r1, 0xffffffff\n        ctxld 0, r1\n        halt\n",
    "contradiction": EVERYTHING + "        set ex.cbits, 8\n        run 0\n        halt\n",
    "memory range": EVERYTHING + "        li r1, MEM_BYTES\n        setr st.addr, r1\n        st\n        halt\n",
    "misaligned": EVERYTHING + "        li r1, 2\n        setr ld.addr, r1\n        ld a, mem\n        halt\n",
    "bank range": EVERYTHING + "        set ex.abase, A_DEPTH - 3\n        run 0\n        halt\n",
    "requantization shift": EVERYTHING + "        set dr.param, 3\n        drain 0\n        halt\n",
    "accumulator conflict": BUSY + "        run 0\n        drain 0\n        halt\n",
    "token overflow": "        loopi 16, a\n        sync ld signal(ex)\na:\n        halt\n",
    "deadlock": EVERYTHING + "        st wait(dr)\n        halt\n",
    "deadlock at a fence": EVERYTHING + "        run 0 wait(st)\n        fence ex\n        halt\n",
    "deadlock at a full queue": "        sync ex wait(ld)\n" + "        set ex.n, 1\n" * 9 + "        halt\n",
}


DATAPATH_FAULTS = ("memory range", "misaligned", "bank range", "requantization shift", "accumulator conflict")
"""These are always stepped; a fault of the core, a queue or a token only while an engine is at work."""
AT_REST = ("fetch", "jump outside", "loop depth", "register value", "context", "token overflow", "deadlock", "deadlock at a full queue")


@pytest.mark.parametrize("name", FAULTS)
def test_fault(name: str) -> None:
    program = assemble(FAULTS[name], TINY)
    by_events = False if name in DATAPATH_FAULTS else True if name in AT_REST else None
    done = same(program, random_memory(TINY), by_events=by_events)
    assert done.outcome.fault is not None


RACES = {
    "run reads what a load writes": BUSY + "        set ex.abase, 0\n        ld a, mem\n        run 0\n        halt\n",
    "load writes what a run reads": BUSY + "        set ex.abase, 0\n        run 0\n        ld a, mem\n        halt\n",
    "store reads what a drain writes": BUSY + "        set dr.base, 0\n        drain 0\n        st\n        halt\n",
    "load from o reads what a drain writes": BUSY + "        set dr.base, 0\n        drain 0\n        ld a, o\n        halt\n",
    "drain reads what a load writes": BUSY + "        set ld.fill, 33\n        ld p, fill\n        drain 0\n        halt\n",
    "load reads what a store writes": BUSY + "        set ld.addr, 0x1000\n        st\n        ld a, mem\n        halt\n",
}


@pytest.mark.parametrize("name", RACES)
def test_race(name: str) -> None:
    program = assemble(RACES[name], TINY)
    assert "two engines use the same words" in str(same(program, random_memory(TINY), by_events=False).stepped_because)


def test_neighbouring_words_are_no_race() -> None:
    """The load writes every other word, the run reads the ones between."""
    source = BUSY + "        set ld.units, 1\n        set ld.unit, 1\n        set ld.pitch, 2\n        set ex.abase, 1\n"
    source += "        set ex.n, 4, 1, 1\n        set ex.as, 2, 0, 0\n        ld a, mem\n        run 0\n        halt\n"
    check(source, by_events=True)


