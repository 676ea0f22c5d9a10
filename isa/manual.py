"""`docs/isa.md` and `rpa isa explain NAME`, from the table. Run as a module, it writes the page."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from isa import table
from isa.arithmetic import FUNCTIONS
from isa.errors import CODES, UnknownNameError, did_you_mean
from isa.files import write_atomic
from isa.language import DIRECTIVE_ROWS, FUNCTION_DOCS, LANGUAGE, DirectiveRow
from isa.machine import PREDEFINED
from isa.pseudo import PSEUDOS, SET_GROUPS, Pseudo
from isa.spec import OPCODE_HI, OPCODE_LO, Code, Counter, Fault, Field, Instruction, PeOp, Register

GROUPS = ("arithmetic", "control", "configuration", "engine")
CODE_LISTS = (("engine", table.ENGINES), ("destination of `ld`", table.DESTS), ("source of `ld`", table.SOURCES),
              ("PE source", table.PE_SOURCES), ("PE destination", table.PE_DESTS), ("PE route", table.PE_ROUTES),
              ("PE condition", table.PE_CONDS), ("rounding mode", table.ROUNDINGS))


def _bits(field: Field) -> str:
    return f"{field.hi}" if field.hi == field.lo else f"{field.hi}..{field.lo}"


def format_line(row: Instruction) -> str:
    """Return the bits of an instruction, highest first, as the manual prints them."""
    parts = [f"{OPCODE_HI}..{OPCODE_LO} opcode {row.opcode:#04x}"]
    parts += [f"{_bits(field)} {field.name}" for field in sorted(row.fields, key=lambda field: -field.hi)]
    return " | ".join(parts)


def _range(field: Field) -> str:
    return f"{field.minimum}..{field.maximum}" if field.kind in ("imm", "uimm", "offset", "bank") else ""


def instruction_entry(row: Instruction) -> str:
    operands = [f"- `{field.name}` (bits {_bits(field)}): {field.doc}{f', {_range(field)}' if _range(field) else ''}" for field in row.fields]
    lines = [f"    {format_line(row)}", "", row.doc, *([""] if operands else []), *operands, "", f"Cycles: {row.cycles}.  "]
    if row.engine:
        lines.append(f"Engine: {row.engine}.  ")
    if row.faults:
        lines.append(f"Faults: {', '.join(row.faults)}.  ")
    return "\n".join([*lines, f"Example: `{row.example}`"])


def register_entry(row: Register) -> str:
    return "\n".join([f"Engine register {row.index} of `{row.engine}`: {row.doc}.", "",
                      f"Range: {register_range(row)}{f' {row.unit}' if row.unit else ''}. Reset value: {row.reset}.  ",
                      f"Example: `set {row.name}, {row.reset}`"])


def register_range(row: Register) -> str:
    """Return the range that `set` accepts; limits of the machine by their name."""
    if row.choices:
        limit = f", at most {row.maximum}" if isinstance(row.maximum, str) else ""
        return ", ".join(map(str, row.choices)) + limit
    low = row.minimum if row.minimum is not None else (-(1 << row.bits - 1) if row.signed else 0)
    high = row.maximum if row.maximum is not None else (1 << row.bits - (1 if row.signed else 0)) - 1
    return f"{low}..{high}"


def pseudo_entry(row: Pseudo) -> str:
    return f"    {row.syntax}\n\n{row.doc}\n\nBecomes: {row.becomes}.  \nExample: `{row.example}`"


def op_entry(row: PeOp) -> str:
    writes = {"acc": "the accumulator", "result": "`dst`, or nothing", "flag": "the flag", "none": "nothing"}[row.writes]
    operands = ", ".join(("x", "y")[:row.operands]) or "no operands"
    return f"PE operation {row.code} ({operands}): {row.doc}. Writes {writes}."


def counter_entry(row: Counter) -> str:
    return f"Counter {row.index}, in {row.unit}: {row.doc}."


def fault_entry(row: Fault) -> str:
    return f"Fault {row.code}: {row.doc}.\n\nAuxiliary value: {row.aux}.  \nHint: {row.hint}."


def directive_entry(row: DirectiveRow) -> str:
    code = "\n".join(f"    {line}" for line in row.example.split("\n"))
    return f"    {row.syntax}\n\n{row.doc} Example:\n\n{code}"


# -- explain ------------------------------------------------------------------------------------------------------------


def _entries() -> list[tuple[str, str, str]]:
    """Return (name, what it is, entry) of everything that has a name."""
    found: list[tuple[str, str, str]] = []

    def add(rows: Iterable, what: str, entry: Callable[..., str]) -> None:
        found.extend((row.name, what, entry(row)) for row in rows)

    add(table.INSTRUCTIONS, "instruction", instruction_entry)
    add(PSEUDOS, "pseudo-instruction", pseudo_entry)
    add(table.REGISTERS, "engine register", register_entry)
    found.extend((name, "group of `set`", f"The registers {', '.join(members)}.") for name, members in SET_GROUPS.items())
    add(table.PE_OPS, "PE operation", op_entry)
    for what, rows in CODE_LISTS:
        add(rows, what, lambda row: f"Code {row.code}: {row.doc}.")
    add(table.COUNTERS, "counter", counter_entry)
    add(table.FAULTS, "fault", fault_entry)
    add(DIRECTIVE_ROWS, "directive", directive_entry)
    found.extend((name, "function", f"{FUNCTION_DOCS[name]}: {FUNCTIONS[name][2]}.") for name in FUNCTIONS)
    found.extend((code, "message code", f"{meaning[0].upper()}{meaning[1:]}.") for code, meaning in CODES.items())
    return found


def explain(name: str) -> str:
    """Return everything that the manual says about a name, in Markdown.

    Names are instructions, pseudo-instructions, engine registers, PE operations, sources and so on, counters, faults,
    directives, functions and codes of messages; a name can have several entries. Raises UnknownNameError.
    """
    entries = _entries()
    found = [entry for entry in entries if entry[0] == name] or [entry for entry in entries if entry[0].lower() == name.lower()]
    if not found:
        hint = did_you_mean(name, (entry[0] for entry in entries)) or "docs/isa.md has every name"
        raise UnknownNameError(f"the manual does not know `{name[:60]}`; {hint}")
    return "\n\n".join(f"## `{entry[0]}` - {entry[1]}\n\n{entry[2]}" for entry in found) + "\n"


# -- the page -----------------------------------------------------------------------------------------------------------


def _table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _instructions() -> Iterable[str]:
    for group in GROUPS:
        yield f"### {group.capitalize()}"
        for row in table.INSTRUCTIONS:
            if row.group == group:
                yield f"#### `{row.name}`\n\n{instruction_entry(row)}"


def _codes(rows: Iterable[Code]) -> str:
    return _table(("name", "code", "meaning"), ((f"`{row.name}`", row.code, row.doc) for row in rows))


def _contexts() -> Iterable[str]:
    yield "## PE contexts"
    yield ("A context word says what a PE does in a step of a `run`. Reserved bits are 0; a `dst` stands only with an operation that has a result. "
           "In the assembly language contexts are `.context` blocks, loaded by `ctx`.")
    yield _table(("bits", "field", "meaning"), ((_bits(field), f"`{field.name}`", field.doc) for field in table.CONTEXT_FIELDS))
    yield "### Operations"
    yield _table(("name", "code", "operands", "writes", "meaning"),
                 ((f"`{row.name}`", row.code, row.operands, row.writes, row.doc) for row in table.PE_OPS))
    for title, rows in (("Sources `x`, `y`", table.PE_SOURCES), ("Destinations `dst`", table.PE_DESTS), ("Routes", table.PE_ROUTES),
                        ("Conditions", table.PE_CONDS)):
        yield f"### {title}"
        yield _codes(rows)


def _registers() -> Iterable[str]:
    yield "## Engine registers"
    yield ("Written by `set` and `setr` through the engine's queue; a command uses the values written before it. A limit with a name is that of "
           "the machine (`ArrayConfig`). A 32-bit register also takes values up to 2^32-1.")
    for engine in table.ENGINES:
        yield f"### `{engine.name}`: {engine.doc}"
        yield _table(("register", "index", "range", "reset", "unit", "meaning"),
                     ((f"`{row.name}`", row.index, register_range(row), row.reset, row.unit, row.doc)
                      for row in table.REGISTERS if row.engine == engine.name))
    named = (("Destinations of `ld`", table.DESTS), ("Sources of `ld`", table.SOURCES), ("Rounding modes `dr.round`", table.ROUNDINGS))
    for title, rows in named:
        yield f"### {title}"
        yield _codes(rows)


def _language() -> Iterable[str]:
    yield "## Assembly language"
    yield LANGUAGE.rstrip()
    yield f"**Predefined**: {', '.join(f'`{name.upper()}`' for name in PREDEFINED)} of the machine, and the rounding modes " + \
          ", ".join(f"`{row.name.upper()}`" for row in table.ROUNDINGS) + "."
    yield "### Functions"
    yield _table(("function", "value"), ((f"`{FUNCTION_DOCS[name]}`", row[2]) for name, row in FUNCTIONS.items()))
    yield "### Pseudo-instructions"
    for pseudo in PSEUDOS:
        yield f"#### `{pseudo.syntax}`\n\n{pseudo.doc}\n\nBecomes: {pseudo.becomes}.  \nExample: `{pseudo.example}`"
    yield "### Directives"
    for directive in DIRECTIVE_ROWS:
        yield f"#### `{directive.name}`\n\n{directive_entry(directive)}"


def page() -> str:
    """Return the whole of docs/isa.md."""
    parts = [
        "# The instruction set",
        f"Version {table.ISA_VERSION}. Generated from `isa/table.py` by `python -m isa.manual`; do not edit. What happens in which cycle is in "
        "[design.md](design.md). `rpa isa explain NAME` prints a single entry.",
        "## Instructions",
        f"A word has 32 bits, the opcode in the highest {OPCODE_HI - OPCODE_LO + 1}. Bits that no field names are 0. There are "
        f"{table.CORE_REGISTERS} core registers of 32 bits, r0..r{table.CORE_REGISTERS - 1}; r0 is 0. Engine masks (`wait`, `signal`, `fence`) have "
        "bit 0 for `ld`, then `ex`, `dr`, `st`. A cycle formula names registers of the engine.",
        *_instructions(), *_contexts(), *_registers(),
        "## Counters",
        f"{table.COUNTER_BITS} bits each, cleared when a run of the machine starts; read by `rdctr` and `rdctrh`.",
        _table(("counter", "index", "unit", "meaning"), ((f"`{row.name}`", row.index, row.unit, row.doc) for row in table.COUNTERS)),
        "## Faults",
        "A fault stops the machine at the end of its cycle, with its cause, the pc of the instruction and an auxiliary value.",
        _table(("fault", "code", "meaning", "auxiliary value", "hint"),
               ((f"`{row.name}`", row.code, row.doc, row.aux, row.hint) for row in table.FAULTS)),
        *_language(),
        "## Messages",
        "Codes of errors (E) and warnings (W); `AsmError.diagnostics` and the other errors carry them as `code`.",
        _table(("code", "meaning"), ((f"`{code}`", meaning) for code, meaning in CODES.items())),
        "## Commit log",
        "Emulator and RTL write one line per instruction and memory write, in the format of `rpa run --log`; see [design.md](design.md).",
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write docs/isa.md, or the file that is given."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "docs" / "isa.md"
    write_atomic(target, page().encode())


if __name__ == "__main__":
    main()
