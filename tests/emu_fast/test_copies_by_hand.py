"""`ld`, `drain` and `st` against models that go visit by visit in plain integers (design.md sections 5, 7, 8)."""

from __future__ import annotations

from fractions import Fraction
from math import floor
from random import Random

import numpy as np
import pytest

from rpa.arch.config import ArrayConfig
from rpa.emu.fast.layout import DR, LD, RESET, ROUND, ST
from tests.emu_fast.one import State, carry_out

CONFIG = ArrayConfig.from_dict(ArrayConfig.preset("small").to_dict() | {"cols": 8, "bus_words": 8, "mem_bytes": 1 << 16})


def random_state(seed: int, config: ArrayConfig = CONFIG) -> State:
    data = np.random.default_rng(seed)
    state = State(config, data.integers(0, 256, config.mem_bytes, dtype=np.uint8))
    for bank in (state.a, state.w, state.p, state.o):
        bank[:] = data.integers(0, 65536, bank.shape)
    half = 1 << (config.acc_bits - 1)
    state.acc[:] = data.integers(-half, half, state.acc.shape) >> data.integers(0, config.acc_bits - 2, state.acc.shape)
    return state


def word_at(memory: np.ndarray, address: int) -> int:
    return int(memory[address]) | int(memory[address + 1]) << 8


