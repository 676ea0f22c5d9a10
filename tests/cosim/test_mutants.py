"""The tests are tested: wrong operators in the RTL, wrong bits in records and outcomes must be reported."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hdl.sim import SimulatorError, run
from isa.table import COUNTERS
from rpa.arch.config import ArrayConfig
from rpa.arch.lockstep import RecordLayout, first_difference
from rpa.arch.outcome import FaultState
from rpa.emu.step import run as run_step
from rpa.verify.compare import BACKENDS, compare_random
from rpa.verify.random_programs import Profile, random_program
from tests.cosim.mutants import build_mutants
from tests.cosim.nv_programs import nv_program

PER_BLOCK = 12
LEAST_MUTANTS, LEAST_KILLED = 100, 0.85
"""Of all mutants, those that make no difference at all (a sum of which only bit 0 is used) among them."""
SEEDS = {Profile(): range(60), Profile(sections=2, faults=1, wild=0.3): range(40),
         Profile(sections=1, faults=1, causes=("TOKEN_OVERFLOW", "ILLEGAL_OPCODE", "ILLEGAL_CONFIG")): range(40)}
"""Programs that mostly end well, short ones with a fault, and more of the causes that have the most conditions."""
NV_SEEDS, MAX_CYCLES = range(12), 20_000
MAC_SLOTS = next(counter.index for counter in COUNTERS if counter.name == "mac_slots")
CONFIG = ArrayConfig.preset("tiny")


@pytest.mark.rtl
@pytest.mark.xdist_group("mutants")
def test_mutants_of_the_rtl_are_found(verilator):
    executable, mutants = build_mutants(CONFIG, PER_BLOCK)
    layout = RecordLayout.of(CONFIG)
    random_cases = [random_program(seed, CONFIG, profile) for profile, seeds in SEEDS.items() for seed in seeds]
    cases = [(case.program, case.memory, case.max_cycles) for case in random_cases]
    cases += [(case.program, case.memory, MAX_CYCLES) for case in (nv_program(seed, CONFIG) for seed in NV_SEEDS)]
    expected = [run_step(program, memory, max_cycles=limit, record=True) for program, memory, limit in cases]

    def finds(number: int, k: int) -> bool:
        program, memory, limit = cases[k]
        try:
            outcome = run(program, memory, max_cycles=limit, record=True, executable=executable, options=[f"+mutant={number}"])
        except SimulatorError:
            return True
        return first_difference(layout, expected[k].records, outcome.records) is not None or expected[k].first_difference(outcome) is not None

    assert not any(finds(0, k) for k in range(len(cases))), "without a mutant all is equal"
    survivors = [mutant for mutant in mutants if not any(finds(mutant.number, k) for k in range(len(cases)))]
    print("\n".join(f"survivor {mutant.number} in {mutant.module}: {mutant.line}" for mutant in survivors))
    assert len(mutants) >= LEAST_MUTANTS
    assert len(survivors) <= (1 - LEAST_KILLED) * len(mutants), survivors


def one_bit(shape: tuple[int, int], *, row: int, column: int) -> np.ndarray:
    flip = np.zeros(shape, np.uint64)
    flip[row, column] = 4
    return flip


WRONG = {
    "a counter": lambda o: replace(o, counters=o.counters + np.eye(len(o.counters), dtype=np.uint64)[MAC_SLOTS]),
    "a register": lambda o: replace(o, registers=(*o.registers[:7], o.registers[7] ^ 1 << 31, *o.registers[8:])),
    "memory": lambda o: replace(o, memory=o.memory ^ np.eye(1, len(o.memory), 99, dtype=np.uint8)[0]),
    "the fault": lambda o: replace(o, fault=FaultState(8, 3, 7)),
    "one bit in one cycle": lambda o: replace(o, records=o.records ^ one_bit(o.records.shape, row=20, column=60)),
    "a cycle less": lambda o: replace(o, records=o.records[:-1]),
}
"""What is made wrong -> the outcome with that."""
REPORTED = {"a counter": "counter mac_slots", "a register": "r7: ", "memory": "memory byte 0x63", "the fault": "fault: ",
            "one bit in one cycle": "cycle 21, pc ", "a cycle less": "cycles, rtl has "}


@pytest.mark.parametrize("what", WRONG)
def test_the_comparison_names_what_is_wrong(what):
    def wrong(program, memory, *, max_cycles, record):
        return WRONG[what](BACKENDS["step"](program, memory, max_cycles=max_cycles, record=record))

    found = compare_random(random_program(0, CONFIG), names=("step", "rtl"), every_cycle=True, backends={**BACKENDS, "rtl": wrong})
    assert REPORTED[what] in found.difference
