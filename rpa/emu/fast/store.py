"""`st` as one gather and one scatter (design.md section 8)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from rpa.emu.fast.errors import NeedStepping
from rpa.emu.fast.hazards import Access
from rpa.emu.fast.layout import COUNTER, Registers
from rpa.emu.fast.lines import transpose, wrapped_base
from rpa.emu.fast.load import last_write
from rpa.emu.fast.queues import Command
from rpa.emu.fast.state import State
from rpa.emu.fast.timeline import Tally

_LARGEST = 1 << 24
NO_BASES = {"addr": 0, "base": 0}


@dataclass(frozen=True, eq=False)
class Plan:
    """What an `st` with given registers does, relative to its addresses."""

    lines: np.ndarray
    """Relative O addresses that are read, ascending."""
    source: np.ndarray
    """For every word stored: its place in the flattened transposed ``lines``."""
    target: np.ndarray
    """Its memory word, relative to `st.addr` / 2; no word twice (the last write stays)."""
    low: int
    high: int
    """Smallest and largest relative memory word."""
    reads: np.ndarray
    """(visits,): O bank words read in each visit."""


@lru_cache(maxsize=256)
def plan_store(r: Registers, cols: int) -> Plan:
    if r.rows * r.xs * r.ws * r.unit > _LARGEST:
        raise NeedStepping("a very large st")
    per_word = 16 // r.bits
    element = np.arange(r.xs) * r.xstep
    address = np.arange(r.rows)[:, None] * r.pitch + element // per_word
    lines, line = np.unique(address, return_inverse=True)
    line = line.reshape(address.shape)
    piece = np.arange(r.ws)
    word = np.arange(r.unit)
    column = (r.col0 + (element % per_word)[:, None, None] * (cols // per_word) + piece[:, None] * r.unit + word) % cols
    source = line[:, :, None, None] * cols + column
    place = (np.arange(r.rows)[:, None, None] * r.rstride + np.arange(r.xs)[:, None] * r.xstride + piece * r.wstride) // 2
    target = (place[..., None] + word).ravel()
    target_low = int(target.min())
    target, source = last_write(target - target_low, source.ravel(), np.arange(target.size))
    first = (element % per_word == 0)[:, None] & (piece == 0)
    reads = np.tile(np.where(first, cols, 0).ravel(), r.rows)
    return Plan(lines, source, target + target_low, target_low, target_low + int(target.max()), reads)


class Store:
    """The `st` engine's datapath."""

    def __init__(self, state: State) -> None:
        self.state = state

    def start(self, command: Command, cycle: int, tally: Tally) -> tuple[Access, ...]:
        """Store everything; returns what the command touches."""
        state, r = self.state, command.registers
        depth, cols = state.o.shape
        plan = plan_store(r._replace(**NO_BASES), cols)
        low, high = int(plan.lines[0]), int(plan.lines[-1])
        base = wrapped_base(r.base, low, high, depth)
        width = 2 * r.unit
        strides = ((r.rows, r.rstride), (r.xs, r.xstride), (r.ws, r.wstride))
        if base is None or r.addr % width or any(count > 1 and step % width for count, step in strides):
            raise NeedStepping("an st reads outside the O banks or writes unaligned")
        start = r.addr // 2
        if start + plan.low < 0 or start + plan.high >= state.words.size:
            raise NeedStepping("an st writes outside memory")
        visits = r.rows * r.xs * r.ws
        target = plan.target + start
        state.write_memory(target, transpose(state.o[plan.lines + base], r.bits).reshape(-1).take(plan.source))
        tally.add(COUNTER["o_reads"], cycle + 1, visits, int(plan.reads.sum()), plan.reads)
        tally.add(COUNTER["ext_write_words"], cycle + 2, visits, r.unit)
        end = cycle + visits + 1
        return (Access("o", False, cycle + 1, end - 1, base + low, base + high, lambda: plan.lines + base),
                Access("mem", True, cycle + 2, end, 2 * (start + plan.low), 2 * (start + plan.high) + 1,
                       lambda: np.concatenate((2 * target, 2 * target + 1))))
