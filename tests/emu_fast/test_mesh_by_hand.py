"""Contexts of every kind against a model in plain integers: operands, neighbours, flags, registers, the late accumulator write."""

from __future__ import annotations

from itertools import product
from random import Random

import numpy as np
import pytest

from isa.encoding import encode_context
from isa.table import PE_CONDS, PE_DESTS, PE_OPS, PE_ROUTES, PE_SOURCES
from rpa.arch.config import ArrayConfig
from rpa.emu.fast.layout import EX, RESET
from tests.emu_fast.one import State, carry_out

CONFIG = ArrayConfig.preset("small")
STEPS = 24


def lanes(word: int, bits: int, signed: bool) -> list[int]:
    values = [word >> shift & ((1 << bits) - 1) for shift in range(0, 16, bits)]
    return [value - (1 << bits) if signed and value >> (bits - 1) else value for value in values]


def join(values: list[int], bits: int) -> int:
    return sum((value & ((1 << bits) - 1)) << (bits * lane) for lane, value in enumerate(values))


def signed16(word: int) -> int:
    return word - 65536 if word & 0x8000 else word


LANE_OPS = {"add": lambda x, y: x + y, "sub": lambda x, y: x - y, "mul": lambda x, y: x * y, "min": min, "max": max, "abs": lambda x, y: abs(x)}
WORD_OPS = {"mov": lambda x, y: x, "and": lambda x, y: x & y, "or": lambda x, y: x | y, "xor": lambda x, y: x ^ y,
            "shl": lambda x, y: x << (y % 16), "shr": lambda x, y: x >> (y % 16), "sra": lambda x, y: signed16(x) >> (y % 16)}


class Pe:
    """State of one PE of the model."""

    def __init__(self, context: list[dict], acc: list[int]) -> None:
        self.context, self.acc = context, acc
        self.registers, self.flag, self.out, self.late = [0] * 8, False, 0, None

    def result(self, op: str, x: int, y: int, bits: int, signed: bool) -> int:
        if op in LANE_OPS:
            sign = signed or op == "abs"
            return join([LANE_OPS[op](u, v) for u, v in zip(lanes(x, bits, sign), lanes(y, bits, sign), strict=True)], bits)
        if op == "sel":
            return x if self.flag else y
        return WORD_OPS[op](x, y) & 0xFFFF if op in WORD_OPS else 0

    def execute(self, c: dict, sources: dict[str, int], bits: int, signs: tuple[bool, bool], acc_bits: int) -> int:
        """Returns the next output; leaves the accumulator write for later."""
        self.late = None
        if (c["cond"] == "p" and not self.flag) or (c["cond"] == "np" and self.flag):
            return self.out
        x, y, op = sources[c["x"]], sources[c["y"]], c["op"]
        result = self.result(op, x, y, bits, signs[0])
        wide = acc_bits // (16 // bits)
        if op in ("mac", "macl"):
            products = [u * v for u, v in zip(lanes(x, bits, signs[0]), lanes(y, bits, signs[1]), strict=True)]
            self.late = ("add", [sum(products)], acc_bits) if op == "mac" else ("add", products, wide)
        elif c["dst"] in ("acc", "acca"):
            self.late = ("set" if c["dst"] == "acc" else "add", lanes(result, bits, signs[0]), wide)
        elif c["dst"] != "none":
            self.registers[int(c["dst"][1:])] = result
        if op == "ceq":
            self.flag = x == y
        if op == "clt":
            self.flag = signed16(x) < signed16(y) if signs[0] else x < y
        return {"hold": self.out, "result": result, "x": x}.get(c["route"], sources.get(c["route"], 0))

    def settle(self, write, index: int, first: bool, acc_bits: int) -> None:
        if write is None:
            return
        kind, values, width = write
        before = 0 if first or kind == "set" else self.acc[index]
        total = sum((((before >> (width * lane)) + value) & ((1 << width) - 1)) << (width * lane) for lane, value in enumerate(values))
        total &= (1 << acc_bits) - 1
        self.acc[index] = total - (1 << acc_bits) if total >> (acc_bits - 1) else total


