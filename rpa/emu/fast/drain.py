"""`drain` as array operations over all its elements (design.md section 7)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from isa.table import PARAM_WORDS
from rpa.arch.jit import plain
from rpa.arch.lfsr import lfsr_jump, lfsr_seed, lfsr_sequence
from rpa.arch.rounding import (
    BIAS_BITS,
    MULTIPLIER_MAX,
    STOCHASTIC,
    round_shift,
    shift_is_legal,
    sign_extend,
    unsaturated_value,
)
from rpa.emu.fast.clock import DR_DEPTH, RAW_HALVES
from rpa.emu.fast.errors import NeedStepping
from rpa.emu.fast.hazards import Access
from rpa.emu.fast.layout import COUNTER, Registers
from rpa.emu.fast.lines import wrapped_base
from rpa.emu.fast.load import last_write
from rpa.emu.fast.queues import Command
from rpa.emu.fast.state import State
from rpa.emu.fast.timeline import Tally

NO_BASES = {"base": 0, "param": 0, "acc0": 0, "row0": 0, "pre": 0, "round": 0, "zp": 0, "lo": 0, "hi": 0}
_SHIFT_MASK = 0x7F
"""Of the entry's word 5, the bits that hold the shift."""
_INT32 = np.iinfo(np.int32)
_sign_extend, _unsaturated, _round_shift, _shift_is_legal, _lfsr_seed = (
    plain(function) for function in (sign_extend, unsaturated_value, round_shift, shift_is_legal, lfsr_seed))


@dataclass(frozen=True, eq=False)
class Plan:
    """What a `drain` with given registers does, relative to its addresses."""

    entries: np.ndarray
    """(accs, lanes) relative parameter entries."""
    words: int
    """O words of one PE row."""
    source: np.ndarray
    """For every O address written: the number of its word, row by row."""
    target: np.ndarray
    """That address relative to dr.base; none twice (the last write stays)."""
    low: int
    high: int
    word_ends: np.ndarray
    """(visits,): whether the visit completes an O word."""


