"""Arrays as SPICE netlists, for a circuit simulator: one vector of inputs, an operating point, the currents of the bit lines.

A netlist holds only numbers and names that are made here. Nodes: `b<row>_<column>` on bit lines, `w<row>_<column>` on word lines; row 0
is the farthest from the sense amplifiers, column 0 the nearest to the drivers. Cells: resistors `rc...`, or behavioural sources `bc...`. Wires:
`rb...`, `rw...`. Sense amplifiers: voltage sources `vs<column>`, whose currents are printed.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from rpa.flash.errors import FlashError
from rpa.flash.ir.checks import Floats, as_conductances, as_inputs, number, wire
from rpa.flash.ir.transistor import Transistor

RESULT = "i"
"""Results are printed as `i(vs<column>) = <number>`."""


def gate_driven(conductances: npt.ArrayLike, inputs: npt.ArrayLike, *, read_volt: float, bit_line_ohm: float,
                cell: Transistor | None = None) -> str:
    """Netlist of an array whose inputs are at the gates.

    conductances: (rows, cols) siemens. inputs: (rows,), 0..1, each scales its row. bit_line_ohm: of a segment, above 0. cell: a law of the current
    over the drain voltage, with the current conductance*read_volt at read_volt; None: a resistor.
    """
    cells, driven = _checked(conductances, inputs)
    volt, ohm = number("read_volt", read_volt, above=True), _above_0("bit_line_ohm", bit_line_ohm, cells)
    rows, cols = cells.shape
    lines = [f"* gate-driven array, {rows} rows x {cols} columns, bit lines {ohm!r} ohm a cell, read at {volt!r} V"]
    for row, column in np.ndindex(rows, cols):
        here = float(driven[row] * cells[row, column])
        if here > 0 and cell is None:
            lines.append(f"rc{row}_{column} b{row}_{column} 0 {1 / here!r}")
        elif here > 0 and cell is not None:
            lines.append(_transistor(row, column, here * volt / float(cell.shape(volt)), cell))
    return _text([*lines, *_bit_lines(rows, cols, ohm), *(f"vs{column} s{column} 0 dc {volt!r}" for column in range(cols))], cols)


def drain_driven(conductances: npt.ArrayLike, inputs: npt.ArrayLike, *, read_volt: float, bit_line_ohm: float, word_line_ohm: float) -> str:
    """Netlist of an array whose inputs are voltages on word lines, input*read_volt; cells are resistors. Arguments as of :func:`gate_driven`."""
    cells, driven = _checked(conductances, inputs)
    volt = number("read_volt", read_volt, above=True)
    bit, word = _above_0("bit_line_ohm", bit_line_ohm, cells), _above_0("word_line_ohm", word_line_ohm, cells)
    rows, cols = cells.shape
    lines = [f"* drain-driven array, {rows} rows x {cols} columns, bit lines {bit!r} and word lines {word!r} ohm a cell, inputs up to {volt!r} V"]
    for row in range(rows):
        lines.append(f"vd{row} d{row} 0 dc {float(driven[row]) * volt!r}")
        lines.extend(f"rw{row}_{column} {f'w{row}_{column - 1}' if column else f'd{row}'} w{row}_{column} {word!r}" for column in range(cols))
    lines.extend(f"rc{row}_{column} w{row}_{column} b{row}_{column} {1 / float(cells[row, column])!r}"
                 for row, column in np.ndindex(rows, cols) if cells[row, column] > 0)
    return _text([*lines, *_bit_lines(rows, cols, bit), *(f"vs{column} s{column} 0 dc 0" for column in range(cols))], cols)


def _checked(conductances: npt.ArrayLike, inputs: npt.ArrayLike) -> tuple[Floats, Floats]:
    cells = as_conductances("conductances", conductances)
    vector = np.asarray(inputs)
    if vector.ndim != 1:
        raise FlashError(f"inputs has shape {vector.shape}, must be ({len(cells)},): one vector, a netlist is one operating point")
    return cells, as_inputs("inputs", vector[None], len(cells))[0]


def _above_0(name: str, ohm: float, cells: Floats) -> float:
    """A simulator would take a resistor of 0 ohm as one of its own choice."""
    number(name, ohm, above=True)
    return wire(name, ohm, cells)


def _transistor(row: int, column: int, amp: float, cell: Transistor) -> str:
    node = f"v(b{row}_{column})"
    return (f"bc{row}_{column} b{row}_{column} 0 i = {amp!r} * (1 - exp(-{node} / {cell.thermal_volt!r})) * "
            f"(1 + {float(cell.output_per_volt)!r} * {node})")


def _bit_lines(rows: int, cols: int, ohm: float) -> Iterator[str]:
    for row, column in np.ndindex(rows, cols):
        below = f"b{row + 1}_{column}" if row < rows - 1 else f"s{column}"
        yield f"rb{row}_{column} b{row}_{column} {below} {ohm!r}"


def _text(lines: list[str], cols: int) -> str:
    """With the analysis: default tolerances would leave errors of 1e-3, and every result is printed with all its digits."""
    control = [".options reltol=1e-9 abstol=1e-18 vntol=1e-15", ".control", "set numdgt=16", "op"]
    results = [f"print {RESULT}(vs{column})" for column in range(cols)]
    return "\n".join([*lines, *control, *results, "quit 0", ".endc", ".end"]) + "\n"
