"""`rpa flash netlist`: an array with its wires as a SPICE netlist."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rpa.cli.files import read_array, write_text
from rpa.cli.options import AsJson
from rpa.report.tables import print_json, print_rows

if TYPE_CHECKING:
    import numpy as np

    from rpa.flash.ir.transistor import Transistor
    from rpa.flash.spec import Wires

LEVELS = 16
"""Steps of the random cells: 4 bits."""


def netlist(
    output: Annotated[str, typer.Option("-o", "--output", metavar="FILE.cir", help="Where to; `-` is standard output.")],
    rows: Annotated[int, typer.Option(metavar="N", min=1, max=1024, help="Word lines.")] = 8,
    cols: Annotated[int, typer.Option(metavar="N", min=1, max=1024, help="Bit lines.")] = 8,
    cells: Annotated[str | None, typer.Option(metavar="FILE.npy", help="Cells as currents in ampere at full drive, (rows, cols), "
                                                                       "else random ones of 4 bits, Laplace-distributed.")] = None,
    inputs: Annotated[str | None, typer.Option(metavar="FILE.npy", help="Inputs, 0..1 of full drive, (rows,); else a random half is driven.")] = None,
    drive: Annotated[Literal["gate", "drain"], typer.Option(help="Where inputs come in.")] = "gate",
    device: Annotated[str, typer.Option(metavar="NAME", help="The device whose largest current random cells have, or its "
                                                "table, FILE.csv.")] = "sonos40",
    bit_line_ohm: Annotated[float | None, typer.Option(metavar="OHM", help="Of a bit line, per cell.", show_default="0.68")] = None,
    word_line_ohm: Annotated[float | None, typer.Option(metavar="OHM", help="The same of a word line (drain).", show_default="0.68")] = None,
    read_volt: Annotated[float | None, typer.Option(metavar="VOLT", help="Across a cell when it is read.", show_default="0.1")] = None,
    transistor: Annotated[bool, typer.Option("--transistor", help="Cells are transistors below threshold, not resistors (gate).")] = False,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Of random cells and inputs.")] = 0,
    check: Annotated[bool, typer.Option("--check", help="Simulate it with ngspice, and compare its currents with ours.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write an array and one vector of inputs as a SPICE netlist that prints the currents of the bit lines."""
    import numpy as np

    from rpa.flash.ir.transistor import Transistor
    from rpa.flash.spec import spec_named

    if transistor and drive == "drain":
        raise typer.BadParameter("--transistor needs --drive gate")
    amp = _random_cells(rows, cols, spec_named(device).device.max_amp, seed) if cells is None else read_array(cells)
    wires = _wires(drive, bit_line_ohm, word_line_ohm, read_volt)
    vector = (np.random.default_rng(seed).permutation(len(amp)) < (len(amp) + 1) // 2).astype(float) if inputs is None else read_array(inputs)
    law = Transistor() if transistor else None
    text = _text(amp / wires.read_volt, vector, wires, law)
    write_text(output, text)
    if check:
        _compare(text, amp / wires.read_volt, vector, wires, law, as_json)


def _random_cells(rows: int, cols: int, max_amp: float, seed: int) -> np.ndarray:
    import numpy as np

    size = np.abs(np.random.default_rng(seed).laplace(size=(rows, cols)))
    return np.rint(size / size.max() * (LEVELS - 1)) / (LEVELS - 1) * max_amp


def _wires(drive: Literal["gate", "drain"], bit_line_ohm: float | None, word_line_ohm: float | None, read_volt: float | None) -> Wires:
    from rpa.flash.spec import Wires

    given = {"bit_line_ohm": bit_line_ohm, "word_line_ohm": word_line_ohm, "read_volt": read_volt}
    return Wires(drive=drive, **{name: value for name, value in given.items() if value is not None})


def _text(cells: np.ndarray, inputs: np.ndarray, wires: Wires, law: Transistor | None) -> str:
    from rpa.flash.ir import netlist as spice

    if wires.drive == "gate":
        return spice.gate_driven(cells, inputs, read_volt=wires.read_volt, bit_line_ohm=wires.bit_line_ohm, cell=law)
    return spice.drain_driven(cells, inputs, read_volt=wires.read_volt, bit_line_ohm=wires.bit_line_ohm, word_line_ohm=wires.word_line_ohm)


def _ours(cells: np.ndarray, inputs: np.ndarray, wires: Wires, law: Transistor | None) -> np.ndarray:
    from rpa.flash.ir import ladder, transfer
    from rpa.flash.ir import transistor as nonlinear

    if wires.drive == "drain":
        return wires.read_volt * transfer.matrix(cells, bit_line_ohm=wires.bit_line_ohm, word_line_ohm=wires.word_line_ohm) @ inputs
    if law is None:
        return ladder.currents(cells, inputs[None], read_volt=wires.read_volt, bit_line_ohm=wires.bit_line_ohm)[0]
    return nonlinear.currents(cells, inputs[None], read_volt=wires.read_volt, bit_line_ohm=wires.bit_line_ohm, cell=law)[0]


def _compare(text: str, cells: np.ndarray, inputs: np.ndarray, wires: Wires, law: Transistor | None, as_json: bool) -> None:
    from rpa.flash.ir import ngspice

    simulated, ours = ngspice.currents(text, cells.shape[1]), _ours(cells, inputs, wires, law)
    ideal = wires.read_volt * inputs @ cells
    rows = [{"bit_line": column, "no_wires_amp": float(ideal[column]), "ngspice_amp": float(simulated[column]), "ours_amp": float(ours[column]),
             "difference": float(abs(ours[column] - simulated[column]) / max(abs(simulated).max(), 1e-300))} for column in range(len(ours))]
    if as_json:
        print_json(rows)
    else:
        print_rows(rows)
