"""`Outcome`: what a backend (stepping, fast, RTL) leaves behind; equal for equal programs, bit by bit."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from isa.table import COUNTERS, FAULTS


@dataclass(frozen=True)
class FaultState:
    """A latched fault: cause code of `isa.table.FAULTS`, pc of the instruction, auxiliary value (unsigned 32 bits)."""

    code: int
    pc: int
    aux: int

    @property
    def name(self) -> str:
        return next(fault.name for fault in FAULTS if fault.code == self.code)


@dataclass(frozen=True, eq=False)
class Outcome:
    """Final state of one run of the machine."""

    counters: np.ndarray
    """uint64 (len(COUNTERS),), in the order of `isa.table.COUNTERS`."""
    memory: np.ndarray
    """uint8 (mem_bytes,): external memory at the end."""
    registers: tuple[int, ...]
    """Core registers r0..r15, unsigned 32 bits."""
    fault: FaultState | None = None
    records: np.ndarray | None = field(default=None, repr=False)
    """uint64 (cycles, fields) lockstep records (`rpa.arch.lockstep`), where they were asked for."""

    @property
    def cycles(self) -> int:
        return int(self.counters[0])

    def first_difference(self, other: Outcome) -> str | None:
        """Name the first thing in which two outcomes differ, with both values; None if they are equal."""
        if self.fault != other.fault:
            return f"fault: {self.fault} against {other.fault}"
        for counter in COUNTERS:
            mine, theirs = int(self.counters[counter.index]), int(other.counters[counter.index])
            if mine != theirs:
                return f"counter {counter.name}: {mine} against {theirs}"
        for number, (mine, theirs) in enumerate(zip(self.registers, other.registers, strict=True)):
            if mine != theirs:
                return f"r{number}: {mine:#010x} against {theirs:#010x}"
        if not np.array_equal(self.memory, other.memory):
            at = int(np.flatnonzero(self.memory != other.memory)[0])
            return f"memory byte {at:#x}: {self.memory[at]:#04x} against {other.memory[at]:#04x}"
        return None
