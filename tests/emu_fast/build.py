"""Small programs for the tests, written instruction by instruction from Python."""

from __future__ import annotations

import numpy as np

from isa.encoding import CODES, REGISTER_BY_NAME, encode, encode_context, engine_mask
from isa.program import Program
from rpa.arch.config import ArrayConfig

IMMEDIATE_LIMIT = 1 << 15
SCRATCH = 15
"""Core register that :meth:`Code.set` uses for wide values."""


class Code:
    """A program in the making; every method appends one instruction (``set`` and ``li`` up to three)."""

    def __init__(self, config: ArrayConfig) -> None:
        self.config = config
        self.words: list[int] = []

    def op(self, name: str, **values: int) -> Code:
        self.words.append(encode(name, **values))
        return self

    def li(self, register: int, value: int) -> Code:
        value &= 0xFFFFFFFF
        self.op("lui", rd=register, imm=value >> 16)
        return self.op("ori", rd=register, rs=register, imm=value & 0xFFFF)

    def set(self, **values: int) -> Code:
        """``set(ex_n0=3)`` writes ex.n0; a value beyond 16 bits goes through r15."""
        for name, value in values.items():
            register = REGISTER_BY_NAME[name.replace("_", ".", 1)]
            if -IMMEDIATE_LIMIT <= value < IMMEDIATE_LIMIT:
                self.op("set", reg=register.index, imm=value)
            else:
                self.li(SCRATCH, value).op("setr", reg=register.index, rt=SCRATCH)
        return self

    def command(self, name: str, wait: str = "", signal: str = "", **values: int) -> Code:
        return self.op(name, wait=engine_mask(tuple(wait.split())), signal=engine_mask(tuple(signal.split())), **values)

    def ld(self, dest: str, source: str, wait: str = "", signal: str = "") -> Code:
        return self.command("ld", wait, signal, dest=CODES["dest"][dest], source=CODES["source"][source])

    def run(self, bank: int = 0, wait: str = "", signal: str = "") -> Code:
        return self.command("run", wait, signal, bank=bank)

    def drain(self, bank: int = 0, wait: str = "", signal: str = "") -> Code:
        return self.command("drain", wait, signal, bank=bank)

    def st(self, wait: str = "", signal: str = "") -> Code:
        return self.command("st", wait, signal)

    def sync(self, engine: str, wait: str = "", signal: str = "") -> Code:
        return self.command("sync", wait, signal, engine=CODES["engine"][engine])

    def context(self, slot: int, *names: str, wait: str = "", signal: str = "", **options) -> Code:
        """``context(0, "mac", "a", "w")`` loads a context word into every selected PE."""
        self.li(14, encode_context(*names, **options))
        return self.command("ctxld", wait, signal, slot=slot, rs=14)

    def fence(self, *engines: str) -> Code:
        return self.op("fence", engines=engine_mask(engines))

    def rdctr(self, register: int, counter: int) -> Code:
        return self.op("rdctr", rd=register, counter=counter)

    def halt(self) -> Code:
        return self.op("halt")

    def program(self, name: str = "test") -> Program:
        return Program(config=self.config.to_dict(), code=tuple(self.words), name=name)


def blank(config: ArrayConfig) -> np.ndarray:
    return np.zeros(config.mem_bytes, dtype=np.uint8)
