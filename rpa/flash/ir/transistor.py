"""Gate-driven arrays whose cells are transistors below threshold: their current hardly follows the drain voltage, so wires cost less.

The ladder and the factor take cells as resistors, which lose as much current as voltage. A cell below threshold loses a tenth of that at 0.1 V.
Checked against ngspice by `python -m benchmarks.ir_drop`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rpa.flash import check
from rpa.flash.curve import BOLTZMANN_VOLT, ROOM_KELVIN
from rpa.flash.errors import FlashError
from rpa.flash.ir import ladder
from rpa.flash.ir.checks import Floats, as_conductances, as_inputs, number

_ROUNDS = 200
_CONVERGED = 1e-14


@dataclass(frozen=True, kw_only=True)
class Transistor:
    """A cell below threshold: I(v) = I(V_read) * s(v)/s(V_read), s(v) = (1 - exp(-v/U_T))*(1 + v*output_per_volt)."""

    kelvin: float = ROOM_KELVIN
    """Temperature, 200..500."""
    output_per_volt: float = 0.1
    """Channel-length modulation in 1/volt, 0..10. Typical, no source."""

    def __post_init__(self) -> None:
        check.number("Transistor", "kelvin", self.kelvin, 200, 500, "K")
        check.number("Transistor", "output_per_volt", self.output_per_volt, 0, 10, "1/V")

    @property
    def thermal_volt(self) -> float:
        """U_T = kT/q."""
        return BOLTZMANN_VOLT * self.kelvin

    def shape(self, volt: npt.ArrayLike) -> Floats:
        """s(v) for any shape of voltages."""
        values = np.asarray(volt, np.float64)
        return -np.expm1(-values / self.thermal_volt) * (1 + values * self.output_per_volt)


def currents(conductances: npt.ArrayLike, inputs: npt.ArrayLike, *, read_volt: float, bit_line_ohm: float,
             cell: Transistor | None = None) -> Floats:
    """Exact currents as of `rpa.flash.ir.ladder.currents`, for cells that follow `cell`: (vectors, cols) amp.

    conductances: (rows, cols) siemens, cell current at read_volt over read_volt. Each round solves the ladder with every cell's current over voltage
    of the round before; FlashError if the currents do not settle.
    """
    cells = as_conductances("conductances", conductances)
    driven = as_inputs("inputs", inputs, len(cells))
    volt, law = number("read_volt", read_volt, above=True), Transistor() if cell is None else cell
    return np.array([_column_currents(cells * each[:, None], volt, bit_line_ohm, law) for each in driven])


def _column_currents(cells: Floats, volt: float, ohm: float, law: Transistor) -> Floats:
    full, on = float(law.shape(volt)), np.ones(len(cells))
    carried = cells * volt
    part: Floats = np.ones_like(cells)
    for _ in range(_ROUNDS):
        part = ladder.potentials(carried / (volt * part), on, bit_line_ohm=ohm)
        before, carried = carried, cells * volt * law.shape(part * volt) / full
        if np.abs(carried - before).max() <= _CONVERGED * np.abs(carried).max():
            return carried.sum(axis=0)
    raise FlashError(f"currents of transistor cells do not settle in {_ROUNDS} rounds; bit_line_ohm is {ohm:g}, lower it")
