"""One PE in plain Python integers, written from design.md section 6 and the operation table, for the block tests."""

from __future__ import annotations

from dataclasses import dataclass, field

from isa.table import CONTEXT_FIELDS, PE_CONDS, PE_DESTS, PE_OPS, PE_ROUTES, PE_SOURCES

OPS = {row.code: row.name for row in PE_OPS}
SOURCES = {row.code: row.name for row in PE_SOURCES}
DESTS = {row.code: row.name for row in PE_DESTS}
ROUTES = {row.code: row.name for row in PE_ROUTES}
CONDS = {row.code: row.name for row in PE_CONDS}


def decode(word: int) -> dict[str, int]:
    """Fields of a context word."""
    return {f.name: f.extract(word) for f in CONTEXT_FIELDS}


def split(word: int, bits: int, is_signed: bool) -> list[int]:
    values = [word >> low & ((1 << bits) - 1) for low in range(0, 16, bits)]
    return [value - (1 << bits) if is_signed and value >> (bits - 1) else value for value in values]


def join(values: list[int], bits: int) -> int:
    return sum((value & ((1 << bits) - 1)) << (bits * k) for k, value in enumerate(values))


def signed16(word: int) -> int:
    return word - 0x10000 if word & 0x8000 else word


@dataclass(frozen=True, kw_only=True)
class Step:
    """What EXEC of a step sees besides the PE's own state."""

    width: int = 16
    a_signed: bool = True
    w_signed: bool = True
    first: bool = False
    bank: int = 0
    index: int = 0
    a: int = 0
    w: int = 0
    north: int = 0
    east: int = 0
    south: int = 0
    west: int = 0


@dataclass
class PeModel:
    """State of a PE; ``execute`` is EXEC of a step, ``accumulate`` its ACC."""

    acc_bits: int = 48
    registers: list[int] = field(default_factory=lambda: [0] * 8)
    flag: int = 0
    out: int = 0
    reg_sig: int = 0
    acc_sig: int = 0
    acc: list[list[int]] = field(default_factory=lambda: [[0] * 16, [0] * 16])

    def source(self, code: int, step: Step, imm: int) -> int:
        name = SOURCES[code]
        if name == "imm":
            return join([imm] * (16 // step.width), step.width)
        if name == "acc":
            return self.acc[step.bank][step.index] & 0xFFFF
        if name[0] == "r":
            return self.registers[int(name[1:])]
        return getattr(step, name)

    def result(self, op: str, x: int, y: int, step: Step) -> int | None:
        """The 16-bit result of an operation, None without one."""
        bits = step.width
        xs, ys = split(x, bits, step.a_signed), split(y, bits, step.a_signed)
        products = zip(xs, split(y, bits, step.w_signed), strict=True)
        pairs = list(zip(xs, ys, strict=True))
        whole = {
            "mov": lambda: x, "and": lambda: x & y, "or": lambda: x | y, "xor": lambda: x ^ y, "shl": lambda: x << (y & 15) & 0xFFFF,
            "shr": lambda: x >> (y & 15), "sra": lambda: signed16(x) >> (y & 15) & 0xFFFF, "sel": lambda: x if self.flag else y,
            "add": lambda: join([p + q for p, q in pairs], bits), "sub": lambda: join([p - q for p, q in pairs], bits),
            "mul": lambda: join([p * q for p, q in products], bits), "min": lambda: join([min(pair) for pair in pairs], bits),
            "max": lambda: join([max(pair) for pair in pairs], bits), "abs": lambda: join([abs(p) for p in split(x, bits, True)], bits),
        }
        return whole[op]() if op in whole else None

    def execute(self, word: int, step: Step) -> tuple[str, list[int]] | None:
        """Do EXEC; return (kind, lane values) for ACC or None."""
        context = decode(word)
        op, dest, route = OPS[context["op"]], DESTS[context["dst"]], ROUTES[context["route"]]
        if {"always": False, "p": not self.flag, "np": bool(self.flag)}[CONDS[context["cond"]]]:
            return None
        x, y = (self.source(context[name], step, context["imm"]) for name in ("x", "y"))
        result = self.result(op, x, y, step)
        action = None
        if op in ("mac", "macl"):
            products = [p * q for p, q in zip(split(x, step.width, step.a_signed), split(y, step.width, step.w_signed), strict=True)]
            action = ("add", [sum(products)] if op == "mac" else products)
        elif dest in ("acc", "acca"):
            action = ("set" if dest == "acc" else "add", split(result, step.width, step.a_signed))
        if dest[0] == "r":
            index = int(dest[1:])
            self.registers[index] = result
            self.reg_sig = ((self.reg_sig << 1 | self.reg_sig >> 15) & 0xFFFF) ^ result ^ index << 8
        if op == "ceq":
            self.flag = int(x == y)
        elif op == "clt":
            self.flag = int(signed16(x) < signed16(y) if step.a_signed else x < y)
        if route != "hold":
            self.out = {"result": result or 0, "x": x}.get(route, getattr(step, route, 0))
        return action

    def accumulate(self, action: tuple[str, list[int]] | None, step: Step) -> None:
        """Do ACC of a step."""
        if action is None:
            return
        kind, values = action
        bits = self.acc_bits // len(values)
        old = self.acc[step.bank][step.index] if kind == "add" and not step.first else 0
        new = sum((((old >> bits * k) + value) & ((1 << bits) - 1)) << (bits * k) for k, value in enumerate(values))
        self.acc[step.bank][step.index] = new
        mask = (1 << self.acc_bits) - 1
        self.acc_sig = ((self.acc_sig << 1 | self.acc_sig >> (self.acc_bits - 1)) & mask) ^ new ^ (step.bank << 4 | step.index)
