"""`StepMachine`: a machine that is stepped one clock at a time, and :func:`run`, which runs one to its end."""

from __future__ import annotations

from functools import cache
from typing import Any, TextIO

import numpy as np

from isa.program import Program
from isa.table import CORE_REGISTERS
from rpa.arch.config import ArrayConfig
from rpa.arch.errors import ConfigError, InputError
from rpa.arch.jit import HAVE_NUMBA, Twins
from rpa.arch.lockstep import RecordLayout
from rpa.arch.log import CommitLog
from rpa.arch.macro import Macro, Twin
from rpa.arch.outcome import FaultState, Outcome
from rpa.emu.step import clock, vector
from rpa.emu.step import layout as L
from rpa.emu.step.code import predecode
from rpa.emu.step.nv_request import answer_request
from rpa.emu.step.record import EVENT_DONE, EVENT_RETIRE, EVENT_START, EVENT_WORDS, EVENT_WRITE
from rpa.emu.step.state import Arrays, as_int64, new_arrays, new_control

_CHUNK = 4096
"""Cycles between looks at the event buffer and growths of a recording."""
_FOREVER = 1 << 62


@cache
def _plain_run_cycles() -> Any:
    return Twins(vector.REPLACEMENTS).of(clock.run_cycles)


class StepMachine:
    """One machine with a program in it, before its first cycle.

    program: gives code and configuration. memory: uint8 (mem_bytes,), copied. compiled: with numba; False, or a missing
    numba, takes the plain path, which computes the same. max_cycles: 0, or the cycle in which CYCLE_LIMIT is raised.
    recording: PE signatures are kept, as lockstep records need them. macro: the NOR-flash macros, cells as they are; without
    it the exact ones, with cells 0.
    State can be read between cycles at :attr:`view` (`rpa.emu.step.view.View`); `s` and `m` are the raw state.
    """

    def __init__(self, program: Program, memory: np.ndarray, *, compiled: bool = True, max_cycles: int = 0, recording: bool = False,
                 macro: Macro | None = None) -> None:
        self.program = program
        self.config = ArrayConfig.from_dict(program.config)
        if memory.dtype != np.uint8 or memory.shape != (self.config.mem_bytes,):
            raise InputError(f"memory is {memory.dtype} {memory.shape}, must be uint8 ({self.config.mem_bytes},)")
        if max_cycles < 0:
            raise ConfigError(f"max_cycles is {max_cycles}, must be 0 (no limit) or more")
        self.compiled = compiled and HAVE_NUMBA
        control = new_control(self.config, len(program.code), max_cycles, recording)
        code = predecode(program.code, macros=self.config.nv_macros > 0).reshape(-1)
        self.s: Any = as_int64(control) if self.compiled else control
        self.m: Arrays = new_arrays(self.config, memory.copy())
        self._code: Any = code if self.compiled else code.tolist()
        self.macro: Macro = Twin(self.config) if macro is None else macro
        self._run = clock.run_cycles if self.compiled else _plain_run_cycles()
        self._no_records = np.zeros((0, 0), np.uint64)
        self._no_events = np.zeros((0, EVENT_WORDS), np.int64)

    @property
    def done(self) -> bool:
        """True when the machine has halted, or stopped with a fault."""
        return bool(self.s[L.DONE]) or self.fault is not None

    @property
    def fault(self) -> FaultState | None:
        code = int(self.s[L.FAULT])
        return FaultState(code, int(self.s[L.FAULT_PC]), int(self.s[L.FAULT_AUX])) if code else None

    @property
    def cycles(self) -> int:
        """Cycles so far."""
        return int(self.s[L.CYCLES])

    @property
    def memory(self) -> np.ndarray:
        """External memory, uint8 (mem_bytes,); a view, not a copy."""
        return self.m.memory.view(np.uint8)

    @property
    def view(self) -> Any:
        """Readable state; see `rpa.emu.step.view.View`."""
        from rpa.emu.step.view import View

        return View(self)

    def cycle(self, n: int = 1, *, records: np.ndarray | None = None) -> int:
        """Run up to ``n`` cycles, fewer if the machine ends; returns how many.

        records: uint64 (>= n, columns) whose first rows take the lockstep record of each cycle.
        """
        done = 0
        while done < n and not self.done:
            ran, _ = self._run(self.s, self._code, self.m, n - done, self._no_records if records is None else records[done:], self._no_events)
            answer_request(self.s, self.m, self.macro)
            done += int(ran)
        return done

    def _logged(self, n: int, log: CommitLog, events: np.ndarray, records: np.ndarray) -> int:
        done, written = self._run(self.s, self._code, self.m, n, records, events)
        answer_request(self.s, self.m, self.macro)
        for row in events[:written].tolist():
            cycle, kind, first, second, third = row[:5]
            if kind == EVENT_RETIRE:
                log.retire(cycle, first, second, third)
            elif kind == EVENT_START:
                log.start(cycle, first, second)
            elif kind == EVENT_DONE:
                log.done(cycle, first, second)
            elif kind == EVENT_WRITE:
                log.write(cycle, first, row[4:4 + second])
        return int(done)

    def run(self, *, log: TextIO | None = None, record: bool = False) -> Outcome:
        """Run to the end; ``log`` takes the commit log (`docs/log.md`) as text, ``record`` keeps lockstep records."""
        columns = RecordLayout.of(self.config).columns if record else 0
        rows: list[np.ndarray] = []
        writer = CommitLog(self.program, log) if log is not None else None
        events = np.zeros((_CHUNK if writer else 0, EVENT_WORDS), np.int64)
        chunk = _CHUNK if record or writer else _FOREVER
        while not self.done:
            records = np.zeros((chunk, columns), np.uint64) if record else self._no_records
            done = self._logged(chunk, writer, events, records) if writer else self.cycle(chunk, records=records)
            if record:
                rows.append(records[:done])
        if writer and self.fault is not None:
            writer.fault(self.cycles, self.fault)
        return self.outcome(np.concatenate(rows) if record else None)

    def outcome(self, records: np.ndarray | None = None) -> Outcome:
        """What the machine leaves behind as it stands."""
        counters = np.array(self.s[L.COUNT:L.COUNT + L.COUNTER_COUNT], np.uint64)
        registers = tuple(int(value) for value in self.s[L.CORE:L.CORE + CORE_REGISTERS])
        return Outcome(counters=counters, memory=self.memory.copy(), registers=registers, fault=self.fault, records=records)


def run(program: Program, memory: np.ndarray, *, max_cycles: int, compiled: bool = True, log: TextIO | None = None,
        record: bool = False, macro: Macro | None = None) -> Outcome:
    """Run ``program`` one clock at a time until it is done or faults.

    memory: uint8 (mem_bytes,), not changed. max_cycles: the cycle limit, 0 for none. compiled: with numba where it is
    installed; the plain path gives the same. log: a text file for the commit log. record: keep lockstep records.
    macro: the NOR-flash macros; without it the exact ones.
    """
    machine = StepMachine(program, memory, compiled=compiled, max_cycles=max_cycles, recording=record, macro=macro)
    return machine.run(log=log, record=record)
