"""The fast emulator's door: run a program, or hand it to the stepping emulator where exactness is not proven."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np

from isa.program import Program
from isa.table import CORE_REGISTERS
from rpa.arch.config import ArrayConfig
from rpa.arch.jit import HAVE_NUMBA, Twins, plain
from rpa.arch.macro import Macro, MacroState, Twin
from rpa.arch.outcome import FaultState, Outcome
from rpa.emu.fast import events, nv
from rpa.emu.fast import future as F
from rpa.emu.fast.control import depth_of
from rpa.emu.fast.errors import reason
from rpa.emu.step import layout as L
from rpa.emu.step.code import predecode
from rpa.emu.step.state import new_arrays, new_control

UNLIMITED = 1 << 62
_JOURNAL_WORDS = 1 << 22
_depth_of = plain(depth_of)


@dataclass(frozen=True)
class FastRun:
    """An outcome, and how it was obtained."""

    outcome: Outcome
    stepped_because: str | None
    """None: by the event loop. Otherwise why the stepping emulator had to do it."""


@cache
def _twins() -> Twins:
    from rpa.emu.fast.vector import REPLACEMENTS

    return Twins(REPLACEMENTS)


def runnable(function: Any) -> Any:
    """A function of `events`, compiled where numba is installed."""
    return function if HAVE_NUMBA else _twins().of(function)


@lru_cache(maxsize=16)
def _config(items: tuple[tuple[str, int], ...]) -> ArrayConfig:
    return ArrayConfig.from_dict(dict(items))


def config_of(program: Program) -> ArrayConfig:
    """The configuration a program was assembled for."""
    return _config(tuple(program.config.items()))


@lru_cache(maxsize=16)
def code_of(words: tuple[int, ...], macros: bool) -> tuple[Any, frozenset[int]]:
    """(predecoded code, counters that it reads)."""
    rows = predecode(words, macros=macros)
    reads = (rows[:, L.C_LEGAL] == 1) & np.isin(rows[:, L.C_OPCODE], (L.RDCTR, L.RDCTRH))
    return rows.reshape(-1) if HAVE_NUMBA else rows.reshape(-1).tolist(), frozenset(rows[reads, L.C_IMM].tolist())


def new_state(program: Program, max_cycles: int, patience: int) -> tuple[Any, Any]:
    """(control state, code) before the first cycle."""
    config = config_of(program)
    code, counters = code_of(program.code, config.nv_macros > 0)
    control = new_control(config, len(program.code), max_cycles, False) + [0] * (F.SIZE - L.SIZE)
    control[F.PATIENCE], control[F.READS] = patience, int(bool(counters))
    control[F.PARTIAL] = int(any(L.COUNT + counter >= L.A_READS for counter in counters))
    return np.array(control, np.int64) if HAVE_NUMBA else control, code


def in_flight(s: Any) -> bool:
    """True if something that was carried out had not happened yet when the machine stopped."""
    now = s[L.CYCLES]
    return any(s[F.LIVE + e] > now or (s[F.LAST + e] and not s[F.TODO + e] and s[F.LAST + e] + _depth_of(e) > now) for e in range(L.ENGINE_COUNT))


def _run_events(program: Program, memory: np.ndarray, max_cycles: int, macro: Macro) -> tuple[Any, str | None]:
    """(control state at the end, None), or (any, reason) with ``memory`` and ``macro`` as they were."""
    config, run, undo = config_of(program), runnable(events.run_events), runnable(events.undo)
    s, code = new_state(program, max_cycles, UNLIMITED)
    arrays, scratch, full = new_arrays(config, memory), F.new_scratch(config, _JOURNAL_WORDS), []
    before: MacroState | None = None
    while True:
        why = run(s, code, arrays, scratch)
        if why == events.MACRO:
            before = before or MacroState(macro)
            scratch = nv.carry_out(s, arrays, scratch, config, macro)
            continue
        if why != events.JOURNAL_FULL:
            break
        full.append((scratch.journal, int(s[F.JOURNALLED])))
        needed = s[L.ST_N] * (s[L.ACTIVE + L.ST_UNIT] + F.JOURNAL_WORDS)
        scratch = scratch._replace(journal=np.zeros(max(_JOURNAL_WORDS, int(needed)), np.uint16))
        s[F.JOURNALLED] = 0
    if why == events.ENDED and not (s[L.FAULT] and in_flight(s)):
        return s, None
    for journal, used in reversed([*full, (scratch.journal, int(s[F.JOURNALLED]))]):
        undo(arrays.memory, journal, used)
    if before is not None:
        before.restore(macro)
    return s, reason(why, scratch)


def execute(program: Program, memory: np.ndarray, *, max_cycles: int, macro: Macro | None = None) -> FastRun:
    """As :func:`run`, but ``memory`` itself becomes the memory of the outcome, and the way is told."""
    macro = Twin(config_of(program)) if macro is None else macro
    s, because = _run_events(program, memory, max_cycles, macro)
    if because is not None:
        from rpa.emu import step

        return FastRun(step.run(program, memory, max_cycles=max_cycles, macro=macro), because)
    counters = np.array(s[L.COUNT:L.COUNT + L.COUNTER_COUNT], np.uint64)
    registers = tuple(int(value) for value in s[L.CORE:L.CORE + CORE_REGISTERS])
    fault = FaultState(int(s[L.FAULT]), int(s[L.FAULT_PC]), int(s[L.FAULT_AUX])) if s[L.FAULT] else None
    return FastRun(Outcome(counters, memory, registers, fault), None)


def run(program: Program, memory: np.ndarray, *, max_cycles: int, macro: Macro | None = None) -> Outcome:
    """Run a program to its end: same cycles, counters, fault, registers and memory as stepping it.

    memory: uint8 (mem_bytes,), not changed.  max_cycles: 0 for no limit; reaching it is the fault CYCLE_LIMIT.
    macro: the NOR-flash macros, which keep what is programmed; without it the exact ones, with cells 0.
    """
    return execute(program, memory.copy(), max_cycles=max_cycles, macro=macro).outcome
