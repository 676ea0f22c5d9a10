"""The assembler: a source text or file to a `Program`, or every fault of it at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from isa.checks import check_end, check_flow, check_tokens
from isa.contexts import Contexts
from isa.diagnostics import Diagnostic, Fault, Span
from isa.errors import AsmError, did_you_mean
from isa.expand import Expander
from isa.lower import Lowerer
from isa.machine import MachineConfig, config_dict
from isa.program import Program, Segment
from isa.source import Reporter, Site, SourceFile, SourceLine, decode_source, read_file
from isa.symbols import Scope, Symbol, Symbols
from isa.tensors import DataReader, TensorLayout

TEXT_NAME = "<text>"
_START = Span(0, 1, 2)


def assemble(source: str | Path, config: MachineConfig, *, defines: Mapping[str, int] | None = None, name: str | None = None,
             folder: Path | None = None, on_warning: Callable[[Diagnostic], None] | None = None) -> Program:
    """Assemble a file (a `Path`) or a text (a `str`) for the machine ``config``.

    ``defines`` gives values to `.default` constants. ``name`` stands in messages of a text, ``folder`` is where a text may
    include files from (None: nowhere). ``on_warning`` is called for every warning, in line order.
    Raises AsmError with every fault of the source and the files it includes, in line order.
    """
    reporter = Reporter()
    file = _open(source, name, reporter)
    site = Site(SourceLine(file, 1, file.lines[0]), Scope())
    root = file.path.parent if file.path is not None else folder.resolve() if folder is not None else None
    symbols = Symbols(config, reporter)
    expander = Expander(symbols, reporter, root, code_limit=config.imem_words, defines=_defines(defines or {}, reporter, site))
    layout = TensorLayout(expander.tensors, symbols, reporter, config.mem_bytes)
    symbols.layout = layout
    expander.run(file)
    symbols.early = False
    _check_defines(defines or {}, expander, reporter, site)
    symbols.evaluate_all()
    layout.place_up_to(None)
    contexts = Contexts(expander.contexts, symbols, reporter, config)
    contexts.evaluate_all()
    lowerer = Lowerer(symbols, contexts, reporter, config)
    lowerer.run(expander.items)
    segments = _segments(expander.tensors, DataReader(symbols, reporter, root))
    _check_asserts(expander, symbols, reporter)
    _check_code(lowerer, reporter, site, config)
    reporter.collector.check()
    if on_warning is not None:
        for warning in reporter.collector.sorted("warning"):
            on_warning(warning)
    return Program(
        config=config_dict(config), code=tuple(lowerer.code), segments=segments,
        tensors={symbol.name: symbol.tensor for symbol in expander.tensors if symbol.tensor is not None},
        symbols={symbol.name: symbol.value for symbol in symbols.globals.values() if symbol.kind == "label" and symbol.value is not None},
        lines=tuple((site.line.file.short, site.line.number) for site in lowerer.sites),
        name=file.path.stem if file.path is not None else Path(file.name).stem.strip("<>"))


def _open(source: str | Path, name: str | None, reporter: Reporter) -> SourceFile:
    """Read the root source; what is wrong with it as a whole raises AsmError at once."""
    shown = name or (str(source) if isinstance(source, Path) else TEXT_NAME)
    empty = SourceFile(shown, shown, ("",))
    try:
        if isinstance(source, Path):
            path = source.resolve()
            return decode_source(read_file(path), shown, path.name, path)
        return decode_source(source.encode("utf-8", "surrogatepass"), shown, shown, None)
    except Fault as fault:
        problem = Fault(fault.code, fault.message, Span(0, fault.span.column, fault.span.end), hint=fault.hint)
        reporter.report(problem, Site(SourceLine(empty, fault.span.line + 1, ""), Scope()))
    except OSError as error:
        reporter.report(Fault("E101", f"the source cannot be read: {error.strerror}", _START), Site(SourceLine(empty, 1, ""), Scope()))
    except ValueError:
        reporter.report(Fault("E101", "the source's path cannot be used", _START), Site(SourceLine(empty, 1, ""), Scope()))
    raise AsmError(reporter.collector.sorted("error"))


def _defines(defines: Mapping[str, int], reporter: Reporter, site: Site) -> dict[str, int]:
    good = {}
    for key, value in defines.items():
        if type(value) is int and abs(value) < 1 << 64:
            good[key] = value
        else:
            reporter.report(Fault("E117", f"the value given for `{key}` is {value!r:.60}, must be a whole number of at most 64 bits", _START), site)
    return good


def _check_defines(defines: Mapping[str, int], expander: Expander, reporter: Reporter, site: Site) -> None:
    for key in defines:
        symbol = expander.symbols.globals.get(key)
        if key in expander.defaults:
            continue
        if symbol is not None:
            fault = Fault("E117", f"a value is given for `{key}`, but the source sets it", symbol.span, symbol.site,
                          hint=f"write `.default {key} = ...`")
        else:
            hint = did_you_mean(key, expander.defaults) or f"there are {', '.join(sorted(expander.defaults)) or 'none'}"
            fault = Fault("E117", f"a value is given for `{key}`, but the source has no `.default {key}`", _START, hint=hint)
        reporter.report(fault, site)


def _segments(tensors: list[Symbol], reader: DataReader) -> tuple[Segment, ...]:
    segments = (reader.segment(symbol) for symbol in tensors)
    return tuple(segment for segment in segments if segment is not None)


def _check_asserts(expander: Expander, symbols: Symbols, reporter: Reporter) -> None:
    for condition, text, site in expander.asserts:
        try:
            if symbols.value(condition, site) == 0:
                raise Fault("E113", f"assertion failed: {text.text}", condition.span)
        except Fault as fault:
            reporter.report(fault, site)


def _check_code(lowerer: Lowerer, reporter: Reporter, site: Site, config: MachineConfig) -> None:
    code = lowerer.code
    if not code and not reporter.collector.failed:
        reporter.report(Fault("E101", "the source has no instructions", _START, hint="the shortest program is `halt`"), site)
    if len(code) > config.imem_words:
        over = lowerer.sites[config.imem_words]
        reporter.report(Fault("E115", f"the code has {len(code)} words, the machine's imem_words is {config.imem_words}", _START,
                              hint="use `loop` instead of `.repeat`"), over)
    check_flow(lowerer.jumps, reporter)
    if not reporter.collector.failed:
        check_end(code, lowerer.sites[-1], _last_span(lowerer.sites[-1]), reporter)
        check_tokens(lowerer.commands, reporter)


def _last_span(site: Site) -> Span:
    text = site.line.text.split("\n")[0]
    start = len(text) - len(text.lstrip()) + 1
    return Span(0, start, max(start + 1, len(text.rstrip()) + 1))
