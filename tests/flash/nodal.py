"""Nodal analysis of both kinds of array with scipy's sparse solver, written from Kirchhoff's law alone: the oracle of rpa.flash.ir.

Wires are resistors between numbered nodes; a node of number -1 is held (a driver, a sense amplifier, a source line). Resistances must not be 0.
Currents are sums over cells, which loses less to rounding than the small difference over the last segment.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import spsolve

HELD = -1


class Circuit:
    """Conductances between free nodes, and to held nodes of given potentials."""

    def __init__(self, nodes):
        self.nodes, self.entries, self.sources = nodes, [], np.zeros(nodes)

    def join(self, one, other, siemens, volt=0.0):
        """A resistor between two nodes; `volt` is the potential of `other` where that is held."""
        self.entries.append((one, one, siemens))
        if other == HELD:
            self.sources[one] += siemens * volt
        else:
            self.entries.extend([(other, other, siemens), (one, other, -siemens), (other, one, -siemens)])

    def potentials(self):
        rows, cols, values = zip(*self.entries, strict=True)
        return spsolve(coo_matrix((values, (rows, cols)), (self.nodes, self.nodes)).tocsc(), self.sources)


def gate_driven(conductances, inputs, read_volt, bit_line_ohm):
    """Currents of the columns, for one vector of inputs: sense amplifiers at read_volt, source lines at 0."""
    rows, cols = conductances.shape
    found = []
    for column in range(cols):
        circuit = Circuit(rows)
        for row in range(rows):
            circuit.join(row, HELD, inputs[row] * conductances[row, column])
            last = row == rows - 1
            circuit.join(row, HELD if last else row + 1, 1 / bit_line_ohm, read_volt)
        found.append(circuit.potentials() @ (inputs * conductances[:, column]))
    return np.array(found)


def drain_driven(conductances, volts, bit_line_ohm, word_line_ohm):
    """Currents of the columns into sense amplifiers at 0, word lines driven at column 0 with `volts`."""
    rows, cols = conductances.shape
    circuit = Circuit(2 * rows * cols)
    for row in range(rows):
        for column in range(cols):
            word, bit = row * cols + column, (rows + row) * cols + column
            circuit.join(word, bit, conductances[row, column])
            circuit.join(word, word - 1 if column else HELD, 1 / word_line_ohm, volts[row])
            circuit.join(bit, bit + cols if row < rows - 1 else HELD, 1 / bit_line_ohm)
    words, bits = circuit.potentials().reshape(2, rows, cols)
    return ((words - bits) * conductances).sum(axis=0)
