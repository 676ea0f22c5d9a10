"""Addresses that a command would use outside its bank or outside external memory."""

from __future__ import annotations

from isa.table import PARAM_WORDS
from rpa.arch.config import ArrayConfig
from rpa.emu.fast.drain import NO_BASES as DRAIN_NO_BASES
from rpa.emu.fast.drain import plan_drain
from rpa.emu.fast.execute import plan_run
from rpa.emu.fast.layout import DEST, SOURCE
from rpa.emu.fast.lines import wrapped_base
from rpa.emu.fast.load import NO_BASES as LOAD_NO_BASES
from rpa.emu.fast.load import plan_load
from rpa.emu.fast.queues import Command
from rpa.emu.fast.store import NO_BASES as STORE_NO_BASES
from rpa.emu.fast.store import plan_store

Problem = tuple[str, str, str]
"""(kind of `rpa.runner.errors.KINDS`, text, hint)."""
_TILE_HINT = "make the tile smaller or the bank deeper"


def out_of_range(command: Command, config: ArrayConfig) -> Problem | None:
    """The first range that ``command``, whose registers do not contradict each other, would leave; None if none."""
    check = {"run": _run, "ld": _load, "st": _store, "drain": _drain}.get(command.name)
    return check(command, config) if check is not None else None


def _bank(base: int, low: int, high: int, depth: int, what: str) -> Problem | None:
    if wrapped_base(base, low, high, depth) is not None:
        return None
    return "bank_range", f"{what} words {base + low}..{base + high} of a bank of {depth} words", _TILE_HINT


def _memory(low: int, high: int, config: ArrayConfig, what: str) -> Problem | None:
    if low >= 0 and high <= config.mem_bytes:
        return None
    return ("mem_range", f"{what} external memory at {low:#x}..{high - 1:#x}, the machine has {config.mem_bytes:#x} bytes",
            "check addr, strides and rows")


def _run(command: Command, config: ArrayConfig) -> Problem | None:
    r = command.registers
    steps = plan_run(r, config.ctx_slots)
    for name, operand, base, depth in (("A", steps.a, r.abase, config.a_depth), ("W", steps.w, r.wbase, config.w_depth)):
        problem = _bank(base, operand.low, operand.high, depth, f"`run` reads {name}") if operand.used else None
        if problem:
            return problem
    return None


def _load(command: Command, config: ArrayConfig) -> Problem | None:
    r, (dest, source) = command.registers, command.operand
    banks, depth, name = {DEST["a"]: (config.rows, config.a_depth, "A"), DEST["w"]: (config.cols, config.w_depth, "W"),
                          DEST["p"]: (config.cols, config.p_entries * PARAM_WORDS, "P")}[dest]
    if source == SOURCE["mem"]:
        rows, units = (r.rows - 1) * r.sstride, (r.units - 1) * r.sstep
        problem = _memory(r.addr + min(0, rows) + min(0, units), r.addr + max(0, rows) + max(0, units) + 2 * r.unit, config, "`ld` reads")
        if problem:
            return problem
    plan = plan_load(r._replace(**LOAD_NO_BASES), banks)
    return _bank(r.base, plan.low, plan.high, depth, f"`ld` writes {name}") if plan.target.size else None


def _store(command: Command, config: ArrayConfig) -> Problem | None:
    r = command.registers
    plan = plan_store(r._replace(**STORE_NO_BASES), config.cols)
    problem = _bank(r.base, int(plan.lines[0]), int(plan.lines[-1]), config.o_depth, "`st` reads O")
    return problem or _memory(r.addr + 2 * plan.low, r.addr + 2 * plan.high + 2, config, "`st` writes")


def _drain(command: Command, config: ArrayConfig) -> Problem | None:
    r = command.registers
    plan = plan_drain(r._replace(**DRAIN_NO_BASES))
    top = r.param + int(plan.entries[-1, -1])
    if top >= config.p_entries:
        return "bank_range", f"`drain` uses parameter entry {top}, a P bank has {config.p_entries}", "check dr.param, dr.pacc and dr.plane"
    return _bank(r.base, plan.low, plan.high, config.o_depth, "`drain` writes O")
