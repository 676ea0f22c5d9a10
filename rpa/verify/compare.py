"""Run one program on several backends and say where they first differ: cycle, pc, field and both values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from isa.disassembler import disassemble
from isa.program import Program
from rpa.arch.config import ArrayConfig
from rpa.arch.lockstep import RecordLayout, first_difference
from rpa.arch.outcome import Outcome
from rpa.verify.random_programs import RandomProgram

Backend = Callable[..., Outcome]
"""``backend(program, memory, max_cycles=..., record=...) -> Outcome``; `fast` takes no ``record``."""


def _step(program: Program, memory: np.ndarray, *, compiled: bool, max_cycles: int, record: bool) -> Outcome:
    from rpa.emu.step import run

    return run(program, memory, max_cycles=max_cycles, compiled=compiled, record=record)


def _fast(program: Program, memory: np.ndarray, *, max_cycles: int, record: bool) -> Outcome:
    from rpa.emu.fast import run

    return run(program, memory, max_cycles=max_cycles)


def _rtl(program: Program, memory: np.ndarray, *, max_cycles: int, record: bool) -> Outcome:
    from hdl.sim import run

    return run(program, memory, max_cycles=max_cycles, record=record)


BACKENDS: Mapping[str, Backend] = {"step": partial(_step, compiled=True), "plain": partial(_step, compiled=False), "fast": _fast, "rtl": _rtl}
"""The stepping emulator compiled and in plain Python, the fast emulator, the Verilog in Verilator."""
RECORDING = ("step", "plain", "rtl")
"""Backends that can show their registers at every cycle."""


@dataclass(frozen=True)
class Comparison:
    """Outcomes of one program by backend, and the first difference from the first of them."""

    outcomes: Mapping[str, Outcome]
    difference: str | None

    @property
    def equal(self) -> bool:
        return self.difference is None

    @property
    def cycles(self) -> int:
        return next(iter(self.outcomes.values())).cycles


def compare(program: Program, memory: np.ndarray, *, max_cycles: int, names: Sequence[str] = ("step", "fast", "rtl"), every_cycle: bool = False,
            backends: Mapping[str, Backend] = BACKENDS) -> Comparison:
    """Run ``program`` on the named backends and compare every one with the first.

    Compared are fault, counters (the cycles among them), core registers and external memory; with ``every_cycle`` also the
    lockstep records of those that have them, which then come first, because they name the cause.
    """
    outcomes: dict[str, Outcome] = {}
    reference = names[0]
    for name in names:
        outcomes[name] = backends[name](program, memory, max_cycles=max_cycles, record=every_cycle and name in RECORDING)
        difference = _difference(program, reference, outcomes[reference], name, outcomes[name])
        if difference is not None:
            return Comparison(outcomes, f"{reference} against {name}: {difference}")
    return Comparison(outcomes, None)


def _difference(program: Program, reference: str, mine: Outcome, name: str, theirs: Outcome) -> str | None:
    if mine.records is not None and theirs.records is not None:
        found = first_difference(RecordLayout.of(ArrayConfig.from_dict(program.config)), mine.records, theirs.records)
        if found is not None:
            return found.describe((reference, name))
    return mine.first_difference(theirs)


def compare_random(random: RandomProgram, *, names: Sequence[str], every_cycle: bool = False,
                   backends: Mapping[str, Backend] = BACKENDS) -> Comparison:
    """Run a random program; see :func:`compare`."""
    return compare(random.program, random.memory, max_cycles=random.max_cycles, names=names, every_cycle=every_cycle, backends=backends)


def describe(random: RandomProgram, difference: str) -> str:
    """Return seed, difference and source of a failing random program."""
    return f"seed {random.seed}: {difference}\n{disassemble(random.program)}"
