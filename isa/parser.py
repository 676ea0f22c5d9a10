"""Text of one statement to its syntax tree. Lark is imported here and nowhere else."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedInput, UnexpectedToken, v_args

from isa.diagnostics import Fault, Span
from isa.errors import did_you_mean
from isa.syntax import (
    Binary,
    Call,
    Clause,
    Constant,
    ContextLine,
    Directive,
    Expr,
    Immediate,
    Label,
    LayoutDecl,
    Name,
    Num,
    Op,
    Range,
    Statement,
    TensorDecl,
    Text,
    Unary,
)

DIRECTIVES = (".default", ".assert", ".if", ".else", ".endif", ".repeat", ".endr", ".macro", ".endm", ".include", ".context", ".end",
              ".input", ".output", ".data", ".params", ".word")
DEPTH_LIMIT = 100
"""Deepest nesting of an expression."""
DIGITS_LIMIT = 80
"""Longest number, in characters."""
_NUMBER = re.compile(r"0[xX][0-9a-fA-F_]*[0-9a-fA-F]|0[bB][01_]*[01]|[0-9][0-9_]*")
_FIRST_DIRECTIVE = re.compile(r"\s*(?:@?[A-Za-z_]\w*\s*:\s*)*(\.\w*)", re.ASCII)
_BINARY = {"lor": "||", "land": "&&", "or_": "|", "xor": "^", "and_bits": "&", "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">",
           "ge": ">=", "shl": "<<", "shr": ">>", "add": "+", "sub": "-", "mul": "*", "div": "/", "mod": "%"}
_EXPECTED = {"NAME": "a name", "NUMBER": "a number", "STRING": 'a "text"', "COMMA": "`,`", "COLON": "`:`", "EQUAL": "`=`", "LPAR": "`(`",
             "RPAR": "`)`", "$END": "the end of the line", "CLAUSE": "wait(...) or signal(...)", "SHAPE": "shape(...)", "BITS": "`bits`",
             "SIGN": "signed or unsigned", "ALL": "`all:`", "ROWS": "`rows`", "COLS": "`cols`", "ROUTE": "`route`", "IF": "`if`",
             "HASH": "`#`", "FILE": 'file "..."', "STRIDES": "strides(...)", "OFFSET": "`offset`", "WORDS": "`words`", "FILL": "`fill`"}


def _span(token: Token) -> Span:
    return Span((token.line or 1) - 1, token.column or 1, token.end_column or 2)


def _join(first: Span, last: Span) -> Span:
    return Span(first.line, first.column, last.end if last.line == first.line else first.end)


def _number(token: Token) -> Num:
    text = str(token)
    if not _NUMBER.fullmatch(text):
        raise Fault("E102", f"`{text[:40]}` is not a number", _span(token), hint="numbers are 10, 0x1F, 0b101, with `_` between digits")
    if len(text) > DIGITS_LIMIT:
        raise Fault("E102", f"a number of {len(text)} characters, at most {DIGITS_LIMIT} are allowed", _span(token))
    digits = text.replace("_", "")
    return Num(int(digits, 0) if digits[:2].lower() in ("0x", "0b") else int(digits), _span(token))


@v_args(inline=True)
class _Build(Transformer):
    """Builds syntax nodes while the parser reduces; the method names are the rules and aliases of grammar.lark."""

    def line(self, *parts):
        return parts

    def label(self, name):
        return Label(self.name(name))

    def equate(self, name, value):
        return Constant(self.name(name), value, default=False)

    def default(self, name, value):
        return Constant(self.name(name), value, default=True)

    def op(self, name, operands, *clauses):
        return Op(self.name(name), operands or (), clauses)

    def operands(self, *items):
        return items

    def names(self, *names):
        return tuple(self.name(name) for name in names)

    def clause(self, kind, names):
        return Clause(str(kind), names, _join(_span(kind), names[-1].span))

    def shape(self, _, *dims):
        return dims

    def format(self, bits_word, bits, sign):
        return bits, sign is None or sign == "signed"

    def listed(self, *values):
        return values

    def file(self, _, path):
        return self.text(path)

    def text(self, token):
        return Text(str(token)[1:-1], _span(token))

    def layout(self, strides, _offset, offset, _words, words, _fill, fill):
        given = (strides, offset, words, fill)
        return None if given == (None, None, None, None) else LayoutDecl(*given)

    def strides(self, _, *strides):
        return strides

    def _tensor(self, role, name, dims, form, layout, values=None):
        return TensorDecl(role, "tensor", self.name(name), dims, form[0], form[1], values, layout)

    def input(self, name, dims, form, layout):
        return self._tensor("input", name, dims, form, layout)

    def output(self, name, dims, form, layout):
        return self._tensor("output", name, dims, form, layout)

    def data(self, name, dims, form, layout, values):
        return self._tensor("data", name, dims, form, layout, values)

    def params(self, name, dims, values):
        return TensorDecl("input" if values is None else "data", "params", self.name(name), dims, None, True, values)

    def context_line(self, region, op, *items):
        sources, found = [], {}
        for item in items:
            if item is None:
                continue
            if isinstance(item, tuple):
                self._single(found, item)
                if item[0] == "target":
                    sources.append(item[2])
            elif found:
                raise Fault("E102", "an operand behind `->`, `route` or `if`", item.span, hint="write `op x, y -> dst, route what, if p`")
            else:
                sources.append(item)
        target, route, cond = (found.get(kind) for kind in ("target", "route", "cond"))
        return ContextLine(*region, self.name(op), tuple(sources), target, route, cond)

    @staticmethod
    def _single(found, item):
        kind, name, *_ = item
        if kind in found:
            raise Fault("E102", f"`{'->' if kind == 'target' else 'if' if kind == 'cond' else kind}` twice in one line", name.span)
        found[kind] = name

    def region(self, *parts):
        rows = cols = None
        words = [part for part in parts if part is not None]
        for word, value in zip(words[::2], words[1::2], strict=False):
            if word.type == "ROWS":
                rows = value
            else:
                cols = value
        return rows, cols

    def range(self, first, last):
        return Range(first, last if last is not None else first)

    def target(self, source, name):
        return "target", self.name(name), source

    def route(self, name):
        return "route", self.name(name)

    def cond(self, name):
        return "cond", self.name(name)

    def bus(self, token):
        return self.name(token)

    def immediate(self, value):
        return Immediate(value, value.span)

    def name(self, token):
        return Name(str(token), _span(token))

    def number(self, token):
        return _number(token)

    def paren(self, value):
        return value

    def call(self, name, *args):
        head = self.name(name)
        return Call(head, args, _join(head.span, args[-1].span), 1 + max(arg.depth for arg in args))

    def _unary(self, token, arg):
        return Unary(str(token), arg, _join(_span(token), arg.span), arg.depth + 1)

    neg = pos = inv = not_ = _unary


def _add_binary(rule: str, op: str) -> None:
    @v_args(inline=True)
    def build(self, left, right):
        return Binary(op, left, right, _join(left.span, right.span), 1 + max(left.depth, right.depth))

    setattr(_Build, rule, build)


def _add_directive(rule: str, name: str) -> None:
    @v_args(inline=True)
    def build(self, *args):
        return Directive(name, Span(0, 1, 2), tuple(_plain(self, arg) for arg in args))

    setattr(_Build, rule, build)


def _plain(build: _Build, arg: object) -> object:
    if not isinstance(arg, Token):
        return arg
    return build.text(arg) if arg.type == "STRING" else build.name(arg)


for _rule, _op in _BINARY.items():
    _add_binary(_rule, _op)
for _directive in ("assert", "word", "include", "if", "else", "endif", "repeat", "endr", "macro", "endm", "context", "end"):
    _add_directive(_directive + "_" if _directive in ("assert", "if", "else") else _directive, _directive)


@cache
def _lark() -> Lark:
    grammar = Path(__file__).with_name("grammar.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", start=["line", "context_line"], maybe_placeholders=True, transformer=_Build(),
                g_regex_flags=re.ASCII)


def directive_at(text: str) -> str | None:
    """Return the directive that a statement begins with (behind labels), as `.name`; None if it is none."""
    match = _FIRST_DIRECTIVE.match(text)
    return match.group(1) if match else None


@lru_cache(maxsize=8192)
def parse_statement(text: str, *, context: bool = False) -> tuple[Statement, ...]:
    """Parse one statement, ``context`` if it is a line of a .context block; labels come as statements of their own.

    ``text`` may have several lines (a list continued behind a comma). Raises Fault at the place of a syntax error.
    """
    match = _FIRST_DIRECTIVE.match(text)
    span = Span(0, 1, 2)
    if match:
        before = text.count("\n", 0, match.start(1))
        column = match.start(1) - (text.rfind("\n", 0, match.start(1)) + 1) + 1
        span = Span(before, column, column + len(match.group(1)))
        if match.group(1) not in DIRECTIVES:
            hint = did_you_mean(match.group(1), DIRECTIVES) or f"there are {', '.join(DIRECTIVES)}"
            raise Fault("E104", f"unknown directive `{match.group(1)}`", span, hint=hint)
    try:
        result: Any = _lark().parse(text, start="context_line" if context and not match else "line")
    except UnexpectedInput as error:
        raise _syntax_fault(error, text) from None
    found: tuple[Statement | None, ...] = (result,) if isinstance(result, ContextLine) else result
    parts = tuple(Directive(part.name, span, part.args) if isinstance(part, Directive) else part for part in found if part is not None)
    for part in parts:
        _check_depth(part)
    return parts


def _check_depth(part: Statement) -> None:
    for expr in _expressions(part):
        if expr.depth > DEPTH_LIMIT:
            raise Fault("E102", f"an expression nested {expr.depth} deep, at most {DEPTH_LIMIT} are allowed", expr.span,
                        hint="name a part of it with `NAME = ...`")


def _expressions(part: Statement) -> list[Expr]:
    match part:
        case Constant(value=value):
            return [value]
        case Op(operands=operands):
            return list(operands)
        case Directive(args=args):
            return [arg for arg in args if isinstance(arg, Num | Unary | Binary | Call)]
        case TensorDecl(dims=dims, bits=bits, values=values, layout=layout):
            listed = values if isinstance(values, tuple) else ()
            return [*dims, *listed, *([bits] if bits is not None else []), *([] if layout is None else layout.expressions())]
        case ContextLine(rows=rows, cols=cols, sources=sources):
            ends = [end for region in (rows, cols) if region is not None for end in (region.first, region.last)]
            return ends + [source.value for source in sources if isinstance(source, Immediate)]
    return []


def _expected(terminals: set[str]) -> str:
    """Name what could have stood there, the same order every time."""
    names = {_EXPECTED[terminal] for terminal in terminals if terminal in _EXPECTED}
    if {"NAME", "NUMBER"} <= terminals:
        names = (names - {"a name", "a number", "`(`"}) | {"a value"}
    if terminals & {"STAR", "SLASH", "PERCENT"}:
        names |= {"an operator"}
    listed = sorted(names, key=lambda name: (name.startswith("the end"), name))
    return ", ".join(listed[:-1]) + " or " + listed[-1] if len(listed) > 1 else "".join(listed)


def _syntax_fault(error: UnexpectedInput, text: str) -> Fault:
    if isinstance(error, UnexpectedToken) and error.token.type == "$END":
        lines = text.split("\n")
        at = Span(len(lines) - 1, len(lines[-1].split(";")[0].rstrip()) + 1, len(lines[-1].split(";")[0].rstrip()) + 2)
        return Fault("E102", f"the statement ends too early, expected {_expected(set(error.accepts or error.expected))}", at)
    if isinstance(error, UnexpectedToken):
        accepted = _expected(set(error.accepts or error.expected))
        return Fault("E102", f"unexpected `{str(error.token)[:40]}`, expected {accepted}", _span(error.token))
    assert isinstance(error, UnexpectedCharacters)
    at = Span(error.line - 1, error.column, error.column + 1)
    if error.char == '"' and text.count('"', error.pos_in_stream) % 2:
        return Fault("E102", "the text is not closed", at, hint='a text is "..." on one line')
    found = re.match(r"[\w.]+|[^\w\s]", text[error.pos_in_stream:])
    what = found.group() if found else error.char
    return Fault("E102", f"unexpected `{what[:40]}`, expected {_expected(set(error.allowed))}",
                 Span(at.line, at.column, at.column + len(what)))
