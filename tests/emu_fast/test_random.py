"""Random programs, with faults, races, deadlocks and cycle limits: fast = step. The seed is the test's name.

Most random programs race somewhere, so that the event loop hands them over. With a fence before each engine command it must do
most of them itself; with one before every other command also such whose engines overlap.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from isa.table import COUNTERS
from rpa.arch.config import ArrayConfig
from rpa.emu import fast, step
from rpa.verify.lines import Op, op
from rpa.verify.placing import every_engine
from rpa.verify.random_programs import RandomProgram, random_program
from tests.emu_fast.same import same

SEEDS = range(80)
TINY, SMALL = ArrayConfig.preset("tiny"), ArrayConfig.preset("small")
ODD = {"no macros": replace(TINY, nv_macros=0),
       "one column": replace(TINY, cols=1, bus_words=1, acc_bits=32, nv_rows=9, nv_cols=12, nv_adc_share=1, nv_dac_bits=3, nv_cell_bits=1),
       "coarse converters": replace(SMALL, cols=16, acc_bits=40, nv_macros=1, nv_cols=64, nv_cell_bits=3, nv_dac_bits=4, nv_adc_bits=2)}
FEWEST_BY_EVENTS = 0.6
"""Share of programs with a fence before every command that the event loop must do itself; the others fault."""
INDEX = {counter.name: counter.index for counter in COUNTERS}
COMMANDS = ("ld", "run", "drain", "st", "nvmac", "nvprog")


def fenced(case: RandomProgram, share: float) -> RandomProgram:
    """The program with a fence before ``share`` of its commands."""
    rng, lines = Random(case.seed), []
    for line in case.lines:
        if isinstance(line, Op) and line.name in COMMANDS and rng.random() < share:
            lines.append(op("fence", engines=every_engine(case.config)))
        lines.append(line)
    return replace(case, lines=tuple(lines))


@pytest.mark.parametrize("share", [0, 0.7, 1])
@pytest.mark.parametrize("preset", ["tiny", "small"])
@pytest.mark.parametrize("seed", SEEDS)
def test_random_program(seed: int, preset: str, share: float) -> None:
    case = fenced(random_program(seed, ArrayConfig.preset(preset)), share)
    same(case.program, case.memory, max_cycles=case.max_cycles)


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("seed", range(30))
def test_random_program_on_odd_machines(seed: int, name: str) -> None:
    case = fenced(random_program(seed, ODD[name]), 0.5)
    same(case.program, case.memory, max_cycles=case.max_cycles)


def test_many_random_programs_use_macros() -> None:
    counters = [step.run(case.program, case.memory, max_cycles=case.max_cycles).counters
                for case in (random_program(seed, SMALL) for seed in range(20))]
    for name in ("nv_operations", "nv_active", "nv_conversions", "nv_skipped", "nv_programmed", "x_writes"):
        assert sum(int(values[INDEX[name]] > 0) for values in counters) >= 5, name


def test_many_random_programs_need_no_stepping() -> None:
    cases = [fenced(random_program(seed, ArrayConfig.preset("tiny")), 1) for seed in SEEDS]
    stepped = [fast.execute(case.program, case.memory, max_cycles=case.max_cycles).stepped_because for case in cases]
    assert stepped.count(None) >= FEWEST_BY_EVENTS * len(cases), stepped
