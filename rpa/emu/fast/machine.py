"""The fast emulator's door: run a program, or hand it to the stepping emulator where exactness is not proven."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from isa.program import Program
from rpa.arch.config import ArrayConfig
from rpa.arch.outcome import Outcome
from rpa.emu.fast.blas import one_thread
from rpa.emu.fast.checks import contradiction
from rpa.emu.fast.clock import span_of
from rpa.emu.fast.decode import decode
from rpa.emu.fast.drain import Drain
from rpa.emu.fast.errors import NeedStepping
from rpa.emu.fast.execute import Execute
from rpa.emu.fast.hazards import Hazards
from rpa.emu.fast.layout import DR, EX, LD, ST
from rpa.emu.fast.load import Load
from rpa.emu.fast.queues import Command, Span
from rpa.emu.fast.state import State
from rpa.emu.fast.store import Store
from rpa.emu.fast.timeline import Tally, Timeline

UNLIMITED = 1 << 62
"""Cycle limit of a run that was given none."""


@dataclass(frozen=True)
class FastRun:
    """An outcome, and how it was obtained."""

    outcome: Outcome
    stepped_because: str | None
    """None: by the event loop. Otherwise why the stepping emulator had to do it."""


class Machine:
    """The four engines' datapaths, called by the timeline in the order of start cycles."""

    def __init__(self, state: State) -> None:
        self.config = state.config
        self.hazards = Hazards()
        self.engines: dict[int, Load | Execute | Drain | Store] = {LD: Load(state), EX: Execute(state), DR: Drain(state), ST: Store(state)}

    def start(self, command: Command, cycle: int, tally: Tally) -> Span:
        problem = contradiction(command, self.config)
        if problem is not None:
            raise NeedStepping(problem)
        if command.name != "sync":
            self.hazards.add(command.engine, cycle, self.engines[command.engine].start(command, cycle, tally))
        return span_of(command, cycle, self.config)


@lru_cache(maxsize=16)
def _config(items: tuple[tuple[str, int], ...]) -> ArrayConfig:
    return ArrayConfig.from_dict(dict(items))


def config_of(program: Program) -> ArrayConfig:
    """The configuration a program was assembled for."""
    return _config(tuple(program.config.items()))


def execute(program: Program, memory: np.ndarray, *, max_cycles: int) -> FastRun:
    """As :func:`run`, but ``memory`` itself becomes the memory of the outcome, and the way is told."""
    config = config_of(program)
    state = State(config, memory)
    timeline = Timeline(decode(program.code, config), config, Machine(state), max_cycles or UNLIMITED)
    try:
        with one_thread():
            timeline.run()
    except NeedStepping as reason:
        state.undo()
        from rpa.emu import step  # compiled on first use, and most programs never need it

        return FastRun(step.run(program, memory, max_cycles=max_cycles), str(reason))
    return FastRun(Outcome(timeline.counters(), memory, tuple(timeline.core.registers), timeline.fault), None)


def run(program: Program, memory: np.ndarray, *, max_cycles: int) -> Outcome:
    """Run a program to its end: same cycles, counters, fault, registers and memory as stepping it.

    memory: uint8 (mem_bytes,), not changed.  max_cycles: 0 for no limit; reaching it is the fault CYCLE_LIMIT.
    """
    return execute(program, memory.copy(), max_cycles=max_cycles).outcome
