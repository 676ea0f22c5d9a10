""".context blocks: which PEs get which context word."""

from __future__ import annotations

from typing import NamedTuple

from isa.diagnostics import Fault
from isa.encoding import CODES, PE_OP_BY_NAME, encode_context
from isa.errors import did_you_mean
from isa.expand import ContextBlock
from isa.machine import MachineConfig
from isa.source import Reporter, Site
from isa.symbols import Symbols, resolve
from isa.syntax import ContextLine, Immediate, Name, Range

ALL = -1
IMM_LOW, IMM_HIGH = -128, 127


class ContextWord(NamedTuple):
    """One line of a block: masks as signed 32-bit register values, and the word."""

    row_mask: int
    col_mask: int
    word: int


class Contexts:
    """Evaluates the blocks of a source, each once."""

    def __init__(self, blocks: dict[str, ContextBlock], symbols: Symbols, reporter: Reporter, config: MachineConfig) -> None:
        self.blocks, self.symbols, self.reporter, self.config = blocks, symbols, reporter, config
        self._words: dict[str, tuple[ContextWord, ...]] = {}

    def words(self, name: Name, site: Site) -> tuple[ContextWord, ...]:
        """Return the lines of the block ``name``; faults in them are reported. Raises Fault if there is no such block."""
        if name.text not in self.blocks:
            hint = did_you_mean(name.text, self.blocks) or "contexts are defined by `.context name` ... `.end`"
            raise Fault("E105", f"unknown context `{name.text}`", name.span, site, hint=hint)
        if name.text not in self._words:
            self._words[name.text] = self._evaluate(self.blocks[name.text])
        return self._words[name.text]

    def evaluate_all(self) -> None:
        """Evaluate every block, so that faults in unused ones are reported too."""
        for name, block in self.blocks.items():
            if name not in self._words:
                self._words[name] = self._evaluate(block)

    def _evaluate(self, block: ContextBlock) -> tuple[ContextWord, ...]:
        words = []
        for line, site in block.lines:
            try:
                rows = self._mask(line.rows, self.config.rows, "row", site)
                cols = self._mask(line.cols, self.config.cols, "column", site)
                words.append(ContextWord(rows, cols, self._word(line, site)))
            except Fault as fault:
                self.reporter.report(fault, site)
        return tuple(words)

    def _mask(self, region: Range | None, count: int, what: str, site: Site) -> int:
        if region is None:
            return ALL
        ends = []
        for end in (region.first, region.last):
            value = self.symbols.value(end, site)
            if not 0 <= value < count:
                raise Fault("E108", f"{what} {value}, must be 0..{count - 1}", end.span, site, hint=f"this machine has {count} {what}s")
            ends.append(value)
        first, last = ends
        if first > last:
            raise Fault("E108", f"an empty range: {what}s {first}..{last}", region.first.span, site)
        mask = (1 << last + 1) - (1 << first)
        return mask - (1 << 32) if mask >> 31 else mask

    def _word(self, line: ContextLine, site: Site) -> int:
        op_name = self._pick("op", line.op, "PE operation", site)
        op = PE_OP_BY_NAME[op_name]
        if len(line.sources) != op.operands:
            raise Fault("E107", f"`{op_name}` takes {op.operands} operand{'' if op.operands == 1 else 's'}, not {len(line.sources)}", line.op.span)
        if line.dst is not None and op.writes != "result":
            what = {"acc": "writes the accumulator", "flag": "writes the flag"}.get(op.writes, "writes nothing")
            raise Fault("E107", f"`{op_name}` {what}, so it has no `->`", line.dst.span)
        imm, sources = None, []
        for source in line.sources:
            if isinstance(source, Immediate):
                imm = self._immediate(source, imm, site)
                sources.append("imm")
            else:
                sources.append(self._pick("src", source, "PE source", site))
        fields = dict(zip(("x", "y"), sources, strict=False))
        for key, kind, name, what in (("dst", "dst", line.dst, "PE destination"), ("route", "route", line.route, "route"),
                                      ("cond", "cond", line.cond, "condition")):
            if name is not None:
                fields[key] = self._pick(kind, name, what, site)
        return encode_context(op_name, **fields, imm=imm or 0)

    def _immediate(self, source: Immediate, before: int | None, site: Site) -> int:
        value = self.symbols.value(source.value, site)
        if not IMM_LOW <= value <= IMM_HIGH:
            raise Fault("E108", f"the immediate is {value}, must be {IMM_LOW}..{IMM_HIGH} (8-bit field)", source.span, site)
        if before is not None and before != value:
            raise Fault("E107", f"two immediates in one context: {before} and {value}", source.span, hint="a context has one immediate")
        return value

    @staticmethod
    def _pick(kind: str, name: Name, what: str, site: Site) -> str:
        expr, where = resolve(name, site)
        codes = CODES[kind]
        if not isinstance(expr, Name):
            raise Fault("E107", f"a number where a {what} belongs", expr.span, where, hint="an immediate is written `#expr`" if kind == "src" else "")
        if expr.text not in codes:
            hint = did_you_mean(expr.text, codes) or f"there are {', '.join(codes)}"
            raise Fault("E105", f"unknown {what} `{expr.text}`", expr.span, where, hint=hint)
        return expr.text
