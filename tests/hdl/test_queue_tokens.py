"""Queue against a deque, tokens against integers, banks against a list, on random traffic."""

from __future__ import annotations

import random
from collections import deque

import pytest

from hdl.banks import OutputBanks, ParamBank, WordBank
from hdl.queue import Queue
from hdl.tokens import Tokens
from isa.table import TOKEN_MAX
from rpa.arch.config import ArrayConfig
from tests.hdl.control_bench import FAULT_NAME, simulate


@pytest.mark.parametrize("depth", [2, 8])
def test_queue_keeps_order_and_count(depth):
    queue, model, rng = Queue(depth, 16), deque(), random.Random(depth)

    async def bench(ctx):
        for _ in range(500):
            assert (ctx.get(queue.count), ctx.get(queue.full), ctx.get(queue.valid)) == (len(model), len(model) == depth, bool(model))
            if model:
                assert ctx.get(queue.head) == model[0]
            push, pop, entry = rng.random() < 0.6 and len(model) < depth, rng.random() < 0.5 and bool(model), rng.getrandbits(16)
            ctx.set(queue.push, push)
            ctx.set(queue.entry, entry)
            ctx.set(queue.pop, pop)
            await ctx.tick()
            if pop:
                model.popleft()
            if push:
                model.append(entry)

    simulate(queue, bench)


@pytest.mark.parametrize(("preset", "engines"), [("tiny", 5), ("default", 4)])
def test_tokens_against_integers(preset, engines):
    tokens, rng = Tokens(ArrayConfig.preset(preset)), random.Random(9)
    counts = [[0] * engines for _ in range(engines)]  # [giver][taker]
    overflows = 0

    async def bench(ctx):
        nonlocal overflows
        for _ in range(1500):
            waits = [rng.getrandbits(engines) for _ in range(engines)]
            gives = [rng.getrandbits(engines) | rng.getrandbits(engines) for _ in range(engines)]
            for e in range(engines):
                ctx.set(tokens.wait[e], waits[e])
                ctx.set(tokens.give[e], {"valid": 1, "mask": gives[e], "pc": 100 + e})
            ok = [all(counts[g][e] for g in range(engines) if waits[e] >> g & 1) for e in range(engines)]
            assert ctx.get(tokens.ok) == sum(1 << e for e in range(engines) if ok[e])
            start = [ok[e] and rng.random() < 0.8 for e in range(engines)]
            ctx.set(tokens.start, sum(1 << e for e in range(engines) if start[e]))
            for g in range(engines):
                spilt = [t for t in range(engines) if gives[g] >> t & 1 and counts[g][t] == TOKEN_MAX and not (start[t] and waits[t] >> g & 1)]
                fault = ctx.get(tokens.overflow[g])
                assert fault.valid == bool(spilt)
                if spilt:
                    overflows += 1
                    assert (FAULT_NAME[fault.code], fault.pc, fault.aux) == ("TOKEN_OVERFLOW", 100 + g, 16 * g + spilt[0])
                for t in range(engines):
                    change = (gives[g] >> t & 1) - (start[t] and waits[t] >> g & 1)
                    counts[g][t] = min(TOKEN_MAX, counts[g][t] + change)
            await ctx.tick()
            assert [ctx.get(tokens.counts[i]) for i in range(engines * engines)] == [count for row in counts for count in row]

    simulate(tokens, bench)
    assert overflows > 10


@pytest.mark.parametrize(("depth", "bus"), [(64, 1), (64, 4), (128, 32)])
def test_word_bank_reads_old_words_and_holds(depth, bus):
    bank, rng, model = WordBank(depth, bus), random.Random(bus), [0] * depth
    held = 0

    async def bench(ctx):
        nonlocal held
        for _ in range(600):
            size = rng.randrange(bus.bit_length())
            address = rng.randrange(depth) >> size << size
            words = [rng.getrandbits(16) for _ in range(1 << size)]
            write, read, at = rng.random() < 0.7, rng.random() < 0.7, rng.choice((address, rng.randrange(depth)))
            ctx.set(bank.w_en, write)
            ctx.set(bank.w_addr, address)
            ctx.set(bank.w_size, size)
            ctx.set(bank.w_data, [words[k % len(words)] for k in range(bus)])
            ctx.set(bank.r_en, read)
            ctx.set(bank.r_addr, at)
            held = model[at] if read else held
            await ctx.tick()
            if write:
                model[address:address + len(words)] = words
            assert ctx.get(bank.r_data) == held

    simulate(bank, bench)


@pytest.mark.parametrize("bus", [1, 2, 8, 16, 32])
def test_param_bank_gives_whole_entries(bus):
    entries = 8
    bank, rng, model = ParamBank(entries, bus), random.Random(bus), [0] * (8 * entries)

    async def bench(ctx):
        for _ in range(300):
            size = rng.randrange(bus.bit_length())
            address = rng.randrange(8 * entries) >> size << size
            words = [rng.getrandbits(16) for _ in range(1 << size)]
            entry = rng.randrange(entries)
            ctx.set(bank.w_en, 1)
            ctx.set(bank.w_addr, address)
            ctx.set(bank.w_size, size)
            ctx.set(bank.w_data, [words[k % len(words)] for k in range(bus)])
            ctx.set(bank.r_en, 1)
            ctx.set(bank.r_addr, entry)
            expected = model[8 * entry:8 * entry + 6]
            await ctx.tick()
            model[address:address + len(words)] = words
            assert [ctx.get(bank.r_data[k]) for k in range(6)] == expected

    simulate(bank, bench)


def test_output_banks_hold_the_line():
    banks = OutputBanks(2, 64)

    async def bench(ctx):
        ctx.set(banks.w_en, 1)
        ctx.set(banks.w_addr, 5)
        ctx.set(banks.w_data, [11, 22])
        await ctx.tick()
        ctx.set(banks.w_data, [33, 44])
        ctx.set(banks.r_en, 1)
        ctx.set(banks.r_addr, 5)
        await ctx.tick()
        assert [ctx.get(banks.line[k]) for k in range(2)] == [11, 22]
        ctx.set(banks.r_en, 0)
        ctx.set(banks.r_addr, 6)
        await ctx.tick()
        assert [ctx.get(banks.line[k]) for k in range(2)] == [11, 22]

    simulate(banks, bench)
