"""`rpa cosim`: the emulators against the generated Verilog, clock by clock."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from rpa.cli.fill import complete
from rpa.cli.options import AsJson, ConfigFile, Defines, Inputs, MaxCycles, Preset, arrays, defines, machine
from rpa.cli.programs import load_program
from rpa.report.tables import print_json

DEFAULT_LIMIT = 200_000
"""Cycles; a record of the whole machine is kept for each of them."""


def cosim(
    program: Annotated[str, typer.Argument(metavar="PROGRAM", help="Source or program file; `-` is standard input.")],
    inputs: Inputs = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of the random values for inputs that are not given.")] = 0,
    max_cycles: MaxCycles = None,
    rtl: Annotated[bool, typer.Option("--rtl/--no-rtl", help="Without the Verilog only the emulators are compared.")] = True,
    preset: Preset = None,
    config: ConfigFile = None,
    define: Defines = None,
    as_json: AsJson = False,
) -> None:
    """Run a program on both emulators and in RTL and compare state at every cycle, counters, fault and memory.

    A fault of the machine is no difference: it must be the same everywhere. Exit code 1 names the first difference.
    """
    loaded = load_program(program, machine(preset, config), defines(define))
    from rpa.arch.memory import build_memory
    from rpa.verify.compare import compare

    memory = build_memory(loaded, complete(loaded, arrays(inputs, loaded), seed))
    names = ("step", "fast", "rtl") if rtl else ("step", "fast")
    found = compare(loaded, memory, max_cycles=max_cycles or DEFAULT_LIMIT, names=names, every_cycle=True)
    fault = next(iter(found.outcomes.values())).fault
    if as_json:
        print_json({"program": loaded.name, "equal": found.equal, "cycles": found.cycles, "compared": list(found.outcomes),
                    "fault": None if fault is None else fault.name, "difference": found.difference, "seed": seed})
    elif found.equal:
        end = "" if fault is None else f", and end with the same fault {fault.name} at pc {fault.pc}"
        typer.echo(f"{loaded.name}: {', '.join(found.outcomes)} agree in all {found.cycles:,} cycles, counters, registers and memory{end}")
    if not found.equal:
        print(f"{loaded.name}: {found.difference} (seed {seed})", file=sys.stderr)
        raise typer.Exit(1)
