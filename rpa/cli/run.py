"""`rpa run`: one program on one backend."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from rpa.cli.files import STANDARD, write_array, write_text
from rpa.cli.fill import complete
from rpa.cli.flash_options import ErrorNames
from rpa.cli.options import AsCsv, AsJson, ConfigFile, Defines, Inputs, MaxCycles, Preset, Seed, arrays, defines, machine, named, one_format
from rpa.cli.programs import load_program
from rpa.report.tables import Row, print_json, print_rows

if TYPE_CHECKING:
    from isa.program import Program
    from rpa.flash.chip import Chip
    from rpa.runner import Result


class Backend(StrEnum):
    """Who runs the program; all three give the same cycles, counters, fault and outputs."""

    FAST = "fast"
    STEP = "step"
    RTL = "rtl"


def run(
    program: Annotated[str, typer.Argument(metavar="PROGRAM", help="Source or program file; `-` is standard input.")],
    inputs: Inputs = None,
    outputs: Annotated[list[str] | None, typer.Option("--output", metavar="[NAME=]FILE.npy", help="Save an output of the program.")] = None,
    backend: Annotated[Backend, typer.Option(help="Fast emulator, stepping emulator, or the generated Verilog.")] = Backend.FAST,
    max_cycles: MaxCycles = None,
    seed: Seed = None,
    log: Annotated[str | None, typer.Option(metavar="FILE", help="Write the commit log; `-` is standard output.")] = None,
    macro: Annotated[str | None, typer.Option(metavar="NAME", help="NOR-flash macros with the errors of their cells: sonos40, nor55, nor65, a "
                                                                   "table FILE.csv, or ideal; --seed chooses the chip. Exact if left out.")] = None,
    errors: ErrorNames = None,
    preflight: Annotated[bool, typer.Option(help="Refuse programs that would overflow, deadlock or leave a bank.")] = True,
    preset: Preset = None,
    config: ConfigFile = None,
    define: Defines = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Run a program and print its cycles, counters and outputs. Exit code 1 if the machine faults."""
    one_format(as_json, as_csv)
    loaded = load_program(program, machine(preset, config), defines(define))
    known = [tensor.name for tensor in loaded.outputs()]
    wanted = named(outputs, "--output", known)
    if list(wanted.values()).count(STANDARD) + (log == STANDARD) > 1:
        raise typer.BadParameter("standard output can be given once")
    _check_outputs(wanted, known)
    import rpa

    limit = {} if max_cycles is None else {"max_cycles": max_cycles}
    result = rpa.run(loaded, complete(loaded, arrays(inputs, loaded), seed), backend=backend.value, log=log is not None, preflight=preflight,
                     macro=_chip(macro, errors, loaded, seed or 0), **limit)
    for name, file in wanted.items():
        write_array(file, result.outputs[name])
    if log is not None:
        write_text(log, "".join(f"{line}\n" for line in result.log))
    if STANDARD not in (log, *wanted.values()):
        _print(result, as_json, as_csv)
    if result.fault is not None:
        print(result.fault, file=sys.stderr)
        raise typer.Exit(1)


def _chip(name: str | None, errors: str | None, program: Program, seed: int) -> Chip | None:
    """The macros that ``name`` says, of the sizes that the program's machine has."""
    if name is None:
        if errors is not None:
            raise typer.BadParameter("needs --macro: without it macros are exact", param_hint="--errors")
        return None
    from rpa.arch.config import ArrayConfig
    from rpa.flash.chip import Chip
    from rpa.flash.spec import for_config, spec_named

    config = ArrayConfig.from_dict(program.config)
    if config.nv_macros == 0:
        raise typer.BadParameter("the machine of this program has no NOR-flash macros", param_hint="--macro")
    return Chip(for_config(config, spec_named(name, errors)), macros=config.nv_macros, seed=seed)


def _check_outputs(wanted: dict[str, str], known: list[str]) -> None:
    for name in wanted:
        if name not in known:
            raise typer.BadParameter(f"`{name}` is no output of the program; there are {', '.join(known) or 'none'}", param_hint="--output")


def _print(result: Result, as_json: bool, as_csv: bool) -> None:
    if as_json:
        print_json(result.to_dict(outputs=False))
    elif as_csv:
        typer.echo(result.to_csv(), nl=False)
    else:
        _print_tables(result)


def _print_tables(result: Result) -> None:
    from rpa.runner import UNITS

    how = f" ({result.backend_detail})" if result.backend_detail else ""
    print_rows([{"figure": name, "value": value, "unit": UNITS[name]} for name, value in result.figures().items()],
               title=f"{result.program} on `{result.backend}`{how}")
    rows: list[Row] = [{"output": name, "shape": " x ".join(map(str, array.shape)), "smallest": int(array.min()), "largest": int(array.max()),
                        "mean": float(array.mean())} for name, array in result.outputs.items()]
    if rows:
        print_rows(rows)
