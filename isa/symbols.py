"""Names of a program: constants, labels, tensors, macro parameters; and the value of an expression."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from isa.arithmetic import FUNCTIONS, apply_binary, apply_unary, call_function
from isa.diagnostics import Fault, Span
from isa.errors import did_you_mean
from isa.machine import PREDEFINED, MachineConfig
from isa.syntax import Binary, Call, Expr, Name, Num, TensorDecl, Unary
from isa.table import CORE_REGISTERS, ROUNDINGS

if TYPE_CHECKING:
    from isa.program import Tensor
    from isa.source import Reporter, Site
    from isa.tensors import TensorLayout

CORE_NAMES = {f"r{number}": number for number in range(CORE_REGISTERS)}
TENSOR_SIZES = {"bytes": "bytes of the whole tensor", "words": "16-bit words of the whole tensor",
                "row": "16-bit words of one innermost row (params: of one entry)"}


@dataclass(eq=False)
class Symbol:
    """A constant, label or tensor."""

    name: str
    kind: str
    """`constant`, `label` or `tensor`."""
    site: Site
    span: Span
    expr: Expr | None = None
    decl: TensorDecl | None = None
    tensor: Tensor | None = None
    value: int | None = None
    state: str = "open"
    """`open`, `busy` (being evaluated), `done` or `failed` (reported)."""


@dataclass(frozen=True, eq=False)
class Bound:
    """What a macro parameter or repeat variable stands for: an expression, and where it was written."""

    expr: Expr
    site: Site


@dataclass(eq=False)
class Scope:
    """Parameters and `@` names of one expansion; a repeat sees those around it, a macro does not."""

    parent: Scope | None = None
    bound: dict[str, Bound] = field(default_factory=dict)
    local: dict[str, Symbol] = field(default_factory=dict)

    def find_bound(self, name: str) -> Bound | None:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.bound:
                return scope.bound[name]
            scope = scope.parent
        return None

    def find_local(self, name: str) -> Symbol | None:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.local:
                return scope.local[name]
            scope = scope.parent
        return None


class Silent(Fault):
    """Something depends on a fault that was reported before."""

    def __init__(self, span: Span) -> None:
        super().__init__("", "", span)


def resolve(expr: Expr, site: Site) -> tuple[Expr, Site]:
    """Follow a macro parameter to what was passed for it."""
    while isinstance(expr, Name):
        bound = site.scope.find_bound(expr.text)
        if bound is None:
            break
        expr, site = bound.expr, bound.site
    return expr, site


class Symbols:
    """All names of a program, and the evaluator of expressions over them."""

    def __init__(self, config: MachineConfig, reporter: Reporter) -> None:
        self.reporter = reporter
        self.globals: dict[str, Symbol] = {}
        self.predefined = {name.upper(): getattr(config, name) for name in PREDEFINED}
        self.predefined |= {rounding.name.upper(): rounding.code for rounding in ROUNDINGS}
        self.layout: TensorLayout | None = None
        self.early = True
        """True while the source is expanded: not every name is known yet."""

    def define(self, symbol: Symbol) -> None:
        """Add a name. Raises Fault if it is reserved or was defined before."""
        name = symbol.name
        if "." in name:
            raise Fault("E106", f"`{name}` has a dot; names with dots are engine registers and tensor sizes", symbol.span)
        check_reserved(name, symbol.span, self.predefined)
        names = symbol.site.scope.local if name.startswith("@") else self.globals
        if name in names:
            raise Fault("E106", f"`{name}` is defined twice; first at {names[name].site.line.where}", symbol.span,
                        hint="in a macro or repeat, names that start with @ are local")
        names[name] = symbol

    def find(self, name: Name, site: Site) -> Symbol | None:
        """Return the global or `@` symbol of that name."""
        return site.scope.find_local(name.text) if name.text.startswith("@") else self.globals.get(name.text)

    def unknown(self, name: Name, site: Site) -> Fault:
        text = name.text
        if text in CORE_NAMES:
            return Fault("E107", f"`{text}` is a register; an expression has only constants", name.span, site)
        hint = did_you_mean(text, [*self.globals, *self.predefined, *site.scope.bound, *site.scope.local])
        if not hint and self.early:
            hint = "`.if` and `.repeat` need names that are defined above them"
        return Fault("E105", f"unknown name `{text}`", name.span, site, hint=hint)

    def value(self, expr: Expr, site: Site, *, labels: bool = False) -> int:
        """Return the value of ``expr`` as written at ``site``. Raises Fault; its site is where the fault stands."""
        match expr:
            case Num(value=value):
                return value
            case Name():
                return self._name_value(expr, site, labels)
            case Unary(op=op, arg=arg):
                return apply_unary(op, self.value(arg, site, labels=labels))
            case Call(name=name, args=args):
                if name.text not in FUNCTIONS:
                    hint = did_you_mean(name.text, FUNCTIONS) or f"there are {', '.join(FUNCTIONS)}"
                    raise Fault("E105", f"unknown function `{name.text}`", name.span, site, hint=hint)
                return self._guard(call_function, expr, site, name.text, [self.value(arg, site, labels=labels) for arg in args])
            case Binary(op=op, left=left, right=right):
                first = self.value(left, site, labels=labels)
                if (op == "&&" and not first) or (op == "||" and first):
                    return int(op == "||")
                return self._guard(apply_binary, expr, site, op, first, self.value(right, site, labels=labels))

    @staticmethod
    def _guard(function, expr: Expr, site: Site, *args) -> int:
        try:
            return function(*args)
        except ArithmeticError as error:
            raise Fault("E109", str(error), expr.span, site) from None

    def _name_value(self, name: Name, site: Site, labels: bool) -> int:
        bound = site.scope.find_bound(name.text)
        if bound is not None:
            return self.value(bound.expr, bound.site, labels=labels)
        if name.text in self.predefined:
            return self.predefined[name.text]
        symbol = self.find(name, site)
        if symbol is None and "." in name.text:
            return self._size(name, site)
        if symbol is None:
            raise self.unknown(name, site)
        return self.symbol_value(symbol, name, site, labels=labels)

    def symbol_value(self, symbol: Symbol, name: Name, site: Site, *, labels: bool = False) -> int:
        if symbol.kind == "label":
            if not labels:
                raise Fault("E110", f"`{symbol.name}` is a label; labels stand only in branches, loops and `li`", name.span, site)
            if symbol.value is None:
                raise Silent(name.span)
            return symbol.value
        if symbol.kind == "tensor":
            return self._tensor(symbol, name, site).address
        if symbol.state == "busy":
            raise Fault("E109", f"the value of `{symbol.name}` depends on itself", name.span, site)
        if symbol.state == "open":
            self._evaluate(symbol)
        if symbol.state == "failed" or symbol.value is None:
            raise Silent(name.span)
        return symbol.value

    def _evaluate(self, symbol: Symbol) -> None:
        assert symbol.expr is not None
        symbol.state = "busy"
        try:
            symbol.value = self.value(symbol.expr, symbol.site)
            symbol.state = "done"
        except Fault as fault:
            if self.early and fault.code == "E105":
                symbol.state = "open"
                raise
            symbol.state = "failed"
            self.reporter.report(fault, symbol.site)

    def _size(self, name: Name, site: Site) -> int:
        base, _, attribute = name.text.rpartition(".")
        head = Name(base, name.span)
        expr, where = resolve(head, site)
        symbol = self.find(expr, where) if isinstance(expr, Name) else None
        if symbol is None or symbol.kind != "tensor":
            raise self.unknown(name, site)
        if attribute not in TENSOR_SIZES:
            hint = did_you_mean(attribute, TENSOR_SIZES) or f"there are {', '.join(TENSOR_SIZES)}"
            raise Fault("E105", f"a tensor has no `{attribute}`", name.span, site, hint=hint)
        tensor = self._tensor(symbol, name, site)
        return {"bytes": tensor.size_bytes, "words": tensor.words, "row": tensor.row_words}[attribute]

    def _tensor(self, symbol: Symbol, name: Name, site: Site) -> Tensor:
        if symbol.state == "busy":
            raise Fault("E109", f"the shape of `{symbol.name}` depends on itself", name.span, site)
        if symbol.state == "open":
            assert self.layout is not None
            self.layout.place_up_to(symbol)
        if symbol.tensor is None:
            raise Silent(name.span)
        return symbol.tensor

    def has_label(self, expr: Expr, site: Site) -> bool:
        """True if the value of ``expr`` depends on a label directly (constants never do)."""
        match expr:
            case Name():
                bound = site.scope.find_bound(expr.text)
                if bound is not None:
                    return self.has_label(bound.expr, bound.site)
                symbol = self.find(expr, site)
                return symbol is not None and symbol.kind == "label"
            case Unary(arg=arg):
                return self.has_label(arg, site)
            case Binary(left=left, right=right):
                return self.has_label(left, site) or self.has_label(right, site)
            case Call(args=args):
                return any(self.has_label(arg, site) for arg in args)
        return False

    def evaluate_all(self) -> None:
        """Evaluate every constant, so that faults in unused ones are reported too."""
        for symbol in list(self.globals.values()):
            if symbol.kind == "constant" and symbol.state == "open":
                self._evaluate(symbol)


def check_reserved(name: str, span: Span, predefined: dict[str, int]) -> None:
    if name in CORE_NAMES:
        raise Fault("E106", f"`{name}` is a register and cannot be defined", span)
    if name in predefined:
        raise Fault("E106", f"`{name}` is predefined and cannot be defined again", span)
