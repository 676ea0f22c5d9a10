"""`rpa measure`: what kernels cost at each bit width."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from rpa.cli.options import AsCsv, AsJson, ConfigFile, Defines, Preset, defines, machine, one_format
from rpa.cli.run import Backend
from rpa.report.tables import print_rows

ALL = "all"


def measure(
    kernels: Annotated[list[str], typer.Argument(metavar="KERNEL...", help=f"Kernels of programs/ by name, as `conv3x3`, or `{ALL}`.")],
    backends: Annotated[list[Backend] | None, typer.Option("--backend", help="Compare these; `fast` and `step` if not said.")] = None,
    preset: Preset = None,
    config: ConfigFile = None,
    define: Defines = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Run kernels at all their widths, check them against NumPy, and print what they cost."""
    one_format(as_json, as_csv)
    sizes, constants = machine(preset, config), defines(define)
    from rpa.report.kernels import KERNELS
    from rpa.report.measure import measure as measure_kernels

    names = list(KERNELS) if ALL in kernels else kernels
    chosen = [backend.value for backend in backends] if backends else ["fast", "step"]
    rows = [row.to_dict() for row in measure_kernels(names, config=sizes, backends=chosen, defines=constants)]
    print_rows(rows, as_json=as_json, as_csv=as_csv)
    if any(row["backend_equal"] is False for row in rows):
        print("error: the backends disagree; `rpa cosim` names the first difference", file=sys.stderr)
        raise typer.Exit(1)
