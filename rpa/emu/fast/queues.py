"""One engine's instruction queue and its clock: when entries are pushed, popped and started, in closed form.

Cycles are numbered from 1, the cycle that executes the first instruction. A counter read in cycle T holds what the cycles
before T contributed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from rpa.emu.fast.layout import Registers

UNKNOWN = -1


@dataclass(slots=True, eq=False)
class Command:
    """A command in a queue, with the registers it will start with."""

    engine: int
    name: str
    waits: tuple[int, ...]
    signals: tuple[int, ...]
    operand: Any
    """run, drain: bank; ctxld: slot; ld: (destination, source)."""
    value: int
    """ctxld: context word; seed: seed."""
    registers: Registers
    pc: int
    o_port: bool
    """Reads the O banks: it starts only while the other engine that can does not use their read port."""


@dataclass(slots=True)
class Span:
    """Clock of one started command, relative to nothing: absolute cycles."""

    free: int
    """First cycle in which the engine is not busy."""
    signal: int
    """Cycle at whose end tokens are given."""
    quiet: int
    """First cycle in which neither the engine nor its pipeline holds the command."""


class Queue:
    """Queue of one engine: push times come from the core, start times from the timeline, all others follow."""

    __slots__ = ("depth", "free", "full", "last_pop", "pending", "pops", "quiet", "run", "wait")

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.pops: list[int] = []
        self.pending: deque[tuple[int, Command | None]] = deque()
        self.last_pop = 0
        self.free = 0
        self.quiet = 0
        self.full = self.run = self.wait = 0

    def push(self, now: int, entry: Command | None) -> int:
        """Push ``entry`` (None: a `set` or `reset`) at cycle ``now`` or when there is room.

        Returns the cycle of the push; UNKNOWN if it depends on a command that has not been started yet (nothing changes then).
        """
        pops, pending = self.pops, self.pending
        waited_for = self.pushed - self.depth
        if waited_for >= 0:
            if waited_for >= len(pops):
                return UNKNOWN
            room = pops[waited_for] + 1
            if room > now:
                self.full += room - now
                now = room
        if pending or entry is not None:
            pending.append((now, entry))
        else:
            self.last_pop = pop = (now if now > self.last_pop else self.last_pop) + 1
            pops.append(pop)
        return now

    @property
    def pushed(self) -> int:
        """Entries pushed so far."""
        return len(self.pops) + len(self.pending)

    def head(self) -> Command | None:
        """The command that starts next; register writes are popped as soon as they are pushed."""
        return self.pending[0][1] if self.pending else None

    def head_time(self) -> int:
        """Cycle in which the pending command first stands at the head."""
        return max(self.pending[0][0], self.last_pop) + 1

    def start(self, cycle: int, span: Span) -> None:
        """Start the command at the head in ``cycle``; then pop the register writes behind it, one a cycle."""
        self.wait += cycle - max(self.head_time(), self.free)
        self.run += span.free - cycle
        self.free = span.free
        self.quiet = max(self.quiet, span.quiet)
        pending, pops = self.pending, self.pops
        pending.popleft()
        pops.append(cycle)
        last = cycle
        while pending and pending[0][1] is None:
            pushed = pending.popleft()[0]
            last = (pushed if pushed > last else last) + 1
            pops.append(last)
        self.last_pop = last

    def quiescent_from(self) -> int:
        """First cycle with an empty queue, no work and an empty pipeline; only while nothing is pending."""
        return max(self.quiet, self.last_pop + 1, self.free)

    def run_until(self, now: int) -> int:
        return self.run - max(0, self.free - now)

    def wait_until(self, now: int) -> int:
        pending = max(0, now - max(self.head_time(), self.free)) if self.pending else 0
        return self.wait + pending
