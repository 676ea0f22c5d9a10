"""LD alone, against a direct reading of docs/design.md section 5 in plain integers."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from hdl.load import Load
from rpa.arch.config import ArrayConfig
from tests.hdl.control_bench import simulate
from tests.hdl.engine_bench import EngineBench, entries

TINY = ArrayConfig.preset("tiny")
WIDE = replace(ArrayConfig.preset("small"), rows=3, cols=8, bus_words=4, mem_latency=3)


class LoadBench(EngineBench):
    """LD with a memory of the configuration's latency (or one that is sometimes not ready) that answers address-dependent words."""

    def __init__(self, config, *, ready=lambda cycle: True) -> None:
        super().__init__(Load(config))
        self.config, self.ready = config, ready
        self.responses: dict[int, list[int]] = {}
        self.writes: list[tuple[int, int, int, list[int]]] = []
        """(cycle, bank, address, words)."""

    def drive(self, ctx, cycle: int) -> None:
        memory = self.engine.memory
        words = self.responses.pop(cycle, None)
        ctx.set(memory.ready, self.ready(cycle))
        ctx.set(memory.response_valid, words is not None)
        if words is not None:
            ctx.set(memory.response_data, words + [0xDEAD] * (self.config.bus_words - len(words)))

    def sample(self, ctx, cycle: int) -> None:
        engine, memory = self.engine, self.engine.memory
        if ctx.get(memory.valid) and ctx.get(memory.ready):
            address = ctx.get(memory.address)
            self.responses[cycle + self.config.mem_latency] = [word_at(address + 2 * k) for k in range(ctx.get(memory.words))]
        takes, count = ctx.get(engine.write_en), 1 << ctx.get(engine.write_size)
        for bank in range(takes.bit_length()):
            if takes >> bank & 1:
                data = [ctx.get(engine.write_data[k]) for k in range(self.config.bus_words)]
                assert data == [data[k % count] for k in range(len(data))]
                self.writes.append((cycle, bank, ctx.get(engine.write_addr[bank]), data[:count]))


def word_at(address: int) -> int:
    return (address * 40503 >> 3) & 0xFFFF