def line(o: np.ndarray, address: int, bits: int) -> list[int]:
    """A transposed line: word t*(COLS/e) + w holds elements t of columns e*w .."""
    cols, per_word = o.shape[1], 16 // bits
    words = []
    for t in range(per_word):
        for w in range(cols // per_word):
            elements = [int(o[address, per_word * w + i]) >> (bits * t) & ((1 << bits) - 1) for i in range(per_word)]
            words.append(sum(element << (bits * i) for i, element in enumerate(elements)))
    return words


def load_model(r, dest: str, source: str, state: State) -> None:
    bank = getattr(state, dest)
    for j in range(r.rows):
        for u in range(r.units):
            if source == "mem":
                words = [word_at(state.memory, r.addr + j * r.sstride + u * r.sstep + 2 * k) for k in range(r.unit)]
            elif source == "o":
                position = u * r.unit
                whole = line(state.o, r.obase + j * r.opitch + position // 8, r.obits)
                words = whole[position % 8:position % 8 + r.unit]
            else:
                words = [r.fill] * r.unit
            per_word = 16 // r.pack
            groups = [words[k:k + per_word] for k in range(0, len(words), per_word)]
            packed = [sum((word & ((1 << r.pack) - 1)) << (r.pack * i) for i, word in enumerate(group)) for group in groups]
            for b in range(bank.shape[1]):
                q, lane = b >> r.group, b % (1 << r.group)
                if (r.sel in (63, lane)) and 0 <= r.j0 + j - q * r.wstep < r.wlen:
                    address = (r.base + j * r.pitch + u * r.dstep - q * r.bstep) % 65536
                    bank[address:address + len(packed), b] = packed


def random_load(rng: Random, source: str):
    unit = rng.choice((1, 2, 4, 8))
    pack = rng.choice([bits for bits in (2, 4, 8, 16) if unit * bits >= 16])
    words = unit * pack // 16
    return RESET[LD]._replace(
        addr=2 * unit * rng.randint(1000, 1500), rows=rng.randint(1, 6), units=rng.randint(1, 5), unit=unit, pack=pack,
        sstride=2 * unit * rng.randint(-40, 40), sstep=2 * unit * rng.randint(-3, 20), j0=rng.randint(-2, 2),
        base=words * rng.randint(200, 220) if rng.random() < 0.9 else 65536 - words * rng.randint(1, 3),
        pitch=words * rng.randint(-2, 12), dstep=words * rng.randint(-1, 3), wstep=rng.randint(0, 3), wlen=rng.randint(1, 5),
        bstep=words * rng.randint(-2, 4), group=rng.randint(0, 2), sel=rng.choice((63, 63, 0, 1, 2)), fill=rng.randint(0, 65535),
        obits=rng.choice((2, 4, 8, 16)), obase=rng.randint(300, 400), opitch=rng.randint(-5, 5)), source


@pytest.mark.parametrize("source", ["mem", "fill", "o"])
@pytest.mark.parametrize("seed", range(40))
def test_load(seed: int, source: str) -> None:
    rng = Random(seed)
    r, source = random_load(rng, source)
    dest = rng.choice("awp")
    state, expected = random_state(seed), random_state(seed)
    depth = getattr(expected, dest).shape[0]
    if carry_out(state, "ld", r, dest=dest, source=source) is None:
        q = np.arange(getattr(state, dest).shape[1]) >> r.group
        used = [r.base + j * r.pitch + u * r.dstep - int(k) * r.bstep for j in range(r.rows) for u in range(r.units) for k in q]
        assert min(used) < 0 or max(used) + r.unit * r.pack // 16 > depth or r.base > depth, "a harmless load was refused"
        return
    load_model(r, dest, source, expected)
    for name in ("a", "w", "p"):
        assert np.array_equal(getattr(state, name), getattr(expected, name)), f"{name}; seed {seed}; {r}"


def rounded(value: Fraction, mode: int, noise: Fraction) -> int:
    if mode == ROUND["half_up"]:
        return floor(value + Fraction(1, 2))
    if mode == ROUND["half_even"]:
        return round(value)
    if mode == ROUND["floor"]:
        return floor(value)
    return floor(value + noise)


def lfsr(x: int) -> int:
    return x >> 1 ^ (0xA3000000 if x & 1 else 0)


def wrap(value: int, bits: int) -> int:
    value %= 1 << bits
    return value - (1 << bits) if value >> (bits - 1) else value


def drain_model(r, bank: int, state: State) -> int:
    """Writes the O banks and LFSRs of ``state``; returns the number of changed elements."""
    changed, acc_bits = 0, state.config.acc_bits
    lanes = 2 if r.raw else r.lanes
    width = acc_bits if r.raw else acc_bits // r.lanes
    bits = 16 if r.raw else r.bits
    for col in range(state.config.cols):
        noise = int(state.lfsr[col])
        for row in range(r.rows):
            elements = []
            for i in range(r.accs):
                for lane in range(lanes):
                    entry = r.param + i * r.pacc + (0 if r.raw else lane * r.plane)
                    words = [int(word) for word in state.p[8 * entry:8 * entry + 8, col]]
                    bias = wrap(words[0] | words[1] << 16 | words[2] << 32, 48)
                    acc = int(state.acc[bank, r.acc0 + i, r.row0 + row, col]) >> (0 if r.raw else lane * width)
                    value = (wrap(wrap(acc, width) + bias, width) + ((1 << r.pre) // 2)) >> r.pre
                    v = min(max(value, -(1 << 31)), (1 << 31) - 1)
                    if r.raw:
                        elements.append(v >> (16 * lane) & 0xFFFF)
                        changed += lane == 0 and v != value
                    else:
                        scale = Fraction((words[3] | words[4] << 16) & 0x7FFFFFFF, 1 << (words[5] & 127))
                        # The top s bits of the LFSR as a fraction; beyond 32 bits zeros follow.
                        s = min(words[5] & 127, 32)
                        exact = rounded(v * scale, r.round, Fraction(noise >> (32 - s), 1 << s)) + r.zp
                        q = min(max(exact, r.lo), r.hi)
                        changed += v != value or q != exact
                        elements.append(q & ((1 << bits) - 1))
                    noise = lfsr(noise) if r.round == ROUND["stochastic"] else noise
            per_word = 16 // bits
            for number in range(0, len(elements), per_word):
                packed = sum(element << (bits * k) for k, element in enumerate(elements[number:number + per_word]))
                state.o[(r.base + row * r.pitch + number // per_word) % 65536, col] = packed
        state.lfsr[col] = noise
    return changed


@pytest.mark.parametrize("rounding", ["half_up", "half_even", "floor", "stochastic"])
@pytest.mark.parametrize("seed", range(25))
def test_drain(seed: int, rounding: str) -> None:
    rng, data = Random(seed), np.random.default_rng(seed)
    config = ArrayConfig.from_dict(CONFIG.to_dict() | {"acc_bits": rng.choice((32, 40, 48))})
    state, expected = random_state(seed, config), random_state(seed, config)
    shifts = data.integers(1, 63, (config.p_entries, config.cols)) | data.integers(0, 512, (config.p_entries, config.cols)) << 7
    for each in (state, expected):
        each.p[5::8] = shifts
        each.lfsr[:] = np.arange(1, config.cols + 1) * 0x1234567
    row0, acc0, limit = rng.randint(0, 3), rng.randint(0, 15), rng.choice((1 << 16, 100, 8))
    r = RESET[DR]._replace(
        row0=row0, rows=rng.randint(1, 4 - row0), acc0=acc0, accs=rng.randint(1, 16 - acc0), lanes=rng.choice((1, 2, 4, 8)), base=rng.randint(0, 300),
        pitch=rng.randint(-30, 90) if row0 else rng.randint(0, 90), param=rng.randint(0, 5), pacc=rng.randint(0, 1), plane=rng.randint(0, 1),
        pre=rng.randint(0, 31), round=ROUND[rounding], zp=rng.randint(-65536, 65535), lo=-rng.randint(0, limit), hi=rng.randint(0, limit - 1),
        bits=rng.choice((2, 4, 8, 16)), raw=int(rng.random() < 0.2))
    counters = carry_out(state, "drain", r, bank=1)
    if counters is None:
        assert r.base + (r.rows - 1) * r.pitch < 0, "a harmless drain was refused"
        return
    changed = drain_model(r, 1, expected)
    assert np.array_equal(state.o, expected.o), f"seed {seed}; {r}"
    assert np.array_equal(state.lfsr, expected.lfsr)
    assert counters["rq_saturations"] == changed


def store_model(r, state: State) -> None:
    per_word = 16 // r.bits
    for j in range(r.rows):
        for x in range(r.xs):
            words = line(state.o, r.base + j * r.pitch + x * r.xstep // per_word, r.bits)
            for w in range(r.ws):
                first = r.col0 + (x * r.xstep % per_word) * (8 // per_word) + w * r.unit
                address = r.addr + j * r.rstride + x * r.xstride + w * r.wstride
                for k in range(r.unit):
                    word = words[(first + k) % 8]
                    state.memory[address + 2 * k:address + 2 * k + 2] = word & 255, word >> 8


@pytest.mark.parametrize("seed", range(60))
def test_store(seed: int) -> None:
    rng = Random(seed)
    bits, unit = rng.choice((2, 4, 8, 16)), rng.choice((1, 2, 4, 8))
    r = RESET[ST]._replace(
        addr=2 * unit * rng.randint(800, 900), rows=rng.randint(1, 4), xs=rng.randint(1, 6), ws=rng.randint(1, 4), unit=unit, bits=bits,
        xstep=rng.choice([step for step in (1, 2, 4, 8) if step * bits <= 16]), base=rng.randint(100, 200), pitch=rng.randint(-9, 20),
        col0=rng.randint(0, 9), rstride=2 * unit * rng.randint(-20, 60), xstride=2 * unit * rng.randint(-2, 9), wstride=2 * unit * rng.randint(-1, 2))
    state, expected = random_state(seed), random_state(seed)
    assert carry_out(state, "st", r) is not None
    store_model(r, expected)
    assert np.array_equal(state.memory, expected.memory), f"seed {seed}; {r}"
