"""DR alone: every word in the O banks, its cycle, counters and faults, against exact rationals and a plain walk."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from hdl.drain import Drain
from rpa.arch.config import ArrayConfig
from tests.hdl.control_bench import simulate
from tests.hdl.engine_bench import EngineBench, entries
from tests.hdl.test_requantize import STOCHASTIC, element, expected

TINY = ArrayConfig.preset("tiny")
DEFAULTS = {"row0": 0, "rows": 1, "acc0": 0, "accs": 1, "lanes": 1, "base": 0, "pitch": 0, "param": 0, "pacc": 0, "plane": 0, "pre": 0, "round": 0,
            "zp": 0,
            "lo": -32768, "hi": 32767, "bits": 16, "raw": 0}


class DrainBench(EngineBench):
    """DR with accumulators and P banks in Python; ``writes`` are (cycle, address, words)."""

    def __init__(self, *, writing=lambda cycle: 0, shift=20) -> None:
        super().__init__(Drain(TINY, debug=True))
        rng = np.random.default_rng(9)
        self.writing = writing
        self.acc = rng.integers(-(1 << 30), 1 << 30, (2, TINY.rows, 16, TINY.cols))
        self.acc[:, :, ::3] <<= 17
        self.bias = rng.integers(-(1 << 20), 1 << 20, (TINY.p_entries, TINY.cols))
        self.multiplier = rng.integers(0, 1 << 31, (TINY.p_entries, TINY.cols))
        self.shift = rng.integers(31, 60, (TINY.p_entries, TINY.cols)) if shift is None else np.full((TINY.p_entries, TINY.cols), shift + 20)
        self.answer: tuple[int, ...] = ()
        self.writes: list[tuple[int, int, tuple[int, ...]]] = []
        self.lfsr: list[int] = []

    def drive(self, ctx, cycle: int) -> None:
        port = self.engine.acc
        ctx.set(port.writing, self.writing(cycle))
        for c, value in enumerate(self.acc[ctx.get(port.bank), ctx.get(port.row), ctx.get(port.index)]):
            ctx.set(port.data[c], int(value) & (1 << 48) - 1)
        for c in range(TINY.cols) if self.answer else ():
            entry = self.answer[0]
            bias = int(self.bias[entry, c]) & (1 << 48) - 1
            packed = bias | int(self.multiplier[entry, c]) << 48 | int(self.shift[entry, c]) << 80
            for word in range(8):
                ctx.set(self.engine.p.data[c][word], packed >> 16 * word & 0xFFFF)

    def sample(self, ctx, cycle: int) -> None:
        p, o = self.engine.p, self.engine.o
        if ctx.get(p.en):
            self.answer = (ctx.get(p.addr),)
        if ctx.get(o.en):
            self.writes.append((cycle, ctx.get(o.addr), tuple(ctx.get(o.data[c]) for c in range(TINY.cols))))
        self.lfsr.append(ctx.get(self.engine.debug.lfsr))


def drain(registers: dict[str, int], *, cycles: int = 120, bank: int = 0, seed: int | None = None, **bench) -> DrainBench:
    rig, queue = DrainBench(**bench), []
    if seed is not None:
        queue += entries("dr", {}, "seed", rt=1)
        queue[0]["command"]["value"] = seed
    simulate(rig.engine, rig.bench([*queue, *entries("dr", registers, "drain", signal=10, bank=bank)], cycles))
    return rig


def walk(rig: DrainBench, registers: dict[str, int], bank: int, seed: int = 0) -> tuple[list, int]:
    """([(visit, address, words)], saturated elements) of a drain by its definition."""
    get = {**DEFAULTS, **registers}
    lanes, bits = (2, 16) if get["raw"] else (get["lanes"], get["bits"])
    lfsr = [(seed ^ 0x9E3779B9 * (c + 1) & 0xFFFF_FFFF) or 1 for c in range(TINY.cols)]
    writes, saturated, visit = [], 0, 0
    for row in range(get["rows"]):
        words, open_words, filled = 0, [0] * TINY.cols, 0
        for i, lane in product(range(get["accs"]), range(lanes)):
            entry = get["param"] + i * get["pacc"] + (0 if get["raw"] else lane * get["plane"])
            for c in range(TINY.cols):
                acc = int(rig.acc[bank, get["row0"] + row, get["acc0"] + i, c]) & (1 << 48) - 1
                q, clipped = expected(element(
                    acc=acc if get["raw"] else acc >> lane * (48 // lanes), bias=int(rig.bias[entry, c]), M=int(rig.multiplier[entry, c]),
                    s=int(rig.shift[entry, c]), mode=get["round"], lanes=lanes, pre=get["pre"], raw=get["raw"], half=lane, zp=get["zp"], lo=get["lo"],
                    hi=get["hi"]), lfsr[c])
                open_words[c] |= (q & ((1 << bits) - 1)) << filled
                saturated += clipped
                if get["round"] == STOCHASTIC:
                    lfsr[c] = (lfsr[c] >> 1) ^ (0xA3000000 if lfsr[c] & 1 else 0)
            filled += bits
            if filled == 16 or (i, lane) == (get["accs"] - 1, lanes - 1):
                writes.append((visit, (get["base"] + row * get["pitch"] + words) & 0xFFFF, tuple(open_words)))
                words, open_words, filled = words + 1, [0] * TINY.cols, 0
            visit += 1
    return writes, saturated


CASES = {
    "16 bits": {"rows": 2, "accs": 5, "acc0": 2, "pacc": 1, "base": 7, "pitch": 9},
    "8 bits, an odd row": {"rows": 2, "accs": 3, "bits": 8, "lo": -128, "hi": 127, "pitch": -2, "base": 40},
    "4 bits, lanes": {"accs": 3, "lanes": 4, "bits": 4, "lo": 0, "hi": 15, "pacc": 2, "plane": 1, "zp": 3, "round": 1},
    "2 bits, eight lanes": {"rows": 2, "accs": 2, "lanes": 8, "bits": 2, "lo": -2, "hi": 1, "plane": 2, "param": 1, "pitch": 2, "round": 2},
    "two lanes, pre-shift": {"accs": 4, "lanes": 2, "pre": 9, "round": 3, "param": 3},
    "raw": {"rows": 2, "accs": 3, "raw": 1, "lanes": 4, "bits": 4, "pacc": 1, "plane": 5, "pitch": 6, "round": 4},
    "stochastic": {"rows": 2, "accs": 16, "bits": 8, "lo": -128, "hi": 127, "pitch": 8, "round": 4},
    "row 1 alone": {"row0": 1, "acc0": 15, "round": 1},
}


@pytest.mark.parametrize("registers", CASES.values(), ids=CASES)
@pytest.mark.parametrize("bank", [0, 1])
def test_a_drain_is_its_definition(registers, bank):
    seed = 0xC0FFEE
    rig = drain(registers, bank=bank, seed=seed, shift=None)
    expected_writes, saturated = walk(rig, registers, bank, seed)
    visits = expected_writes[-1][0] + 1
    assert [(address, words) for _, address, words in rig.writes] == [(address, words) for _, address, words in expected_writes]
    assert [cycle for cycle, _, _ in rig.writes] == [rig.start + 6 + visit for visit, _, _ in expected_writes]
    assert rig.totals == {"rq_elements": 2 * visits, "rq_saturations": saturated, "o_writes": 2 * len(expected_writes)}
    assert rig.gives[-1] == (rig.start + visits + 5, 10, 7)


def test_a_seed_takes_effect_at_the_end_of_its_D3():
    rig = drain({}, seed=1, cycles=20)
    # The seed starts in cycle 1, is in D0 in cycle 2 and in D3 in cycle 5.
    both = (1 ^ 0x9E3779B9) | (1 ^ (2 * 0x9E3779B9 & 0xFFFF_FFFF)) << 32
    assert rig.lfsr[:5] == [1 | 1 << 32] * 5 and rig.lfsr[5] == both
    assert rig.gives[0] == (7, 0, 7)


@pytest.mark.parametrize(("registers", "bench", "fault"), [
    ({"row0": 1, "rows": 2}, {}, ("ILLEGAL_CONFIG", 7, 2)),
    ({"acc0": 10, "accs": 7}, {}, ("ILLEGAL_CONFIG", 7, 2)),
    ({"accs": 3, "param": 15, "pacc": 1}, {}, ("BANK_RANGE", 7, 16)),
    ({"accs": 2, "base": 511}, {}, ("BANK_RANGE", 7, 512)),
    ({"accs": 2}, {"shift": 43}, ("RQ_SHIFT", 7, 63)),
    ({"accs": 2, "round": 3}, {"shift": 10}, ("RQ_SHIFT", 7, 30)),
    ({"accs": 4}, {"writing": lambda cycle: cycle == 6}, ("ACC_CONFLICT", 7, 0)),
    ({"accs": 3, "param": 15, "pacc": 1}, {"writing": lambda cycle: 1}, ("ACC_CONFLICT", 7, 0)),
])
def test_faults(registers, bench, fault):
    rig = drain(registers, **bench)
    assert rig.fault == fault
    assert rig.gives == []


def test_a_raw_drain_does_not_look_at_the_shift_nor_a_drain_at_the_other_bank():
    rig = drain({"accs": 2, "raw": 1}, shift=43, writing=lambda cycle: 2)
    assert rig.fault is None and len(rig.writes) == 4
