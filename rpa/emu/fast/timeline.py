"""The event loop: starts commands in the order of their start cycles and settles every counter, without a step per cycle.

Three facts carry it. The core needs an engine's future only at a full queue, a `fence` or `rdctr`. A command's start
follows from its push, the pop before it, the engine's last command, tokens, and the O banks' read port. And whatever is
not known yet starts later than everything that is: so the earliest known start can always be committed.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from isa.table import COUNTERS, FAULTS, TOKEN_MAX
from rpa.arch.config import ArrayConfig
from rpa.arch.outcome import FaultState
from rpa.emu.fast.core import Core
from rpa.emu.fast.decode import MASK, reads_counters
from rpa.emu.fast.errors import CycleLimit, NeedStepping
from rpa.emu.fast.layout import COUNTER, ENGINE_COUNT, ENGINE_NAMES, LD, ST
from rpa.emu.fast.queues import Command, Queue, Span

_ORDER = tuple(sorted(range(ENGINE_COUNT), key=lambda engine: engine != ST))
"""`st` wins the O banks' read port over `ld` in the same cycle, so it is looked at first."""
_NEVER = 1 << 63
_KINDS = ("run", "wait", "idle", "full")
_ENGINE_COUNTER = {COUNTER[f"{name}_{kind}"]: (code, kind) for code, name in enumerate(ENGINE_NAMES) for kind in _KINDS}


_CYCLE_LIMIT = next(fault.code for fault in FAULTS if fault.name == "CYCLE_LIMIT")
DEADLOCK = "every engine waits"


class Work(Protocol):
    """What the engines do; the timeline calls it once per command, in the order of start cycles."""

    def start(self, command: Command, cycle: int, tally: Tally) -> Span:
        """Do the whole command and report its clock. Raises NeedStepping for anything without a proven closed form."""


class Tally:
    """Counters of the data path: totals, and while a program reads counters, how each command's share came in over time."""

    def __init__(self, keep: bool) -> None:
        self.totals = [0] * len(COUNTERS)
        self.keep = keep
        self._shares: list[tuple[int, int, int, int, np.ndarray | None]] = []

    def add(self, counter: int, first: int, visits: int, each: int, shares: np.ndarray | None = None) -> None:
        """Count ``each`` in every cycle of first .. first+visits-1; or ``shares`` (visits,), which then sum to ``each``."""
        self.totals[counter] += each if shares is not None else visits * each
        if self.keep:
            self._shares.append((counter, first, visits, each, shares))

    def until(self, counter: int, now: int) -> int:
        """The counter's value at the start of cycle ``now``; later calls must not ask for an earlier cycle."""
        self._shares = [share for share in self._shares if share[1] + share[2] > now]
        value = self.totals[counter]
        for which, first, visits, each, shares in self._shares:
            if which == counter:
                seen = max(0, now - first)
                value -= int(shares[seen:].sum()) if shares is not None else (visits - seen) * each
        return value


