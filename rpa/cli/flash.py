"""`rpa flash`: the NOR-flash macro; each command in a file of its own."""

from __future__ import annotations

import typer

from rpa.cli import flash_calibrate, flash_energy, flash_netlist, flash_parameters, flash_study

app = typer.Typer(no_args_is_help=True, help="The analog NOR-flash macro: circuits and studies.", rich_markup_mode="markdown")
app.command("netlist")(flash_netlist.netlist)
app.command("calibrate")(flash_calibrate.calibrate)
app.command("energy")(flash_energy.energy)
app.command("parameters")(flash_parameters.parameters)
app.command("study")(flash_study.study)
