"""`run` against a model in plain integers: loops, feeders, slices, signs, first flags, lanes (design.md section 6)."""

from __future__ import annotations

from itertools import product
from random import Random

import numpy as np
import pytest

from isa.encoding import encode_context
from rpa.arch.config import ArrayConfig
from rpa.emu.fast.layout import EX, RESET
from tests.emu_fast.one import State, carry_out

CONFIG = ArrayConfig.preset("small")
WIDTHS = (2, 4, 8, 16)


def element(word: int, number: int, bits: int, signed: int) -> int:
    value = word >> (bits * number) & ((1 << bits) - 1)
    return value - (1 << bits) if signed and value >> (bits - 1) else value


class Feeder:
    """One operand stream of the model: which word is on the bus of one row or column."""

    def __init__(self, r, side: str, bank: list[int]) -> None:
        self.r, self.side, self.bank, self.slots = r, side, bank, {}

    def get(self, name: str) -> int:
        return getattr(self.r, self.side + name)

    def lanes(self, i: tuple[int, ...]) -> list[int]:
        r, bits = self.r, self.get("bits")
        count = 16 // r.cbits
        word = self.word(i) if self.get("en") else 0
        pieces = r.cbits // bits
        piece = i[self.get("slice")] % pieces if self.get("slice") < 6 else 0
        return [element(word, piece * count + lane, bits, self.get("signed")) for lane in range(count)]

    def word(self, i: tuple[int, ...]) -> int:
        slot = (i[0] * self.get("u0") + i[1] * self.get("u1")) % 8
        held = any(i[d] and self.get("hold") >> d & 1 for d in range(6))
        slid = self.get("slide") and i[1] and i[0] < self.r.n0 - self.get("slide")
        if not held and not slid:
            base = self.r.abase if self.side == "a" else self.r.wbase
            address = base + sum(i[d] * getattr(self.r, f"{self.side}s{d}") for d in range(6))
            self.slots[slot] = self.bank[address % 65536]
        return self.slots.get(slot, 0)


def wrap(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def model(r, op: str, a: list[int], w: list[int], acc: list[int], acc_bits: int) -> list[int]:
    """Accumulators of one PE (16 numbers) after the run."""
    left, right = Feeder(r, "a", a), Feeder(r, "w", w)
    lanes = 1 if op == "mac" else 16 // r.cbits
    bits = acc_bits // lanes
    acc = list(acc)
    for outer in product(*(range(getattr(r, f"n{d}")) for d in reversed(range(6)))):
        i = tuple(reversed(outer))
        products = [x * y for x, y in zip(left.lanes(i), right.lanes(i), strict=True)]
        first = not r.keep and not any(i[d] and r.red >> d & 1 for d in range(6))
        index = (r.cbase + sum(i[d] * getattr(r, f"cs{d}") for d in range(6))) % 16
        before = 0 if first else acc[index]
        values = [sum(products)] if op == "mac" else products
        total = sum((((before >> (lane * bits)) + value) % (1 << bits)) << (lane * bits) for lane, value in enumerate(values))
        acc[index] = wrap(total, acc_bits)
    return acc


def random_registers(rng: Random):
    abits, wbits = rng.choice(WIDTHS), rng.choice(WIDTHS)
    cbits = rng.choice([bits for bits in WIDTHS if bits >= max(abits, wbits)])
    values = {f"n{d}": rng.choice((1, 1, 2, 3, 4)) for d in range(6)}
    for side in "aw":
        values |= {f"{side}s{d}": rng.randint(-3, 9) for d in range(6)}
        values |= {f"{side}slice": rng.randrange(8), f"{side}en": int(rng.random() < 0.95), f"{side}signed": rng.randrange(2)}
        values |= {f"{side}u0": rng.randrange(8), f"{side}u1": rng.randrange(8), f"{side}slide": rng.choice((0, 0, 1, 2, 3))}
        values |= {f"{side}hold": rng.choice((0, 0, 1 << rng.randrange(6), rng.randrange(64)))}
    values |= {f"cs{d}": rng.choice((0, 0, 1, -1, 4, 5)) for d in range(6)}
    values |= {"red": rng.choice((rng.randrange(64), 63, 0b101)), "keep": int(rng.random() < 0.2), "cbase": rng.randrange(16)}
    values |= {"abits": abits, "wbits": wbits, "cbits": cbits, "abase": 200, "wbase": 300}
    values |= {"rows": rng.choice((63, 2)), "cols": rng.choice((63, 3))}
    return RESET[EX]._replace(**values)


@pytest.mark.parametrize("op", ["mac", "macl"])
@pytest.mark.parametrize("acc_bits", [32, 48])
@pytest.mark.parametrize("seed", range(30))
def test_run_equals_the_model(seed: int, acc_bits: int, op: str) -> None:
    rng, data = Random(seed), np.random.default_rng(seed)
    config = ArrayConfig.from_dict(CONFIG.to_dict() | {"acc_bits": acc_bits})
    r = random_registers(rng)
    state = State(config, np.zeros(config.mem_bytes, dtype=np.uint8))
    state.a[:] = data.integers(0, 65536, state.a.shape)
    state.w[:] = data.integers(0, 65536, state.w.shape)
    state.acc[:] = data.integers(-(1 << (acc_bits - 1)), 1 << (acc_bits - 1), state.acc.shape)
    state.contexts[:] = encode_context(op, "a", "w")
    before = state.acc.copy()
    bank = seed % 2
    assert carry_out(state, "run", r, bank=bank) is not None
    for row, col in product(range(config.rows), range(config.cols)):
        expected = before[bank, :, row, col].tolist()
        if row < r.rows and col < r.cols:
            expected = model(r, op, state.a[:, row].tolist(), state.w[:, col].tolist(), expected, acc_bits)
        assert state.acc[bank, :, row, col].tolist() == expected, f"PE {row}, {col}; seed {seed}; {r}"
    assert np.array_equal(state.acc[1 - bank], before[1 - bank])
