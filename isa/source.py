"""Source files: reading them safely, splitting them into statements, and where a statement of an expansion stands."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from isa.diagnostics import Collector, Diagnostic, Fault, Span
from isa.parser import directive_at
from isa.symbols import Scope

FILE_LIMIT = 4 << 20
"""Bytes of the largest source file."""
FAULT_LIMIT = 1000
"""Faults that one report lists."""
LINE_LIMIT = 20_000
"""Characters of the longest line."""
_CODE = re.compile(r'(?:[^;"]|"[^"]*"?)*')
_CONTINUED = (".data", ".params")


@dataclass(frozen=True, eq=False)
class SourceFile:
    """A file that was read. ``name`` is for messages, ``short`` (relative to the root's folder) for the source map."""

    name: str
    short: str
    lines: tuple[str, ...]
    path: Path | None = None

    @property
    def folder(self) -> Path | None:
        """Where relative paths start; None for a text."""
        return None if self.path is None else self.path.parent


@dataclass(frozen=True, eq=False)
class SourceLine:
    """One statement: a line of a file, or several where a list goes on behind `=` or a comma."""

    file: SourceFile
    number: int
    text: str

    @property
    def where(self) -> str:
        return f"{self.file.name}:{self.number}"


@dataclass(frozen=True, eq=False)
class Site:
    """One occurrence of a statement: in the source, or in an expansion of a macro, a repeat or an include."""

    line: SourceLine
    scope: Scope
    via: Site | None = None
    """The statement that this one was expanded from."""
    how: str = ""
    """What that was, for messages: ``in macro `pad``` ..."""
    depth: int = 0

    def notes(self) -> tuple[str, ...]:
        notes: list[str] = []
        site = self
        while site.via is not None and len(notes) < 20:
            if site.how:
                notes.append(f"{site.how}, from {site.via.line.where}")
            site = site.via
        return tuple(notes)


@dataclass
class Reporter:
    """Turns faults at sites into diagnostics."""

    collector: Collector = field(default_factory=Collector)

    def report(self, fault: Fault, site: Site) -> None:
        """Record ``fault``, found while ``site`` was worked on; one without a code was reported before."""
        if fault.code:
            self._add("error", fault, site)
            if self.collector.errors >= FAULT_LIMIT:
                self._add("error", Fault("E118", f"more than {FAULT_LIMIT} faults; the others are not listed", fault.span, fault.site), site)
                self.collector.check()

    def warn(self, code: str, message: str, span: Span, site: Site, hint: str = "") -> None:
        self._add("warning", Fault(code, message, span, hint=hint), site)

    def _add(self, severity: str, fault: Fault, site: Site) -> None:
        where = fault.site if isinstance(fault.site, Site) else site
        span, line = fault.span, where.line
        number = line.number + span.line
        text = line.file.lines[number - 1] if 0 < number <= len(line.file.lines) else ""
        self.collector.add(Diagnostic(line.file.name, number, span.column, span.end - span.column, severity, fault.code, fault.message,
                                      fault.hint, text, where.notes()))


def decode_source(raw: bytes, name: str, short: str, path: Path | None) -> SourceFile:
    """Return the lines of a source. Raises Fault (span.line is the line in the file) if it is not clean UTF-8 text."""
    if len(raw) > FILE_LIMIT:
        raise Fault("E101", f"the source has {len(raw)} bytes, at most {FILE_LIMIT} are allowed", Span(0, 1, 2))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[:error.start]
        column = len(before[before.rfind(b"\n") + 1:].decode("utf-8", "replace")) + 1
        at = Span(before.count(b"\n"), column, column + 1)
        raise Fault("E101", f"byte {raw[error.start]:#04x} is not UTF-8", at, hint="save the file as UTF-8") from None
    lines = tuple(line.removesuffix("\r") for line in text.split("\n"))
    for number, line in enumerate(lines):
        if "\0" in line:
            raise Fault("E101", "a NUL character in the source", Span(number, line.index("\0") + 1, line.index("\0") + 2))
        if len(line) > LINE_LIMIT:
            raise Fault("E101", f"a line of {len(line)} characters, at most {LINE_LIMIT} are allowed", Span(number, LINE_LIMIT + 1, LINE_LIMIT + 2),
                        hint="break the list behind a comma, or use `file \"x.npy\"`")
    return SourceFile(name, short, lines, path)


def statements(file: SourceFile) -> list[SourceLine]:
    """Split a file into statements; lines without code are left out."""
    result, number = [], 0
    while number < len(file.lines):
        first, parts = number, [file.lines[number]]
        code = _code(parts[0])
        number += 1
        while code.endswith((",", "=")) and number < len(file.lines) and directive_at(parts[0]) in _CONTINUED:
            parts.append(file.lines[number])
            code = _code(parts[-1]) or code
            number += 1
        if code or len(parts) > 1:
            result.append(SourceLine(file, first + 1, "\n".join(parts)))
    return result


def _code(line: str) -> str:
    """Return a line without its comment and trailing space."""
    match = _CODE.match(line)
    return match.group().rstrip() if match else ""


def read_file(path: Path) -> bytes:
    """Return at most one byte more than :data:`FILE_LIMIT` of a file."""
    with path.open("rb") as stream:
        return stream.read(FILE_LIMIT + 1)


def inside(root: Path, folder: Path, wanted: str, span: Span) -> Path:
    """Return the file ``wanted`` relative to ``folder``, links resolved. Raises Fault if it is missing or outside ``root``."""
    try:
        path = (folder / wanted).resolve()
        if not path.is_relative_to(root):
            raise Fault("E111", f"`{wanted}` is outside the source's folder", span,
                        hint="only files in or below the root source's folder can be used")
        if not path.is_file():
            raise Fault("E111", f"there is no file `{wanted}`", span, hint="the path is relative to the file that names it")
    except (OSError, ValueError, RuntimeError):
        raise Fault("E111", f"`{wanted[:80]}` is not a usable path", span) from None
    return path
