"""Instructions and pseudo-instructions to words, one after the other, with branch targets filled in at the end."""

from __future__ import annotations

from dataclasses import dataclass

from isa.checks import Command, Jump, target_limit
from isa.contexts import ALL, Contexts
from isa.diagnostics import Fault
from isa.encoding import BY_NAME, encode, engine_names, needs_macros
from isa.expand import Item
from isa.machine import MachineConfig
from isa.operands import Operands
from isa.pseudo import ASSEMBLER_REGISTER, SET_GROUPS
from isa.source import Reporter, Site
from isa.spec import Instruction
from isa.symbols import Symbol, Symbols, resolve
from isa.syntax import Expr, Name, Op
from isa.table import ENGINES, REGISTERS

SET_LOW, SET_HIGH = -(1 << 15), (1 << 15) - 1
_ROW_MASK, _COL_MASK = (next(row for row in REGISTERS if row.name == name) for name in ("ex.rmask", "ex.cmask"))


@dataclass(eq=False)
class _Fixup:
    """A word whose branch target or label is known when every label has its address."""

    address: int
    instruction: Instruction
    values: dict[str, int]
    target: Expr
    site: Site


def li_words(register: int, value: int) -> list[int]:
    """Return the shortest words that load a 32-bit constant, given as signed or unsigned."""
    signed = (value + (1 << 31)) % (1 << 32) - (1 << 31)
    imm = BY_NAME["addi"].field("imm")
    if imm.minimum <= signed <= imm.maximum:
        return [encode("addi", rd=register, rs=0, imm=signed)]
    high, low = (signed & 0xFFFFFFFF) >> 16, signed & 0xFFFF
    words = [encode("lui", rd=register, imm=high)]
    return [*words, encode("ori", rd=register, rs=register, imm=low)] if low else words


