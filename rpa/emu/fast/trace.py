"""The commands a program issues and when they start, found without touching data.

Durations depend on nothing but registers, so the event loop gives every start cycle, the total, and where tokens run out.
Only a program that branches on a counter of what values were (:data:`OF_VALUES`) can behave differently with data (they read as 0 here).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from isa.program import Program
from rpa.arch.outcome import FaultState
from rpa.emu.fast import events
from rpa.emu.fast import future as F
from rpa.emu.fast.layout import ENGINE_NAMES, VALUES, Registers
from rpa.emu.fast.machine import config_of, new_state, runnable
from rpa.emu.step import layout as L

PATIENCE = 20_000_000
"""Cycles in which something moves after which a program is followed no further."""
OF_VALUES = frozenset(counter - L.COUNT for counter in (L.RQ_SATURATIONS, L.NV_ACTIVE, L.NV_CONVERSIONS, L.NV_SKIPPED, L.NV_ADC_BITS))
"""Counters that depend on data."""
_ROWS = 4096
_NAMES = {L.LOAD: "ld", L.RUN: "run", L.CTXLD: "ctxld", L.DRAIN: "drain", L.SEED: "seed", L.STORE: "st", L.SYNC: "sync",
          L.NVPROG: "nvprog", L.NVMAC: "nvmac"}


@dataclass(frozen=True, slots=True)
class Command:
    """A command with the registers it starts with."""

    engine: int
    name: str
    registers: Registers
    operand: Any
    """run, drain, nvmac: bank; ctxld: slot; ld: (destination, source)."""
    value: int
    """ctxld: context word; seed: seed."""
    pc: int
    cycle: int
    """In which it starts."""
    problem: tuple[int, int, int]
    """`future.NO_PROBLEM`, or a use of addresses that would fault, and the smallest and largest of them."""


@dataclass(frozen=True)
class Blocked:
    """A command that can never start."""

    engine: int
    name: str
    pc: int
    missing: tuple[int, ...]
    """Engines whose token it waits for and never gets."""


@dataclass(frozen=True, eq=False)
class Trace:
    """What a program does, apart from data."""

    rows: np.ndarray
    """int64 (commands, future.TRACE_WORDS): every command that starts, in the order of start cycles."""
    cycles: int | None
    """Cycles of the whole program; None if the trace ended early."""
    fault: FaultState | None
    """The fault of the control logic that ended it."""
    refused: Command | None
    """The command whose registers contradict each other, which is that fault."""
    blocked: tuple[Blocked, ...]
    """Heads of the queues where the trace ended with every engine waiting."""

    @property
    def commands(self) -> Iterator[Command]:
        return (command_of(row) for row in self.rows)


def command_of(row: np.ndarray) -> Command:
    """One row of a trace."""
    engine, opcode, arg, slot, value = row[F.T_ENGINE:F.T_WAIT].tolist()
    count = L.LAST_REGISTER[engine] - L.FIRST_REGISTER[engine] + 1
    operand = (arg, slot) if opcode == L.LOAD else slot if opcode == L.CTXLD else arg
    registers = VALUES[engine]._make(row[F.T_REGISTERS:F.T_REGISTERS + count].tolist())
    return Command(engine, _NAMES[opcode], registers, operand, value, int(row[F.T_PC]), int(row[F.T_CYCLE]),
                   tuple(row[F.T_PROBLEM:F.T_HIGH + 1].tolist()))


def trace(program: Program, *, max_cycles: int = 0) -> Trace:
    """Follow a program to its end, or to a fault of the core, a deadlock, ``max_cycles`` (0: no limit) or the end of :data:`PATIENCE`."""
    s, code = new_state(program, max_cycles, PATIENCE)
    follow, scratch = runnable(events.follow_events), F.new_scratch(config_of(program), 0)
    parts = [np.zeros((_ROWS, F.TRACE_WORDS), np.int64)]
    why, written = follow(s, code, scratch, parts[-1], 0)
    while why == events.TRACE_FULL:
        parts.append(np.zeros((2 * len(parts[-1]), F.TRACE_WORDS), np.int64))
        why, written = follow(s, code, scratch, parts[-1], 0)
    rows = np.concatenate([*parts[:-1], parts[-1][:written]])
    fault = FaultState(int(s[L.FAULT]), int(s[L.FAULT_PC]), int(s[L.FAULT_AUX])) if s[L.FAULT] else None
    cycles = int(s[L.CYCLES]) if s[L.DONE] and fault is None else None
    return Trace(rows, cycles, fault, _refused(s, fault), _blocked(s) if fault is not None and fault.code == L.DEADLOCK else ())


def _head(s: Any, engine: int) -> list[int] | None:
    """The entry at the head of an engine's queue."""
    if s[L.QUEUE_COUNT + engine] == 0:
        return None
    at = L.QUEUE + (engine * L.MAX_QUEUE + s[L.QUEUE_HEAD + engine]) * L.Q_ENTRY
    return [int(number) for number in s[at:at + L.Q_ENTRY]]


def _blocked(s: Any) -> tuple[Blocked, ...]:
    heads = []
    for engine in range(len(ENGINE_NAMES)):
        head = _head(s, engine)
        if head is None or head[L.Q_KIND] != L.KIND_COMMAND:
            continue
        missing = tuple(giver for giver in range(len(ENGINE_NAMES))
                        if head[L.Q_WAIT] >> giver & 1 and s[L.TOKEN + giver * L.ENGINE_COUNT + engine] == 0)
        if missing:
            heads.append(Blocked(engine, _NAMES[head[L.Q_OPCODE]], head[L.Q_PC], missing))
    return tuple(heads)


def _refused(s: Any, fault: FaultState | None) -> Command | None:
    """The command that an engine would not start, from the shadow registers that it found."""
    if fault is None or fault.code != L.ILLEGAL_CONFIG or fault.aux >= L.ENGINE_COUNT:
        return None
    head = _head(s, fault.aux)
    if head is None or head[L.Q_PC] != fault.pc or head[L.Q_KIND] != L.KIND_COMMAND:
        return None
    shadow = s[L.SHADOW + L.FIRST_REGISTER[fault.aux]:L.SHADOW + L.LAST_REGISTER[fault.aux] + 1]
    operand = (head[L.Q_ARG], head[L.Q_SLOT]) if head[L.Q_OPCODE] == L.LOAD else head[L.Q_ARG]
    return Command(fault.aux, _NAMES[head[L.Q_OPCODE]], VALUES[fault.aux]._make([int(value) for value in shadow]), operand,
                   head[L.Q_VALUE], head[L.Q_PC], int(s[L.CYCLES]), (F.NO_PROBLEM, 0, 0))
