"""What a program issues, found by executing the control core's instructions one by one, without engines, data or time.

It is written from the instruction set alone and shares nothing with what finds loops or chooses settings, so that it can check them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from isa.encoding import BY_NAME, NAMED, REGISTER_BY_INDEX, Decoded, decode, engine_names
from isa.program import Program
from isa.table import CORE_REGISTERS, ENGINES, LOOP_DEPTH, REGISTERS
from rpa.compile.errors import CompileError

MASK = 0xFFFFFFFF
PATIENCE = 20_000_000
"""Instructions after which a program is followed no further."""
RESETS = {engine.name: {r.name: r.reset & MASK for r in REGISTERS if r.engine == engine.name} for engine in ENGINES}


@dataclass(frozen=True)
class Started:
    """A command as it goes into a queue, with the registers that it will start with."""

    engine: str
    text: str
    """As in assembly, without tokens."""
    wait: tuple[str, ...]
    signal: tuple[str, ...]
    registers: Mapping[str, int]
    """Every register of the engine, unsigned 32 bits."""
    value: int
    """`ctxld`: the context word; `seed`: the seed."""
    pc: int


_Alu = Callable[[int, int], int]
_ALU: dict[str, _Alu] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "and": lambda a, b: a & b, "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b, "sll": lambda a, b: a << (b & 31), "srl": lambda a, b: a >> (b & 31), "sra": lambda a, b: _signed(a) >> (b & 31),
    "slt": lambda a, b: int(_signed(a) < _signed(b)),
}
_IMMEDIATE = {"addi": "add", "andi": "and", "ori": "or", "slli": "sll", "srli": "srl", "srai": "sra"}
_BRANCH: dict[str, Callable[[int, int], bool]] = {
    "beq": lambda a, b: a == b, "bne": lambda a, b: a != b, "blt": lambda a, b: _signed(a) < _signed(b),
    "bge": lambda a, b: _signed(a) >= _signed(b), "bltu": lambda a, b: a < b, "bgeu": lambda a, b: a >= b,
}


def _signed(value: int) -> int:
    return value - (1 << 32) if value >> 31 else value


def follow(program: Program) -> Iterator[Started]:
    """Every engine command of a program, in the order of the core.

    Raises CompileError if the core leaves the code, reads a counter, or does not come to `halt` within :data:`PATIENCE` instructions.
    """
    core = _Core([0] * CORE_REGISTERS, [], {engine: dict(values) for engine, values in RESETS.items()})
    pc = 0
    decoded = [decode(word) for word in program.code]
    for _ in range(PATIENCE):
        if not 0 <= pc < len(decoded):
            raise CompileError(f"`{program.name}` leaves its code at {pc}")
        instruction = decoded[pc]
        if instruction.instruction.name == "halt":
            return
        if instruction.instruction.group == "engine":
            yield core.started(instruction, pc)
            pc = core.next(pc, pc + 1)
        else:
            pc = core.execute(instruction, pc)
    raise CompileError(f"`{program.name}` is not at its end after {PATIENCE} instructions")


@dataclass
class _Core:
    registers: list[int]
    loops: list[list[int]]
    """Start, end and turns left, innermost last."""
    settings: dict[str, dict[str, int]]

    def started(self, decoded: Decoded, pc: int) -> Started:
        engine, text, wait, signal = _static(decoded.instruction.name, tuple(decoded.values.items()))
        source = decoded.values.get("rs", decoded.values.get("rt", 0))
        return Started(engine, text, wait, signal, dict(self.settings[engine]), self.registers[source], pc)

    def execute(self, decoded: Decoded, pc: int) -> int:
        """Do an instruction of the core; the next pc."""
        name, values = decoded.instruction.name, decoded.values
        if name in _ALU:
            self._write(values["rd"], _ALU[name](self.registers[values["rs"]], self.registers[values["rt"]]))
        elif name in _IMMEDIATE:
            self._write(values["rd"], _ALU[_IMMEDIATE[name]](self.registers[values["rs"]], values.get("imm", values.get("shamt", 0))))
        elif name == "lui":
            self._write(values["rd"], values["imm"] << 16)
        elif name in ("set", "setr", "reset"):
            self._configure(name, values)
        elif name in ("loop", "loopi"):
            return self._loop(values, pc)
        elif name in _BRANCH:
            if _BRANCH[name](self.registers[values["rs"]], self.registers[values["rt"]]):
                return pc + values["offset"]
        elif name in ("jal", "jalr"):
            target = pc + values["offset"] if name == "jal" else self.registers[values["rs"]] + values["imm"]
            self._write(values["rd"], pc + 1)
            return target & MASK
        elif name != "fence":
            raise CompileError(f"`{name}` at {pc}: what a program does with counters cannot be followed")
        return self.next(pc, pc + 1)

    def _write(self, register: int, value: int) -> None:
        if register:
            self.registers[register] = value & MASK

    def _configure(self, name: str, values: Mapping[str, int]) -> None:
        if name == "reset":
            engine = NAMED["engine"][values["engine"]]
            self.settings[engine] = dict(RESETS[engine])
            return
        register = REGISTER_BY_INDEX[values["reg"]]
        self.settings[register.engine][register.name] = (values["imm"] if name == "set" else self.registers[values["rt"]]) & MASK

    def _loop(self, values: Mapping[str, int], pc: int) -> int:
        count = values["count"] if "count" in values else self.registers[values["rs"]]
        end = pc + values["offset"]
        if not count:
            return self.next(pc, end, jumped=True)
        if len(self.loops) == LOOP_DEPTH:
            raise CompileError(f"more than {LOOP_DEPTH} loops in each other at {pc}")
        self.loops.append([pc + 1, end, count])
        return pc + 1

    def next(self, pc: int, target: int, *, jumped: bool = False) -> int:
        """The pc behind an instruction, with the innermost loop's way back."""
        if jumped or not self.loops or self.loops[-1][1] != pc + 1:
            return target
        top = self.loops[-1]
        if top[2] > 1:
            top[2] -= 1
            return top[0]
        self.loops.pop()
        return target


@cache
def _static(name: str, values: tuple[tuple[str, int], ...]) -> tuple[str, str, tuple[str, ...], tuple[str, ...]]:
    """Engine, text, waits and signals of a command."""
    row, by_name = BY_NAME[name], dict(values)
    operands = [f"r{by_name[f.name]}" if f.kind == "reg" else NAMED[f.kind][by_name[f.name]] if f.kind in NAMED else str(by_name[f.name])
                for f in row.fields if f.kind != "engines"]
    engine = row.engine or NAMED["engine"][by_name["engine"]]
    return engine, f"{name} {', '.join(operands)}".strip(), engine_names(by_name["wait"]), engine_names(by_name["signal"])
