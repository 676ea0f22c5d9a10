"""The commands a program issues and when they start, found without touching data.

Durations depend on nothing but registers, so the event loop gives every start cycle, the total, and where tokens run out.
Only a program that branches on `rq_saturations` can behave differently with data (it reads as 0 here).
"""

from __future__ import annotations

from dataclasses import dataclass

from isa.program import Program
from rpa.arch.config import ArrayConfig
from rpa.emu.fast.clock import span_of
from rpa.emu.fast.decode import decode
from rpa.emu.fast.errors import NeedStepping
from rpa.emu.fast.layout import ENGINE_COUNT
from rpa.emu.fast.machine import UNLIMITED, config_of
from rpa.emu.fast.queues import Command, Span
from rpa.emu.fast.timeline import Tally, Timeline

PATIENCE = 2_000_000
"""Instructions after which a program is followed no further."""


@dataclass(frozen=True)
class Blocked:
    """A command that can never start."""

    command: Command
    missing: tuple[int, ...]
    """Engines whose token it waits for and never gets."""


@dataclass(frozen=True)
class Trace:
    """What a program does, apart from data."""

    commands: tuple[tuple[Command, int], ...]
    """Every command that starts, with its start cycle, in that order."""
    cycles: int | None
    """Cycles of the whole program; None if the trace ended early."""
    ended_because: str | None
    blocked: tuple[Blocked, ...]
    """Heads of the queues where the trace ended with every engine waiting."""


class _Recorder:
    def __init__(self, config: ArrayConfig) -> None:
        self.config = config
        self.commands: list[tuple[Command, int]] = []

    def start(self, command: Command, cycle: int, tally: Tally) -> Span:
        self.commands.append((command, cycle))
        return span_of(command, cycle, self.config)


def trace(program: Program, *, max_cycles: int = 0) -> Trace:
    """Follow a program to its end, or to a fault of the core, a deadlock, ``max_cycles`` (0: no limit) or the end of :data:`PATIENCE`."""
    config = config_of(program)
    recorder = _Recorder(config)
    timeline = Timeline(decode(program.code, config), config, recorder, max_cycles or UNLIMITED, PATIENCE)
    try:
        timeline.run()
    except NeedStepping as reason:
        return Trace(tuple(recorder.commands), None, str(reason), _blocked(timeline))
    return Trace(tuple(recorder.commands), timeline.cycles, None, ())


def _blocked(timeline: Timeline) -> tuple[Blocked, ...]:
    heads = []
    for engine in range(ENGINE_COUNT):
        command, missing = timeline.queues[engine].head(), timeline.missing_tokens(engine)
        if command is not None and missing:
            heads.append(Blocked(command, missing))
    return tuple(heads)