class Lowerer:
    """Turns items into words. A statement with a fault leaves one word of 0, so that those behind it are still checked."""

    def __init__(self, symbols: Symbols, contexts: Contexts, reporter: Reporter, config: MachineConfig) -> None:
        self.symbols, self.contexts, self.reporter, self.config = symbols, contexts, reporter, config
        self.operands = Operands(symbols, reporter, config)
        self.code: list[int] = []
        self.sites: list[Site] = []
        self.jumps: list[Jump] = []
        self.commands: list[Command] = []
        self._fixups: list[_Fixup] = []
        self._pseudo = {"nop": self._nop, "mv": self._mv, "li": self._li, "j": self._j, "set": self._set, "ctx": self._ctx}

    def run(self, items: list[Item]) -> None:
        """Lower every item; afterwards ``code`` and ``sites`` have one entry per word."""
        for item in items:
            try:
                self._item(item)
            except Fault as fault:
                self.reporter.report(fault, item.site)
                self._emit(item.site, 0)
        for fixup in self._fixups:
            try:
                self._fix(fixup)
            except Fault as fault:
                self.reporter.report(fault, fixup.site)

    def _emit(self, site: Site, *words: int) -> None:
        self.code.extend(words)
        self.sites.extend([site] * len(words))

    def _item(self, item: Item) -> None:
        what = item.what
        start = len(self.code)
        if isinstance(what, Symbol):
            what.value = start
        elif not isinstance(what, Op):
            value = self.symbols.value(what, item.site)
            if not -(1 << 31) <= value < 1 << 32:
                raise Fault("E108", f"`.word` is {value}, must be a 32-bit number", what.span)
            self._emit(item.site, value & 0xFFFFFFFF)
        elif what.name.text in self._pseudo:
            if what.clauses:
                raise self._no_clause(what)
            self._pseudo[what.name.text](what, item.site)
        else:
            self._instruction(BY_NAME[what.name.text], what, item.site)
        if isinstance(what, Op) and self.config.nv_macros == 0 and any(needs_macros(word) for word in self.code[start:]):
            raise Fault("E119", f"`{what.name.text}` names the engine `nv` or its X bank, which this machine does not have", what.name.span,
                        hint="its `nv_macros` is 0; choose a configuration with NOR-flash macros, such as hybrid")

    @staticmethod
    def _no_clause(op: Op) -> Fault:
        clause = op.clauses[0]
        return Fault("E107", f"`{clause.kind}` on `{op.name.text}`, which is no engine instruction", clause.span,
                     hint="tokens are for ld, run, ctxld, drain, seed, st, sync, nvprog and nvmac")

    @staticmethod
    def _count(op: Op, *names: str) -> None:
        if len(op.operands) != len(names):
            listed = f" ({', '.join(names)})" if names else ""
            span = op.operands[len(names)].span if len(op.operands) > len(names) else op.name.span
            plural = "" if len(names) == 1 else "s"
            raise Fault("E107", f"`{op.name.text}` takes {len(names) or 'no'} operand{plural}{listed}, not {len(op.operands)}", span)

    # -- instructions --------------------------------------------------------------------------------------------------

    def _instruction(self, instruction: Instruction, op: Op, site: Site) -> None:
        has_clauses = any(field.name == "wait" for field in instruction.fields)
        if op.clauses and not has_clauses:
            raise self._no_clause(op)
        if instruction.name == "fence":
            return self._fence(op, site)
        if instruction.name == "setr":
            return self._setr(op, site)
        fields = [field for field in instruction.fields if field.name not in ("wait", "signal")]
        self._count(op, *(field.name for field in fields))
        values, target = {}, None
        for field, operand in zip(fields, op.operands, strict=True):
            if field.kind == "offset":
                target, values[field.name] = operand, 0
            else:
                values[field.name] = self._checked(field, operand, site)
        if has_clauses:
            values |= self.operands.clauses(op.clauses, site)
            engine = instruction.engine or ENGINES[values["engine"]].name
            self.commands.append(Command(engine, engine_names(values.get("wait", 0)), engine_names(values.get("signal", 0)), op.name.span, site))
        if target is not None:
            self._fixups.append(_Fixup(len(self.code), instruction, values, target, site))
        self._emit(site, encode(instruction.name, **values))

    def _checked(self, field, operand: Expr, site: Site) -> int:
        """Return an operand's value; a fault is reported here, so that the other operands are looked at too."""
        try:
            return self.operands.field(field, operand, site)
        except Fault as fault:
            self.reporter.report(fault, site)
            return max(field.minimum, 0)

    def _fence(self, op: Op, site: Site) -> None:
        if not op.operands:
            raise Fault("E107", "`fence` names no engine", op.name.span, hint=f"for example `fence {', '.join(code.name for code in ENGINES)}`")
        self._emit(site, encode("fence", engines=self.operands.engines(op.operands, site)))

    def _setr(self, op: Op, site: Site) -> None:
        self._count(op, "reg", "rt")
        register = self.operands.config_register(op.operands[0], site)
        self._emit(site, encode("setr", reg=register.index, rt=self.operands.core_register(op.operands[1], site)))

    def _fix(self, fixup: _Fixup) -> None:
        instruction, target = fixup.instruction, self.symbols.value(fixup.target, fixup.site, labels=True)
        span = fixup.target.span
        if instruction.name == "addi":
            imm = instruction.field("imm")
            if not imm.minimum <= target <= imm.maximum:
                raise Fault("E108", f"`li` of {target}, must be {imm.minimum}..{imm.maximum} where a label is in the expression", span)
            self.code[fixup.address] = encode("addi", **fixup.values, imm=target)
            return
        is_loop = instruction.name in ("loop", "loopi")
        last = target_limit("loop" if is_loop else "branch", len(self.code))
        if not 0 <= target <= last:
            raise Fault("E116", f"the target is {target}, outside the program's 0..{last}", span, fixup.site,
                        hint="" if is_loop else "the last instruction is the last target")
        offset = instruction.field("offset")
        distance = target - fixup.address
        call = instruction.name == "jal" and fixup.values["rd"] != 0
        kind = "loop" if is_loop else "call" if call else "branch"
        self.jumps.append(Jump(fixup.address, target, kind, span, fixup.site))
        if is_loop and distance < 1:
            return
        if not offset.minimum <= distance <= offset.maximum:
            raise Fault("E116", f"the target is {distance} words away, `{instruction.name}` reaches {offset.minimum}..{offset.maximum}", span)
        self.code[fixup.address] = encode(instruction.name, **{**fixup.values, "offset": distance})

    # -- pseudo-instructions -------------------------------------------------------------------------------------------

    def _nop(self, op: Op, site: Site) -> None:
        self._count(op)
        self._emit(site, encode("addi", rd=0, rs=0, imm=0))

    def _mv(self, op: Op, site: Site) -> None:
        self._count(op, "rd", "rs")
        rd, rs = (self.operands.core_register(operand, site) for operand in op.operands)
        self._emit(site, encode("addi", rd=rd, rs=rs, imm=0))

    def _j(self, op: Op, site: Site) -> None:
        self._count(op, "label")
        self._fixups.append(_Fixup(len(self.code), BY_NAME["jal"], {"rd": 0}, op.operands[0], site))
        self._emit(site, 0)

    def _li(self, op: Op, site: Site) -> None:
        self._count(op, "rd", "expr")
        rd, expr = self.operands.core_register(op.operands[0], site), op.operands[1]
        if self.symbols.has_label(expr, site):
            self._fixups.append(_Fixup(len(self.code), BY_NAME["addi"], {"rd": rd, "rs": 0}, expr, site))
            self._emit(site, 0)
            return
        value = self.symbols.value(expr, site)
        if not -(1 << 31) <= value < 1 << 32:
            raise Fault("E108", f"`li` of {value}, must be {-(1 << 31)}..{(1 << 32) - 1} (32 bits)", expr.span)
        self._emit(site, *li_words(rd, value))

    def _set(self, op: Op, site: Site) -> None:
        if len(op.operands) < 2:
            raise Fault("E107", f"`set` takes a register and a value, not {len(op.operands)} operand{'' if len(op.operands) == 1 else 's'}",
                        op.name.span, hint="`set ex.n0, 3`, or for a group `set ex.n, 3, 3, 8`")
        registers = self.operands.config_registers(op.operands[0], site)
        values = op.operands[1:]
        if len(values) > len(registers):
            name = resolve(op.operands[0], site)[0]
            group = name.text if isinstance(name, Name) else ""
            what = f"the group `{group}` has {len(registers)} registers" if group in SET_GROUPS else f"`{registers[0].name}` takes one value"
            raise Fault("E107", f"{what}, not {len(values)}", values[len(registers)].span)
        for register, value in zip(registers, values, strict=False):
            try:
                self._set_one(register.index, self.operands.register_value(register, value, site), site)
            except Fault as fault:
                self.reporter.report(fault, site)
                self._emit(site, 0)

    def _set_one(self, index: int, value: int, site: Site) -> None:
        if SET_LOW <= value <= SET_HIGH:
            self._emit(site, encode("set", reg=index, imm=value))
        else:
            self._emit(site, *li_words(ASSEMBLER_REGISTER, value), encode("setr", reg=index, rt=ASSEMBLER_REGISTER))

    def _ctx(self, op: Op, site: Site) -> None:
        self._count(op, "name", "slot")
        name, where = resolve(op.operands[0], site)
        if not isinstance(name, Name):
            raise Fault("E107", "a number where the name of a context belongs", name.span, where)
        words = self.contexts.words(name, where)
        slot = self.operands.field(BY_NAME["ctxld"].field("slot"), op.operands[1], site)
        rows = cols = ALL
        for line in (*words, None):
            wanted = (ALL, ALL) if line is None else (line.row_mask, line.col_mask)
            for register, before, mask in zip((_ROW_MASK, _COL_MASK), (rows, cols), wanted, strict=True):
                if mask != before:
                    self._set_one(register.index, mask, site)
            rows, cols = wanted
            if line is not None:
                self._emit(site, *li_words(ASSEMBLER_REGISTER, line.word), encode("ctxld", slot=slot, rs=ASSEMBLER_REGISTER))
        self.commands.append(Command("ex", (), (), op.name.span, site))
