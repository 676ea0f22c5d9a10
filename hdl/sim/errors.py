"""What can go wrong in running the Verilog that is not the program's fault."""

from __future__ import annotations

from isa.errors import RpaError


class SimulatorError(RpaError):
    """A tool is missing, the Verilog does not build, or the simulated machine hangs."""
