"""The compiled machine of one configuration: Verilog, C++ driver and the header that ties them together."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from hdl.common import ENGINE_COUNT, PC_BITS
from hdl.sim.verilator import build
from hdl.top import HOST_ADDRESS_BITS, HOST_REGISTERS
from hdl.verilog import TOP_NAME, WAIVERS, to_verilog
from isa.table import CORE_REGISTERS, COUNTERS
from rpa.arch.config import ArrayConfig
from rpa.arch.lockstep import COLUMN_BITS, RecordLayout

DRIVER = Path(__file__).with_name("driver.cpp")
HANG_MARGIN = 64
"""Cycles past the limit after which the driver gives the machine up: it must have stopped by itself."""
WRITE_FIELDS = 2
FLAGS = ("-O3", "--x-initial", "0", "-Wno-fatal", *(f"-Wno-{name}" for name in WAIVERS), "-CFLAGS", "-O1 -fno-strict-aliasing")
"""-O1: the build takes longer than all of its runs, and -O2 takes far longer to build than it saves."""


def event_words(config: ArrayConfig) -> int:
    """uint64 words of one row of the driver's event file."""
    return 8 + ENGINE_COUNT + 1 + ENGINE_COUNT + WRITE_FIELDS + config.bus_words


def header(config: ArrayConfig) -> str:
    """Return the text of `machine.h`: sizes, host addresses and sample(), which writes one lockstep record."""
    layout = RecordLayout.of(config)
    numbers = {"MEM_BYTES": config.mem_bytes, "MEM_LATENCY": config.mem_latency, "BUS_WORDS": config.bus_words, "PC_BITS": PC_BITS,
               "ENGINES": ENGINE_COUNT, "CORE_REGISTERS": CORE_REGISTERS, "COUNTERS": len(COUNTERS), "RECORD_COLUMNS": layout.columns,
               "EVENT_WORDS": event_words(config), "HANG_MARGIN": HANG_MARGIN, "HOST_IMEM": 1 << (HOST_ADDRESS_BITS - 1)}
    numbers |= {f"HOST_{name.upper()}": address for name, address in HOST_REGISTERS.items()}
    lines = [f"constexpr uint64_t {name} = {value};" for name, value in numbers.items()]
    lines += ["static void sample(const Vrpa& top, uint64_t* row) {"]
    for field in layout.fields:
        assert field.bits <= COLUMN_BITS, "a field wider than a column needs unpacking in pieces"
        lines.append(f"    row = unpack(top.{field.name}, {field.bits}, {field.count}, row);")
    return "\n".join([*lines, "}"]) + "\n"


@lru_cache(maxsize=8)
def simulator(config: ArrayConfig) -> Path:
    """Return the executable that runs programs on the debug build of this machine, built on first use."""
    sources = {f"{TOP_NAME}.v": to_verilog(config, debug=True), "machine.h": header(config), "driver.cpp": DRIVER.read_text(encoding="utf-8")}
    return build(TOP_NAME, sources, FLAGS)
