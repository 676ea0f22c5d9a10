"""Checks before anything runs: accumulators that could overflow, tokens that never come, addresses outside banks and memory.

The program's commands are followed without data (`rpa.emu.fast.trace`). What they do depends on data only if the program
reads a counter of what values were; then nothing is reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from isa.program import Program
from isa.table import DIMS
from rpa.arch.config import ArrayConfig
from rpa.emu.fast import future as F
from rpa.emu.fast.layout import ENGINE_NAMES
from rpa.emu.fast.machine import code_of, config_of
from rpa.emu.fast.trace import OF_VALUES, Blocked, Command, Trace, command_of, trace
from rpa.emu.step import layout as L
from rpa.runner.checks import contradiction
from rpa.runner.errors import Finding, PreflightError
from rpa.runner.nv_overflow import NvBounds
from rpa.runner.overflow import Bounds, Overflow
from rpa.runner.ranges import out_of_range
from rpa.runner.source import where

_MOST_FINDINGS = 20


@dataclass(frozen=True)
class Preflight:
    """What is known of a program before it runs."""

    trace: Trace
    lanes: float
    """Lanes of the array's steps, averaged over steps; 1 if there is none."""
    findings: tuple[Finding, ...]


def preflight(program: Program, *, max_cycles: int = 0) -> Preflight:
    """Check a program; raises PreflightError with every finding if there is one.

    max_cycles: how far to follow the program, 0: to its end; but no further than `rpa.emu.fast.trace.PATIENCE`.
    """
    report = inspect(program, max_cycles=max_cycles)
    if report.findings:
        raise PreflightError(report.findings)
    return report


def inspect(program: Program, *, max_cycles: int = 0) -> Preflight:
    """Check a program and return what was found, without raising."""
    return _inspect(_Key(program, max_cycles))


class _Key:
    """A program as a cache key: programs with the same code, machine and source lines have the same findings."""

    def __init__(self, program: Program, limit: int) -> None:
        self.program = program
        self.limit = limit
        self._parts = (program.code, tuple(program.config.items()), program.lines, program.name, limit)
        self._hash = hash(self._parts)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self._parts == other._parts


@lru_cache(maxsize=64)
def _inspect(key: _Key) -> Preflight:
    program, config = key.program, config_of(key.program)
    followed = trace(program, max_cycles=key.limit)
    if OF_VALUES & code_of(program.code, config.nv_macros > 0)[1]:
        return Preflight(followed, _mean_lanes(followed), ())
    findings = _command_findings(program, followed, config)
    findings += [_deadlock(program, blocked) for blocked in followed.blocked]
    return Preflight(followed, _mean_lanes(followed), tuple(findings))


def _mean_lanes(followed: Trace) -> float:
    registers = followed.rows[followed.rows[:, F.T_OPCODE] == L.RUN, F.T_REGISTERS:].astype(float)
    first = registers[:, L.EX_N0 - L.FIRST_REGISTER[L.EX]:]
    steps = first[:, :DIMS].prod(axis=1)
    lanes = 16 // registers[:, L.EX_CBITS - L.FIRST_REGISTER[L.EX]]
    return float((steps * lanes).sum() / steps.sum()) if len(steps) else 1.0


def _command_findings(program: Program, followed: Trace, config: ArrayConfig) -> list[Finding]:
    """Findings about single commands, at most one for each instruction, in the order of the commands."""
    findings: dict[int, Finding] = {}
    bounds, nv_bounds = Bounds(config), NvBounds(config)
    opcode, dest = followed.rows[:, F.T_OPCODE], followed.rows[:, F.T_ARG]
    looked_at = np.isin(opcode, (L.RUN, L.CTXLD, L.NVMAC)) | (opcode == L.LOAD) & (dest == L.TO_W) | (followed.rows[:, F.T_PROBLEM] != F.NO_PROBLEM)
    for row in followed.rows[looked_at]:
        command = command_of(row)
        finding = _check(program, command, config, bounds, nv_bounds)
        if finding is not None:
            findings.setdefault(command.pc, finding)
        if len(findings) == _MOST_FINDINGS:
            break
    text = contradiction(followed.refused, config) if followed.refused is not None else None
    if text is not None and followed.refused is not None:
        pc = followed.refused.pc
        findings.setdefault(pc, Finding("registers", where(program, pc), pc, text, "change the registers before this command"))
    return list(findings.values())


def _check(program: Program, command: Command, config: ArrayConfig, bounds: Bounds, nv_bounds: NvBounds) -> Finding | None:
    if command.name == "ctxld":
        bounds.load_context(command)
    place = where(program, command.pc)
    problem = out_of_range(command, config)
    if problem is not None:
        kind, text, hint = problem
        return Finding(kind, place, command.pc, text, hint)
    if command.name == "ld":
        bounds.weights.load(command)
    if command.name == "run":
        return _overflow(place, command, bounds.run(command), "`mac` instead of `macl`, or drain partial sums of a smaller K")
    if command.name == "nvmac":
        return _overflow(place, command, nv_bounds.mac(command), "fewer vectors between drains, or a larger nv.range of coarser codes")
    return None


def _overflow(place: str, command: Command, overflow: Overflow | None, instead: str) -> Finding | None:
    if overflow is None:
        return None
    text = (f"an accumulator of `{command.name}` can reach {overflow.bound} ({overflow.text}), "
            f"{overflow.bits} bits hold at most {overflow.limit}")
    return Finding("overflow", place, command.pc, text, f"use narrower operands, a machine with more acc_bits, {instead}")


def _deadlock(program: Program, blocked: Blocked) -> Finding:
    missing = ", ".join(f"`{ENGINE_NAMES[engine]}`" for engine in blocked.missing)
    text = f"`{blocked.name}` waits in engine `{ENGINE_NAMES[blocked.engine]}` for a token from {missing} that never comes"
    hint = f"add signal({ENGINE_NAMES[blocked.engine]}) to a command of {missing}, or take it out of wait()"
    return Finding("deadlock", where(program, blocked.pc), blocked.pc, text, hint)
