"""Operands of instructions: what each kind of field takes, and what is wrong with what was given."""

from __future__ import annotations

from isa.diagnostics import Fault
from isa.encoding import CODES, REGISTER_BY_NAME
from isa.errors import did_you_mean
from isa.machine import MachineConfig
from isa.pseudo import ASSEMBLER_REGISTER, SET_GROUPS
from isa.source import Reporter, Site
from isa.spec import Field, Register
from isa.symbols import CORE_NAMES, Symbols, resolve
from isa.syntax import Clause, Expr, Name

_WHAT = {"counter": "counter", "engine": "engine", "dest": "destination", "source": "source"}


class Operands:
    """Evaluates operands; every method raises Fault with the place where the fault stands."""

    def __init__(self, symbols: Symbols, reporter: Reporter, config: MachineConfig) -> None:
        self.symbols, self.reporter, self.config = symbols, reporter, config

    def field(self, field: Field, expr: Expr, site: Site) -> int:
        """Return the value of one operand for a field that is no branch target and no engine register."""
        if field.kind == "reg":
            return self.core_register(expr, site)
        if field.kind in _WHAT:
            return self.named(field.kind, expr, site)
        value = self.symbols.value(expr, site)
        high = min(field.maximum, self.config.ctx_slots - 1) if field.kind == "slot" else field.maximum
        if not field.minimum <= value <= high:
            why = f"ctx_slots is {self.config.ctx_slots}" if high < field.maximum else f"{field.bits}-bit field"
            raise Fault("E108", f"`{field.name}` is {value}, must be {field.minimum}..{high} ({why})", expr.span, site)
        return value

    def core_register(self, expr: Expr, site: Site) -> int:
        expr, where = resolve(expr, site)
        if not isinstance(expr, Name) or expr.text not in CORE_NAMES:
            found = f"`{expr.text}`" if isinstance(expr, Name) else "a number"
            raise Fault("E105" if isinstance(expr, Name) else "E107", f"{found} is not a core register", expr.span, where,
                        hint=f"there are r0..r{len(CORE_NAMES) - 1}")
        number = CORE_NAMES[expr.text]
        if number == ASSEMBLER_REGISTER:
            self.reporter.warn("W101", "r15 is the assembler's register", expr.span, where, hint="`li`-like pseudo-instructions overwrite it")
        return number

    def named(self, kind: str, expr: Expr, site: Site) -> int:
        expr, where = resolve(expr, site)
        codes, what = CODES[kind], _WHAT[kind]
        text = expr.text if isinstance(expr, Name) else None
        if text not in codes:
            if text is None:
                raise Fault("E107", f"a number where the name of a {what} belongs", expr.span, where, hint=f"there are {', '.join(codes)}")
            hint = did_you_mean(text, codes) or f"there are {', '.join(codes)}"
            raise Fault("E105", f"unknown {what} `{text}`", expr.span, where, hint=hint)
        return codes[text]

    def config_registers(self, expr: Expr, site: Site) -> tuple[Register, ...]:
        """Return the engine registers that the first operand of `set` names: one, or those of a group."""
        expr, where = resolve(expr, site)
        if isinstance(expr, Name) and expr.text in SET_GROUPS:
            return tuple(REGISTER_BY_NAME[name] for name in SET_GROUPS[expr.text])
        return (self.config_register(expr, where),)

    def config_register(self, expr: Expr, site: Site) -> Register:
        expr, where = resolve(expr, site)
        if isinstance(expr, Name) and expr.text in REGISTER_BY_NAME:
            return REGISTER_BY_NAME[expr.text]
        if not isinstance(expr, Name):
            raise Fault("E107", "a number where an engine register belongs", expr.span, where, hint="for example `ex.n0`")
        hint = did_you_mean(expr.text, [*REGISTER_BY_NAME, *SET_GROUPS]) or "engine registers are `engine.name`, see docs/isa.md"
        raise Fault("E105", f"unknown engine register `{expr.text}`", expr.span, where, hint=hint)

    def register_value(self, register: Register, expr: Expr, site: Site) -> int:
        """Return the value to write as a signed 32-bit number, within what the machine accepts."""
        value = self.symbols.value(expr, site)
        low, high = register.limits(self.config)
        top = (1 << 32) - 1 if register.bits == 32 else high
        if not low <= value <= top or not (register.bits == 32 or register.accepts(value, self.config)):
            if register.choices:
                allowed = "one of " + ", ".join(str(choice) for choice in register.choices if choice <= high)
            else:
                allowed = f"{low}..{top}"
            hint = register.doc
            if isinstance(register.maximum, str):
                hint += f"; {register.maximum} is {high}"
            raise Fault("E108", f"`{register.name}` is {value}, must be {allowed}", expr.span, site, hint=hint)
        return value - (1 << 32) if value >= 1 << 31 else value

    def engines(self, names: tuple[Expr, ...], site: Site) -> int:
        mask = 0
        for name in names:
            bit = 1 << self.named("engine", name, site)
            if mask & bit:
                raise Fault("E107", f"engine `{resolve(name, site)[0].text}` is named twice", name.span, site)  # type: ignore[union-attr]
            mask |= bit
        return mask

    def clauses(self, clauses: tuple[Clause, ...], site: Site) -> dict[str, int]:
        """Return the masks of `wait(...)` and `signal(...)`."""
        masks: dict[str, int] = {}
        for clause in clauses:
            if clause.kind in masks:
                raise Fault("E107", f"`{clause.kind}` twice", clause.span, hint=f"write `{clause.kind}(ld, ex)`")
            masks[clause.kind] = self.engines(clause.names, site)
        return masks
