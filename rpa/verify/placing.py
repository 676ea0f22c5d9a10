"""What random commands are made of: a command with its registers, bases that keep it inside a bank, and what a machine has."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from isa.spec import Code, Register
from isa.table import ENGINES, REGISTERS
from rpa.arch.config import ArrayConfig

NEAR = 24
"""Words from the lowest possible base within which most bases lie."""


@dataclass(frozen=True)
class Command:
    """An engine command with the registers it needs; every register not named is at its reset value."""

    engine: str
    name: str
    operands: Mapping[str, int] = field(default_factory=dict)
    registers: Mapping[str, int] = field(default_factory=dict)

    @property
    def bank(self) -> int | None:
        return self.operands.get("bank")

    @property
    def accumulators(self) -> str | None:
        """Which accumulators it uses: those of `ex`, those of `nv`, or none."""
        if self.name == "drain":
            return "nv" if self.registers.get("dr.nv") else "ex"
        return {"run": "ex", "nvmac": "nv"}.get(self.name)


def place(rng: Random, low: int, high: int, limit: int, align: int) -> int | None:
    """Return an aligned base so that base+low .. base+high lie in 0..limit-1: low, at an edge or anywhere; None if there is none."""
    first, last = math.ceil(-low / align), (limit - 1 - high) // align
    if first > last:
        return None
    near = min(last, first + NEAR // align)
    return align * rng.choice((*(rng.randint(first, near) for _ in range(9)), rng.choice((first, last)), last, rng.randint(first, last)))


def engines_of(config: ArrayConfig) -> tuple[Code, ...]:
    """The engines that a machine has."""
    return tuple(row for row in ENGINES if config.nv_engine or row.name != "nv")


def registers_of(config: ArrayConfig) -> tuple[Register, ...]:
    """The engine registers that a machine has."""
    return tuple(row for row in REGISTERS if config.nv_engine or row.engine != "nv")


def every_engine(config: ArrayConfig) -> int:
    """Mask of all engines that a machine has."""
    return sum(1 << row.code for row in engines_of(config))
