"""Random programs, with stalls, deliberate faults, deadlocks and cycle limits: stepping = RTL at every cycle, = fast at the end."""

from __future__ import annotations

import io
from collections import Counter

import pytest

from hdl.sim import run as run_rtl
from isa.table import FAULTS
from rpa.arch.config import ArrayConfig
from rpa.emu.step import run as run_step
from rpa.verify.compare import compare_random, describe
from rpa.verify.random_programs import random_program

BLOCK = 25
SEEDS = {"tiny": 400, "small": 100}
"""Seeds from 0 on: programs of each machine in `make test`; `make soak` goes on from there."""
BLOCKS = [pytest.param(preset, first, id=f"{preset}-{first}", marks=pytest.mark.xdist_group(f"rtl-{preset}"))
          for preset, count in SEEDS.items() for first in range(0, count, BLOCK)]

pytestmark = [pytest.mark.rtl, pytest.mark.usefixtures("verilator")]


@pytest.mark.parametrize(("preset", "first"), BLOCKS)
def test_random_programs_in_lockstep(preset, first):
    config = ArrayConfig.preset(preset)
    failures = []
    for seed in range(first, first + BLOCK):
        case = random_program(seed, config)
        found = compare_random(case, names=("step", "rtl", "fast"), every_cycle=True)
        if not found.equal:
            failures.append(f"{preset}: {describe(case, found.difference)}")
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("first", range(0, 100, BLOCK))
@pytest.mark.xdist_group("rtl-tiny")
def test_commit_logs(first):
    for seed in range(first, first + BLOCK):
        case = random_program(seed, ArrayConfig.preset("tiny"))
        mine, theirs = io.StringIO(), io.StringIO()
        run_step(case.program, case.memory, max_cycles=case.max_cycles, log=mine)
        run_rtl(case.program, case.memory, max_cycles=case.max_cycles, log=theirs)
        for ours, rtl in zip(mine.getvalue().splitlines(), theirs.getvalue().splitlines(), strict=True):
            assert ours == rtl, f"seed {seed}"


def test_random_programs_reach_every_fault_and_mostly_end_well():
    ends: Counter[str] = Counter()
    for seed in range(SEEDS["tiny"]):
        case = random_program(seed, ArrayConfig.preset("tiny"))
        outcome = run_step(case.program, case.memory, max_cycles=case.max_cycles)
        ends[outcome.fault.name if outcome.fault else "halt"] += 1
    assert ends["halt"] > 0.6 * SEEDS["tiny"]
    assert {fault.name for fault in FAULTS} <= set(ends)
