"""Runs a program on the whole machine in Amaranth's simulator, through the host port, with a memory in Python."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hdl.common import PC_BITS
from hdl.top import HOST_REGISTERS, Top
from isa.table import COUNTERS
from tests.hdl.control_bench import FAULT_NAME, simulate


@dataclass
class TopRun:
    """What the host reads after a run, and the memory."""

    memory: np.ndarray
    status: int = 0
    fault: tuple[str, int, int] | None = None
    counters: dict[str, int] = field(default_factory=dict)
    registers: list[int] = field(default_factory=list)


class TopBench:
    """The machine of ``config`` with a memory (uint16 words) that answers after mem_latency cycles, plus ``slower`` where that is more.

    words: instructions from 0 on, or by their address.
    """

    def __init__(self, config, words: list[int] | dict[int, int], memory: np.ndarray, *, limit: int = 5000,
                 ready=lambda cycle: True, slower: int = 0) -> None:
        self.config, self.limit, self.ready, self.slower = config, limit, ready, slower
        self.words = dict(enumerate(words)) if isinstance(words, list) else words
        self.top = Top(config)
        self.run = TopRun(memory.copy())

    async def _write(self, ctx, address: int, value: int) -> None:
        ctx.set(self.top.host_address, address)
        ctx.set(self.top.host_write_data, value)
        ctx.set(self.top.host_write, 1)
        await ctx.tick()
        ctx.set(self.top.host_write, 0)

    async def _read(self, ctx, address: int) -> int:
        ctx.set(self.top.host_address, address)
        await ctx.tick()
        return ctx.get(self.top.host_read_data)

    async def load(self, ctx) -> None:
        for address, word in self.words.items():
            await self._write(ctx, (1 << PC_BITS) + address, word)
        await self._write(ctx, HOST_REGISTERS["code_words"], max(self.words) + 1)
        await self._write(ctx, HOST_REGISTERS["limit_low"], self.limit)

    async def start(self, ctx) -> None:
        """Start and follow the machine until it stands still."""
        top, responses, cycle = self.top, [], 0
        await self._write(ctx, HOST_REGISTERS["control"], 1)
        await ctx.tick()
        assert ctx.get(top.running)
        while ctx.get(top.running):
            cycle += 1
            ctx.set(top.mem_read_ready, self.ready(cycle))
            ctx.set(top.mem_write_ready, self.ready(cycle))
            due = bool(responses) and responses[0][0] <= cycle
            ctx.set(top.mem_read_response_valid, due)
            if due:
                ctx.set(top.mem_read_response_data, responses.pop(0)[1])
            self._memory(ctx, cycle, responses)
            await ctx.tick()

    def _memory(self, ctx, cycle: int, responses: list) -> None:
        top, memory = self.top, self.run.memory
        if ctx.get(top.mem_read_valid) and ctx.get(top.mem_read_ready):
            at, count = ctx.get(top.mem_read_address) // 2, ctx.get(top.mem_read_words)
            words = [int(word) for word in memory[at:at + count]] + [0] * (self.config.bus_words - count)
            responses.append((cycle + self.config.mem_latency + self.slower, words))
        if ctx.get(top.mem_write_valid) and ctx.get(top.mem_write_ready):
            at, mask = ctx.get(top.mem_write_address) // 2, ctx.get(top.mem_write_mask)
            for k in range(mask.bit_length()):
                memory[at + k] = ctx.get(top.mem_write_data[k])

    async def results(self, ctx) -> None:
        run = self.run
        run.status = await self._read(ctx, HOST_REGISTERS["status"])
        code = run.status >> 8
        pc, aux = await self._read(ctx, HOST_REGISTERS["fault_pc"]), await self._read(ctx, HOST_REGISTERS["fault_aux"])
        run.fault = (FAULT_NAME[code], pc, aux) if code else None
        run.registers = [await self._read(ctx, HOST_REGISTERS["registers"] + i) for i in range(16)]
        for counter in COUNTERS:
            base = HOST_REGISTERS["counters"] + 2 * counter.index
            run.counters[counter.name] = await self._read(ctx, base) | await self._read(ctx, base + 1) << 32


def run_top(config, words: list[int] | dict[int, int], memory: np.ndarray | None = None, **options) -> TopRun:
    """Load, start, wait, read everything back."""
    bench = TopBench(config, words, np.zeros(config.mem_bytes // 2, np.int64) if memory is None else memory, **options)

    async def script(ctx):
        await bench.load(ctx)
        await bench.start(ctx)
        await bench.results(ctx)

    simulate(bench.top, script)
    return bench.run
