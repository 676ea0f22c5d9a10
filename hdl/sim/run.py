"""Run one program on the compiled machine; every run is a process of its own, so that nothing is left of the one before."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import numpy as np

from hdl.sim.errors import SimulatorError
from hdl.sim.log import write_log
from hdl.sim.model import simulator
from isa.program import Program
from isa.table import CORE_REGISTERS, COUNTERS
from rpa.arch.config import ArrayConfig
from rpa.arch.lockstep import RecordLayout
from rpa.arch.outcome import FaultState, Outcome

HANGS = 3


def run(program: Program, memory: np.ndarray, *, max_cycles: int, log: TextIO | None = None, record: bool = False, stall_seed: int = 0,
        executable: Path | None = None, options: Sequence[str] = ()) -> Outcome:
    """Run ``program`` on the Verilog of its configuration until it is done or a fault stops it.

    memory: uint8 (mem_bytes,), not changed.  max_cycles: the cycle limit, 0 for none.  record: with lockstep records.
    stall_seed: not 0 gives an external memory that stalls and answers late at random; then cycles differ from the manual.
    executable: another build of the same ports; options: its plus arguments (both for tests with seeded bugs).
    Raises SimulatorError if a tool is missing, or if the machine is still running after the limit.
    """
    config = ArrayConfig.from_dict(program.config)
    binary = executable or simulator(config)
    with tempfile.TemporaryDirectory(prefix="rpa-") as name:
        folder = Path(name)
        np.array(program.code, dtype="<u4").tofile(folder / "code")
        np.ascontiguousarray(memory, dtype=np.uint8).tofile(folder / "memory")
        command = [str(binary), "code", "memory", str(max_cycles), str(stall_seed), "result",
                   "records" if record else "-", "-" if log is None else "events",
                   *options]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode == HANGS:
            raise SimulatorError(f"`{program.name}`: the RTL is still running past its limit of {max_cycles} cycles: a defect of the RTL")
        if done.returncode:
            raise SimulatorError(f"`{program.name}`: the simulator ended with status {done.returncode}: {done.stderr.strip()}")
        outcome = _outcome(folder, config, record)
        if log is not None:
            write_log(log, program, config, folder / "events", outcome.cycles, outcome.fault)
        return outcome


def _outcome(folder: Path, config: ArrayConfig, record: bool) -> Outcome:
    words = np.fromfile(folder / "result", dtype="<u8")
    code, pc, aux = (int(word) for word in words[:3])
    registers, counters = words[3:3 + CORE_REGISTERS], words[3 + CORE_REGISTERS:]
    assert len(counters) == len(COUNTERS), "the driver writes every counter"
    records = np.fromfile(folder / "records", dtype="<u8").reshape(-1, RecordLayout.of(config).columns) if record else None
    return Outcome(counters=counters, memory=np.fromfile(folder / "memory", dtype=np.uint8), registers=tuple(int(word) for word in registers),
                   fault=FaultState(code, pc, aux) if code else None, records=records)
