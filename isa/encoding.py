"""Words to fields and back: instructions and PE contexts, derived from :mod:`isa.table`, and what is illegal in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from isa.errors import DecodingError, EncodingError, did_you_mean
from isa.spec import OPCODE_LO, Field, Instruction, PeOp
from isa.table import (
    CONTEXT_FIELDS,
    CONTEXT_RESERVED,
    COUNTERS,
    DESTS,
    ENGINES,
    INSTRUCTIONS,
    PE_CONDS,
    PE_DESTS,
    PE_OPS,
    PE_ROUTES,
    PE_SOURCES,
    REGISTERS,
    SOURCES,
)

BY_NAME: Mapping[str, Instruction] = {instruction.name: instruction for instruction in INSTRUCTIONS}
BY_OPCODE: Mapping[int, Instruction] = {instruction.opcode: instruction for instruction in INSTRUCTIONS}
REGISTER_BY_INDEX = {register.index: register for register in REGISTERS}
REGISTER_BY_NAME = {register.name: register for register in REGISTERS}
PE_OP_BY_CODE: Mapping[int, PeOp] = {op.code: op for op in PE_OPS}
PE_OP_BY_NAME: Mapping[str, PeOp] = {op.name: op for op in PE_OPS}
CONTEXT_FIELD = {field.name: field for field in CONTEXT_FIELDS}

NAMED: Mapping[str, Mapping[int, str]] = {
    "cfg": {register.index: register.name for register in REGISTERS},
    "counter": {counter.index: counter.name for counter in COUNTERS},
    "engine": {code.code: code.name for code in ENGINES},
    "dest": {code.code: code.name for code in DESTS},
    "source": {code.code: code.name for code in SOURCES},
    "op": {op.code: op.name for op in PE_OPS},
    "src": {code.code: code.name for code in PE_SOURCES},
    "dst": {code.code: code.name for code in PE_DESTS},
    "route": {code.code: code.name for code in PE_ROUTES},
    "cond": {code.code: code.name for code in PE_CONDS},
}
"""Field kinds whose codes have names; a code without a name is illegal."""
CODES = {kind: {name: code for code, name in names.items()} for kind, names in NAMED.items()}
"""The same, from name to code."""
_NAMES_MACROS: Mapping[str, Callable[[int], bool]] = {
    "engine": lambda code: NAMED["engine"][code] == "nv",
    "engines": lambda mask: bool(mask >> CODES["engine"]["nv"] & 1),
    "dest": lambda code: NAMED["dest"][code] == "x",
    "cfg": lambda index: REGISTER_BY_INDEX[index].engine == "nv",
}
"""Field kinds that can name the engine `nv` or its X bank, and whether a value does."""
_NAMING = {row.opcode: tuple(field for field in row.fields if field.kind in _NAMES_MACROS) for row in INSTRUCTIONS}
KIND_TEXT = {"cfg": "engine register", "op": "PE operation", "src": "PE source", "dst": "PE destination", "dest": "destination", "cond": "condition"}


@dataclass(frozen=True)
class Decoded:
    """One legal instruction word: its row of the table and the value of every field, sign-extended where signed."""

    instruction: Instruction
    values: Mapping[str, int]


def _insert(field: Field, value: int, where: str) -> int:
    if not field.minimum <= value <= field.maximum:
        raise EncodingError(f"{where}: `{field.name}` is {value}, must be {field.minimum}..{field.maximum} ({field.bits}-bit field)")
    names = NAMED.get(field.kind)
    if names is not None and value not in names:
        raise EncodingError(f"{where}: `{field.name}` is {value}, which is no {KIND_TEXT.get(field.kind, field.kind)}")
    return field.insert(value)


def encode(name: str, **values: int) -> int:
    """Return the 32-bit word of an instruction.

    ``values`` has a number for every field of its row in `isa.table`; masks of engines (`wait`, `signal`) may be left
    out and are then 0. Raises EncodingError for an unknown instruction or field, a missing one, or a value out of range.
    """
    instruction = BY_NAME.get(name)
    if instruction is None:
        raise EncodingError(f"unknown instruction `{name}`; {did_you_mean(name, BY_NAME)}".rstrip("; "))
    word = instruction.match
    known = {field.name for field in instruction.fields}
    for extra in values.keys() - known:
        raise EncodingError(f"{name}: no field `{extra}`; there are {', '.join(sorted(known)) or 'none'}")
    for field in instruction.fields:
        if field.name not in values and field.name not in ("wait", "signal"):
            raise EncodingError(f"{name}: field `{field.name}` is missing")
        word |= _insert(field, values.get(field.name, 0), name)
    return word


def decode(word: int) -> Decoded:
    """Split a 32-bit word into its fields. Raises DecodingError where the core would fault with ILLEGAL_OPCODE."""
    reason = illegal_instruction(word)
    if reason is not None:
        raise DecodingError(f"{word:#010x} is no instruction: {reason}")
    instruction = BY_OPCODE[word >> OPCODE_LO]
    return Decoded(instruction, {field.name: field.extract(word) for field in instruction.fields})


def illegal_instruction(word: int) -> str | None:
    """Say why the core refuses a 32-bit word (ILLEGAL_OPCODE); None if it is an instruction."""
    if not 0 <= word < 1 << 32:
        return f"not an unsigned 32-bit number: {word}"
    instruction = BY_OPCODE.get(word >> OPCODE_LO)
    if instruction is None:
        return f"unknown opcode {word >> OPCODE_LO:#04x}"
    if word & instruction.reserved_mask:
        return f"reserved bits {word & instruction.reserved_mask:#010x} of `{instruction.name}` are set"
    for field in instruction.fields:
        names = NAMED.get(field.kind)
        if names is not None and field.extract(word) not in names:
            return f"`{field.name}` of `{instruction.name}` is {field.extract(word)}, which is no {KIND_TEXT.get(field.kind, field.kind)}"
    return None


def needs_macros(word: int) -> bool:
    """True if a legal instruction word names the engine `nv` or its X bank, which only machines with NOR-flash macros have."""
    if BY_OPCODE[word >> OPCODE_LO].engine == "nv":
        return True
    return any(_NAMES_MACROS[field.kind](field.extract(word)) for field in _NAMING[word >> OPCODE_LO])


def encode_context(op: str, x: str = "a", y: str = "a", dst: str = "none", route: str = "hold", cond: str = "always", imm: int = 0) -> int:
    """Return the 32-bit PE context word with these names (`isa.table`) and this 8-bit signed immediate.

    Raises EncodingError for an unknown name, an immediate out of range, or a `dst` that the operation does not have.
    """
    named = {"op": op, "x": x, "y": y, "dst": dst, "route": route, "cond": cond}
    word = CONTEXT_FIELD["imm"].insert(imm) if -128 <= imm <= 127 else None
    if word is None:
        raise EncodingError(f"context: `imm` is {imm}, must be -128..127 (8-bit field)")
    for field_name, name in named.items():
        field = CONTEXT_FIELD[field_name]
        codes = CODES[field.kind]
        if name not in codes:
            hint = did_you_mean(name, codes) or f"there are {', '.join(codes)}"
            raise EncodingError(f"context: unknown `{field_name}` `{name}`; {hint}")
        word |= field.insert(codes[name])
    reason = illegal_context(word)
    if reason is not None:
        raise EncodingError(f"context: {reason}")
    return word


def decode_context(word: int) -> dict[str, str | int]:
    """Return the names of every field of a context word, and `imm` as a number. Raises DecodingError if it is illegal."""
    reason = illegal_context(word)
    if reason is not None:
        raise DecodingError(f"{word:#010x} is no context: {reason}")
    values: dict[str, str | int] = {}
    for field in CONTEXT_FIELDS:
        code = field.extract(word)
        values[field.name] = NAMED[field.kind][code] if field.kind in NAMED else code
    return values


def illegal_context(word: int) -> str | None:
    """Say why `ctxld` refuses a 32-bit context word (ILLEGAL_CONTEXT); None if every PE can hold it."""
    if not 0 <= word < 1 << 32:
        return f"not an unsigned 32-bit number: {word}"
    if word & CONTEXT_RESERVED:
        return f"reserved bits {word & CONTEXT_RESERVED:#010x} are set"
    for field in CONTEXT_FIELDS:
        if field.kind in NAMED and field.extract(word) not in NAMED[field.kind]:
            return f"`{field.name}` is {field.extract(word)}, which is no {KIND_TEXT.get(field.kind, field.kind)}"
    op = PE_OP_BY_CODE[CONTEXT_FIELD["op"].extract(word)]
    dst = CONTEXT_FIELD["dst"].extract(word)
    if dst != CODES["dst"]["none"] and op.writes != "result":
        return f"`{op.name}` has no result, so `dst` must be none, not {NAMED['dst'][dst]}"
    return None


def engine_mask(names: tuple[str, ...]) -> int:
    """Return the mask of `wait`, `signal` and `fence` for these engine names (bit e: engine e)."""
    mask = 0
    for name in names:
        mask |= 1 << CODES["engine"][name]
    return mask


def engine_names(mask: int) -> tuple[str, ...]:
    """Return the engines of a mask, lowest number first."""
    return tuple(code.name for code in ENGINES if mask >> code.code & 1)
