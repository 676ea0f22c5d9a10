"""Faults of a source: where they are, how they print, and the collector that every stage reports to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from isa.errors import AsmError


class Span(NamedTuple):
    """A range of columns in a statement: line counted from the statement's first (0), columns from 1, end exclusive."""

    line: int
    column: int
    end: int


@dataclass(frozen=True)
class Diagnostic:
    """One fault or warning, with everything that a report or an editor needs."""

    file: str
    line: int
    """From 1."""
    column: int
    """From 1."""
    width: int
    """Columns that the caret covers, at least 1."""
    severity: str
    """`error` or `warning`."""
    code: str
    """Stable code, a key of `isa.errors.CODES`."""
    message: str
    hint: str
    text: str
    """The source line."""
    notes: tuple[str, ...] = ()
    """Where the statement was expanded from, innermost first."""

    @property
    def headline(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.severity}: {self.message}"

    def __str__(self) -> str:
        parts = [self.headline]
        if self.text.strip():
            lead = "".join("\t" if char == "\t" else " " for char in self.text[:self.column - 1])
            width = max(1, min(self.width, len(self.text) - self.column + 1))
            parts += [f"{self.line:>5} | {self.text}", f"      | {lead}^{'~' * (width - 1)}"]
        if self.hint:
            parts.append(f"hint: {self.hint}")
        parts += [f"note: {note}" for note in self.notes]
        return "\n".join(parts)


class Fault(Exception):
    """Internal: one fault found while a statement is worked on; a stage catches it, reports it, and goes on."""

    def __init__(self, code: str, message: str, span: Span, site: object = None, hint: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.span, self.site, self.hint = code, message, span, site, hint


class Collector:
    """Gathers diagnostics of a whole source; the same fault at the same place (in a repeat) counts once."""

    def __init__(self) -> None:
        self._files: dict[str, int] = {}
        self._seen: set[tuple[str, int, int, str]] = set()
        self._all: list[Diagnostic] = []
        self.errors = 0

    def add(self, diagnostic: Diagnostic) -> None:
        key = (diagnostic.file, diagnostic.line, diagnostic.column, diagnostic.message)
        if key not in self._seen:
            self._seen.add(key)
            self._files.setdefault(diagnostic.file, len(self._files))
            self._all.append(diagnostic)
            self.errors += diagnostic.severity == "error"

    def register_file(self, name: str) -> None:
        """Fix the order of files in the report: the order in which they are read."""
        self._files.setdefault(name, len(self._files))

    def sorted(self, severity: str) -> list[Diagnostic]:
        chosen = [diagnostic for diagnostic in self._all if diagnostic.severity == severity]
        return sorted(chosen, key=lambda one: (self._files[one.file], one.line, one.column))

    @property
    def failed(self) -> bool:
        return self.errors > 0

    def check(self) -> None:
        """Raise AsmError with every error gathered so far, if there is one."""
        if self.failed:
            raise AsmError(self.sorted("error"))
