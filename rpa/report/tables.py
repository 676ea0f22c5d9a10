"""One table, three ways out: aligned text for people, JSON and CSV for programs."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]


def print_rows(rows: Sequence[Row], *, as_json: bool = False, as_csv: bool = False, title: str = "") -> None:
    """Print rows that all have the same keys; numbers are right-aligned in the text form."""
    if as_json:
        print_json(list(rows))
    elif as_csv:
        sys.stdout.write(to_csv(rows))
    else:
        _print_text(rows, title)


def print_json(value: Any) -> None:
    """Print one JSON document, indented, keys in the order given."""
    print(json.dumps(value, indent=2))


def to_csv(rows: Sequence[Row]) -> str:
    """Return a header line and one line per row."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _print_text(rows: Sequence[Row], title: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for key in rows[0] if rows else ():
        number = all(isinstance(row[key], int | float) or row[key] is None for row in rows) and not isinstance(rows[0][key], bool)
        table.add_column(key.replace("_", " "), justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(format_cell(value) for value in row.values()))
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=max(160, console.width))  # a pipe has no width to fold at
    console.print(table)


def format_cell(value: Any) -> str:
    """Return a value as people read it: digits grouped, four significant digits, yes and no, a dash for nothing."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