@lru_cache(maxsize=256)
def plan_drain(r: Registers) -> Plan:
    lanes, bits = (RAW_HALVES, 16) if r.raw else (r.lanes, r.bits)
    lane_step = 0 if r.raw else r.plane
    entries = np.arange(r.accs)[:, None] * r.pacc + np.arange(lanes) * lane_step
    per_word, elements = 16 // bits, r.accs * lanes
    words = -(-elements // per_word)
    target = (np.arange(r.rows)[:, None] * r.pitch + np.arange(words)).ravel()
    low = int(target.min())
    number = np.arange(target.size)
    target, source = last_write(target - low, number, number)
    position = np.arange(elements)
    ends = (position % per_word == per_word - 1) | (position == elements - 1)
    return Plan(entries, words, source, target + low, low, low + int(target.max()), np.tile(ends, r.rows))


@dataclass(frozen=True, eq=False)
class Entries:
    """Parameter entries of a drain, each int64 (accs, lanes, cols)."""

    bias: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray


class Drain:
    """The `dr` engine's datapath."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._known_entries: dict[tuple[Plan, int], Entries] = {}
        self._entries_version = -1

    def start(self, command: Command, cycle: int, tally: Tally) -> tuple[Access, ...]:
        """Do a `drain` or `seed`; returns what the command touches."""
        if command.name == "drain":
            return self._drain(command, cycle, tally)
        if command.name == "seed":
            self.state.lfsr = _lfsr_seed(command.value, np.arange(self.state.config.cols))
        return ()

    def _drain(self, command: Command, cycle: int, tally: Tally) -> tuple[Access, ...]:
        state, config, r, bank = self.state, self.state.config, command.registers, command.operand
        plan = plan_drain(r._replace(**NO_BASES))
        base = wrapped_base(r.base, plan.low, plan.high, config.o_depth)
        top = int(plan.entries[-1, -1]) + r.param
        if base is None or top >= config.p_entries:
            raise NeedStepping("a drain goes outside the O or P banks")
        values, saturated = self._quantize(r, plan, state.acc[bank, r.acc0:r.acc0 + r.accs, r.row0:r.row0 + r.rows])
        count = saturated.shape[0] * saturated.shape[1]
        state.o[plan.target + base] = _packed(values, 16 if r.raw else r.bits, plan.words).take(plan.source, axis=0)
        self._count(r, plan, saturated, cycle, count, tally)
        end = cycle + count
        return (Access(f"acc{bank}", False, cycle + 1, end),
                Access("p", False, cycle + 1, end + 1, r.param * PARAM_WORDS, (top + 1) * PARAM_WORDS - 1),
                Access("o", True, cycle + 1 + DR_DEPTH, end + DR_DEPTH, base + plan.low, base + plan.high, lambda: plan.target + base))

    def _count(self, r: Registers, plan: Plan, saturated: np.ndarray, cycle: int, count: int, tally: Tally) -> None:
        cols = self.state.config.cols
        tally.add(COUNTER["rq_elements"], cycle + 1, count, cols)
        shares = saturated.sum(axis=-1).ravel() if tally.keep else plan.word_ends
        tally.add(COUNTER["rq_saturations"], cycle + 1 + DR_DEPTH - 1, count, int(np.count_nonzero(saturated)), shares)
        tally.add(COUNTER["o_writes"], cycle + 1 + DR_DEPTH, count, plan.words * r.rows * cols, plan.word_ends * cols if tally.keep else shares)

    def _quantize(self, r: Registers, plan: Plan, acc: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Results and whether a limit changed them, both (rows, accs * lanes, cols), in the order of the visits.

        acc: (accs, rows, cols).
        """
        config, lanes = self.state.config, 1 if r.raw else r.lanes
        width = config.acc_bits // lanes
        acc = acc.transpose(1, 0, 2)
        parts = acc[:, :, None] if lanes == 1 else np.stack([_sign_extend(acc >> (lane * width), width) for lane in range(lanes)], axis=2)
        entries = self._entries(plan, r.param, lanes)
        exact = _unsaturated(parts, entries.bias, r.pre, width)
        v = np.clip(exact, _INT32.min, _INT32.max)
        shape = (acc.shape[0], -1, acc.shape[2])
        noise = self._draw(plan.word_ends.size) if r.round == STOCHASTIC else np.zeros(1, dtype=np.int64)
        if r.raw:
            halves = np.stack((v, v >> 16), axis=3)
            cut = np.stack((exact != v, np.zeros_like(v, dtype=bool)), axis=3)
            return (halves & 0xFFFF).astype(np.uint16).reshape(shape), cut.reshape(shape)
        if not _shift_is_legal(entries.shift, r.round).all():
            raise NeedStepping("a requantization shift is out of range")
        noise = noise.reshape(v.shape if r.round == STOCHASTIC else 1)
        scaled = _round_shift(v * entries.multiplier, entries.shift, r.round, noise) + r.zp
        q = np.minimum(np.maximum(scaled, r.lo), r.hi)
        return q.astype(np.uint16).reshape(shape), ((exact != v) | (scaled != q)).reshape(shape)

    def _entries(self, plan: Plan, param: int, lanes: int) -> Entries:
        """The entries that a drain uses, kept until a P bank is written."""
        state = self.state
        if self._entries_version != state.p_version:
            self._known_entries.clear()
            self._entries_version = state.p_version
        entries = self._known_entries.get((plan, param))
        if entries is None:
            words = state.p.reshape(-1, PARAM_WORDS, state.config.cols)[plan.entries[:, :lanes] + param].astype(np.int64)
            entries = self._known_entries[plan, param] = Entries(
                bias=_sign_extend(words[:, :, 0] | words[:, :, 1] << 16 | words[:, :, 2] << 32, BIAS_BITS),
                multiplier=(words[:, :, 3] | words[:, :, 4] << 16) & MULTIPLIER_MAX, shift=words[:, :, 5] & _SHIFT_MASK)
        return entries

    def _draw(self, count: int) -> np.ndarray:
        """(count, cols) LFSR states for the next elements of every column; moves the registers on."""
        drawn = lfsr_sequence(self.state.lfsr, count)
        self.state.lfsr = lfsr_jump(self.state.lfsr, count)
        return drawn


def _packed(values: np.ndarray, bits: int, words: int) -> np.ndarray:
    """O words (rows * words, cols) of elements (rows, elements, cols), the first in the low bits, the rest of a row's last word 0."""
    rows, elements, cols = values.shape
    per_word = 16 // bits
    if per_word == 1:
        return values.reshape(rows * words, cols)
    padded = np.zeros((rows, words * per_word, cols), dtype=np.uint16)
    padded[:, :elements] = values & np.uint16((1 << bits) - 1)
    shifts = (np.arange(per_word, dtype=np.uint16) * np.uint16(bits))[:, None]
    return np.bitwise_or.reduce(padded.reshape(rows * words, per_word, cols) << shifts, axis=1)
