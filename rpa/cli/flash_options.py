"""Options of `rpa flash` commands that place a network on macros."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rpa.flash.spec import MacroSpec

Model = Annotated[str, typer.Argument(metavar="MODEL", help="An .onnx file, or a network that comes with this package, as `lenet5_w4a3`.")]
Widths = Annotated[str, typer.Option(metavar="WIDTHS", help="As of `rpa compile`; models with integers of their own keep them.")]
Layers = Annotated[str, typer.Option(metavar="NAMES", help="Layers on macros, with commas between them, or `all`.")]
Macro = Annotated[str, typer.Option("--macro", metavar="NAME", help="The macro: ideal, or its cells: sonos40, nor55, nor65, or a table, FILE.csv.")]
ErrorNames = Annotated[str | None, typer.Option("--errors", metavar="NAMES", help="Errors that are on, with commas between them, or `all`; see "
                                                "`rpa flash parameters`. By default programming and read_noise.")]
Rows = Annotated[int, typer.Option(min=8, max=1024, metavar="N", help="Word lines of a macro.")]
Cols = Annotated[int, typer.Option(min=16, max=1024, metavar="N", help="Bit lines of a macro.")]
CellBits = Annotated[int, typer.Option(min=1, max=4, metavar="N", help="Bits of a cell.")]
DacBits = Annotated[int, typer.Option(min=1, max=4, metavar="N", help="Bits that a word line carries at once.")]
AdcBits = Annotated[int, typer.Option(min=1, max=16, metavar="N", help="Bits of a converter.")]
EncodingName = Annotated[str, typer.Option("--encoding", metavar="NAME", help="Signed weights: differential or reference.")]


def spec_of(name: str, rows: int, cols: int, cell_bits: int, dac_bits: int, adc_bits: int, errors: str | None = None) -> MacroSpec:
    """The macro that the options describe."""
    from rpa.flash.spec import spec_named
    from rpa.report.flash_network import with_sizes

    return with_sizes(spec_named(name, errors), rows=rows, cols=cols, cell_bits=cell_bits, dac_bits=dac_bits, adc_bits=adc_bits)


def check_encoding(name: str) -> str:
    """Refuse another word as bad usage."""
    if name not in ("differential", "reference", "plain"):
        raise typer.BadParameter(f"`{name}`, must be differential, reference or plain", param_hint="--encoding")
    return name
