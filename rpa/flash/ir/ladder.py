"""Exact currents of a gate-driven array: the input is on the gate, only the bit line carries current.

Every column is a ladder: in each row a cell from the node of the bit line to its source line, one wire segment between
neighbouring nodes, and one from the node of the last row to the sense amplifier, which holds `read_volt`. The admittance seen
from the node of row i upwards is Y_i = x_i*G_i + Y_{i-1}/(1 + r*Y_{i-1}).
Source: `docs/design.md`, section 16; checked against a dense nodal solve and ngspice by `python -m benchmarks.ir_drop`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rpa.arch.jit import HAVE_NUMBA, jit
from rpa.flash.ir.checks import Floats, as_conductances, as_inputs, number, wire

_BLOCK = 128
"""Columns that are done together: their conductances, at 1024 rows, stay in a second-level cache of 1 MiB."""
_STEPS = 32
"""Active rows between two normalisations: (1 + WIRE_LIMIT)**2 to this power stays within float64."""


def currents(conductances: npt.ArrayLike, inputs: npt.ArrayLike, *, read_volt: float, bit_line_ohm: float) -> Floats:
    """Current into each bit line, with the drop over the bit line's segments.

    conductances: (rows, cols) siemens, cell current at `read_volt` over `read_volt`; row 0 is the farthest from the sense
    amplifier. inputs: (vectors, rows), 0..1, each scales its row's conductance. bit_line_ohm: of one segment, 0 or more.
    Returns (vectors, cols) amp. The same bits on every machine, in whatever batches the vectors come.
    """
    cells = as_conductances("conductances", conductances)
    driven = as_inputs("inputs", inputs, len(cells))
    volt, ohm = number("read_volt", read_volt, above=True), wire("bit_line_ohm", bit_line_ohm, cells)
    if not HAVE_NUMBA:
        return volt * admittances(cells, driven, ohm)
    found = np.empty((len(driven), cells.shape[1]))
    _fill(cells, driven, ohm, volt, found)
    return found


def admittances(conductances: Floats, inputs: Floats, ohm: float) -> Floats:
    """The recursion as it stands above, in NumPy: (vectors, cols) siemens from (rows, cols) and (vectors, rows)."""
    above: Floats = np.zeros((len(inputs), conductances.shape[1]))
    for row, cells in enumerate(conductances):
        above = above / (1.0 + ohm * above) + inputs[:, row, None] * cells
    return above / (1.0 + ohm * above)


def potentials(conductances: npt.ArrayLike, inputs: npt.ArrayLike, *, bit_line_ohm: float) -> Floats:
    """Potential of every node of the bit lines, as part of `read_volt`: what is left of it across each cell.

    conductances: (rows, cols) siemens. inputs: (rows,), 0..1. Returns (rows, cols), 0..1.
    """
    cells = as_conductances("conductances", conductances)
    driven = as_inputs("inputs", np.asarray(inputs)[None], len(cells))[0]
    ohm = wire("bit_line_ohm", bit_line_ohm, cells)
    found = np.empty_like(cells)
    _fill_potentials(cells, driven, ohm, found)
    return found


@jit
def _fill(conductances, inputs, ohm, volt, found):
    """:func:`admittances` without its division: Y = n/d, so a segment is d += r*n and a cell n += x*G*d. Rows that are not
    driven only lengthen the wire."""
    rows, cols = conductances.shape
    active, gains, gaps = np.empty(rows, np.int64), np.empty(rows), np.empty(rows + 1)
    n, d = np.empty(_BLOCK), np.empty(_BLOCK)
    for first in range(0, cols, _BLOCK):
        width = min(_BLOCK, cols - first)
        block = conductances[:, first:first + width].copy()
        for vector in range(len(inputs)):
            count = _active(inputs[vector], ohm, active, gains, gaps)
            n[:] = 0.0
            d[:] = 1.0
            for k in range(count):
                row, gain, gap = active[k], gains[k], gaps[k]
                for j in range(width):
                    d[j] += gap * n[j]
                    n[j] += gain * block[row, j] * d[j]
                if k % _STEPS == _STEPS - 1:
                    for j in range(width):
                        n[j] /= d[j]
                        d[j] = 1.0
            for j in range(width):
                found[vector, first + j] = volt * n[j] / (d[j] + gaps[count] * n[j])


@jit
def _active(inputs, ohm, active, gains, gaps):
    """List the driven rows, their inputs, and the resistance of the wire above each and below the last; returns their number."""
    count, above = 0, -1
    for row in range(len(inputs)):
        if inputs[row] != 0.0:
            active[count], gains[count], gaps[count] = row, inputs[row], (row - above) * ohm
            above = row
            count += 1
    gaps[count] = (len(inputs) - above) * ohm
    return count


@jit
def _fill_potentials(cells, driven, ohm, found):
    """Upwards what part of the potential below passes a segment, downwards the product of these parts."""
    above = np.zeros(cells.shape[1])
    for row in range(len(cells)):
        above[:] = above / (1.0 + ohm * above) + driven[row] * cells[row]
        found[row] = 1.0 / (1.0 + ohm * above)
    for row in range(len(cells) - 2, -1, -1):
        found[row] *= found[row + 1]
