"""`ld` as one gather and one scatter (design.md section 5)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from rpa.emu.fast.clock import load_latency
from rpa.emu.fast.errors import NeedStepping
from rpa.emu.fast.hazards import Access
from rpa.emu.fast.layout import COUNTER, DEST, SOURCE, Registers
from rpa.emu.fast.lines import distinct, transpose, wrapped_base
from rpa.emu.fast.queues import Command
from rpa.emu.fast.state import State
from rpa.emu.fast.timeline import Tally

_STORES = {DEST["a"]: "a", DEST["w"]: "w", DEST["p"]: "p"}
_LARGEST = 1 << 24
"""Words of one `ld`, moved or written, beyond which it would take too much memory."""
NO_BASES = {"addr": 0, "base": 0, "obase": 0, "fill": 0}


@dataclass(frozen=True, eq=False)
class Plan:
    """What an `ld` with given registers does, relative to its addresses."""

    source: np.ndarray
    """For every bank word written: its number in visit order among the D words of each visit."""
    target: np.ndarray
    """Its place in the flattened (depth, banks) store minus ``target_low`` banks rows; no place twice (the last write stays)."""
    low: int
    high: int
    """Smallest and largest relative bank address."""
    aligned: bool
    """Relative addresses are multiples of the words per write."""
    taken: np.ndarray
    """(rows,): how many banks take each row."""
    banks: int

    @cached_property
    def addresses(self) -> np.ndarray:
        """Relative bank addresses written in some bank, ascending."""
        return distinct(self.target // self.banks) + self.low


@lru_cache(maxsize=256)
def plan_load(r: Registers, banks: int) -> Plan:
    rows, units, words = r.rows, r.units, r.unit * r.pack // 16
    bank = np.arange(banks)
    q, lane = bank >> r.group, bank & ((1 << r.group) - 1)
    offset = (r.j0 + np.arange(rows))[:, None] - q * r.wstep
    takes = (offset >= 0) & (offset < r.wlen) & ((r.sel == 63) | (r.sel == lane))
    row, which = np.nonzero(takes)
    if row.size * units * words > _LARGEST:
        raise NeedStepping("a very large ld")
    start = row * r.pitch - q[which] * r.bstep
    unit, word = np.arange(units), np.arange(words)
    address = start[:, None, None] + unit[:, None] * r.dstep + word
    source = row[:, None, None] * (units * words) + unit[:, None] * words + word
    low, high = (int(address.min()), int(address.max())) if address.size else (0, 0)
    target = ((address - low) * banks + which[:, None, None]).ravel()
    source = np.broadcast_to(source, address.shape).ravel()
    target, source = last_write(target, source, source)
    aligned = bool((address[..., 0] % words == 0).all())
    return Plan(source, target, low, high, aligned, takes.sum(axis=1), banks)


def last_write(target: np.ndarray, source: np.ndarray, visit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Drop pairs whose ``target`` (from 0) a pair with a larger ``visit`` writes again."""
    marks = np.zeros(int(target.max(initial=-1)) + 1, dtype=bool)
    marks[target] = True
    if np.count_nonzero(marks) == target.size:
        return target, source
    order = np.lexsort((visit, target))
    target, source = target[order], source[order]
    last = np.append(target[1:] != target[:-1], True)
    return target[last], source[last]


