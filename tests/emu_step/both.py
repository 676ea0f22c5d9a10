"""Runs a program on the compiled and on the plain path and insists that they agree in every cycle."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import isa
from isa.encoding import encode
from isa.program import Program
from isa.table import COUNTERS
from rpa.arch.config import ArrayConfig
from rpa.arch.lockstep import RecordLayout, first_difference
from rpa.arch.memory import build_memory
from rpa.arch.outcome import Outcome
from rpa.emu.step import run

TINY = ArrayConfig.preset("tiny")
INDEX = {counter.name: counter.index for counter in COUNTERS}


def program_of(source: str | Sequence[int], config: ArrayConfig = TINY) -> Program:
    """Assembly text, or instruction words."""
    return isa.assemble(source, config) if isinstance(source, str) else Program(config=config.to_dict(), code=tuple(source))


def words(*instructions: tuple[str, dict[str, int]]) -> list[int]:
    return [encode(name, **values) for name, values in instructions]


def run_both(program: Program, inputs: Mapping[str, Any] | None = None, *, max_cycles: int = 20_000) -> Outcome:
    """Outcome of the compiled path, after comparing records and outcome with the plain path."""
    memory = build_memory(program, inputs)
    before = memory.copy()
    compiled = run(program, memory, max_cycles=max_cycles, record=True)
    plain = run(program, memory, max_cycles=max_cycles, compiled=False, record=True)
    difference = first_difference(RecordLayout.of(ArrayConfig.from_dict(program.config)), compiled.records, plain.records)
    assert difference is None, difference.describe(("compiled", "plain"))
    assert compiled.first_difference(plain) is None
    assert np.array_equal(memory, before), "the caller's memory stays as it was"
    return compiled


def log_both(program: Program, inputs: Mapping[str, Any] | None = None) -> list[str]:
    """Lines of the commit log, equal on both paths."""
    texts = []
    for compiled in (True, False):
        out = io.StringIO()
        run(program, build_memory(program, inputs), max_cycles=20_000, compiled=compiled, log=out)
        texts.append(out.getvalue().splitlines())
    assert texts[0] == texts[1]
    return texts[0]


def counter(outcome: Outcome, name: str) -> int:
    return int(outcome.counters[INDEX[name]])
