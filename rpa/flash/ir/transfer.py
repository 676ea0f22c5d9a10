"""Exact map of a drain-driven array: word and bit lines both carry current, cells are linear.

The drop is one linear map of a programmed array: currents = matrix @ inputs * volt. It is found once, by elimination of one row of
nodes after the other, from the far end of the bit lines to the sense amplifiers. For row i, with D = diag(G_i) and g = 1/r of a
bit-line segment: T_i is the tridiagonal matrix of its word line (driven at column 0), s_i = D*inv(T_i)*e_0*g_w, and
S_i = D - D*inv(T_i)*D + (2 - [i = 0])*g*I what is left for the bit-line nodes; P_0 = S_0, P_{i+1} = S_{i+1} - g^2*inv(P_i),
J_{i+1} = [g*inv(P_i)*J_i, s_{i+1}], currents = g*inv(P_last)*J_last.
Everything is carried divided by g, so that a bit line without resistance is the limit and no special case.
Source: `docs/design.md`, section 16; checked against a sparse nodal solve, ngspice and badcrossbar by `python -m benchmarks.ir_drop`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rpa.arch.jit import jit
from rpa.flash.ir.checks import Floats, as_conductances, wire


def matrix(conductances: npt.ArrayLike, *, bit_line_ohm: float, word_line_ohm: float) -> Floats:
    """Transfer map of a programmed array.

    conductances: (rows, cols) siemens; row 0 is the farthest from the sense amplifiers, column 0 the nearest to the drivers.
    bit_line_ohm, word_line_ohm: of one segment, 0 or more; there is one more segment between the last row and the sense amplifier, and one
    between the driver and column 0. Returns (cols, rows) siemens: current of a bit line per volt of a word line.
    """
    cells = as_conductances("conductances", conductances)
    bit, word = wire("bit_line_ohm", bit_line_ohm, cells), wire("word_line_ohm", word_line_ohm, cells)
    rows, cols = cells.shape
    found, potentials, unit = np.zeros((cols, rows)), np.empty((cols, cols + 1)), np.eye(cols)
    left = unit
    for row in range(rows):
        _fill_word_line(cells[row], word, potentials)
        found[:, row] = cells[row] * potentials[:, -1]
        load = np.diag(cells[row]) - cells[row][:, None] * potentials[:, :-1]
        left = np.linalg.inv(bit * load + 2.0 * unit - left)
        found[:, :row + 1] = left @ found[:, :row + 1]
    return found


@jit
def _fill_word_line(cells, ohm, potentials):
    """Potentials of one word line's nodes, (cols, cols + 1): for 1 volt on one bit-line node after the other, and last for 1 volt of the
    driver. They solve (K + r*D) w = r*D*b + e_0*v, where K is 2 (at the end 1) on and -1 beside the diagonal."""
    cols = len(cells)
    pivots = np.empty(cols)
    potentials[:] = 0.0
    potentials[0, cols] = 1.0
    for j in range(cols):
        potentials[j, j] = ohm * cells[j]
        pivots[j] = (1.0 if j == cols - 1 else 2.0) + ohm * cells[j]
        if j:
            pivots[j] -= 1.0 / pivots[j - 1]
            potentials[j] += potentials[j - 1] / pivots[j - 1]
    potentials[cols - 1] /= pivots[cols - 1]
    for j in range(cols - 2, -1, -1):
        potentials[j] = (potentials[j] + potentials[j + 1]) / pivots[j]