class Load:
    """The `ld` engine's datapath."""

    def __init__(self, state: State) -> None:
        self.state = state

    def start(self, command: Command, cycle: int, tally: Tally) -> tuple[Access, ...]:
        """Copy everything; returns what the command touches."""
        state, config = self.state, self.state.config
        r = command.registers
        dest, source = command.operand
        store = _STORES[dest]
        bank = getattr(state, store)
        if r.rows * r.units * r.unit > _LARGEST:
            raise NeedStepping("a very large ld")
        plan = plan_load(r._replace(**NO_BASES), bank.shape[1])
        words, visits = r.unit * r.pack // 16, r.rows * r.units
        latency = load_latency(source, config)
        end = cycle + visits + latency
        accesses = []
        if source == SOURCE["fill"]:
            payload = None
        elif source == SOURCE["o"]:
            payload, access = self._from_o(r, cycle, tally)
            accesses.append(access)
        else:
            payload, access = self._from_memory(r, cycle)
            accesses.append(access)
            tally.add(COUNTER["ext_read_words"], cycle + 1, visits, r.unit)
        if plan.target.size:
            accesses.append(self._write(store, bank, plan, r, payload, words, cycle + 1 + latency, end))
        writers = int(plan.taken.sum()) * r.units * words
        if tally.keep:
            tally.add(COUNTER[f"{store}_writes"], cycle + 1 + latency, visits, writers, np.repeat(plan.taken, r.units) * words)
        else:
            tally.totals[COUNTER[f"{store}_writes"]] += writers
        return tuple(accesses)

    def _write(self, store: str, bank: np.ndarray, plan: Plan, r: Registers, payload: np.ndarray | None, words: int,
               first: int, last: int) -> Access:
        base = wrapped_base(r.base, plan.low, plan.high, bank.shape[0])
        if base is None or not plan.aligned or base % words:
            raise NeedStepping("an ld writes outside its bank or unaligned")
        self.state.p_version += store == "p"
        banks = bank.shape[1]
        low = base + plan.low
        flat = bank.reshape(-1)[low * banks:]
        flat[plan.target] = fill_word(r) if payload is None else payload.take(plan.source)
        return Access(store, True, first, last, low, base + plan.high, lambda: plan.addresses + base)

    def _from_memory(self, r: Registers, cycle: int) -> tuple[np.ndarray, Access]:
        memory, width = self.state.memory, 2 * r.unit
        corners = (0, (r.rows - 1) * r.sstride, (r.units - 1) * r.sstep, (r.rows - 1) * r.sstride + (r.units - 1) * r.sstep)
        low, high = r.addr + min(corners), r.addr + max(corners) + width
        unaligned = r.addr % width or (r.rows > 1 and r.sstride % width) or (r.units > 1 and r.sstep % width)
        if low < 0 or high > memory.size or unaligned:
            raise NeedStepping("an ld reads outside memory or unaligned")
        view = np.ndarray((r.rows, r.units, r.unit), dtype="<u2", buffer=memory, offset=r.addr, strides=(r.sstride, r.sstep, 2))
        access = Access("mem", False, cycle + 1, cycle + r.rows * r.units, low, high - 1, lambda: byte_addresses(
            r.addr, width, (r.rows, r.sstride), (r.units, r.sstep)))
        return pack(view, r.pack), access

    def _from_o(self, r: Registers, cycle: int, tally: Tally) -> tuple[np.ndarray, Access]:
        depth, cols = self.state.o.shape
        position = np.arange(r.units) * r.unit
        relative = np.arange(r.rows)[:, None] * r.opitch + position // cols
        low, high = int(relative.min()), int(relative.max())
        base = wrapped_base(r.obase, low, high, depth)
        if base is None:
            raise NeedStepping("an ld reads outside the O banks")
        used, inverse = np.unique(relative, return_inverse=True)
        lines = transpose(self.state.o[used + base], r.obits)
        column = (position % cols)[:, None] + np.arange(r.unit)
        values = lines[inverse.reshape(relative.shape)[:, :, None], column[None]]
        reads = np.tile(np.where(position % cols == 0, cols, 0), r.rows)
        tally.add(COUNTER["o_reads"], cycle + 1, reads.size, int(reads.sum()), reads)
        return pack(values, r.pack), Access("o", False, cycle + 1, cycle + reads.size, base + low, base + high, lambda: used + base)


def byte_addresses(base: int, width: int, *strides: tuple[int, int]) -> np.ndarray:
    """Byte addresses of ``width``-byte pieces at ``base`` plus every combination of (count, step) in ``strides``."""
    address = np.arange(base, base + width)
    for count, step in strides:
        address = (address[:, None] + np.arange(count) * step).ravel()
    return address


def fill_word(r: Registers) -> int:
    """The bank word that source `fill` writes: the packed low bits of as many source words as it holds."""
    return sum((r.fill & ((1 << r.pack) - 1)) << shift for shift in range(0, 16, r.pack))


def pack(words: np.ndarray, bits: int) -> np.ndarray:
    """Keep the low ``bits`` of each word of (rows, units, unit) and pack them, first in the low bits; flat, in visit order."""
    if bits == 16:
        return words.reshape(-1)
    per_word = 16 // bits
    kept = (words & np.uint16((1 << bits) - 1)).reshape(-1, per_word)
    return np.bitwise_or.reduce(kept << (np.arange(per_word, dtype=np.uint16) * np.uint16(bits)), axis=-1)
