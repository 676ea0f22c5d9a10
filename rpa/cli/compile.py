"""`rpa compile`: a network as a program."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rpa.cli.files import read_array
from rpa.cli.flash_options import ErrorNames
from rpa.cli.options import AsJson, Calibration, ConfigFile, Effort, Method, Preset, Requantize, Shortcuts, machine
from rpa.cli.quant_options import Quant, quantizer_choices
from rpa.report.tables import Row, print_json, print_rows

if TYPE_CHECKING:
    from rpa.compile.front import CompiledModel
    from rpa.compile.placement import Verdict, Wish


def compile_network(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="An .onnx file, or a network that comes with this package, as `lenet5`.")],
    output: Annotated[str, typer.Option("-o", "--output", metavar="FOLDER", help="Where to.")],
    widths: Annotated[str, typer.Option(metavar="WIDTHS", help="16, 8, 4, 3, 2, weights and activations as w4a8, or a table as FILE.toml.")] = "8",
    calibration: Calibration = None,
    method: Method = "mse",
    shortcuts: Shortcuts = "auto",
    quant: Quant = None,
    requantize: Requantize = False,
    host: Annotated[bool, typer.Option("--host", help="What the array cannot compute and stands last (Softmax) is left to the host.")] = False,
    effort: Effort = True,
    place: Annotated[list[str] | None, typer.Option("--place", metavar="NAME=flash", help="Compute this layer on NOR-flash macros; `all=flash`; or "
                                                    "choose: `auto=latency`, `auto=energy`, `auto=accuracy` (`NAME=array` stays).")] = None,
    macro: Annotated[str, typer.Option(metavar="NAME", help="Macros of `auto=accuracy`: ideal, sonos40, nor55, nor65, or a table,"
                                               " FILE.csv.")] = "sonos40",
    errors: ErrorNames = None,
    loss: Annotated[float, typer.Option(min=0, metavar="X", help="`auto=accuracy`: relative error of the outputs at most.")] = 0.01,
    explain: Annotated[bool, typer.Option("--explain", help="Say for each layer how it is computed, what it costs and why.")] = False,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Of the files; by default that of the model.")] = None,
    preset: Preset = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Quantize a network and compile it: assembly, data, program file, the table of widths and the scales of inputs and outputs.

    What has quantized weights already keeps its integers, unless told otherwise; then widths and calibration do not apply.
    """
    sizes = machine(preset, config)
    choices = quantizer_choices(quant, method=method, shortcuts=shortcuts)
    images = None if calibration is None else read_array(calibration)
    from rpa.report.network_files import compile_source, save
    from rpa.report.network_source import open_network

    source = open_network(model, calibration=images, called=name, typical=bool(place), requantize=requantize)
    compiled = compile_source(source, widths, sizes, effort=effort, host=host, place=_wish(place, macro, errors, loss), **choices)
    files = [str(path) for path in save(compiled, Path(output))]
    for note in source.notes:
        print(f"note: {note}", file=sys.stderr)
    for step in compiled.left_to_host:
        print(f"note: left to the host: {step.op} of `{step.source}`, behind the array", file=sys.stderr)
    if as_json:
        from rpa.report.network_explain import explained

        on_host = [{"op": step.op, "output": step.source} for step in compiled.left_to_host]
        print_json({"files": files, "grown": compiled.compiled.linked.grown, "host": on_host, **explained(compiled.compiled.report)})
        return
    typer.echo("\n".join(files))
    _grown(compiled)
    print_rows([_summary(compiled)])
    if compiled.verdicts:
        print_rows([_verdict(one) for one in compiled.verdicts], title="Where layers go")
    if explain:
        _explain(compiled)


def _wish(items: list[str] | None, macro: str, errors: str | None, loss: float) -> Wish | None:
    if not items:
        return None
    from rpa.compile.placement import wish
    from rpa.flash.spec import spec_named

    return wish(items, macro=spec_named(macro, errors), loss=loss)


def _verdict(one: Verdict) -> Row:
    return {"layer": one.layer, "goes to": "flash" if one.on_flash else "array", f"array [{one.unit}]": one.array, f"flash [{one.unit}]": one.flash}


def _grown(model: CompiledModel) -> None:
    for size, (had, has) in model.compiled.linked.grown.items():
        print(f"note: {size} grew from {had:,} to {has:,}, which this network needs", file=sys.stderr)


def _explain(model: CompiledModel) -> None:
    from rpa.report.network_explain import access_rows, cost_rows, mapping_text

    report = model.compiled.report
    typer.echo(mapping_text(report))
    print_rows(cost_rows(report), title="Time and external memory")
    print_rows(access_rows(report), title="Accesses to the banks")


def _summary(model: CompiledModel) -> Row:
    from rpa.report.networks import weight_bytes

    report = model.compiled.report
    error = None if model.quantized is None else 100 * model.quantized.report.comparison.relative_error_integer
    programming = {"of these programming": report.programming} if report.programming else {}
    return {"network": report.network, "layers": len(report.layers), "cycles": report.cycles, **programming,
            "utilisation [%]": 100 * report.utilisation, "MAC": report.macs, "weights [bytes]": weight_bytes(model),
            "program [instructions]": len(model.compiled.program.code),
            "error on calibration images [%]": error}
