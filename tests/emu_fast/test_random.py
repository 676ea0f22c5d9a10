"""Random programs, with faults, races, deadlocks and cycle limits: fast = step. The seed is the test's name."""

from __future__ import annotations

import pytest

from rpa.arch.config import ArrayConfig
from rpa.emu import fast
from rpa.verify.random_programs import random_program
from tests.emu_fast.same import same

SEEDS = range(80)
FEWEST_BY_EVENTS = 0.4
"""Share of random programs, most of which race or fault somewhere, that the event loop must do itself."""


@pytest.mark.parametrize("preset", ["tiny", "small"])
@pytest.mark.parametrize("seed", SEEDS)
def test_random_program(seed: int, preset: str) -> None:
    case = random_program(seed, ArrayConfig.preset(preset))
    same(case.program, case.memory, max_cycles=case.max_cycles)


def test_many_random_programs_need_no_stepping() -> None:
    cases = [random_program(seed, ArrayConfig.preset("tiny")) for seed in SEEDS]
    stepped = [fast.execute(case.program, case.memory, max_cycles=case.max_cycles).stepped_because for case in cases]
    assert stepped.count(None) >= FEWEST_BY_EVENTS * len(cases)
