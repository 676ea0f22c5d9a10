"""`rpa flash energy`: energy, cycles and area of a network on macros."""

from __future__ import annotations

from typing import Annotated

import typer

from rpa.cli.files import read_array
from rpa.cli.flash_options import AdcBits, CellBits, Cols, DacBits, EncodingName, Layers, Macro, Model, Rows, Widths, check_encoding, spec_of
from rpa.cli.options import AsJson, Calibration
from rpa.report.tables import print_json, print_rows

CONVERSIONS = ("conversions", "skipped [%]", "rows driven [%]", "ADC saved [%]", "adc before [nJ]")
"""Columns of a table of their own."""


def energy(
    model: Model,
    widths: Widths = "8",
    layers: Layers = "all",
    macro: Macro = "ideal",
    rows: Rows = 128,
    cols: Cols = 128,
    cell_bits: CellBits = 4,
    dac_bits: DacBits = 1,
    adc_bits: AdcBits = 8,
    encoding: EncodingName = "differential",
    nm: Annotated[int, typer.Option(min=7, max=250, metavar="N", help="Technology of converters and logic.")] = 40,
    images: Annotated[int, typer.Option(min=1, metavar="N", help="Test images, at most, that counts are the mean of.")] = 100,
    calibration: Calibration = None,
    constants: Annotated[bool, typer.Option("--constants", help="Print the constants, their units and sources.")] = False,
    as_json: AsJson = False,
) -> None:
    """Energy by where it goes, cycles and area of layers on macros, and their energy in the digital array; per image."""
    given = None if calibration is None else read_array(calibration)
    spec = spec_of(macro, rows, cols, cell_bits, dac_bits, adc_bits)
    check_encoding(encoding)
    from rpa.flash.calibrate import calibrate
    from rpa.flash.constants import Technology
    from rpa.flash.energy import report
    from rpa.report.flash_network import open_flash, place

    source = open_flash(model, widths, calibration=given)
    flash = place(source.net, spec, layers=layers, encoding=encoding)
    calibrate(flash, source.calibration)
    flash.run_many({name: values[:images] for name, values in source.test.items()})
    found = report(flash, Technology(nm=nm))
    area = [{"macros": flash.macros, **{f"{name} [mm2]": value * 1e-6 for name, value in found.area.items()}}]
    if as_json:
        print_json({"layers": found.rows(), "area": area[0], "constants": found.technology.rows()})
        return
    print_rows([{name: value for name, value in row.items() if name not in CONVERSIONS} for row in found.rows()])
    print_rows([{"layer": row["layer"], **{name: row[name] for name in CONVERSIONS}, "adc after [nJ]": row["adc [nJ]"]}
                for row in found.rows()], title="Conversions that start at the highest bit that can be set, and none where no word line is driven")
    print_rows(area)
    if constants:
        print_rows(found.technology.rows())
