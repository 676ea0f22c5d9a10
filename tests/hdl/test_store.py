"""ST alone: transposition and memory image against NumPy, cycles against docs/design.md section 8."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from amaranth import Module

from hdl.store import Store
from hdl.transpose import Transposer
from rpa.arch.config import ArrayConfig
from tests.hdl.control_bench import simulate
from tests.hdl.engine_bench import EngineBench, entries

TINY = ArrayConfig.preset("tiny")
WIDE = replace(ArrayConfig.preset("small"), cols=8, bus_words=4)


class StoreBench(EngineBench):
    """ST with its transposer, O banks in Python, and a memory that is ready when ``ready(cycle)`` says so."""

    def __init__(self, config, *, ready=lambda cycle: True) -> None:
        super().__init__(Store(config))
        self.config, self.ready = config, ready
        self.banks = np.random.default_rng(5).integers(0, 1 << 16, (config.o_depth, config.cols))
        self.memory = np.zeros(config.mem_bytes // 2, np.int64)
        self.write_cycles: list[int] = []
        self.line: list[int] = [0] * config.cols
        self.transposer = Transposer(config.cols, config.bus_words)

    def build(self) -> Module:
        m = Module()
        m.submodules.store, m.submodules.transposer = self.engine, self.transposer
        m.d.comb += [self.transposer.width.eq(self.engine.line_width), self.transposer.first.eq(self.engine.line_first),
                     self.engine.line_words.eq(self.transposer.words)]
        return m

    def drive(self, ctx, cycle: int) -> None:
        ctx.set(self.engine.memory.ready, self.ready(cycle))
        ctx.set(self.transposer.line, self.line)

    def sample(self, ctx, cycle: int) -> None:
        engine, memory = self.engine, self.engine.memory
        if ctx.get(memory.valid) and ctx.get(memory.ready):
            self.write_cycles.append(cycle)
            mask, at = ctx.get(memory.mask), ctx.get(memory.address) // 2
            for k in range(mask.bit_length()):
                assert mask >> k & 1
                self.memory[at + k] = ctx.get(memory.data[k])
        if ctx.get(engine.line_en):
            self.line = [int(word) for word in self.banks[ctx.get(engine.line_addr)]]


def run_store(config, registers, cycles=200, **bench) -> StoreBench:
    rig = StoreBench(config, **bench)
    simulate(rig.build(), rig.bench(entries("st", registers, "st", signal=4), cycles))
    return rig


def transposed(words: np.ndarray, bits: int) -> np.ndarray:
    """A line by NumPy: (cols,) words to elements (pixel, channel), channels innermost, packed again."""
    each = 16 // bits
    elements = (words[:, None] >> (bits * np.arange(each))) & ((1 << bits) - 1)  # (column, pixel)
    packed = elements.T.reshape(each, -1, each)
    return (packed << (bits * np.arange(each))).sum(axis=2).ravel()


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
def test_a_line_leaves_pixel_by_pixel(bits):
    rig = run_store(WIDE, {"bits": bits, "unit": 1, "base": 3, "ws": 8, "wstride": 2, "addr": 64, "xstep": 16 // bits})
    np.testing.assert_array_equal(rig.memory[32:40], transposed(rig.banks[3], bits))
    assert not rig.memory[:32].any() and not rig.memory[40:].any()
    assert rig.write_cycles == list(range(rig.start + 2, rig.start + 10))
    assert rig.gives == [(rig.start + 9, 4, 7)]
    assert rig.totals == {"ext_write_words": 8, "o_reads": 8}


def test_rows_steps_and_units_with_every_stride():
    """4 bits: 8 channels of one pixel are 2 words; 4 pixels in a line; 3 rows of 6 pixels, each row a fresh pair of lines."""
    rig = run_store(WIDE, {"bits": 4, "unit": 2, "rows": 3, "xs": 6, "base": 10, "pitch": 4, "rstride": 256, "xstride": 16, "addr": 512})
    for row in range(3):
        lines = np.concatenate([transposed(rig.banks[10 + 4 * row + line], 4) for line in range(2)])
        for x in range(6):
            at = (512 + 256 * row + 16 * x) // 2
            np.testing.assert_array_equal(rig.memory[at:at + 2], lines[2 * x:2 * x + 2])
    assert rig.gives == [(rig.start + 3 * 6 + 1, 4, 7)]
    assert rig.totals == {"ext_write_words": 36, "o_reads": 3 * 2 * 8}


def test_two_elements_a_step_and_a_first_column():
    """8 bits, xstep 2: a step is a whole line; col0 turns it, the words beyond the last column come from the front."""
    rig = run_store(WIDE, {"bits": 8, "xstep": 2, "xs": 2, "unit": 4, "ws": 2, "wstride": 8, "xstride": 16, "col0": 6})
    for x in range(2):
        np.testing.assert_array_equal(rig.memory[8 * x:8 * x + 8], np.roll(transposed(rig.banks[x], 8), -6))


def test_a_memory_that_is_not_ready_only_delays():
    registers = {"bits": 8, "xs": 4, "unit": 4, "xstride": 8, "rows": 2, "rstride": 64, "pitch": 2}
    quick, slow = run_store(WIDE, registers), run_store(WIDE, registers, ready=lambda cycle: cycle % 4 == 1)
    np.testing.assert_array_equal(quick.memory, slow.memory)
    assert slow.totals == quick.totals and slow.gives[0][0] > quick.gives[0][0]


@pytest.mark.parametrize(("registers", "expected"), [
    ({"base": 512}, ("BANK_RANGE", 7, 512)),
    ({"base": -1, "addr": -2}, ("BANK_RANGE", 7, 0xFFFF)),
    ({"addr": TINY.mem_bytes - 2, "unit": 2}, ("MEM_RANGE", 7, TINY.mem_bytes - 2)),
    ({"addr": 6, "unit": 2}, ("MISALIGNED", 7, 6)),
    ({"bits": 4}, ("ILLEGAL_CONFIG", 7, 3)),
    ({"xstep": 2}, ("ILLEGAL_CONFIG", 7, 3)),
])
def test_faults(registers, expected):
    rig = run_store(TINY, registers)
    assert rig.fault == expected and not rig.write_cycles
