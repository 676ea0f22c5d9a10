"""Engine registers as named tuples, and the codes of the ISA table under names that the fast emulator uses."""

from __future__ import annotations

from collections import namedtuple
from typing import Any, TypeAlias

from isa.table import CONTEXT_FIELDS, COUNTERS, DESTS, ENGINES, PE_CONDS, PE_DESTS, PE_OPS, PE_ROUTES, PE_SOURCES, REGISTERS, ROUNDINGS, SOURCES

ENGINE_CODE = {engine.name: engine.code for engine in ENGINES}
LD, EX, DR, ST, NV = (ENGINE_CODE[name] for name in ("ld", "ex", "dr", "st", "nv"))
ENGINE_NAMES = tuple(engine.name for engine in sorted(ENGINES, key=lambda engine: engine.code))
ENGINE_COUNT = len(ENGINES)

DEST = {code.name: code.code for code in DESTS}
SOURCE = {code.name: code.code for code in SOURCES}
ROUND = {code.name: code.code for code in ROUNDINGS}
OP = {op.name: op.code for op in PE_OPS}
SRC = {code.name: code.code for code in PE_SOURCES}
DST = {code.name: code.code for code in PE_DESTS}
ROUTE = {code.name: code.code for code in PE_ROUTES}
COND = {code.name: code.code for code in PE_CONDS}
CONTEXT = {field.name: field for field in CONTEXT_FIELDS}
COUNTER = {counter.name: counter.index for counter in COUNTERS}

ENGINE_REGISTERS = tuple(tuple(sorted((r for r in REGISTERS if r.engine == name), key=lambda r: r.index)) for name in ENGINE_NAMES)
"""Per engine code: its registers, in index order."""

POSITION = {register.index: (ENGINE_CODE[register.engine], ENGINE_REGISTERS[ENGINE_CODE[register.engine]].index(register))
            for register in REGISTERS}
"""Register index -> (engine code, position in that engine's tuple)."""


def _values(engine: int) -> Any:
    names = [register.name.split(".")[1] for register in ENGINE_REGISTERS[engine]]
    return namedtuple(f"{ENGINE_NAMES[engine].capitalize()}Registers", names)  # type: ignore[misc]  # the fields come from the table


Registers: TypeAlias = Any
"""A named tuple of one engine's registers, names without the engine: `r.abase`. Its fields come from the table."""
VALUES = tuple(_values(code) for code in range(ENGINE_COUNT))
RESET = tuple(VALUES[code](*(register.reset for register in ENGINE_REGISTERS[code])) for code in range(ENGINE_COUNT))
