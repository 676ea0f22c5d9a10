"""The soak itself (`make soak`), and that it resumes, reports and shrinks (with a backend that is wrong on purpose)."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from rpa.verify.compare import BACKENDS
from rpa.verify.soak import FIRST_SEED, page, soak

MINUTES = "RPA_SOAK_MINUTES"


@pytest.mark.soak
@pytest.mark.rtl
def test_soak(verilator):
    tallies = soak(Path("build") / "soak", float(os.environ.get(MINUTES, "10")))
    print(page(tallies))
    assert not any(tally.failures for tally in tallies.values())


class Turns:
    """A clock that lets ``count`` rounds pass."""

    def __init__(self, count: int) -> None:
        self.now, self.step = -60.0 / count, 60.0 / count

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def test_soak_resumes_where_it_stopped(tmp_path):
    first = soak(tmp_path, 1, names=("step", "fast"), clock=Turns(2))
    assert [tally.programs for tally in first.values()] == [1, 1]
    second = soak(tmp_path, 1, names=("step", "fast"), clock=Turns(3))
    assert {tally.next_seed for tally in second.values()} == {FIRST_SEED + 3}
    assert "3 programs" in (tmp_path / "report.md").read_text()


def test_soak_reports_and_shrinks_a_wrong_backend(tmp_path):
    def wrong(program, memory, *, max_cycles, record):
        outcome = BACKENDS["step"](program, memory, max_cycles=max_cycles, record=record)
        return replace(outcome, registers=(*outcome.registers[:15], outcome.registers[15] ^ 1))

    tallies = soak(tmp_path, 1, names=("step", "wrong"), backends={**BACKENDS, "wrong": wrong}, clock=Turns(2))
    (failure,) = tallies["tiny"].failures
    assert failure.startswith(f"seed {FIRST_SEED}: step against wrong: r15: ")
    assert len(failure.split("shrunk to:\n")[1].splitlines()) < 10
