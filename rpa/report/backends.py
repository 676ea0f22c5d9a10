"""The backends by name: `step` and `fast` emulator, and `rtl`, the generated Verilog in a compiled simulator."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import numpy as np

from isa import Program
from isa.errors import RpaError
from rpa.arch.memory import build_memory, read_tensor
from rpa.arch.outcome import Outcome

BACKENDS = {"fast": "rpa.emu.fast", "step": "rpa.emu.step", "rtl": "hdl.sim"}
"""Name: module with `run(program, memory, *, max_cycles) -> Outcome`. Loaded when used: `rtl` needs Amaranth."""
MAX_CYCLES = 10_000_000


class ReportError(RpaError):
    """A kernel that a report was asked for did not do what it should, or does not exist."""


def backend_run(name: str) -> Callable[..., Outcome]:
    """Return the `run` of a backend. Raises ReportError for an unknown name."""
    if name not in BACKENDS:
        raise ReportError(f"no backend `{name}`; there are {', '.join(BACKENDS)}")
    return import_module(BACKENDS[name]).run


def run_program(program: Program, inputs: dict[str, np.ndarray], backend: str) -> tuple[Outcome, dict[str, np.ndarray]]:
    """Run to the end and read the outputs by name. Raises ReportError if the machine faults."""
    outcome = backend_run(backend)(program, build_memory(program, inputs), max_cycles=MAX_CYCLES)
    if outcome.fault is not None:
        file, line = program.lines[outcome.fault.pc] if outcome.fault.pc < len(program.lines) else ("?", 0)
        raise ReportError(f"{file}:{line}: fault {outcome.fault.name}, aux {outcome.fault.aux:#x}, after {outcome.cycles} cycles on `{backend}`")
    outputs = {name: read_tensor(outcome.memory, tensor) for name, tensor in program.tensors.items() if tensor.role == "output"}
    return outcome, outputs
