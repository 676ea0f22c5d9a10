"""The RTL as a backend: `run` a program on the generated Verilog in Verilator, with the same Outcome as the emulators."""

from hdl.sim.errors import SimulatorError
from hdl.sim.run import run

__all__ = ["SimulatorError", "run"]
