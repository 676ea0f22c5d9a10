"""Statements of a file to a tree of blocks: .if, .repeat, .macro and .context with what is inside them."""

from __future__ import annotations

from dataclasses import dataclass, field

from isa.diagnostics import Fault, Span
from isa.parser import parse_statement
from isa.source import Reporter, Site, SourceFile, SourceLine, statements
from isa.symbols import Scope
from isa.syntax import ContextLine, Directive, Label, Statement

CLOSERS = {"endif": "if", "endr": "repeat", "endm": "macro", "end": "context"}
OPENERS = {kind: closer for closer, kind in CLOSERS.items()}
NESTING_LIMIT = 32


@dataclass
class Line:
    source: SourceLine
    statement: Statement


@dataclass
class Block:
    kind: str
    source: SourceLine
    head: Directive
    body: list[Line | Block] = field(default_factory=list)
    other: list[Line | Block] | None = None
    """Behind `.else`."""
    damaged: bool = False
    """Something inside it did not parse; what is missing is no further fault."""

    @property
    def open_list(self) -> list[Line | Block]:
        return self.body if self.other is None else self.other


class _Builder:
    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self.top: list[Line | Block] = []
        self.stack: list[Block] = []

    def add(self, source: SourceLine) -> None:
        in_context = any(block.kind == "context" for block in self.stack)
        parts = parse_statement(source.text, context=in_context)
        if len(parts) > 1 and not all(isinstance(part, Label) for part in parts[:-1]):
            raise AssertionError("labels come first")
        if len(parts) > 1 and isinstance(parts[-1], Directive) and parts[-1].name != "word":
            fault = Fault("E102", f"a label in front of `.{parts[-1].name}`", parts[-1].span, hint="put the label on a line of its own")
            self.reporter.report(fault, _site(source))
        for part in parts:
            self._place(part, source, in_context)

    def _place(self, part: Statement, source: SourceLine, in_context: bool) -> None:
        if isinstance(part, Directive) and part.name in OPENERS:
            self._open(part, source, in_context)
        elif isinstance(part, Directive) and part.name in CLOSERS:
            self._close(part)
        elif isinstance(part, Directive) and part.name == "else":
            self._else(part)
        elif in_context and not isinstance(part, ContextLine):
            raise Fault("E103", "only context lines, `.if` and `.repeat` can stand in a .context block", _whole(source),
                        hint="close the block with `.end`")
        else:
            (self.stack[-1].open_list if self.stack else self.top).append(Line(source, part))

    def _open(self, part: Directive, source: SourceLine, in_context: bool) -> None:
        if len(self.stack) >= NESTING_LIMIT:
            raise Fault("E112", f"blocks nested deeper than {NESTING_LIMIT}", part.span)
        block = Block(part.name, source, part)
        misplaced = self._misplaced(part, in_context)
        if misplaced is None:
            (self.stack[-1].open_list if self.stack else self.top).append(block)
        else:
            self.reporter.report(misplaced, _site(source))
        self.stack.append(block)

    def _misplaced(self, part: Directive, in_context: bool) -> Fault | None:
        """A block that cannot stand here; what is inside it is still parsed."""
        kinds = [block.kind for block in self.stack]
        if part.name == "macro" and any(kind != "if" for kind in kinds):
            return Fault("E103", f"`.macro` inside `.{kinds[-1]}`", part.span, hint="define macros outside of other blocks")
        if part.name == "context" and in_context:
            return Fault("E103", "`.context` inside `.context`", part.span, hint="close the first one with `.end`")
        return None

    def _close(self, part: Directive) -> None:
        if not self.stack:
            raise Fault("E103", f"`.{part.name}` closes nothing", part.span, hint=f"there is no open `.{CLOSERS[part.name]}`")
        block = self.stack[-1]
        if block.kind != CLOSERS[part.name]:
            raise Fault("E103", f"`.{part.name}` cannot close the `.{block.kind}` of line {block.source.number}", part.span,
                        hint=f"close it with `.{OPENERS[block.kind]}` first")
        self.stack.pop()

    def _else(self, part: Directive) -> None:
        if not self.stack or self.stack[-1].kind != "if":
            raise Fault("E103", "`.else` without `.if`", part.span)
        if self.stack[-1].other is not None:
            raise Fault("E103", f"a second `.else` for the `.if` of line {self.stack[-1].source.number}", part.span)
        self.stack[-1].other = []


def _whole(source: SourceLine) -> Span:
    first = source.text.split("\n")[0]
    start = len(first) - len(first.lstrip()) + 1
    return Span(0, start, max(start + 1, len(first.split(";")[0].rstrip()) + 1))


def _site(source: SourceLine) -> Site:
    return Site(source, Scope())


def build_blocks(file: SourceFile, reporter: Reporter) -> list[Line | Block]:
    """Parse a whole file; every syntax fault and unbalanced block is reported, the rest is returned."""
    builder = _Builder(reporter)
    for source in statements(file):
        try:
            builder.add(source)
        except Fault as fault:
            reporter.report(fault, _site(source))
            for block in builder.stack:
                block.damaged = True
    for block in builder.stack:
        unclosed = Fault("E103", f"`.{block.kind}` is not closed", block.head.span, hint=f"close it with `.{OPENERS[block.kind]}`")
        reporter.report(unclosed, _site(block.source))
    return builder.top
