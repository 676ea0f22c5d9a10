"""The commands, and how every error leaves: one message on stderr, an exit code, a traceback with --debug only."""

from __future__ import annotations

import sys
import traceback
from typing import Annotated

import typer

from isa.errors import RpaError
from rpa.cli import asm, compile, cosim, doctor, flash, manual, measure, run, verilog, widths
from rpa.cli.errors import explain_import

app = typer.Typer(name="rpa", no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="markdown", add_completion=False,
                  context_settings={"help_option_names": ["-h", "--help"]})
app.command("asm")(asm.assemble)
app.command("dis")(asm.disassemble)
app.command("run")(run.run)
app.command("compile")(compile.compile_network)
app.command("cosim")(cosim.cosim)
app.command("measure")(measure.measure)
app.command("widths")(widths.choose_widths)
app.command("verilog")(verilog.verilog)
app.add_typer(manual.app, name="isa")
app.add_typer(flash.app, name="flash")
app.command("doctor")(doctor.doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        from isa.table import ISA_VERSION

        typer.echo(f"rpa {version('rpa-toolchain')}, instruction set version {ISA_VERSION}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error. May stand anywhere.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.", callback=_print_version, is_eager=True)] = False,
) -> None:
    """Assemble or compile, run, verify and measure programs of a multi-bit-width reconfigurable PE array.

    `-` is standard input or output. Exit codes: 0, 1 (fault in the input, a machine fault included), 2 (usage).
    """


def execute(argv: list[str]) -> int:
    """Run one command line and return its exit code; prints errors."""
    debug = "--debug" in argv
    try:
        app(args=[argument for argument in argv if argument != "--debug"], prog_name="rpa")
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(bool(leaving.code))
    except BrokenPipeError:
        sys.stderr.close()  # the reader has gone; Python would complain about it once more at exit
        return 1
    except Exception as error:
        if debug:
            traceback.print_exc()
        else:
            print(_message(error), file=sys.stderr)
        return 1
    return 0


def _message(error: Exception) -> str:
    """Return what stands on stderr for ``error``: the report itself for faults in the input, one line for the rest."""
    if isinstance(error, RpaError):
        text = str(error)
        return text if "error: " in text else f"error: {text}"
    if isinstance(error, ImportError):
        return f"error: {explain_import(error)}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"error: {error.filename}: {error.strerror}"
    return f"internal error: {type(error).__name__}: {error}\nhint: this is a defect of rpa; run the command again with --debug and report it"
