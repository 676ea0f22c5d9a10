"""`rpa.run`: one program, one backend, one `Result`."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from typing import TYPE_CHECKING, TextIO

import numpy as np

from isa.errors import did_you_mean
from isa.program import Program
from isa.table import COUNTERS, FAULTS
from rpa.arch.macro import Macro
from rpa.arch.memory import build_memory, read_tensor
from rpa.arch.outcome import FaultState, Outcome
from rpa.runner.errors import BackendError, RunError
from rpa.runner.preflight import inspect
from rpa.runner.preflight import preflight as check
from rpa.runner.result import FaultReport, Result
from rpa.runner.source import location

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

BACKENDS = ("fast", "step", "rtl")
MAX_CYCLES = 50_000_000
"""Default cycle limit of a run."""


def run(program: Program, inputs: Mapping[str, ArrayLike] | None = None, backend: str = "fast", *, max_cycles: int = MAX_CYCLES,
        log: bool = False, preflight: bool = True, macro: Macro | None = None) -> Result:
    """Run an assembled program and collect what it left behind.

    inputs: an integer array for every `.input` and `.params` input, in its declared shape and range.
    backend: `fast` (event loop and tensor operations), `step` (one clock at a time), `rtl` (the generated Verilog, compiled);
    all three give the same cycles, counters, fault and outputs.
    max_cycles: the machine stops with the fault CYCLE_LIMIT after so many cycles, 1 or more.
    log: also collect the commit log; `fast` then steps the program.
    macro: the NOR-flash macros of the machine, an `rpa.flash.Chip` or anything with the interface `rpa.arch.macro.Macro`; the run
    begins with its cells as they are, and programs change them. Without it the exact macros, with cells 0. `rtl` has only these.
    preflight: refuse programs that overflow an accumulator, deadlock or leave a bank, before running them.

    A fault of the machine is not an exception: it is in :attr:`Result.fault`. Raises BackendError, InputError,
    PreflightError.
    """
    if backend not in BACKENDS:
        suggestion = did_you_mean(str(backend), BACKENDS)
        raise BackendError(f"backend is {backend!r}, must be one of {', '.join(BACKENDS)}" + (f"; {suggestion}" if suggestion else ""))
    if type(max_cycles) is not int or max_cycles < 1:
        raise RunError(f"max_cycles is {max_cycles!r}, must be an integer of at least 1")
    if macro is not None and backend == "rtl":
        raise BackendError("backend `rtl` has the exact macros only; leave `macro` out, or use `fast` or `step`")
    memory = build_memory(program, inputs)
    lanes = (check if preflight else inspect)(program, max_cycles=max_cycles).lanes
    text = StringIO() if log else None
    outcome, detail = _BACKENDS[backend](program, memory, max_cycles, text, macro)
    return Result(
        program=program.name, backend=backend, backend_detail=detail,
        counters={counter.name: int(outcome.counters[counter.index]) for counter in COUNTERS},
        lanes=lanes, pes=program.config["rows"] * program.config["cols"],
        outputs={tensor.name: read_tensor(outcome.memory, tensor) for tensor in program.outputs()},
        fault=_report(program, outcome.fault), outcome=outcome, log=tuple(text.getvalue().splitlines()) if text is not None else ())


def _report(program: Program, fault: FaultState | None) -> FaultReport | None:
    if fault is None:
        return None
    row = next(row for row in FAULTS if row.code == fault.code)
    file, line = location(program, fault.pc)
    return FaultReport(row.name, row.doc, fault.pc, fault.aux, row.aux, file, line, row.hint)


def _fast(program: Program, memory: np.ndarray, max_cycles: int, log: TextIO | None, macro: Macro | None) -> tuple[Outcome, str | None]:
    if log is not None:
        return _step(program, memory, max_cycles, log, macro)[0], "stepped: the commit log was asked for"
    from rpa.emu import fast

    done = fast.execute(program, memory, max_cycles=max_cycles, macro=macro)
    return done.outcome, None if done.stepped_because is None else f"stepped: {done.stepped_because}"


def _step(program: Program, memory: np.ndarray, max_cycles: int, log: TextIO | None, macro: Macro | None) -> tuple[Outcome, str | None]:
    from rpa.emu import step

    return step.run(program, memory, max_cycles=max_cycles, log=log, macro=macro), None


def _rtl(program: Program, memory: np.ndarray, max_cycles: int, log: TextIO | None, macro: Macro | None) -> tuple[Outcome, str | None]:
    try:
        from hdl import sim
    except ImportError as error:
        raise BackendError(f"backend `rtl` needs {error.name or error}; install the package with the extra `rtl`") from error

    return sim.run(program, memory, max_cycles=max_cycles, log=log), None


_BACKENDS = {"fast": _fast, "step": _step, "rtl": _rtl}
