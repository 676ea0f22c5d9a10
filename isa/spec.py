"""Row types of the ISA table: what a field, instruction, register, counter and fault are.

The rows themselves are in :mod:`isa.table`. Everything that is derived (match and mask words, field limits) is derived
here, once; the assembler, emulators, RTL decoder and manual read it from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

WORD_BITS = 32
OPCODE_HI, OPCODE_LO = 31, 26


class TableError(Exception):
    """The ISA table contradicts itself; raised at import, never by user input."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """One bit range of a word, inclusive on both ends, as the manual prints it."""

    name: str
    hi: int
    lo: int
    kind: str
    """What the bits mean: reg, imm, uimm, offset, cfg, counter, engine, engines, dest, source, bank, slot, op, ..."""
    signed: bool = False
    doc: str = ""

    @property
    def bits(self) -> int:
        return self.hi - self.lo + 1

    @property
    def mask(self) -> int:
        """Field mask in place, within the word."""
        return ((1 << self.bits) - 1) << self.lo

    @property
    def minimum(self) -> int:
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def maximum(self) -> int:
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1

    @property
    def values(self) -> range:
        """All that it holds."""
        return range(self.minimum, self.maximum + 1)

    def insert(self, value: int) -> int:
        """Return the word contribution of ``value``; it must lie in ``minimum..maximum``."""
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"`{self.name}` is {value}, must be {self.minimum}..{self.maximum}")
        return (value << self.lo) & self.mask

    def extract(self, word: int) -> int:
        raw = (word & self.mask) >> self.lo
        return raw - (1 << self.bits) if self.signed and raw >> (self.bits - 1) else raw


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """One instruction: its opcode, operand fields in assembly order, and what the manual says about it."""

    name: str
    opcode: int
    fields: tuple[Field, ...] = ()
    group: str
    engine: str | None = None
    """Engine whose queue takes it; None for the control core (`set` and friends go to the register's engine)."""
    doc: str
    cycles: str
    faults: tuple[str, ...] = ()
    example: str

    @property
    def match(self) -> int:
        return self.opcode << OPCODE_LO

    @cached_property
    def field_mask(self) -> int:
        mask = 0
        for field in self.fields:
            mask |= field.mask
        return mask

    @property
    def reserved_mask(self) -> int:
        """Bits that must be zero; a word with one of them set is illegal."""
        return ~(self.field_mask | (0x3F << OPCODE_LO)) & 0xFFFFFFFF

    def field(self, name: str) -> Field:
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(f"{self.name} has no field `{name}`")


@dataclass(frozen=True, kw_only=True)
class Register:
    """One engine configuration register, written by `set` and `setr`, shadowed until the command that uses it starts."""

    name: str
    index: int
    engine: str
    bits: int
    signed: bool = False
    reset: int = 0
    minimum: int | None = None
    maximum: int | str | None = None
    """Inclusive limit; a string names the `ArrayConfig` attribute that is the limit."""
    choices: tuple[int, ...] | None = None
    unit: str = ""
    doc: str

    def limits(self, config) -> tuple[int, int]:
        """Inclusive range that `set` accepts on this machine; with ``choices`` only those of them in the range."""
        if self.choices:
            high = getattr(config, self.maximum) if isinstance(self.maximum, str) else max(self.choices)
            return min(self.choices), high
        low = self.minimum if self.minimum is not None else (-(1 << (self.bits - 1)) if self.signed else 0)
        high = (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1
        if isinstance(self.maximum, str):
            high = getattr(config, self.maximum)
        elif self.maximum is not None:
            high = self.maximum
        return low, high

    def accepts(self, value: int, config) -> bool:
        """True if ``set`` takes ``value`` (already sign-extended) on a machine with this configuration."""
        low, high = self.limits(config)
        return low <= value <= high and (self.choices is None or value in self.choices)


@dataclass(frozen=True, kw_only=True)
class Counter:
    """One architectural counter, 48 bits, cleared when a run of the machine starts."""

    name: str
    index: int
    unit: str
    doc: str


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault cause. ``aux`` says what the auxiliary value holds."""

    name: str
    code: int
    aux: str
    doc: str
    hint: str


@dataclass(frozen=True, kw_only=True)
class PeOp:
    """One operation of the PE."""

    name: str
    code: int
    operands: int
    writes: str
    """`acc` (accumulates), `result` (has a `dst`), `flag` or `none`."""
    doc: str


@dataclass(frozen=True, kw_only=True)
class Code:
    """One named value of an encoded field (a source, destination, route, condition, rounding mode, engine)."""

    name: str
    code: int
    doc: str
