"""EX alone: streams, feeders, buses, accumulators, counters and cycles against a plain walk over the loop nest."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from hdl.execute import Execute
from rpa.arch.config import ArrayConfig
from tests.hdl.control_bench import simulate
from tests.hdl.engine_bench import EngineBench, entries
from tests.hdl.pe_model import join, split
from tests.hdl.test_pe import context

TINY = ArrayConfig.preset("tiny")
MAC = context(op="mac", x="a", y="w")
DIMS = 6


class ExecuteBench(EngineBench):
    """EX with its A and W banks in Python; after the last cycle ``accumulators`` holds (bank, row, index) -> columns."""

    def __init__(self, config=TINY, seed=3) -> None:
        super().__init__(Execute(config, debug=True))
        rng = np.random.default_rng(seed)
        self.banks = {"a": rng.integers(0, 1 << 16, (config.rows, config.a_depth)), "w": rng.integers(0, 1 << 16, (config.cols, config.w_depth))}
        self.answers = {"a": [0] * config.rows, "w": [0] * config.cols}
        self.reads: dict[str, list[tuple[int, int]]] = {"a": [], "w": []}
        self.buses: dict[str, list[int]] = {"a": [], "w": []}
        self.valid: list[int] = []

    def drive(self, ctx, cycle: int) -> None:
        for name, words in self.answers.items():
            for k, word in enumerate(words):
                ctx.set(getattr(self.engine, name).data[k], int(word))

    def sample(self, ctx, cycle: int) -> None:
        for name in "aw":
            port = getattr(self.engine, name)
            self.buses[name].append(ctx.get(self.engine.debug[f"{name}bus"]))
            if ctx.get(port.en):
                self.reads[name].append((cycle, ctx.get(port.addr)))
                self.answers[name] = list(self.banks[name][:, ctx.get(port.addr)])
        self.valid.append(ctx.get(self.engine.debug.ex_valid))

    async def accumulators(self, ctx) -> np.ndarray:
        """int (2, rows, 16, cols) over the read port."""
        port, config = self.engine.acc, TINY
        values = np.zeros((2, config.rows, 16, config.cols), dtype=np.int64)
        for bank, row, index in product(range(2), range(config.rows), range(16)):
            ctx.set(port.bank, bank)
            ctx.set(port.row, row)
            ctx.set(port.index, index)
            values[bank, row, index] = [ctx.get(port.data[c]) for c in range(config.cols)]
        return values


def execute(registers: dict[str, int], word: int = MAC, *, cycles: int = 150, bank: int = 0) -> tuple[ExecuteBench, np.ndarray]:
    rig, found = ExecuteBench(), []
    load = entries("ex", {}, "ctxld", slot=0, rs=1)
    load[0]["command"]["value"] = word
    queue = [*load, *entries("ex", registers, "run", signal=8, bank=bank)]

    async def bench(ctx):
        await rig.bench(queue, cycles)(ctx)
        found.append(await rig.accumulators(ctx))

    simulate(rig.engine, bench)
    return rig, found[0]


class Walk:
    """What a `run` does, step by step, by its definition (docs/design.md section 6)."""

    def __init__(self, registers: dict[str, int], rig: ExecuteBench) -> None:
        reset = {"abits": 16, "wbits": 16, "cbits": 16, "asigned": 1, "wsigned": 1, "aslice": 7, "wslice": 7, "aen": 1, "wen": 1,
                 "rows": 63, "cols": 63,
                 **{f"n{d}": 1 for d in range(DIMS)}}
        self.get = lambda name: registers.get(name, reset.get(name, 0))
        self.rig, self.held = rig, {"a": {}, "w": {}}
        counts = [self.get(f"n{d}") for d in range(DIMS)]
        self.points = [tuple(reversed(point)) for point in product(*(range(n) for n in reversed(counts)))]
        self.reads, self.hits = {"a": 0, "w": 0}, {"a": 0, "w": 0}

    def affine(self, prefix: str, base: str, point) -> int:
        return self.get(base) + sum(i * self.get(f"{prefix}{d}") for d, i in enumerate(point))

    def bus(self, name: str, point) -> list[int]:
        """Words of all rows (or columns) on the bus."""
        banks, working = self.rig.banks[name], min(self.get("rows" if name == "a" else "cols"), len(self.rig.banks[name]))
        if not self.get(f"{name}en"):
            return [0] * len(banks)
        slot = (point[0] * self.get(f"{name}u0") + point[1] * self.get(f"{name}u1")) % 8
        slide, hold = self.get(f"{name}slide"), self.get(f"{name}hold")
        if any(i and hold >> d & 1 for d, i in enumerate(point)) or (slide and point[1] and point[0] < self.get("n0") - slide):
            self.hits[name] += working
        else:
            self.reads[name] += working
            self.held[name][slot] = banks[:, self.affine(f"{name}s", f"{name}base", point)].tolist()
        words = self.held[name].get(slot, [0] * len(banks))
        return [self.sliced(word, name, point) if k < working else 0 for k, word in enumerate(words)]

    def sliced(self, word: int, name: str, point) -> int:
        bits, compute, loop = self.get(f"{name}bits"), self.get("cbits"), self.get(f"{name}slice")
        number = point[loop] % (compute // bits) if loop < DIMS else 0
        lanes = 16 // compute
        elements = split(word, bits, bool(self.get(f"{name}signed")))
        return join(elements[number * lanes:(number + 1) * lanes], compute)

    def macs(self) -> tuple[list, list, dict]:
        """Buses of every step, and the accumulators that `mac a, w` leaves: (row, col, index) -> value."""
        a_buses, w_buses, acc = [], [], {}
        for point in self.points:
            a, w = self.bus("a", point), self.bus("w", point)
            a_buses.append(a)
            w_buses.append(w)
            first = not self.get("keep") and not any(i and self.get("red") >> d & 1 for d, i in enumerate(point))
            index = self.affine("cs", "cbase", point) % 16
            for r, c in product(range(min(self.get("rows"), len(a))), range(min(self.get("cols"), len(w)))):
                x, y = (split(v, self.get("cbits"), bool(self.get(s))) for v, s in ((a[r], "asigned"), (w[c], "wsigned")))
                old = 0 if first else acc.get((r, c, index), 0)
                acc[r, c, index] = old + sum(p * q for p, q in zip(x, y, strict=True))
        return a_buses, w_buses, acc


CASES = {
    "dot product": {"n0": 7, "as0": 1, "ws0": 1, "red": 1},
    "gemm over three loops": {"n0": 5, "n1": 2, "n2": 3, "as0": 1, "ws0": 2, "as1": 9, "cs1": 1, "ws2": 11, "cs2": 2, "red": 1, "abase": 4,
                              "wbase": 7, "cbase": 13},
    "negative strides": {"n0": 3, "n1": 3, "as0": -2, "as1": 5, "ws1": -1, "abase": 20, "wbase": 9, "red": 3, "cs0": 0},
    "sliding window and held weights": {"n0": 3, "n1": 4, "n2": 2, "as0": 1, "as1": 1, "as2": 16, "au0": 1, "au1": 1, "aslide": 1, "cs1": 1, "ws0": 1,
                                        "ws2": 8, "wu0": 1, "whold": 2, "red": 5},
    "two new words a window": {"n0": 5, "n1": 3, "as0": 1, "as1": 2, "au0": 1, "au1": 2, "aslide": 2, "cs1": 1, "ws0": 1, "wu0": 1, "whold": 2,
                              "red": 1},
    "a hit on a slot that was not filled": {"n0": 2, "n1": 3, "as0": 1, "au0": 1, "au1": 3, "ahold": 2, "ws0": 1, "cs1": 1, "red": 1},
    "8 x 2 bits, unsigned weights": {"n0": 4, "n1": 3, "abits": 8, "wbits": 2, "cbits": 8, "wslice": 0, "whold": 1, "as0": 1, "as1": 4, "ws1": 1,
                                     "wsigned": 0, "red": 3},
    "4 x 16 bits": {"n0": 8, "abits": 4, "cbits": 16, "aslice": 0, "ahold": 0, "ws0": 1, "as0": 1, "red": 1},
    "2 bits in lanes of 4": {"n0": 5, "n1": 2, "abits": 2, "wbits": 4, "cbits": 4, "aslice": 1, "as0": 1, "ws0": 1, "ws1": 5, "red": 3, "asigned": 0},
    "a row and a column work": {"n0": 3, "rows": 1, "cols": 1, "as0": 1, "ws0": 1, "red": 1},
    "no W stream": {"n0": 3, "wen": 0, "as0": 1, "red": 1},
    "six loops": {"n0": 2, "n1": 2, "n2": 1, "n3": 2, "n4": 2, "n5": 2, "as0": 1, "as1": 2, "as3": 4, "as4": 8, "as5": 16, "ws0": 1, "ws3": 3,
                  "ws5": 5,
                  "cs4": 3, "cs5": -1, "red": 15},
}


@pytest.mark.parametrize("registers", CASES.values(), ids=CASES)
def test_a_run_is_its_loop_nest(registers):
    rig, accumulators = execute(registers)
    walk = Walk(registers, rig)
    a_buses, w_buses, acc = walk.macs()
    begin = rig.start + 3 - 1  # buses of step k are there from t+3+k on; cycles count from 1
    for name, expected in (("a", a_buses), ("w", w_buses)):
        got = rig.buses[name][begin:begin + len(expected)]
        assert [[word >> 16 * k & 0xFFFF for k in range(2)] for word in got] == expected, name
        assert rig.buses[name][-1] == rig.buses[name][begin + len(expected) - 1], "buses keep their value"
    for r, c, index in product(range(2), range(2), range(16)):
        assert accumulators[0, r, index, c] == acc.get((r, c, index), 0) & ((1 << 48) - 1), f"acc of PE {r}, {c}, index {index}"
    steps, lanes = len(walk.points), 16 // walk.get("cbits")
    working = min(walk.get("rows"), 2) * min(walk.get("cols"), 2)
    assert rig.totals == {"a_reads": walk.reads["a"], "w_reads": walk.reads["w"], "a_hits": walk.hits["a"], "w_hits": walk.hits["w"],
                          "mac_slots": 4 * lanes * steps, "macs": working * lanes * steps}
    assert rig.gives[-1] == (rig.start + steps + 3, 8, 7)


def test_keep_adds_to_what_is_there_and_banks_are_apart():
    rig, accumulators = execute({"n0": 4, "as0": 1, "ws0": 1, "keep": 1}, bank=1)
    a, w = (np.array([split(int(word), 16, True)[0] for word in rig.banks[name][0, :4]]) for name in "aw")
    assert accumulators[1, 0, 0, 0] == (a * w).sum() & ((1 << 48) - 1)
    assert not accumulators[0].any()


def test_the_three_stages_follow_the_visits():
    rig, _ = execute({"n0": 2, "as0": 1}, cycles=30)
    begin = rig.start - 1
    # FEED is bit 0, EXEC bit 1, ACC bit 2; the ctxld, three cycles ahead, is still on its way.
    assert rig.valid[begin:begin + 7] == [2, 4, 1, 3, 6, 4, 0]


@pytest.mark.parametrize(("registers", "fault"), [
    ({"n0": 4, "abase": 1022, "as0": 1}, ("BANK_RANGE", 7, 1024)),
    ({"n0": 4, "abase": 1022, "as0": 1, "wbase": 1021, "ws0": 1}, ("BANK_RANGE", 7, 1024)),
    ({"n0": 4, "abase": 1022, "as0": 1, "wbase": 1022, "ws0": 1}, ("BANK_RANGE", 7, 1024)),
    ({"n0": 2, "abase": 0, "as0": -1}, ("BANK_RANGE", 7, 0xFFFF)),
    ({"cbits": 8}, ("ILLEGAL_CONFIG", 7, 1)),
])
def test_faults(registers, fault):
    rig, _ = execute(registers)
    assert rig.fault == fault
    assert len(rig.gives) <= 1  # the ctxld only


def test_a_mesh_shifts_words_to_the_neighbour():
    """Each PE puts the A bus out, then takes its west neighbour's output; the array's edge gives 0."""
    rig = ExecuteBench()
    queue = []
    for slot, word in enumerate((context(op="nop", route="a"), context(op="mov", x="west", route="result"))):
        load = entries("ex", {"rmask": -1}, "ctxld", slot=slot, rs=1)
        load[-1]["command"]["value"] = word
        queue += load
    queue += entries("ex", {"n0": 2, "ss0": 1, "ahold": 1}, "run", bank=0)
    outs = []

    async def bench(ctx):
        await rig.bench(queue, 20)(ctx)
        word = ctx.get(rig.engine.debug.pe_out)
        outs.extend(word >> 16 * k & 0xFFFF for k in range(4))

    simulate(rig.engine, bench)
    assert outs == [0, rig.banks["a"][0, 0], 0, rig.banks["a"][1, 0]]


def test_context_masks_choose_the_PEs():
    rig, found = ExecuteBench(), []
    load = entries("ex", {"rmask": 2, "cmask": 1}, "ctxld", slot=0, rs=1)
    load[-1]["command"]["value"] = context(op="mov", x="imm", imm=5, dst="acc")
    queue = [*load, *entries("ex", {"n0": 1}, "run", bank=0)]

    async def bench(ctx):
        await rig.bench(queue, 20)(ctx)
        found.append(await rig.accumulators(ctx))

    simulate(rig.engine, bench)
    assert found[0][0, :, 0].tolist() == [[0, 0], [5, 0]]
