"""The syntax tree: what the parser makes of one statement. Positions are relative to the statement (`Span`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from isa.diagnostics import Span


@dataclass(frozen=True, slots=True)
class Num:
    value: int
    span: Span
    depth: int = 1


@dataclass(frozen=True, slots=True)
class Name:
    text: str
    span: Span
    depth: int = 1


@dataclass(frozen=True, slots=True)
class Unary:
    op: str
    arg: Expr
    span: Span
    depth: int


@dataclass(frozen=True, slots=True)
class Binary:
    op: str
    left: Expr
    right: Expr
    span: Span
    depth: int


@dataclass(frozen=True, slots=True)
class Call:
    name: Name
    args: tuple[Expr, ...]
    span: Span
    depth: int


Expr = Num | Name | Unary | Binary | Call


@dataclass(frozen=True, slots=True)
class Text:
    """A quoted text, without its quotes."""

    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Clause:
    """`wait(...)` or `signal(...)`."""

    kind: str
    names: tuple[Name, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Label:
    name: Name


@dataclass(frozen=True, slots=True)
class Constant:
    name: Name
    value: Expr
    default: bool


@dataclass(frozen=True, slots=True)
class Op:
    """An instruction, pseudo-instruction or macro call."""

    name: Name
    operands: tuple[Expr, ...]
    clauses: tuple[Clause, ...]


@dataclass(frozen=True, slots=True)
class Directive:
    """A directive that opens, parts or closes a block, or stands alone; ``args`` depends on ``name``."""

    name: str
    span: Span
    args: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class LayoutDecl:
    """What stands behind a tensor's format; what is left out is None."""

    strides: tuple[Expr, ...] | None
    offset: Expr | None
    words: Expr | None
    fill: Expr | None

    def expressions(self) -> list[Expr]:
        single = (self.offset, self.words, self.fill)
        return [*(self.strides or ()), *(expr for expr in single if expr is not None)]


@dataclass(frozen=True, slots=True)
class TensorDecl:
    role: str
    kind: str
    name: Name
    dims: tuple[Expr, ...]
    bits: Expr | None
    signed: bool
    values: tuple[Expr, ...] | Text | None
    layout: LayoutDecl | None = None


@dataclass(frozen=True, slots=True)
class Range:
    first: Expr
    last: Expr


@dataclass(frozen=True, slots=True)
class ContextLine:
    """One line of a .context block. A source is a Name, or an Expr behind `#`."""

    rows: Range | None
    cols: Range | None
    op: Name
    sources: tuple[Name | Immediate, ...]
    dst: Name | None
    route: Name | None
    cond: Name | None


@dataclass(frozen=True, slots=True)
class Immediate:
    value: Expr
    span: Span


Statement = Label | Constant | Op | Directive | TensorDecl | ContextLine
