"""Programs around the NV engine: stepping = RTL with the digital twin at every cycle, and what such programs reach."""

from __future__ import annotations

from collections import Counter

import pytest

from isa.table import COUNTERS
from rpa.arch.config import ArrayConfig
from rpa.emu.step import run as run_step
from rpa.verify.compare import compare
from tests.cosim.nv_programs import nv_program
from tests.cosim.test_odd_machine import CONFIG as ODD

MAX_CYCLES = 60_000
BLOCK = 25
MACHINES = {"tiny": (ArrayConfig.preset("tiny"), 100), "small": (ArrayConfig.preset("small"), 25), "odd": (ODD, 25)}
"""Machine and number of its programs."""
BLOCKS = [pytest.param(name, first, id=f"{name}-{first}", marks=pytest.mark.xdist_group(f"rtl-{name}"))
          for name, (_, count) in MACHINES.items() for first in range(0, count, BLOCK)]


@pytest.mark.rtl
@pytest.mark.parametrize(("machine", "first"), BLOCKS)
def test_nv_in_lockstep(machine, first, verilator):
    failures = []
    for seed in range(first, first + BLOCK):
        case = nv_program(seed, MACHINES[machine][0])
        found = compare(case.program, case.memory, max_cycles=MAX_CYCLES, names=("step", "rtl"), every_cycle=True)
        if not found.equal:
            failures.append(f"seed {seed}: {found.difference}")
    assert not failures, "\n".join(failures)


def test_programs_reach_what_the_engine_can_do():
    """Values that differ, operations with and without conversions, both banks, all encodings, all ends."""
    config, totals, seen = ArrayConfig.preset("tiny"), Counter(), Counter()
    for seed in range(MACHINES["tiny"][1]):
        case = nv_program(seed, config)
        outcome = run_step(case.program, case.memory, max_cycles=MAX_CYCLES)
        seen["halt" if outcome.fault is None else outcome.fault.name] += 1
        for counter in COUNTERS:
            totals[counter.name] += int(outcome.counters[counter.index] > 0)
    assert seen["halt"] > 0.8 * MACHINES["tiny"][1] and seen["ACC_CONFLICT"] > 0
    names = [counter.name for counter in COUNTERS if counter.name.startswith(("nv_", "x_"))]
    assert all(totals[name] > 0.3 * MACHINES["tiny"][1] for name in names), totals
