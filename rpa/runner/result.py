"""`Result`: what a run left behind, under the manual's names and with units."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from isa.table import COUNTERS
from rpa.arch.outcome import Outcome

RESULT_VERSION = 1
_WORD_BYTES = 2
_BANK_READS = ("a_reads", "w_reads", "o_reads", "x_reads")
_BANK_WRITES = ("a_writes", "w_writes", "p_writes", "o_writes", "x_writes")
UNITS: Mapping[str, str] = {counter.name: counter.unit for counter in COUNTERS} | {
    "ext_read_bytes": "bytes", "ext_write_bytes": "bytes", "bank_reads": "words", "bank_writes": "words", "lanes": "lanes",
    "utilisation": "1"}
"""Unit of every figure of a result."""


@dataclass(frozen=True)
class FaultReport:
    """Why the machine stopped early."""

    name: str
    """Name in `isa.table.FAULTS`, as DEADLOCK."""
    text: str
    """What the fault means."""
    pc: int
    aux: int
    aux_text: str
    """What ``aux`` holds."""
    file: str | None
    line: int | None
    hint: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.file is not None else f"pc {self.pc}"
        return f"{where}: fault {self.name}: {self.text} ({self.aux_text}: {self.aux:#x})\nhint: {self.hint}"


@dataclass(frozen=True, eq=False)
class Result:
    """Outcome of one run.

    The same program and inputs give the same cycles, counters, fault and outputs on every backend.
    """

    program: str
    backend: str
    backend_detail: str | None
    """How the backend did it where that is not its usual way: why the fast emulator stepped the program."""
    counters: dict[str, int]
    """Every counter of the manual, by name; units in :data:`UNITS`."""
    lanes: float
    """Lanes of the array's steps, averaged over steps: 1 at 16 bits, 2 at 8, 4 at 4, 8 at 2; 1 if there was no step."""
    pes: int
    """PEs of the machine: rows * cols."""
    outputs: dict[str, np.ndarray]
    """Every `.output`, by name, in the shape and signedness that the program declares; int64."""
    fault: FaultReport | None
    outcome: Outcome = field(repr=False)
    """Final memory, core registers and raw counters."""
    log: tuple[str, ...] = ()
    """Lines of the commit log, where it was asked for."""

    @property
    def cycles(self) -> int:
        """Clock cycles from the first instruction to the end, both included."""
        return self.counters["cycles"]

    @property
    def utilisation(self) -> float:
        """Useful MACs of those that the array could have done: macs / (cycles * rows * cols * lanes).

        With runs of different widths ``lanes`` is their mean, weighted by steps; so this is the share of cycles that
        issued a step, times the share of the MACs of these steps that were useful.
        """
        return self.counters["macs"] / (self.cycles * self.pes * self.lanes)

    @property
    def ext_read_bytes(self) -> int:
        """Bytes read from external memory."""
        return _WORD_BYTES * self.counters["ext_read_words"]

    @property
    def ext_write_bytes(self) -> int:
        """Bytes written to external memory."""
        return _WORD_BYTES * self.counters["ext_write_words"]

    @property
    def bank_reads(self) -> int:
        """16-bit words read from A, W and O banks."""
        return sum(self.counters[name] for name in _BANK_READS)

    @property
    def bank_writes(self) -> int:
        """16-bit words written into A, W, P and O banks, multicast counted per bank."""
        return sum(self.counters[name] for name in _BANK_WRITES)

    def figures(self) -> dict[str, int | float]:
        """Counters and everything derived from them, in one mapping; units in :data:`UNITS`."""
        derived = {name: getattr(self, name) for name in UNITS if name not in self.counters}
        return {**self.counters, **derived}

    def to_dict(self, *, outputs: bool = True) -> dict:
        """Plain data for JSON; output arrays as nested lists unless ``outputs`` is false."""
        fault = None if self.fault is None else vars(self.fault).copy()
        data = {"version": RESULT_VERSION, "program": self.program, "backend": self.backend, "backend_detail": self.backend_detail,
                "figures": self.figures(), "units": dict(UNITS), "fault": fault}
        if outputs:
            data["outputs"] = {name: array.tolist() for name, array in self.outputs.items()}
        return data

    def to_json(self, path: str | Path | None = None, *, outputs: bool = True) -> str:
        """The result as JSON text; also written to ``path`` if given."""
        return _deliver(json.dumps(self.to_dict(outputs=outputs), indent=2) + "\n", path)

    def to_csv(self, path: str | Path | None = None) -> str:
        """Figures as CSV text with the columns name, value, unit; also written to ``path`` if given."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("name", "value", "unit"))
        writer.writerows((name, value, UNITS[name]) for name, value in self.figures().items())
        return _deliver(text.getvalue(), path)


def _deliver(text: str, path: str | Path | None) -> str:
    if path is not None:
        Path(path).write_text(text, encoding="utf-8")
    return text
