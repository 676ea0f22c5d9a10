"""How long commands take, from their registers alone (design.md sections 5 to 8)."""

from __future__ import annotations

from isa.table import DIMS
from rpa.arch.config import ArrayConfig
from rpa.emu.fast.layout import DR, EX, LD, SOURCE
from rpa.emu.fast.queues import Command, Span

EX_DEPTH = 3
"""Stages behind ISSUE: FEED, EXEC, ACC."""
DR_DEPTH = 5
"""Stages behind D0."""
RAW_HALVES = 2
_PIPELINE = {EX: EX_DEPTH, DR: DR_DEPTH}


def visits(command: Command) -> int:
    """Visits, steps or pipeline entries of a command; one for `sync`, `ctxld` and `seed`."""
    r = command.registers
    if command.name == "run":
        count = 1
        for d in range(DIMS):
            count *= getattr(r, f"n{d}")
        return count
    if command.name == "drain":
        return r.rows * r.accs * (RAW_HALVES if r.raw else r.lanes)
    if command.name == "ld":
        return r.rows * r.units
    return r.rows * r.xs * r.ws if command.name == "st" else 1


def load_latency(source: int, config: ArrayConfig) -> int:
    """Cycles between an `ld` visit and its bank write."""
    return {SOURCE["mem"]: config.mem_latency, SOURCE["fill"]: 0, SOURCE["o"]: 1}[source]


def span_of(command: Command, cycle: int, config: ArrayConfig) -> Span:
    """The clock of a command that starts in ``cycle``."""
    end = cycle + visits(command)
    depth = _PIPELINE.get(command.engine)
    if depth is not None:
        return Span(free=end + 1, signal=end + depth, quiet=end + depth + 1)
    if command.name != "sync":
        end += load_latency(command.operand[1], config) if command.engine == LD else 1
    return Span(free=end + 1, signal=end, quiet=end + 1)
