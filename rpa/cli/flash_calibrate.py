"""`rpa flash calibrate`: the range of converters from histograms of what bit lines carry."""

from __future__ import annotations

from typing import Annotated

import typer

from rpa.cli.files import read_array
from rpa.cli.flash_options import (
    AdcBits,
    CellBits,
    Cols,
    DacBits,
    EncodingName,
    ErrorNames,
    Layers,
    Macro,
    Model,
    Rows,
    Widths,
    check_encoding,
    spec_of,
)
from rpa.cli.options import AsJson, Calibration
from rpa.report.tables import print_json, print_rows


def calibrate(
    model: Model,
    widths: Widths = "8",
    layers: Layers = "all",
    macro: Macro = "ideal",
    errors: ErrorNames = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="The chip: the same one has the same cells.")] = 0,
    rows: Rows = 128,
    cols: Cols = 128,
    cell_bits: CellBits = 4,
    dac_bits: DacBits = 1,
    adc_bits: AdcBits = 8,
    encoding: EncodingName = "differential",
    images: Annotated[int, typer.Option(min=1, metavar="N", help="Calibration images, at most.")] = 100,
    calibration: Calibration = None,
    histogram: Annotated[bool, typer.Option("--histogram", help="Draw what bit lines carry, layer by layer.")] = False,
    as_json: AsJson = False,
) -> None:
    """Choose the range of each layer's converters: what clips, what is wasted, and what accuracy it gives."""
    given = None if calibration is None else read_array(calibration)
    spec = spec_of(macro, rows, cols, cell_bits, dac_bits, adc_bits, errors)
    check_encoding(encoding)
    from rpa.flash.calibrate import bars
    from rpa.flash.calibrate import calibrate as choose
    from rpa.report.flash_network import accuracy, open_flash, place

    source = open_flash(model, widths, calibration=given)
    flash = place(source.net, spec, layers=layers, encoding=encoding, seed=seed)
    before = accuracy(flash, source)
    found = choose(flash, {name: values[:images] for name, values in source.calibration.items()})
    summary = {"network": source.source.name, "macros": flash.macros, "correct, never clipping [%]": before,
               "correct, calibrated [%]": accuracy(flash, source)}
    if as_json:
        print_json({"layers": [one.row() for one in found.values()], **summary})
        return
    print_rows([one.row() for one in found.values()])
    if histogram:
        for name, one in found.items():
            typer.echo(f"{name}: sums of bit lines, share of conversions")
            typer.echo("\n".join(bars(one)) + "\n")
    print_rows([summary])