class Timeline:
    """One run of a program: core, queues, tokens and counters; ``work`` does what the commands say."""

    def __init__(self, decoded: tuple[tuple, ...], config: ArrayConfig, work: Work, limit: int, patience: int = _NEVER) -> None:
        self.limit = limit
        self.queues = [Queue(config.queue_depth) for _ in range(ENGINE_COUNT)]
        self.core = Core(decoded, config, self.queues, limit, patience)
        self.work = work
        self.tally = Tally(reads_counters(decoded))
        self.given: list[list[list[int]]] = [[[] for _ in range(ENGINE_COUNT)] for _ in range(ENGINE_COUNT)]
        self.taken: list[list[list[int]]] = [[[] for _ in range(ENGINE_COUNT)] for _ in range(ENGINE_COUNT)]
        self.port_free = {LD: 0, ST: 0}
        """Per engine: first cycle in which it no longer uses the O banks' read port."""
        self.cycles = 0
        self.fault: FaultState | None = None

    def run(self) -> None:
        """Run to the end, or to the cycle limit while the core alone is at work.

        Raises NeedStepping for another fault, a deadlock, the cycle limit in the middle of a command, or an unproven overlap.
        """
        core = self.core
        try:
            while not core.halted:
                core.advance(self._read_counter)
                if not core.halted and not self._start_next():
                    raise NeedStepping(DEADLOCK)
        except CycleLimit as stop:
            while self._start_next():
                pass
            if any(queue.pending or queue.quiescent_from() > self.limit for queue in self.queues):
                raise
            self.cycles, self.fault = self.limit, FaultState(_CYCLE_LIMIT, stop.pc, self.limit & MASK)
            self._check_tokens()
            return
        while self._start_next():
            pass
        if any(queue.pending for queue in self.queues):
            raise NeedStepping(DEADLOCK)
        self.cycles = max(core.time, *(queue.quiescent_from() for queue in self.queues))
        if self.cycles > self.limit:
            raise NeedStepping("the cycle limit is reached")
        self._check_tokens()

    def counters(self) -> np.ndarray:
        """Every counter at the end, uint64, in table order."""
        return np.array([self._value(counter.index, self.cycles + 1) for counter in COUNTERS], dtype=np.uint64)

    def missing_tokens(self, engine: int) -> tuple[int, ...]:
        """Engines that have not given the tokens the engine's next command waits for; empty if it waits for none."""
        command = self.queues[engine].head()
        waits = command.waits if command is not None else ()
        return tuple(source for source in waits if len(self.taken[source][engine]) >= len(self.given[source][engine]))

    def _candidate(self, engine: int) -> int | None:
        """Cycle in which the engine's next command starts, as far as is known; None if it depends on a command not started."""
        queue = self.queues[engine]
        command = queue.head()
        if command is None:
            return None
        ready = max(queue.head_time(), queue.free)
        for source in command.waits:
            tokens = self.given[source][engine]
            number = len(self.taken[source][engine])
            if number >= len(tokens):
                return None
            ready = max(ready, tokens[number] + 1)
        if command.o_port:
            ready = max(ready, self.port_free[LD if engine == ST else ST])
        return ready

    def _start_next(self, before: int | None = None) -> bool:
        """Start the earliest command that is known (and starts earlier than ``before``); False if there is none."""
        best, chosen = before if before is not None else _NEVER, None
        for engine in _ORDER:
            cycle = self._candidate(engine)
            if cycle is not None and cycle < best:
                best, chosen = cycle, engine
        if chosen is None:
            return False
        if best > self.limit:
            raise NeedStepping("the cycle limit is reached")
        queue = self.queues[chosen]
        command = queue.head()
        assert command is not None
        span = self.work.start(command, best, self.tally)
        queue.start(best, span)
        for source in command.waits:
            self.taken[source][chosen].append(best)
        for target in command.signals:
            self.given[chosen][target].append(span.signal)
        if command.o_port:
            self.port_free[chosen] = span.free
        return True

    def _check_tokens(self) -> None:
        """A token given to a full counter is a fault: the (k-15)th must be taken by the cycle that gives the kth."""
        for given_by, taken_by in zip(self.given, self.taken, strict=True):
            for given, taken in zip(given_by, taken_by, strict=True):
                for number in range(TOKEN_MAX, len(given)):
                    if number - TOKEN_MAX >= len(taken) or taken[number - TOKEN_MAX] > given[number]:
                        raise NeedStepping("a token counter overflows")

    def _read_counter(self, counter: int) -> int | None:
        """Value for `rdctr` in the core's present cycle. Starts what starts before it."""
        now = self.core.time
        while self._start_next(before=now):
            pass
        return self._value(counter, now)

    def _value(self, counter: int, now: int) -> int:
        if counter == COUNTER["cycles"]:
            return now - 1
        if counter == COUNTER["instructions"]:
            return self.core.instructions
        if counter == COUNTER["fence"]:
            return self.core.fence_cycles
        if counter not in _ENGINE_COUNTER:
            return self.tally.until(counter, now)
        engine, kind = _ENGINE_COUNTER[counter]
        queue = self.queues[engine]
        run, wait = queue.run_until(now), queue.wait_until(now)
        return {"run": run, "wait": wait, "idle": now - 1 - run - wait, "full": queue.full}[kind]
