"""From a tree of blocks to a flat list of statements: .include, .if, .repeat and macros are done here."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from isa.blocks import Block, Line, build_blocks
from isa.diagnostics import Fault, Span
from isa.encoding import BY_NAME
from isa.errors import did_you_mean
from isa.pseudo import PSEUDO_NAMES
from isa.source import Reporter, Site, SourceFile, decode_source, inside, read_file
from isa.symbols import Bound, Scope, Symbol, Symbols, check_reserved
from isa.syntax import Constant, ContextLine, Directive, Expr, Label, Name, Num, Op, TensorDecl, Text

DEPTH_LIMIT = 32
"""Macros in macros, repeats in repeats and includes in includes, together."""
INCLUDE_LIMIT = 16
STEP_LIMIT = 400_000
"""Statements that one source may expand to."""
MNEMONICS = frozenset(BY_NAME) | frozenset(PSEUDO_NAMES)


@dataclass(eq=False)
class Item:
    """Something that takes a place in the code: an instruction, a raw word, or a label."""

    what: Op | Expr | Symbol
    site: Site


@dataclass(eq=False)
class ContextBlock:
    name: Name
    site: Site
    lines: list[tuple[ContextLine, Site]] = field(default_factory=list)


@dataclass(eq=False)
class Macro:
    name: Name
    params: tuple[Name, ...]
    body: list[Line | Block]
    site: Site


class _Stop(Exception):
    """The expansion is too large; it was reported and nothing more is expanded."""


class Expander:
    """Walks the blocks; what it leaves behind is ``items``, ``contexts``, ``asserts`` and the names in ``symbols``."""

    def __init__(self, symbols: Symbols, reporter: Reporter, root: Path | None, *, code_limit: int, defines: dict[str, int]) -> None:
        self.symbols, self.reporter, self.root = symbols, reporter, root
        self.code_limit, self.defines = code_limit, defines
        self.items: list[Item] = []
        self.tensors: list[Symbol] = []
        self.contexts: dict[str, ContextBlock] = {}
        self.asserts: list[tuple[Expr, Text, Site]] = []
        self.defaults: set[str] = set()
        self.macros: dict[str, Macro] = {}
        self._files: list[Path] = []
        self._steps = self._words = 0
        self._context: ContextBlock | None = None

    def run(self, file: SourceFile) -> None:
        try:
            self._file(file, Scope(), None)
        except _Stop:
            pass

    def _file(self, file: SourceFile, scope: Scope, via: Site | None) -> None:
        self.reporter.collector.register_file(file.name)
        blocks = build_blocks(file, self.reporter)
        if file.path is not None:
            self._files.append(file.path)
        how = "in a file that is included" if via is not None else ""
        self._walk(blocks, scope, via, how, 0 if via is None else via.depth + 1)
        if file.path is not None:
            self._files.pop()

    def _walk(self, nodes: list[Line | Block], scope: Scope, via: Site | None, how: str, depth: int) -> None:
        for node in nodes:
            site = Site(node.source, scope, via, how, depth)
            self._step(node, site)
            try:
                if isinstance(node, Block):
                    self._block(node, site)
                else:
                    self._statement(node.statement, site)
            except Fault as fault:
                self.reporter.report(fault, site)

    def _step(self, node: Line | Block, site: Site) -> None:
        self._steps += 1
        if self._steps > STEP_LIMIT:
            span = node.head.span if isinstance(node, Block) else Span(0, 1, 2)
            self._stop(Fault("E112", f"the source expands to more than {STEP_LIMIT} statements", span, hint="a `loop` costs no code"), site)

    def _stop(self, fault: Fault, site: Site) -> None:
        self.reporter.report(fault, site)
        raise _Stop

    # -- blocks --------------------------------------------------------------------------------------------------------

    def _block(self, block: Block, site: Site) -> None:
        match block.kind:
            case "if":
                taken = self.symbols.value(block.head.args[0], site) != 0
                chosen = block.body if taken else block.other or []
                self._walk(chosen, site.scope, site.via, site.how, site.depth)
            case "repeat":
                self._repeat(block, site)
            case "macro":
                self._macro(block, site)
            case "context":
                self._context_block(block, site)

    def _nested(self, site: Site, span: Span) -> None:
        if site.depth >= DEPTH_LIMIT:
            raise Fault("E112", f"macros, repeats and includes nested deeper than {DEPTH_LIMIT}", span, hint="does a macro call itself?")

    def _repeat(self, block: Block, site: Site) -> None:
        count_expr, variable = block.head.args if len(block.head.args) == 2 else (*block.head.args, None)
        self._nested(site, block.head.span)
        count = self.symbols.value(count_expr, site)
        if not 0 <= count <= STEP_LIMIT:
            raise Fault("E108", f"`.repeat` count is {count}, must be 0..{STEP_LIMIT}", count_expr.span)
        if variable is not None:
            check_reserved(variable.text, variable.span, self.symbols.predefined)
        for number in range(count):
            scope = Scope(parent=site.scope)
            if variable is not None:
                scope.bound[variable.text] = Bound(Num(number, variable.span), site)
            self._step(block, site)
            self._walk(block.body, scope, site, f"in pass {number} of `.repeat`", site.depth + 1)

    def _macro(self, block: Block, site: Site) -> None:
        name, params = block.head.args[0], block.head.args[1] or ()
        if name.text in MNEMONICS:
            raise Fault("E106", f"`{name.text}` is an instruction and cannot be a macro", name.span)
        if name.text in self.macros:
            first = self.macros[name.text].site.line.where
            raise Fault("E106", f"macro `{name.text}` is defined twice; first at {first}", name.span)
        for number, param in enumerate(params):
            check_reserved(param.text, param.span, self.symbols.predefined)
            if param.text in (earlier.text for earlier in params[:number]):
                raise Fault("E106", f"parameter `{param.text}` is named twice", param.span)
        self.macros[name.text] = Macro(name, params, block.body, site)

    def _context_block(self, block: Block, site: Site) -> None:
        name = block.head.args[0]
        if name.text in self.contexts:
            first = self.contexts[name.text].site.line.where
            raise Fault("E106", f"context `{name.text}` is defined twice; first at {first}", name.span)
        self._context = self.contexts[name.text] = ContextBlock(name, site)
        self._walk(block.body, site.scope, site.via, site.how, site.depth)
        if not self._context.lines and not block.damaged:
            self.reporter.report(Fault("E107", f"context `{name.text}` has no lines", name.span, hint="write `all: nop` if that is meant"), site)
        self._context = None

    # -- statements ----------------------------------------------------------------------------------------------------

    def _statement(self, statement: object, site: Site) -> None:
        match statement:
            case ContextLine():
                if self._context is not None:
                    self._context.lines.append((statement, site))
            case Label(name=name):
                symbol = Symbol(name.text, "label", site, name.span)
                self.items.append(Item(symbol, site))
                self.symbols.define(symbol)
            case Constant():
                self._constant(statement, site)
            case TensorDecl(name=name):
                symbol = Symbol(name.text, "tensor", site, name.span, decl=statement)
                self.symbols.define(symbol)
                self.tensors.append(symbol)
            case Directive(name="include", args=(path,)):
                self._include(path, site)
            case Directive(name="assert", args=(condition, text)):
                self.asserts.append((condition, text, site))
            case Directive(name="word", args=(value,)):
                self._code(Item(value, site), value.span)
            case Op():
                self._op(statement, site)

    def _constant(self, constant: Constant, site: Site) -> None:
        name, value = constant.name, constant.value
        if constant.default:
            if name.text.startswith("@"):
                raise Fault("E106", "`.default` of a local name", name.span)
            earlier = self.symbols.globals.get(name.text)
            if earlier is not None and earlier.kind == "constant":
                return
            self.defaults.add(name.text)
            if name.text in self.defines:
                value = Num(self.defines[name.text], name.span)
        self.symbols.define(Symbol(name.text, "constant", site, name.span, expr=value))

    def _op(self, op: Op, site: Site) -> None:
        macro = self.macros.get(op.name.text)
        if op.name.text in MNEMONICS:
            self._code(Item(op, site), op.name.span)
        elif macro is not None:
            self._call(macro, op, site)
        else:
            hint = did_you_mean(op.name.text, [*MNEMONICS, *self.macros]) or "macros must be defined above their first use"
            raise Fault("E104", f"unknown instruction `{op.name.text}`", op.name.span, hint=hint)

    def _code(self, item: Item, span: Span) -> None:
        self._words += 1
        if self._words > self.code_limit:
            self._stop(Fault("E115", f"the code has more than {self.code_limit} words, the machine's imem_words", span), item.site)
        self.items.append(item)

    def _call(self, macro: Macro, op: Op, site: Site) -> None:
        self._nested(site, op.name.span)
        if op.clauses:
            raise Fault("E107", f"`{op.clauses[0].kind}` on a macro", op.clauses[0].span, hint="put it on the instructions inside")
        if len(op.operands) != len(macro.params):
            listed = ", ".join(param.text for param in macro.params) or "none"
            raise Fault("E107", f"macro `{macro.name.text}` takes {len(macro.params)} arguments ({listed}), not {len(op.operands)}", op.name.span)
        bound = {param.text: Bound(operand, site) for param, operand in zip(macro.params, op.operands, strict=True)}
        self._walk(macro.body, Scope(bound=bound), site, f"in macro `{macro.name.text}`", site.depth + 1)

    def _include(self, wanted: Text, site: Site) -> None:
        if self.root is None:
            raise Fault("E111", "`.include` in a source without a folder", wanted.span, hint="assemble a file instead of a text")
        path = inside(self.root, site.line.file.folder or self.root, wanted.text, wanted.span)
        if path in self._files:
            raise Fault("E111", f"`{wanted.text}` includes itself", wanted.span)
        if len(self._files) >= INCLUDE_LIMIT:
            raise Fault("E111", f"includes nested deeper than {INCLUDE_LIMIT}", wanted.span)
        self._nested(site, wanted.span)
        short = path.relative_to(self.root).as_posix()
        try:
            file = decode_source(read_file(path), short_name(site.line.file, short), short, path)
        except OSError as error:
            raise Fault("E111", f"`{wanted.text}` cannot be read: {error.strerror}", wanted.span) from None
        except Fault as fault:
            raise Fault(fault.code, f"`{wanted.text}`: {fault.message} (line {fault.span.line + 1})", wanted.span, hint=fault.hint) from None
        self._file(file, site.scope, site)


def short_name(parent: SourceFile, short: str) -> str:
    """Return the message name of an included file: the folder of the root's message name and the path below it."""
    return short if parent.path is None else parent.name.removesuffix(parent.short) + short
