"""`rpa measure`: what kernels, or a network, cost at each bit width."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated

import typer

from isa.errors import did_you_mean
from rpa.arch.config import ArrayConfig
from rpa.cli.files import read_array, write_bytes
from rpa.cli.options import (
    DEFAULT_PRESET,
    AsCsv,
    AsJson,
    Calibration,
    ConfigFile,
    Defines,
    Effort,
    Method,
    Preset,
    Requantize,
    Shortcuts,
    defines,
    machine,
    one_format,
)
from rpa.cli.quant_options import Quant, quantizer_choices
from rpa.cli.run import Backend
from rpa.report.tables import print_json, print_rows

ALL, NET = "all", "net"
WIDTHS = "16,8,4,2,w4a8"


def measure(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help=f"Kernels of programs/ by name, as `conv3x3`, or `{ALL}`; or a network: an "
                                                                       f".onnx file, or one that comes with this package (also `{NET} NAME`).")],
    backends: Annotated[list[Backend] | None, typer.Option("--backend", help="Kernels: compare these; `fast` and `step` if not said.")] = None,
    define: Defines = None,
    widths: Annotated[str | None, typer.Option(metavar="LIST", help=f"Network: widths or tables of them; `{WIDTHS}` if not said.")] = None,
    calibration: Calibration = None,
    test: Annotated[str | None, typer.Option(metavar="FILE.npy", help="Network: images that accuracy and error are measured on.")] = None,
    labels: Annotated[str | None, typer.Option(metavar="FILE.npy", help="Network: for each of these the index of the right output.")] = None,
    method: Method = "mse",
    shortcuts: Shortcuts = "auto",
    quant: Quant = None,
    requantize: Requantize = False,
    effort: Effort = True,
    plot: Annotated[str | None, typer.Option(metavar="FILE.png", help="Network: a picture of the table.")] = None,
    preset: Preset = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Run kernels at all their widths, or a network at several, check every result, and print what they cost."""
    one_format(as_json, as_csv)
    from rpa.report.network_source import is_network

    explicit = names[0] == NET and len(names) > 1
    for_networks = {"--widths": widths, "--calibration": calibration, "--test": test, "--labels": labels, "--plot": plot, "--requantize": requantize,
                    "--quant": quant}
    if explicit or any(is_network(name) for name in names):
        _refuse({"--backend": backends, "-D": define}, "is for kernels")
        network = _one_network(names[1:] if explicit else names)
        _network(network, machine(preset, config), widths or WIDTHS, (calibration, test, labels), requantize, effort, plot, as_json,
                 as_csv, quantizer_choices(quant, method=method, shortcuts=shortcuts))
    else:
        _refuse(for_networks, "is for networks")
        _kernels(names, backends, machine(preset, config), defines(define), as_json, as_csv)


def _refuse(given: Mapping[str, object], why: str) -> None:
    for option, value in given.items():
        if value:
            raise typer.BadParameter(why, param_hint=option)


def _one_network(names: list[str]) -> str:
    if len(names) != 1:
        raise typer.BadParameter(f"{', '.join(names)}: a network is measured by itself, without kernels or other networks", param_hint="NAME...")
    return names[0]


def _kernels(kernels: list[str], backends: list[Backend] | None, sizes: ArrayConfig | None, constants: dict[str, int], as_json: bool,
             as_csv: bool) -> None:
    from rpa.report.backends import ReportError
    from rpa.report.kernels import KERNELS
    from rpa.report.measure import measure as measure_kernels
    from rpa.report.network_source import network_names

    for name in kernels:
        hint = "" if name in (*KERNELS, ALL) else did_you_mean(name, network_names())
        if hint:
            raise ReportError(f"no kernel or network `{name}`; {hint}")
        if name in KERNELS and KERNELS[name].macros and not (sizes or ArrayConfig.preset(DEFAULT_PRESET)).nv_engine:
            raise ReportError(f"`{name}` needs NOR-flash macros, which this machine does not have; choose one that has, as with --preset hybrid")
    chosen = [backend.value for backend in backends] if backends else ["fast", "step"]
    rows = [row.to_dict() for row in measure_kernels(list(KERNELS) if ALL in kernels else kernels, config=sizes, backends=chosen, defines=constants)]
    print_rows(rows, as_json=as_json, as_csv=as_csv)
    if any(row["backend_equal"] is False for row in rows):
        print("error: the backends disagree; `rpa cosim` names the first difference", file=sys.stderr)
        raise typer.Exit(1)


def _network(name: str, sizes: ArrayConfig | None, widths: str, files: tuple[str | None, str | None, str | None], requantize: bool, effort: bool,
             plot: str | None, as_json: bool, as_csv: bool, choices: Mapping[str, object]) -> None:
    calibration, test, labels = (None if file is None else read_array(file) for file in files)
    from rpa.report import network_tables as tables
    from rpa.report.network_source import open_network
    from rpa.report.networks import all_equal, measure_network, split_widths

    source = open_network(name, calibration=calibration, test=test, labels=labels, requantize=requantize)
    measured = measure_network(source, split_widths(widths), sizes, effort=effort, choices=choices)
    if plot is not None:
        from rpa.report.network_plot import picture

        write_bytes(plot, picture(measured))
    if as_json:
        print_json(tables.plain(measured))
    elif as_csv:
        print_rows([row.to_dict() for row in measured.rows], as_csv=True)
    else:
        print_rows(tables.table_rows(measured), title=measured.network)
        typer.echo("\n".join((tables.LEGEND, *tables.facts(measured))))
        print_rows(tables.published_rows(measured), title="Beside published figures")
        typer.echo(tables.PUBLISHED_NOTE)
    if not all_equal(measured.rows):
        print("error: the array's integers are not the reference's; please report this model", file=sys.stderr)
        raise typer.Exit(1)