def expected_writes(config, registers: dict[str, int], dest: str, source: str):
    """(visit number, bank, address, words) as the manual says it."""
    r = {"addr": 0, "rows": 1, "units": 1, "unit": 1, "sstride": 0, "sstep": 0, "j0": 0, "base": 0, "pitch": 0, "dstep": 0, "wstep": 0,
         "wlen": 1, "bstep": 0, "group": 0, "sel": 63, "pack": 16, "fill": 0, **registers}
    each = 16 // r["pack"]
    visit, found = 0, []
    for row in range(r["rows"]):
        for unit in range(r["units"]):
            address = (r["addr"] + row * r["sstride"] + unit * r["sstep"]) % 2**32
            words = [word_at(address + 2 * k) if source == "mem" else r["fill"] % 2**16 for k in range(r["unit"])]
            packed = [sum((words[w * each + i] % 2**r["pack"]) << i * r["pack"] for i in range(each)) for w in range(r["unit"] // each)]
            for bank in range({"a": config.rows, "w": config.cols, "p": config.cols}[dest]):
                q, lane = bank >> r["group"], bank % 2**r["group"]
                if r["sel"] in (63, lane) and 0 <= r["j0"] + row - q * r["wstep"] < r["wlen"]:
                    found.append((visit, bank, (r["base"] + row * r["pitch"] + unit * r["dstep"] - q * r["bstep"]) % 2**16, packed))
            visit += 1
    return found


DESTS, SOURCES = {"a": 0, "w": 1, "p": 2}, {"mem": 0, "fill": 1}


def run_load(config, registers, dest="a", source="mem", cycles=120, **bench):
    rig = LoadBench(config, **bench)
    simulate(rig.engine, rig.bench(entries("ld", registers, "ld", dest=DESTS[dest], source=SOURCES[source], signal=2), cycles))
    return rig


HALO = {"rows": 7, "wstep": 2, "wlen": 3, "sstride": 16, "pitch": 4, "bstep": 8, "units": 2, "sstep": 4, "dstep": 2, "unit": 2}
CASES = {
    "one word": {"addr": 6},
    "halo rows go to every bank whose window has them": HALO,
    "rows before the tile": {**HALO, "j0": -2, "base": 8},
    "lanes": {"rows": 4, "wstep": 1, "group": 1, "sel": 1, "sstride": 2, "pitch": 1, "wlen": 2},
    "pack 8": {"unit": 2, "pack": 8, "units": 3, "sstep": 4, "dstep": 1, "wlen": 9},
    "negative steps": {"addr": 64, "rows": 2, "units": 3, "sstep": -2, "sstride": 8, "base": 20, "dstep": -3, "pitch": -1, "wlen": 5},
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("case", CASES)
def test_writes_and_their_cycles(case, source):
    registers = CASES[case] | {"fill": 0x1234}
    rig = run_load(WIDE, registers, source=source)
    latency = WIDE.mem_latency if source == "mem" else 0
    expected = expected_writes(WIDE, registers, "a", source)
    assert rig.writes == [(rig.start + 1 + visit + latency, *rest) for visit, *rest in expected]
    visits = registers.get("rows", 1) * registers.get("units", 1)
    assert rig.gives == [(rig.start + visits + latency, 2, 7)]
    assert rig.totals["a_writes"] == sum(len(words) for *_, words in expected)
    assert rig.totals["ext_read_words"] == (visits * registers.get("unit", 1) if source == "mem" else 0)


def test_random_windows_into_every_destination():
    rng = random.Random(3)
    for _ in range(25):
        dest, pack = rng.choice("awp"), rng.choice((4, 8, 16))
        unit = rng.choice([u for u in (1, 2, 4) if u * pack >= 16])
        count = unit * pack // 16
        registers = {"rows": rng.randint(1, 6), "units": rng.randint(1, 3), "unit": unit, "pack": pack,
                     "wstep": rng.randint(0, 3), "wlen": rng.randint(1, 4),
                     "group": rng.randint(0, 3), "sel": rng.choice((63, 0, 1)), "j0": rng.randint(-2, 2), "base": 64,
                     "pitch": count * rng.randint(0, 3), "dstep": count * rng.randint(0, 2), "bstep": count * rng.randint(-2, 2),
                     "sstride": 2 * unit * rng.randint(0, 3), "sstep": 2 * unit}
        rig = run_load(WIDE, registers, dest=dest)
        expected = expected_writes(WIDE, registers, dest, "mem")
        assert [write[1:] for write in rig.writes] == [(bank, address, words) for _, bank, address, words in expected], registers
        assert rig.totals[f"{dest}_writes"] == len(expected) * count


def test_slow_memory_gives_the_same_writes_later():
    quick = run_load(WIDE, HALO)
    slow = run_load(WIDE, HALO, ready=lambda cycle: cycle % 3 == 0)
    assert [write[1:] for write in slow.writes] == [write[1:] for write in quick.writes]
    assert slow.gives[0][0] > quick.gives[0][0]


@pytest.mark.parametrize(("registers", "expected"), [
    ({"addr": TINY.mem_bytes}, ("MEM_RANGE", 7, TINY.mem_bytes)),
    ({"addr": TINY.mem_bytes - 2, "unit": 2}, ("MEM_RANGE", 7, TINY.mem_bytes - 2)),
    ({"addr": -2}, ("MEM_RANGE", 7, 0xFFFF_FFFE)),
    ({"addr": 2, "unit": 2}, ("MISALIGNED", 7, 2)),
    ({"base": 1024}, ("BANK_RANGE", 7, 1024)),
    ({"base": 1023, "unit": 2}, ("BANK_RANGE", 7, 1023)),
    ({"base": 3, "unit": 2}, ("MISALIGNED", 7, 3)),
    ({"base": 3, "unit": 2, "wlen": 9, "bstep": 4}, ("BANK_RANGE", 7, 0xFFFF)),  # bank 0 is only misaligned, bank 1 beyond the end
    ({"pack": 8}, ("ILLEGAL_CONFIG", 7, 0)),
])
def test_faults(registers, expected):
    rig = run_load(TINY, registers)
    assert rig.fault == expected and not rig.writes and rig.totals["ext_read_words"] == 0


def test_a_row_without_banks_is_read_and_dropped():
    rig = run_load(TINY, {"j0": 50, "base": 5000})
    assert rig.fault is None and not rig.writes and rig.totals["ext_read_words"] == 1


def test_sync_signals_in_its_only_busy_cycle():
    rig = LoadBench(TINY)
    simulate(rig.engine, rig.bench(entries("ld", {}, "sync", engine=0, signal=8), 10))
    assert rig.start == 1 and rig.gives == [(2, 8, 7)]