def run_model(pes: list[list[Pe]], steps: list[tuple], a, w, imm_bits: int, signs: tuple[bool, bool], acc_bits: int) -> None:
    """steps: (A address, W address, slot, accumulator, first)."""
    rows, cols = len(pes), len(pes[0])

    def out(row: int, col: int) -> int:
        return pes[row][col].out if 0 <= row < rows and 0 <= col < cols else 0

    late = None
    for address, waddress, slot, index, first in steps:
        outs, writes = {}, {}
        for row, col in product(range(rows), range(cols)):
            pe = pes[row][col]
            context = pe.context[slot]
            sources = {"a": int(a[address, row]), "w": int(w[waddress, col]), "north": out(row - 1, col), "south": out(row + 1, col),
                       "west": out(row, col - 1), "east": out(row, col + 1), "acc": pe.acc[index] & 0xFFFF,
                       "imm": join([context["imm"]] * (16 // imm_bits), imm_bits)}
            sources |= {f"r{number}": value for number, value in enumerate(pe.registers)}
            outs[row, col] = pe.execute(context, sources, imm_bits, signs, acc_bits)
            writes[row, col] = pe.late
        for (row, col), value in outs.items():
            pes[row][col].out = value
            if late is not None:
                pes[row][col].settle(late[0][row, col], *late[1], acc_bits)
        late = writes, (index, first)
    for row, col in product(range(rows), range(cols)):
        pes[row][col].settle(late[0][row, col], *late[1], acc_bits)


def random_context(rng: Random) -> dict:
    op = rng.choice(PE_OPS)
    dst = rng.choice(PE_DESTS).name if op.writes == "result" else "none"
    return {"op": op.name, "x": rng.choice(PE_SOURCES).name, "y": rng.choice(PE_SOURCES).name, "dst": dst,
            "route": rng.choice(PE_ROUTES).name, "cond": rng.choice(PE_CONDS).name if rng.random() < 0.4 else "always",
            "imm": rng.randint(-128, 127)}


@pytest.mark.parametrize("seed", range(60))
def test_random_contexts(seed: int) -> None:
    rng, data = Random(seed), np.random.default_rng(seed)
    acc_bits, bits = rng.choice((32, 40, 48)), rng.choice((2, 4, 8, 16))
    config = ArrayConfig.from_dict(CONFIG.to_dict() | {"acc_bits": acc_bits})
    state = State(config, np.zeros(config.mem_bytes, dtype=np.uint8))
    state.a[:] = data.integers(0, 65536, state.a.shape)
    state.w[:] = data.integers(0, 65536, state.w.shape)
    state.acc[:] = data.integers(-(1 << (acc_bits - 1)), 1 << (acc_bits - 1), state.acc.shape)
    contexts = [[[random_context(rng) for _ in range(config.cols)] for _ in range(config.rows)] for _ in range(3)]
    for slot, row, col in product(range(3), range(config.rows), range(config.cols)):
        state.contexts[slot, row, col] = encode_context(**contexts[slot][row][col])
    pes = [[Pe([contexts[slot][row][col] for slot in range(3)], state.acc[1, :, row, col].tolist()) for col in range(config.cols)]
           for row in range(config.rows)]
    signs = bool(rng.randrange(2)), bool(rng.randrange(2))
    r = RESET[EX]._replace(n0=3, n1=STEPS // 3, as0=5, as1=1, ws0=2, ws1=3, cs0=rng.randint(0, 1), cs1=rng.randint(0, 2), ss0=1,
                           red=rng.choice((0, 2, 3)), keep=rng.randrange(2), cbase=7, abits=bits, wbits=bits, cbits=bits,
                           asigned=int(signs[0]), wsigned=int(signs[1]))
    assert carry_out(state, "run", r, bank=1) is not None
    steps = [(5 * i + j, 2 * i + 3 * j, i, (7 + i * r.cs0 + j * r.cs1) % 16, not r.keep and not (r.red & 1 and i) and not (r.red & 2 and j))
             for j in range(STEPS // 3) for i in range(3)]
    run_model(pes, steps, state.a, state.w, bits, signs, acc_bits)
    for row, col in product(range(config.rows), range(config.cols)):
        pe, where = pes[row][col], f"PE {row}, {col}; seed {seed}"
        assert state.pe_registers[:, row, col].tolist() == pe.registers, where
        assert (state.flags[row, col], state.out[row, col]) == (pe.flag, pe.out), where
        assert state.acc[1, :, row, col].tolist() == pe.acc, where
