"""Instruction words decoded once per program into small tuples for the core's loop.

The first item of each tuple is one of the ``K_`` kinds; what follows is listed beside the kind. What can fault when it
executes, whatever the registers hold, decodes to ``K_TROUBLE``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from isa.encoding import REGISTER_BY_INDEX, illegal_instruction
from isa.encoding import decode as decode_word
from isa.spec import Register
from rpa.arch.config import ArrayConfig
from rpa.emu.fast.layout import ENGINE_CODE, POSITION

K_SET = 0  # engine, position, value
K_SETR = 1  # engine, position, rs, low, high, choices or None, modulus or 0
K_RESET = 2  # engine
K_COMMAND = 3  # engine, name, waits, signals, operand, core register or 0
K_ALUI = 4  # function, rd, rs, immediate
K_ALU = 5  # function, rd, rs, rt
K_BRANCH = 6  # function, rs, rt, target
K_LOOP = 7  # count register or -1, count, end
K_JAL = 8  # rd, target
K_JALR = 9  # rd, rs, offset
K_FENCE = 10  # engine codes
K_RDCTR = 11  # rd, counter, shift
K_HALT = 12
K_TROUBLE = 13  # reason
LAST_PUSH = K_COMMAND
"""Kinds up to this one push a queue entry."""

MASK = 0xFFFFFFFF
_SIGN = 1 << 31


def signed(value: int) -> int:
    """A 32-bit pattern as a signed integer."""
    return value - (1 << 32) if value & _SIGN else value


def _second(_: int, y: int) -> int:
    return y


ALU: dict[str, Callable[[int, int], int]] = {
    "add": lambda x, y: (x + y) & MASK,
    "sub": lambda x, y: (x - y) & MASK,
    "mul": lambda x, y: (x * y) & MASK,
    "and": lambda x, y: x & y,
    "or": lambda x, y: x | y,
    "xor": lambda x, y: x ^ y,
    "sll": lambda x, y: (x << (y & 31)) & MASK,
    "srl": lambda x, y: x >> (y & 31),
    "sra": lambda x, y: (signed(x) >> (y & 31)) & MASK,
    "slt": lambda x, y: int(signed(x) < signed(y)),
}
_IMMEDIATE = {"addi": "add", "andi": "and", "ori": "or", "slli": "sll", "srli": "srl", "srai": "sra"}
_BRANCH: dict[str, Callable[[int, int], bool]] = {
    "beq": lambda x, y: x == y,
    "bne": lambda x, y: x != y,
    "blt": lambda x, y: signed(x) < signed(y),
    "bge": lambda x, y: signed(x) >= signed(y),
    "bltu": lambda x, y: x < y,
    "bgeu": lambda x, y: x >= y,
}


def _engines(mask: int) -> tuple[int, ...]:
    return tuple(code for code in sorted(ENGINE_CODE.values()) if mask >> code & 1)


def stored(register: Register, value: int) -> int:
    """What a register holds after `set` of an accepted ``value``."""
    return value if register.signed else value & ((1 << register.bits) - 1)


def _set(f: Mapping[str, int], config: ArrayConfig) -> tuple:
    register = REGISTER_BY_INDEX[f["reg"]]
    engine, position = POSITION[register.index]
    wide = register.bits == 32 and not register.signed
    if "imm" in f:
        if not wide and not register.accepts(f["imm"], config):
            return K_TROUBLE, f"value out of range for {register.name}"
        return K_SET, engine, position, stored(register, f["imm"])
    if wide:
        return K_SETR, engine, position, f["rt"], -(1 << 31), (1 << 31) - 1, None, 1 << 32
    low, high = register.limits(config)
    modulus = 1 << register.bits if low < 0 and not register.signed else 0
    return K_SETR, engine, position, f["rt"], low, high, register.choices, modulus


def _command(name: str, f: Mapping[str, int], engine: int) -> tuple:
    waits, signals = _engines(f["wait"]), _engines(f["signal"])
    if name == "ld":
        return K_COMMAND, engine, name, waits, signals, (f["dest"], f["source"]), 0
    operand = f.get("bank", f.get("slot", 0))
    return K_COMMAND, engine, name, waits, signals, operand, f.get("rs", f.get("rt", 0))


def _control(name: str, f: Mapping[str, int], pc: int) -> tuple:
    target = (pc + f.get("offset", 0)) & MASK
    if name == "jal":
        return K_JAL, f["rd"], target
    if name == "jalr":
        return K_JALR, f["rd"], f["rs"], f["imm"]
    if name == "loop":
        return K_LOOP, f["rs"], 0, target
    if name == "loopi":
        return K_LOOP, -1, f["count"], target
    if name == "fence":
        return K_FENCE, _engines(f["engines"])
    if name == "halt":
        return (K_HALT,)
    return K_RDCTR, f["rd"], f["counter"], 32 if name == "rdctrh" else 0


def _entry(word: int, pc: int, config: ArrayConfig) -> tuple:
    reason = illegal_instruction(word)
    if reason is not None:
        return K_TROUBLE, reason
    decoded = decode_word(word)
    instruction, f = decoded.instruction, decoded.values
    name = instruction.name
    if name in ALU:
        return K_ALU, ALU[name], f["rd"], f["rs"], f["rt"]
    if name in _IMMEDIATE:
        immediate = f["shamt"] if "shamt" in f else f["imm"] & MASK
        return K_ALUI, ALU[_IMMEDIATE[name]], f["rd"], f["rs"], immediate
    if name in _BRANCH:
        return K_BRANCH, _BRANCH[name], f["rs"], f["rt"], (pc + f["offset"]) & MASK
    if name == "lui":
        return K_ALUI, _second, f["rd"], 0, f["imm"] << 16
    if name in ("set", "setr"):
        return _set(f, config)
    if name == "reset":
        return K_RESET, f["engine"]
    if instruction.group == "engine":
        engine = f["engine"] if instruction.engine is None else ENGINE_CODE[instruction.engine]
        return _command(name, f, engine)
    return _control(name, f, pc)


@lru_cache(maxsize=64)
def decode(code: tuple[int, ...], config: ArrayConfig) -> tuple[tuple, ...]:
    """Decode every word of a program; unreachable data words may be K_TROUBLE without harm."""
    return tuple(_entry(word, pc, config) for pc, word in enumerate(code))


def reads_counters(decoded: tuple[tuple, ...]) -> bool:
    return any(entry[0] == K_RDCTR for entry in decoded)
