"""The requantizer of one column against exact rationals: every rounding, every shift, planted ties, saturation corners."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from amaranth.hdl import Signal

from hdl.requantize import Requantizer
from tests.hdl.compiled import Compiled

pytestmark = pytest.mark.rtl
HALF_UP, HALF_EVEN, FLOOR, GEMMLOWP, STOCHASTIC = range(5)
LATENCY = 4
"""Cycles from D1 of an element to the cycle after its D4."""


@pytest.fixture(scope="module")
def column(tmp_path_factory):
    """In: acc, bias, M | s << 32, settings, zp | lo << 17 | hi << 34, seed. Out: q, saturated, bad_shift, lfsr."""
    def build(m, inputs):
        m.submodules.rq = unit = Requantizer(48, 0)
        acc, bias, scale, settings, limits, seed = inputs
        control = unit.control
        m.d.comb += [
            unit.acc.eq(acc), *(unit.entry[k].eq(bias.word_select(k, 16)) for k in range(3)), unit.entry[3].eq(scale[:16]),
            unit.entry[4].eq(scale[16:32]), unit.entry[5].eq(scale[32:]), control.lanes.eq(settings[:4]), control.pre.eq(settings[4:9]),
            control.d1.valid.eq(settings[9]), control.d1.raw.eq(settings[10]), control.d1.half.eq(settings[11]), control.d1.round.eq(settings[12:15]),
            control.d1.zp.eq(limits[:17]), control.d1.lo.eq(limits[17:34]), control.d1.hi.eq(limits[34:51]),
            control.seed.eq(seed[32]), control.seed_value.eq(seed[:32]),
        ]
        between = Signal(control.d1.shape())
        m.d.sync += [between.eq(control.d1), control.d3.eq(between), control.d4.eq(control.d3)]
        return [unit.q, unit.saturated, unit.bad_shift, unit.lfsr]
    return Compiled(tmp_path_factory.mktemp("rq"), 6, build)


def wrap(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def half_up(x: Fraction) -> int:
    return floor(x + Fraction(1, 2))


def half_away(x: Fraction) -> int:
    return half_up(x) if x >= 0 else -half_up(-x)


def rounded(v: int, multiplier: int, shift: int, mode: int, lfsr: int) -> int:
    """round(v * multiplier / 2^shift) with exact rationals."""
    exact = Fraction(v * multiplier, 1 << shift)
    if mode == HALF_UP:
        return half_up(exact)
    if mode == HALF_EVEN:
        return round(exact)  # Python rounds fractions half to even
    if mode == FLOOR:
        return floor(exact)
    if mode == GEMMLOWP:
        return half_away(Fraction(half_up(Fraction(v * multiplier, 1 << 31)), 1 << (shift - 31)))
    # Up with the fraction's probability: lfsr/2^32 below it, seen at the resolution of the fraction.
    threshold = Fraction(lfsr, 1 << 32)
    if shift <= 32:
        threshold = Fraction(floor(threshold * (1 << shift)), 1 << shift)
    return floor(exact + threshold)


def expected(element: dict[str, int], lfsr: int) -> tuple[int, int]:
    """(q as 16 bits, saturated)."""
    bits = 48 if element["raw"] else 48 // element["lanes"]
    total = wrap(element["acc"] + element["bias"], bits)
    exact = half_up(Fraction(total, 1 << element["pre"])) if element["pre"] else total
    v = min(max(exact, -(1 << 31)), (1 << 31) - 1)
    if element["raw"]:
        return (v >> 16 * element["half"]) & 0xFFFF, int(v != exact and not element["half"])
    moved = rounded(v, element["M"], element["s"], element["mode"], lfsr) + element["zp"]
    q = min(max(moved, element["lo"]), element["hi"])
    return q & 0xFFFF, int(v != exact or q != moved)


def check(column, elements, seed=0x12345678):
    """One element a cycle after a seed; every q, saturation and LFSR state."""
    rows = np.zeros((len(elements) + LATENCY + 2, 6), dtype=np.uint64).tolist()
    rows[0][5] = seed | 1 << 32
    for k, e in enumerate(elements):
        rows[k + 1][:5] = [e["acc"] & (1 << 48) - 1, e["bias"] & (1 << 48) - 1, e["M"] | e["s"] << 32,
                           e["lanes"] | e["pre"] << 4 | 1 << 9 | e["raw"] << 10 | e["half"] << 11 | e["mode"] << 12,
                           e["zp"] & 0x1FFFF | (e["lo"] & 0x1FFFF) << 17 | (e["hi"] & 0x1FFFF) << 34]
    out = column(np.array(rows, dtype=np.uint64))
    lfsr = (seed ^ 0x9E3779B9) or 1
    for k, e in enumerate(elements):
        assert int(out[k + 3, 3]) == lfsr, f"LFSR before element {k}"
        q, saturated = expected(e, lfsr)
        assert (int(out[k + 1 + LATENCY, 0]), int(out[k + LATENCY, 1])) == (q, saturated), f"element {k}: {e}, lfsr {lfsr:#x}"
        if e["mode"] == STOCHASTIC:
            lfsr = (lfsr >> 1) ^ (0xA3000000 if lfsr & 1 else 0)


def element(**values) -> dict[str, int]:
    return {"acc": 0, "bias": 0, "M": 1 << 30, "s": 31, "mode": HALF_UP, "lanes": 1, "pre": 0, "raw": 0, "half": 0, "zp": 0, "lo": -32768,
            "hi": 32767, **values}


def shifts(mode: int) -> range:
    return range(31 if mode == GEMMLOWP else 1, 63)


@pytest.mark.parametrize("mode", range(5), ids=["half_up", "half_even", "floor", "gemmlowp", "stochastic"])
def test_ties_and_their_neighbours_at_every_shift(column, mode):
    """v * M / 2^s = n + 1/2, one unit of v to both sides, both signs."""
    elements = []
    for s in shifts(mode):
        for n in (0, 1, 2, 3, 100, 32767):
            for log2_m in range(31):
                odd, low = 2 * n + 1, s - 1 - log2_m  # v = odd * 2^low
                if low >= 0 and odd << low < 1 << 31 and (log2_m == 30 or s - log2_m in (1, 2, 9) or log2_m in (0, 17)):
                    for v in ((odd << low) + d for d in (-1, 0, 1)):
                        elements += [element(acc=sign * v, M=1 << log2_m, s=s, mode=mode) for sign in (1, -1)]
    assert len(elements) > 500
    check(column, elements)


@pytest.mark.parametrize("mode", range(5), ids=["half_up", "half_even", "floor", "gemmlowp", "stochastic"])
def test_random_elements_with_bias_lanes_pre_shift_and_limits(column, mode):
    rng = np.random.default_rng(mode)
    elements = []
    for _ in range(6000):
        acc = int(rng.integers(0, 1 << 48)) >> int(rng.integers(0, 48))
        lo, hi = sorted(int(x) for x in rng.integers(-65536, 65536, 2))
        magnitude = int(rng.integers(0, 31))
        elements.append(element(
            acc=acc if rng.random() < 0.5 else -acc, bias=int(rng.integers(-(1 << 47), 1 << 47)) >> int(rng.integers(0, 48)),
            M=int(rng.integers(0, 1 << 31)) >> magnitude, s=int(rng.choice(list(shifts(mode)))), mode=mode, lanes=int(rng.choice([1, 2, 4, 8])),
            pre=int(rng.integers(0, 32)), zp=int(rng.integers(-65536, 65536)) >> int(rng.integers(0, 17)), lo=lo, hi=hi,
            raw=int(rng.random() < 0.1), half=int(rng.integers(2))))
    check(column, elements)


def test_saturation_corners(column):
    """Accumulators at and around the limits of 32 and 48 bits, the largest products, wrapping bias, lo above hi."""
    edges = [-(1 << 47), (1 << 47) - 1, *(sign * ((1 << 31) + d) for sign in (1, -1) for d in (-1, 0, 1))]
    elements = [element(acc=acc, M=multiplier, s=s, pre=pre, raw=raw, half=half) for acc in edges for multiplier in (0, 1, (1 << 31) - 1)
                for s in (1, 31, 62) for pre in (0, 1, 16, 31) for raw in (0, 1) for half in (0, 1)]
    elements += [element(acc=(1 << 47) - 1, bias=1, s=s) for s in range(1, 63)]
    elements += [element(acc=acc, lo=5, hi=-5) for acc in (-100, 0, 100)]
    check(column, elements)


def test_shifts_out_of_range_are_seen(column):
    rows = np.zeros((2 * 128, 6), dtype=np.uint64)
    rows[:, 2] = np.tile(np.arange(128, dtype=np.uint64), 2) << np.uint64(32)
    rows[128:, 3] = GEMMLOWP << 12
    bad = column(rows)[:, 2]
    assert [s for s in range(128) if not bad[s]] == list(range(1, 63))
    assert [s for s in range(128) if not bad[128 + s]] == list(range(31, 63))


def test_a_seed_that_gives_zero_becomes_one(column):
    rows = np.zeros((2, 6), dtype=np.uint64)
    rows[0, 5] = 0x9E3779B9 | 1 << 32
    assert int(column(rows)[1, 3]) == 1
