"""cocotb side of `test_cocotb.py`: plays host and external memory, and compares every debug output with the emulator's record.

Runs inside the simulator. The folder named by $RPA_CASE holds `case.json` (configuration, code, limit; where the NOR-flash macros
are a Python model behind pins, its kind and seed), `memory.npy` and `records.npy` of the stepping emulator.
"""

from __future__ import annotations

import json
import os
from collections import deque
from dataclasses import replace
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge

from hdl.top import HOST_ADDRESS_BITS, HOST_REGISTERS
from rpa.arch.config import ArrayConfig
from rpa.arch.lockstep import RecordLayout, first_difference
from tests.cosim.macros import MacroPins, macro_of

CASE = "RPA_CASE"
START_LIMIT = 10


class Bench:
    """One machine on its ports."""

    def __init__(self, dut, case: dict, memory: np.ndarray) -> None:
        self.dut, self.config = dut, ArrayConfig.from_dict(case["config"])
        self.code, self.limit, self.memory = case["code"], case["max_cycles"], memory
        self.layout = RecordLayout.of(self.config)
        self.pending: deque[tuple[int, int]] = deque()
        self.now = 0
        self.macro = MacroPins(dut, self.config, macro_of(case["macro"], self.config, case["seed"])) if "macro" in case else None

    async def reset(self) -> None:
        dut = self.dut
        pins = ("nv_done", "nv_codes") if self.macro else ()
        for name in ("host_write", "host_address", "host_write_data", "mem_read_response_valid", "mem_read_response_data", *pins):
            getattr(dut, name).value = 0
        dut.mem_read_ready.value = dut.mem_write_ready.value = 1
        dut.rst.value = 1
        await FallingEdge(dut.clk)
        await FallingEdge(dut.clk)
        dut.rst.value = 0

    async def write(self, address: int, value: int) -> None:
        dut = self.dut
        dut.host_address.value, dut.host_write_data.value, dut.host_write.value = address, value, 1
        await FallingEdge(dut.clk)
        dut.host_write.value = 0

    async def start(self) -> None:
        for i, word in enumerate(self.code):
            await self.write((1 << (HOST_ADDRESS_BITS - 1)) + i, word)
        await self.write(HOST_REGISTERS["code_words"], len(self.code))
        await self.write(HOST_REGISTERS["limit_low"], self.limit)
        await self.write(HOST_REGISTERS["control"], 1)
        for _ in range(START_LIMIT):
            if int(self.dut.running.value):
                return
            await FallingEdge(self.dut.clk)
        raise AssertionError(f"the machine does not run {START_LIMIT} cycles after its start")

    async def cycle(self) -> None:
        """One clock, from falling edge to falling edge: answer, look at the requests, let the rising edge pass."""
        dut = self.dut
        due = bool(self.pending) and self.pending[0][0] == self.now
        dut.mem_read_response_valid.value = int(due)
        if due:
            dut.mem_read_response_data.value = self.pending.popleft()[1]
        if self.macro:
            self.macro.drive(self.now)
        await ReadOnly()
        self.serve()
        if self.macro:
            self.macro.sample(self.now)
        await RisingEdge(dut.clk)
        self.now += 1
        await FallingEdge(dut.clk)

    def serve(self) -> None:
        dut = self.dut
        if int(dut.mem_read_valid.value):
            at, count = int(dut.mem_read_address.value), int(dut.mem_read_words.value)
            self.pending.append((self.now + self.config.mem_latency, int.from_bytes(self.memory[at:at + 2 * count].tobytes(), "little")))
        if int(dut.mem_write_valid.value):
            at, words = int(dut.mem_write_address.value), int(dut.mem_write_mask.value).bit_length()
            data = int(dut.mem_write_data.value) & ((1 << (16 * words)) - 1)
            self.memory[at:at + 2 * words] = np.frombuffer(data.to_bytes(2 * words, "little"), np.uint8)

    def record(self) -> np.ndarray:
        """The debug outputs as one record of `rpa.arch.lockstep`."""
        row = []
        for field in self.layout.fields:
            value, mask = int(getattr(self.dut, field.name).value), (1 << field.bits) - 1
            row += [value >> (i * field.bits) & mask for i in range(field.count)]
        return np.array(row, np.uint64)


@cocotb.test()
async def lockstep(dut):
    """Run the case; every cycle's record must be the emulator's, and the memory at the end too."""
    folder = Path(os.environ[CASE])
    records, memory = np.load(folder / "records.npy"), np.load(folder / "memory.npy")
    bench = Bench(dut, json.loads((folder / "case.json").read_text()), memory)
    cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
    await bench.reset()
    await bench.start()
    for k in range(len(records) + 1):
        if not int(dut.running.value):
            break
        await bench.cycle()
        # All rows so far are equal; the one before gives the pc at the start of this cycle.
        mine = records[max(k - 1, 0):k + 1]
        found = first_difference(bench.layout, mine, np.vstack([records[max(k - 1, 0):k], bench.record()]))
        assert found is None, replace(found, cycle=k + 1).describe(("step", "cocotb"))
    assert k == len(records), f"the emulator has {len(records)} cycles, the RTL {k}"
    assert np.array_equal(bench.memory, np.load(folder / "after.npy")), "external memory differs at the end"
