"""The compiled machine of one configuration: Verilog, C++ driver and the header that ties them together."""

from __future__ import annotations

import re
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
MERGE_FROM = 20
"""PEs from which on equal instances are compiled once."""
_FLAGS = ("-O3", "--x-initial", "0", "-Wno-fatal", *(f"-Wno-{name}" for name in WAIVERS), "-CFLAGS", "-fno-strict-aliasing")
_MERGE = ("-fno-gate", "-fno-dfg-scoped")
"""Without what moves logic across module borders, and so makes every instance of a module a text of its own."""


def _merges(config: ArrayConfig) -> bool:
    """Of a large array equal PEs are compiled once; a small one runs faster, and builds no slower, without that."""
    return config.rows * config.cols >= MERGE_FROM


def verilator_flags(config: ArrayConfig) -> tuple[str, ...]:
    """Return Verilator's options for this machine, to be used with :func:`make_variables` and :func:`control_file`."""
    return (*_FLAGS, *(_MERGE if _merges(config) else ()))


def make_variables(config: ArrayConfig) -> str:
    """Return the variables of Verilator's makefile. The build takes longer than all of its runs, so little is optimised."""
    return f"OPT_FAST={'-O0' if _merges(config) else '-O1'} OPT_GLOBAL=-O1 OPT_SLOW=-O0"


def control_file(text: str) -> str:
    """Return Verilator's control file: the modules of Verilog ``text`` that are written once stay modules (see `hdl.verilog`)."""
    shared = re.findall(rf"^module ({TOP_NAME}_\w+)", text, re.MULTILINE)
    return "\n".join(["`verilator_config", *(f'no_inline -module "{name}"' for name in shared)]) + "\n"


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


def build_simulator(config: ArrayConfig, text: str, suffix: str = ".v") -> Path:
    """Return the executable of Verilog ``text``, which has the ports of the debug build, from a file with that suffix."""
    sources = {f"{TOP_NAME}.vlt": control_file(text), f"{TOP_NAME}{suffix}": text, "machine.h": header(config),
               "driver.cpp": DRIVER.read_text(encoding="utf-8")}
    return build(TOP_NAME, sources, (*verilator_flags(config), "-MAKEFLAGS", make_variables(config)))


@lru_cache(maxsize=8)
def simulator(config: ArrayConfig) -> Path:
    """Return the executable that runs programs on the debug build of this machine, built on first use."""
    return build_simulator(config, to_verilog(config, debug=True))
