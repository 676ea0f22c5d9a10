"""`rpa widths`: the cheapest width for each layer within a budget."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rpa.cli.files import read_array
from rpa.cli.options import AsJson, Calibration, ConfigFile, Method, Preset, Requantize, Shortcuts, machine
from rpa.cli.quant_options import Quant, quantizer_choices
from rpa.report.tables import print_json, print_rows


def choose_widths(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="An .onnx file, or a network that comes with this package, as `lenet5`.")],
    output: Annotated[str, typer.Option("-o", "--output", metavar="FILE.toml", help="The table, to edit and to give to `rpa compile --widths`.")],
    candidates: Annotated[str, typer.Option("--candidates", metavar="LIST", help="Widths that a layer may have, the widest first.")] = "8,4,2",
    loss: Annotated[float | None, typer.Option(metavar="PERCENT", help="Accuracy that may be lost on the test images.")] = None,
    error: Annotated[float | None, typer.Option(metavar="PERCENT", help="Relative error of the outputs that is allowed.")] = None,
    images: Annotated[int, typer.Option(min=1, metavar="N", help="Test images to measure on.")] = 256,
    calibration: Calibration = None,
    method: Method = "mse",
    shortcuts: Shortcuts = "auto",
    quant: Quant = None,
    requantize: Requantize = False,
    preset: Preset = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Choose widths layer by layer: measured sensitivities, cycles of the compiler, the cheapest within the budget."""
    if loss is None and error is None:
        raise typer.BadParameter("give a budget: --loss or --error, in per cent")
    sizes = machine(preset, config)
    choices = quantizer_choices(quant, method=method, shortcuts=shortcuts)
    given = None if calibration is None else read_array(calibration)
    from rpa.quant.options import Options
    from rpa.report.network_source import open_network
    from rpa.report.network_widths import candidates_of, choose

    source = open_network(model, calibration=given, requantize=requantize)
    chosen = choose(source, candidates_of(candidates), loss=None if loss is None else loss / 100, error=None if error is None else error / 100,
                    images=images, config=sizes, options=Options.of(choices))
    chosen.mixed.table.save(Path(output))
    found = chosen.mixed.comparison
    speedups = {f"speed-up over {name} bit [x]": cycles / chosen.cycles for name, cycles in chosen.uniform.items()}
    row = {"network": source.name, "cycles": chosen.cycles, **speedups,
           "images": chosen.images, "float correct [%]": _percent(found.accuracy_float), "correct [%]": _percent(found.accuracy_integer),
           "relative error [%]": 100 * found.relative_error_integer, "runs": chosen.mixed.measured}
    if as_json:
        print_json({"file": output, "table": chosen.mixed.table.to_toml(), **row})
        return
    typer.echo(output)
    print_rows([row])


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
