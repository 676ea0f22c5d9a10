"""Random programs, with faults, races, deadlocks and cycle limits: fast = step. The seed is the test's name.

Most random programs race somewhere, so that the event loop hands them over. With a fence before each engine command it must do
most of them itself; with one before every other command also such whose engines overlap.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from isa.table import ENGINES
from rpa.arch.config import ArrayConfig
from rpa.emu import fast
from rpa.verify.lines import Op, op
from rpa.verify.random_programs import RandomProgram, random_program
from tests.emu_fast.same import same

SEEDS = range(80)
FEWEST_BY_EVENTS = 0.6
"""Share of programs with a fence before every command that the event loop must do itself; the others fault."""
COMMANDS = ("ld", "run", "drain", "st")
EVERY_ENGINE = (1 << len(ENGINES)) - 1


def fenced(case: RandomProgram, share: float) -> RandomProgram:
    """The program with a fence before ``share`` of its commands."""
    rng, lines = Random(case.seed), []
    for line in case.lines:
        if isinstance(line, Op) and line.name in COMMANDS and rng.random() < share:
            lines.append(op("fence", engines=EVERY_ENGINE))
        lines.append(line)
    return replace(case, lines=tuple(lines))


@pytest.mark.parametrize("share", [0, 0.7, 1])
@pytest.mark.parametrize("preset", ["tiny", "small"])
@pytest.mark.parametrize("seed", SEEDS)
def test_random_program(seed: int, preset: str, share: float) -> None:
    case = fenced(random_program(seed, ArrayConfig.preset(preset)), share)
    same(case.program, case.memory, max_cycles=case.max_cycles)


def test_many_random_programs_need_no_stepping() -> None:
    cases = [fenced(random_program(seed, ArrayConfig.preset("tiny")), 1) for seed in SEEDS]
    stepped = [fast.execute(case.program, case.memory, max_cycles=case.max_cycles).stepped_because for case in cases]
    assert stepped.count(None) >= FEWEST_BY_EVENTS * len(cases), stepped
