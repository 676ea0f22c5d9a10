"""`rpa isa`: the manual on the command line, from the table."""

from __future__ import annotations

from typing import Annotated

import typer

from rpa.cli.options import AsCsv, AsJson, one_format
from rpa.report.tables import Row, print_json, print_rows

app = typer.Typer(no_args_is_help=True, help="The instruction set: lists and explanations.", rich_markup_mode="markdown")
KINDS = ("instructions", "registers", "counters", "faults", "operations")


def _rows(kind: str) -> list[Row]:
    from isa import table

    if kind == "instructions":
        return [{"name": row.name, "opcode": row.opcode, "group": row.group, "operands": ", ".join(field.name for field in row.fields),
                 "meaning": row.doc} for row in table.INSTRUCTIONS]
    if kind == "registers":
        return [{"name": row.name, "index": row.index, "bits": row.bits, "reset": row.reset, "unit": row.unit, "meaning": row.doc}
                for row in table.REGISTERS]
    if kind == "counters":
        return [{"name": row.name, "index": row.index, "unit": row.unit, "meaning": row.doc} for row in table.COUNTERS]
    if kind == "faults":
        return [{"name": row.name, "code": row.code, "aux": row.aux, "meaning": row.doc, "hint": row.hint} for row in table.FAULTS]
    return [{"name": row.name, "code": row.code, "operands": row.operands, "writes": row.writes, "meaning": row.doc} for row in table.PE_OPS]


def _known_kind(kind: str) -> str:
    if kind not in KINDS:
        raise typer.BadParameter(f"`{kind}`; there are {', '.join(KINDS)}")
    return kind


@app.command("list")
def list_names(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=", ".join(KINDS), callback=_known_kind)] = "instructions",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """List the instructions, or the engine registers, counters, faults or PE operations."""
    one_format(as_json, as_csv)
    print_rows(_rows(kind), as_json=as_json, as_csv=as_csv)


@app.command("explain")
def explain(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An instruction, register, counter, fault or PE operation.")],
    as_json: AsJson = False,
) -> None:
    """Print the manual's entry: format, meaning, cycles, faults, an example."""
    from isa.manual import explain as manual_entry

    entry = manual_entry(name)
    if as_json:
        print_json({"name": name, "text": entry})
    else:
        typer.echo(entry.rstrip("\n"))
