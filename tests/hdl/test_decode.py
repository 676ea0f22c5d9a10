"""Decoder and legality checks against the table's own software view."""

from __future__ import annotations

import random

import pytest
from amaranth.sim import Simulator

from hdl.common import engine_codes
from hdl.decode import ContextCheck, Decoder, ValueCheck
from isa.encoding import illegal_context, illegal_instruction, needs_macros
from isa.table import INSTRUCTIONS, REGISTERS
from rpa.arch.config import ArrayConfig

TINY = ArrayConfig.preset("tiny")
WITHOUT_MACROS = ArrayConfig.preset("default")


def check(component, bench) -> None:
    """Run a test bench on a combinational component."""
    simulator = Simulator(component)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("config", [TINY, WITHOUT_MACROS], ids=["macros", "no macros"])
def test_every_opcode_with_every_single_bit_flipped(config):
    decoder = Decoder(config)
    rng = random.Random(1)
    words = [i.match | flip for i in INSTRUCTIONS for flip in (0, *(1 << b for b in range(32)))]
    words += [rng.getrandbits(32) for _ in range(3000)] + [(i.match | rng.getrandbits(26)) for i in INSTRUCTIONS for _ in range(40)]

    async def bench(ctx):
        for word in words:
            ctx.set(decoder.word, word)
            await ctx.delay(1e-9)
            legal = illegal_instruction(word) is None and (bool(config.nv_macros) or not needs_macros(word))
            assert ctx.get(decoder.decoded.legal) == legal, hex(word)

    check(decoder, bench)


def test_context_words():
    checker = ContextCheck(TINY)
    rng = random.Random(2)
    words = [rng.getrandbits(30 if k % 2 else 32) & ~(rng.getrandbits(1) * 0x1E000) for k in range(3000)]

    async def bench(ctx):
        for word in words:
            ctx.set(checker.word, word)
            await ctx.delay(1e-9)
            assert ctx.get(checker.word_ok) == (illegal_context(word) is None), hex(word)

    check(checker, bench)


@pytest.mark.parametrize("config", [TINY, WITHOUT_MACROS], ids=["macros", "no macros"])
def test_value_limits_at_their_borders(config):
    checker = ValueCheck(config)

    async def bench(ctx):
        for register in (r for r in REGISTERS if r.engine in engine_codes(config)):
            low, high = register.limits(config)
            values = {low - 1, low, low + 1, high - 1, high, high + 1, 0, 1, -1, 3, 5, -(1 << 31), (1 << 31) - 1}
            for value in values:
                if not -(1 << 31) <= value < 1 << 31:
                    continue
                ctx.set(checker.register, register.index)
                ctx.set(checker.value, value & 0xFFFF_FFFF)
                await ctx.delay(1e-9)
                expected = register.bits == 32 or register.accepts(value, config)
                assert ctx.get(checker.ok) == expected, (register.name, value)

    check(checker, bench)
