"""The commit log of the RTL: the driver's events in the format of `docs/log.md`."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

import numpy as np

from hdl.common import ENGINE_COUNT
from hdl.sim.model import event_words
from isa.program import Program
from rpa.arch.config import ArrayConfig
from rpa.arch.log import CommitLog
from rpa.arch.outcome import FaultState

RETIRE_WORDS = 6


def write_log(out: TextIO, program: Program, config: ArrayConfig, events: Path, cycles: int, fault: FaultState | None) -> None:
    """Write the log of a run of ``cycles`` cycles from the driver's event file, see log_cycle() in driver.cpp."""
    log = CommitLog(program, out)
    for row in np.fromfile(events, dtype="<u8").reshape(-1, event_words(config)).tolist():
        _write_cycle(log, row)
    if fault is not None:
        log.fault(cycles, fault)


def _write_cycle(log: CommitLog, row: list[int]) -> None:
    cycle, (retired, pc, _word, writes, rd, value), rest = row[0], row[1:1 + RETIRE_WORDS], row[1 + RETIRE_WORDS:]
    if retired:
        log.retire(cycle, pc, rd if writes else 0, value if writes else 0)
    for note in (log.start, log.done):
        mask, pcs, rest = rest[0], rest[1:1 + ENGINE_COUNT], rest[1 + ENGINE_COUNT:]
        for engine in range(ENGINE_COUNT):
            if mask >> engine & 1:
                note(cycle, engine, pcs[engine])
    mask, address, words = rest[0], rest[1], rest[2:]
    if mask:
        log.write(cycle, address, words[:mask.bit_length()])
