"""Self-checks of the ISA table: every bit assigned once, no code or name twice, resets and examples within limits."""

from __future__ import annotations

from collections.abc import Iterable

from isa import table
from isa.spec import OPCODE_HI, OPCODE_LO, Code, Field, PeOp, Register, TableError


def _unique(what: str, values: Iterable[object]) -> None:
    seen: set[object] = set()
    for value in values:
        if value in seen:
            raise TableError(f"{what}: {value!r} occurs twice")
        seen.add(value)


def _check_fields(what: str, fields: Iterable[Field], taken: int) -> None:
    for field in fields:
        if not 0 <= field.lo <= field.hi <= 31:
            raise TableError(f"{what}: field `{field.name}` has the bits {field.hi}..{field.lo}")
        if field.mask & taken:
            raise TableError(f"{what}: field `{field.name}` overlaps the bits {field.mask & taken:#010x}")
        taken |= field.mask


def _check_instructions() -> None:
    _unique("instruction", (row.name for row in table.INSTRUCTIONS))
    _unique("opcode", (row.opcode for row in table.INSTRUCTIONS))
    faults = {row.name for row in table.FAULTS}
    opcode_mask = ((1 << OPCODE_HI - OPCODE_LO + 1) - 1) << OPCODE_LO
    for row in table.INSTRUCTIONS:
        if not 0 <= row.opcode < 1 << OPCODE_HI - OPCODE_LO + 1:
            raise TableError(f"{row.name}: opcode {row.opcode:#x}")
        _unique(f"{row.name}: field", (field.name for field in row.fields))
        _check_fields(row.name, row.fields, opcode_mask)
        if row.match & row.field_mask or (opcode_mask | row.field_mask | row.reserved_mask) != 0xFFFFFFFF:
            raise TableError(f"{row.name}: the bits of opcode, fields and reserved bits do not make one word")
        if not set(row.faults) <= faults:
            raise TableError(f"{row.name}: unknown fault among {row.faults}")


def _check_contexts() -> None:
    _check_fields("context", table.CONTEXT_FIELDS, table.CONTEXT_RESERVED)
    bits = {field.name: field.bits for field in table.CONTEXT_FIELDS}
    lists: dict[str, tuple[Code | PeOp, ...]] = {"op": table.PE_OPS, "x": table.PE_SOURCES, "dst": table.PE_DESTS, "route": table.PE_ROUTES,
                                              "cond": table.PE_CONDS}
    for name, rows in lists.items():
        _unique(f"context {name}", (row.name for row in rows))
        _unique(f"context {name}", (row.code for row in rows))
        if max(row.code for row in rows) >= 1 << bits[name]:
            raise TableError(f"context {name}: a code does not fit its {bits[name]} bits")


def _check_register(row: Register) -> None:
    if not row.name.startswith(f"{row.engine}."):
        raise TableError(f"register {row.name} belongs to engine {row.engine}")
    low = row.minimum if row.minimum is not None else (-(1 << row.bits - 1) if row.signed else 0)
    high = row.maximum if isinstance(row.maximum, int) else (1 << row.bits - (1 if row.signed else 0)) - 1
    if not low <= row.reset <= high or (row.choices and row.reset not in row.choices):
        raise TableError(f"register {row.name}: reset value {row.reset} is outside its range")


def _check_registers() -> None:
    _unique("register", (row.name for row in table.REGISTERS))
    _unique("register index", (row.index for row in table.REGISTERS))
    for row in table.REGISTERS:
        _check_register(row)
    for names in (table.ENGINES, table.DESTS, table.SOURCES, table.ROUNDINGS):
        _unique("name", (code.name for code in names))
        _unique("code", (code.code for code in names))


def _check_numbered() -> None:
    for what, rows in (("counter", [(row.name, row.index) for row in table.COUNTERS]), ("fault", [(row.name, row.code) for row in table.FAULTS])):
        _unique(what, (name for name, _ in rows))
        if [number for _, number in rows] != list(range(rows[0][1], rows[0][1] + len(rows))):
            raise TableError(f"{what}: numbers are not consecutive")


def check_table() -> None:
    """Raise TableError if the table contradicts itself. Called when `isa` is imported."""
    _check_instructions()
    _check_contexts()
    _check_registers()
    _check_numbered()
