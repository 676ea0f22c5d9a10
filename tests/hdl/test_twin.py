"""The digital twin against `rpa.arch.macro.Twin`: codes, the cycle of `done`, cells that outlive operations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hdl.twin import Twin
from rpa.arch import macro
from rpa.arch.config import ArrayConfig
from tests.hdl.control_bench import simulate

TINY = ArrayConfig.preset("tiny")
CONFIGS = {
    "tiny": TINY,
    "fast, three macros, odd numbers": replace(TINY, cols=1, nv_macros=3, nv_rows=11, nv_cols=24, nv_adc_share=3, nv_cell_bits=3, nv_dac_bits=2,
                                               nv_adc_bits=6, nv_settle=1, nv_adc_cycles=1),
    "one bit line a converter": replace(TINY, nv_adc_share=1, nv_settle=3, nv_adc_cycles=2, nv_cell_bits=4, nv_adc_bits=9),
    "wide lines, few converters": replace(TINY, cols=8, nv_cols=32, nv_adc_share=8, nv_adc_cycles=2, nv_cell_bits=1),
}
OPERATIONS = 40


def number_of(digits: np.ndarray, bits: int) -> int:
    return sum(int(digit) << (bits * place) for place, digit in enumerate(digits))


class TwinBench:
    """Random cells and operations on the circuit and on the Python twin."""

    def __init__(self, config: ArrayConfig, seed: int) -> None:
        self.config, self.rng = config, np.random.default_rng(seed)
        self.twin, self.expected = Twin(config), macro.Twin(config)

    async def program(self, ctx) -> None:
        config, port, rng = self.config, self.twin.port, self.rng
        which, row = int(rng.integers(config.nv_macros)), int(rng.integers(config.nv_rows))
        column, cells = int(rng.integers(config.nv_cols // 4)), rng.integers(0, 1 << config.nv_cell_bits, 4)
        ctx.set(port.prog_valid, 1)
        for name, value in (("prog_macro", which), ("prog_row", row), ("prog_col", column), ("prog_data", number_of(cells, config.nv_cell_bits))):
            ctx.set(getattr(port, name), value)
        await ctx.tick()
        ctx.set(port.prog_valid, 0)
        self.expected.program(which, row, 4 * column, cells.astype(np.uint8))

    async def operate(self, ctx) -> None:
        config, port, rng = self.config, self.twin.port, self.rng
        all_lines = config.nv_cols // config.cols
        line0 = int(rng.integers(all_lines))
        lines, lsb, which = int(rng.integers(1, all_lines - line0 + 1)), int(rng.integers(0, 4)), int(rng.integers(config.nv_macros))
        digits = rng.integers(0, 1 << config.nv_dac_bits, config.nv_rows).astype(np.uint8)
        limit = int(macro.limits(config, np.count_nonzero(digits), lsb))
        for name, value in (("start", 1), ("macro", which), ("digits", number_of(digits, config.nv_dac_bits)), ("range", lsb), ("limit", limit),
                            ("line0", line0), ("lines", lines)):
            ctx.set(getattr(port, name), value)
        await ctx.tick()
        for name in ("start", "macro", "digits", "range", "limit", "line0", "lines"):
            ctx.set(getattr(port, name), 0)
        cycle = 1
        while not ctx.get(port.done):
            await ctx.tick()
            cycle += 1
            assert cycle < 2000
        assert cycle == config.nv_settle + -(-lines * config.cols // config.nv_adcs) * config.nv_adc_cycles
        columns = slice(line0 * config.cols, (line0 + lines) * config.cols)
        wanted = self.expected.convert(which, digits[None], columns, lsb, np.array([limit]))[0].tolist()
        for _ in range(2):  # codes stay
            codes = ctx.get(port.codes)
            mask = (1 << config.nv_adc_bits) - 1
            assert [codes >> (config.nv_adc_bits * column) & mask for column in range(columns.start, columns.stop)] == wanted
            await ctx.tick()
        assert not ctx.get(port.done)


@pytest.mark.parametrize("name", CONFIGS)
def test_codes_and_time(name):
    bench = TwinBench(CONFIGS[name], 7)

    async def script(ctx):
        for _ in range(OPERATIONS):
            for _ in range(12):
                await bench.program(ctx)
            await bench.operate(ctx)

    simulate(bench.twin, script)
    assert bench.expected.cells.any(axis=(1, 2)).all()
