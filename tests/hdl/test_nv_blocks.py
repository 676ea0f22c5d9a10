"""Blocks of NV against plain integers: word lines and passes, resolution, visits of COMBINE, contradictions."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from amaranth import Module
from amaranth.sim import Simulator

from hdl.nv_combine import Combine, LineWalk
from hdl.nv_passes import NvPasses, Resolution
from hdl.nv_plan import NvPlan
from hdl.nv_word_lines import WordLines
from rpa.arch import macro
from rpa.arch.config import ArrayConfig
from tests.hdl.control_bench import simulate

TINY = ArrayConfig.preset("tiny")
ODD = replace(TINY, cols=4, nv_rows=21, nv_cols=48, nv_adc_share=3, nv_dac_bits=3, nv_cell_bits=3, nv_adc_bits=11)


def settle(component, bench) -> None:
    """Run a test bench on a combinational component."""
    simulator = Simulator(component)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("config", [TINY, ODD], ids=["tiny", "odd"])
def test_digits_of_every_pass_weigh_up_to_the_activations(config):
    rng = random.Random(4)
    m = Module()
    m.submodules.lines, m.submodules.passes = lines, passes = WordLines(config), NvPasses(config)
    m.d.comb += lines.width.eq(passes.width)

    async def bench(ctx):
        for _ in range(60):
            ebits, row0 = rng.choice((2, 4, 8, 16)), rng.randrange(config.nv_rows)
            rows, abits, signed = rng.randint(1, config.nv_rows - row0), rng.randint(1, ebits), rng.randint(0, 1)
            for part in (lines, passes):
                for name, value in (("ebits", ebits), ("row0", row0), ("rows", rows), ("abits", abits), ("asigned", signed)):
                    ctx.set(part.regs[name], value)
            words = [rng.getrandbits(16) for _ in range(-(-rows * ebits // 16) + rng.randint(0, 2))]
            ctx.set(lines.clear, 1)
            ctx.set(passes.begin, 1)
            await ctx.tick()
            ctx.set(lines.clear, 0)
            ctx.set(passes.begin, 0)
            for word in words:
                ctx.set(lines.load, 1)
                ctx.set(lines.word, word)
                await ctx.tick()
            ctx.set(lines.load, 0)
            elements = [words[i * ebits // 16] >> i * ebits % 16 & (1 << abits) - 1 for i in range(rows)]
            expected = [0] * row0 + [e - (1 << abits) if signed and e >> abits - 1 else e for e in elements] + [0] * (config.nv_rows - row0 - rows)
            assert await weighed(ctx, lines, passes) == (expected, -(-(abits - signed) // config.nv_dac_bits) + signed)

    async def weighed(ctx, lines, passes) -> tuple[list[int], int]:
        """Sum over the passes of weight times digit, for every word line, and the number of passes."""
        total, count, last = [0] * config.nv_rows, 0, False
        ctx.set(lines.shift, 1)
        ctx.set(passes.step, 1)
        while not last:
            assert ctx.get(passes.first) == (count == 0)
            weight = (-1) ** ctx.get(passes.sign) << ctx.get(passes.place)
            digits, bits = ctx.get(lines.digits), config.nv_dac_bits
            total = [value + weight * (digits >> bits * row & (1 << bits) - 1) for row, value in enumerate(total)]
            count, last = count + 1, bool(ctx.get(passes.last))
            await ctx.tick()
        ctx.set(lines.shift, 0)
        ctx.set(passes.step, 0)
        return total, count

    simulate(m, bench)


@pytest.mark.parametrize("config", [TINY, ODD, replace(TINY, nv_rows=40, nv_adc_bits=16)], ids=["tiny", "odd", "a wide converter"])
def test_resolution_is_that_of_the_model(config):
    resolution, rng = Resolution(config), np.random.default_rng(1)

    async def bench(ctx):
        for k in range(150):
            digits = rng.integers(0, 1 << config.nv_dac_bits, config.nv_rows) * (rng.random(config.nv_rows) < k / 149)
            lsb = int(rng.integers(0, 16))
            ctx.set(resolution.digits, sum(int(digit) << config.nv_dac_bits * row for row, digit in enumerate(digits)))
            ctx.set(resolution.range, lsb)
            await ctx.delay(1e-9)
            active = int(np.count_nonzero(digits))
            limit = int(macro.limits(config, active, lsb))
            assert (ctx.get(resolution.active), ctx.get(resolution.limit), ctx.get(resolution.bits)) == (active, limit, limit.bit_length())

    settle(resolution, bench)


def contradicts(config, r: dict[str, int], programs: bool) -> bool:
    """docs/design.md section 15, read word by word."""
    if r["macro"] >= config.nv_macros or r["rows"] > config.nv_rows - r["row0"]:
        return True
    first = r["line0"] * config.cols
    if programs:
        return first % 4 != 0 or first + 4 * r["k0"] > config.nv_cols
    groups = -(-r["outs"] // config.cols)
    lines = groups * r["slices"] * (2 if r["encoding"] == 1 else 1) + (r["encoding"] == 2)
    return (r["abits"] > r["ebits"] or r["k0"] * r["k1"] * r["k2"] * (16 // r["ebits"]) < r["rows"] or config.nv_cell_bits * r["slices"] > 16
            or (r["encoding"] == 2 and r["slices"] > config.cols) or first + lines * config.cols > config.nv_cols)


@pytest.mark.parametrize("config", [TINY, ODD, replace(ArrayConfig.preset("hybrid"), cols=1, nv_rows=1024, nv_cols=1024)],
                         ids=["tiny", "odd", "single columns"])
def test_contradictions(config):
    plan, rng, found = NvPlan(config), random.Random(2), []

    async def bench(ctx):
        for _ in range(2500):
            ebits = rng.choice((2, 4, 8, 16))
            k = [rng.choice((1, 1, 2, 3, 16, 64, rng.randint(1, 4095))) for _ in range(3)]
            words = k[0] * k[1] * k[2] * (16 // ebits)
            registers = {
                "macro": rng.choice((0, 0, config.nv_macros - 1, config.nv_macros)) % 64,
                "row0": rng.choice((0, 0, 1, rng.randrange(config.nv_rows))),
                "rows": max(1, min(config.nv_rows, rng.choice((1, words, words + 1, rng.randint(1, config.nv_rows))))),
                "line0": rng.choice((0, 0, 1, 2, rng.randrange(config.nv_cols // config.cols))),
                "outs": rng.randint(1, max(1, config.nv_cols >> rng.randrange(5))),
                "slices": rng.choice((1, 1, 2, rng.randint(1, 16))), "encoding": rng.randrange(3), "ebits": ebits,
                "abits": rng.choice((1, ebits, min(16, ebits + 1))), "k0": k[0], "k1": k[1], "k2": k[2]}
            for name, value in registers.items():
                ctx.set(plan.regs[name], value)
            for programs in (0, 1):
                ctx.set(plan.programs, programs)
                await ctx.delay(1e-9)
                found.append(contradicts(config, registers, bool(programs)))
                assert ctx.get(plan.bad) == found[-1], (registers, programs)

    settle(plan, bench)
    assert 0.05 < sum(found) / len(found) < 0.95


def combined(config, r, codes, index: int, place: int, sign: bool) -> list[tuple[int, int, list[int]]]:
    """(accumulator, whether it opens a group, value of each column) of the lines of a pass, in order."""
    n, cols, slices = config.nv_cell_bits, config.cols, r["slices"]
    groups, per_group = -(-r["outs"] // cols), slices * (2 if r["encoding"] == 1 else 1)
    reference = sum(codes[(r["line0"] + groups * per_group) * cols + s] << n * s for s in range(slices)) if r["encoding"] == 2 else 0
    found = []
    for g in range(groups):
        for k in range(per_group):
            line = [codes[(r["line0"] + g * per_group + k) * cols + lane] << n * (k % slices) for lane in range(cols)]
            weight = (-1 if sign != (k >= slices) else 1) << r["range"] + place
            found.append(((index + g * r["cg"]) % 16, k == 0, [weight * (value - (reference if k == 0 else 0)) for value in line]))
    return found


@pytest.mark.parametrize("config", [TINY, ODD], ids=["tiny", "odd"])
def test_lines_of_a_pass(config):
    rng = random.Random(8)
    m = Module()
    m.submodules.plan, m.submodules.walk, m.submodules.combine = plan, walk, combine = NvPlan(config), LineWalk(config), Combine(config)
    m.d.comb += [walk.plan.eq(plan.plan), walk.regs.eq(plan.regs), combine.begin.eq(walk.begin), combine.visit.eq(walk.step),
                 combine.line.eq(walk.line)]

    def draw() -> dict[str, int]:
        while True:
            r = {"slices": rng.randint(1, 4), "encoding": rng.randrange(3), "outs": rng.randint(1, config.nv_cols), "line0": rng.randrange(4),
                 "cg": rng.randint(-16, 15), "range": rng.randrange(16), "macro": 0, "row0": 0, "rows": 1, "k0": 1, "k1": 1, "k2": 1,
                 "ebits": 16, "abits": 1}
            if not contradicts(config, r, programs=False):
                return r

    async def bench(ctx):
        for _ in range(60):
            r, index, place, sign = draw(), rng.randrange(16), rng.randrange(16), rng.randint(0, 1)
            codes = [rng.getrandbits(config.nv_adc_bits) for _ in range(config.nv_cols)]
            for name, value in r.items():
                ctx.set(plan.regs[name], value)
            for port, value in ((walk.index, index), (combine.shift, r["range"] + place), (combine.negates, sign),
                                (combine.codes, sum(code << config.nv_adc_bits * c for c, code in enumerate(codes)))):
                ctx.set(port, value)
            ctx.set(walk.begin, 1)
            await ctx.tick()
            ctx.set(walk.begin, 0)
            ctx.set(walk.step, 1)
            seen, visits, last = [], 0, False
            while not last:
                line, last = ctx.get(walk.line), bool(ctx.get(walk.last))
                await ctx.tick()
                visits += 1
                if not line.reference:
                    seen.append((line.index, bool(line.opens), [ctx.get(combine.value[c]) for c in range(config.cols)]))
            ctx.set(walk.step, 0)
            wanted = combined(config, r, codes, index, place, bool(sign))
            assert seen == [(acc, opens, [value % (1 << config.acc_bits) for value in values]) for acc, opens, values in wanted]
            assert visits == len(wanted) + (r["slices"] if r["encoding"] == 2 else 0)

    simulate(m, bench)
