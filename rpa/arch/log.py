"""The commit log: what a machine did, one line per event, the same from stepping emulator and RTL (`docs/log.md`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TextIO

from isa.disassembler import format_instruction
from isa.program import Program
from isa.table import ENGINES, FAULTS
from rpa.arch.outcome import FaultState

COLUMNS = ("cycle", "kind", "unit", "pc", "word", "instruction", "effect")
HEADER = "\t".join(COLUMNS)
_ABSENT = "-"
_FAULT = {fault.code: fault.name for fault in FAULTS}
_ENGINE = tuple(engine.name for engine in ENGINES)


class CommitLog:
    """Writes the log of one run of ``program`` to a text file, the header at once.

    Cycles count from 1. Within a cycle call in the order retire, starts and then completions by engine number, write, fault.
    """

    def __init__(self, program: Program, out: TextIO) -> None:
        self._out = out
        self._text = [(f"{word:#010x}", format_instruction(word, address) or "illegal") for address, word in enumerate(program.code)]
        out.write(HEADER + "\n")

    def _line(self, cycle: int, kind: str, unit: str, pc: int | None, effect: str) -> None:
        place = _ABSENT if pc is None else f"{pc:#06x}"
        word, text = self._text[pc] if pc is not None and pc < len(self._text) else (_ABSENT, _ABSENT)
        self._out.write(f"{cycle}\t{kind}\t{unit}\t{place}\t{word}\t{text}\t{effect}\n")

    def retire(self, cycle: int, pc: int, rd: int, value: int) -> None:
        """The core completed the instruction at ``pc``; it wrote ``value`` to register ``rd`` (0: no write)."""
        self._line(cycle, "retire", "core", pc, f"r{rd}={value:#010x}" if rd else _ABSENT)

    def start(self, cycle: int, engine: int, pc: int) -> None:
        """The engine took the command at ``pc`` from its queue."""
        self._line(cycle, "start", _ENGINE[engine], pc, _ABSENT)

    def done(self, cycle: int, engine: int, pc: int) -> None:
        """The command at ``pc`` completed and gave its tokens."""
        self._line(cycle, "done", _ENGINE[engine], pc, _ABSENT)

    def write(self, cycle: int, address: int, words: Iterable[int]) -> None:
        """16-bit words were written to external memory from byte ``address`` on."""
        self._line(cycle, "write", "mem", None, f"[{address:#010x}]=" + ",".join(f"{int(word):04x}" for word in words))

    def fault(self, cycle: int, fault: FaultState) -> None:
        """The machine stopped with a fault found in this cycle."""
        self._line(cycle, "fault", "machine", fault.pc, f"{_FAULT[fault.code]} aux={fault.aux:#010x}")
