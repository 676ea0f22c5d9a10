"""Random programs from the ISA table: loops, arithmetic, every engine with tokens, queue pressure, and deliberate faults.

The same seed and configuration give the same program, memory and cycle limit. Most programs run to their `halt`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

import numpy as np

from isa.program import Program
from isa.table import COUNTERS, ENGINES, LOOP_DEPTH, PARAM_WORDS
from rpa.arch.config import ArrayConfig
from rpa.verify.lines import Label, Line, Op, op, to_program
from rpa.verify.placing import Command, every_engine
from rpa.verify.random_commands import Commands, MemoryMap, context_word, plain_product
from rpa.verify.random_faults import CAUSES, fault_lines, wild_lines
from rpa.verify.random_nv import NvCommands
from rpa.verify.random_sections import Sections

EX, NV = (next(engine.code for engine in ENGINES if engine.name == name) for name in ("ex", "nv"))
LINK, COUNT_REGISTERS = 14, (13, 12)
EPILOGUE_LINES = 8
ROWS_PROGRAMMED = (2, 4, 8)
"""Word lines of a macro that hold weights from the start."""
GENERAL = range(1, 12)
"""Registers that random arithmetic reads and writes."""
EXTREMES = (0x0000, 0xFFFF, 0x8000, 0x7FFF, 0x0001, 0x8080, 0x7F7F, 0x8888, 0x7777, 0xAAAA, 0x5555)
"""Words that are extreme at some width."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What random programs are made of; shares are probabilities."""

    sections: int = 9
    """Most blocks (a section of engine commands, or a loop, branch or subroutine around some)."""
    faults: float = 0.2
    """Programs with one deliberate fault, deadlock or endless loop."""
    causes: tuple[str, ...] = CAUSES
    """Fault causes to choose from."""
    wild: float = 0.08
    """Programs whose engine registers are legal one by one but chosen without regard to each other."""
    cycle_limit: float = 0.05
    """Programs stopped early by a small limit."""
    max_cycles: int = 20_000


@dataclass(frozen=True)
class RandomProgram:
    """A program with everything that is needed to run it again."""

    seed: int
    config: ArrayConfig
    lines: tuple[Line, ...]
    max_cycles: int

    @property
    def program(self) -> Program:
        return to_program(self.lines, self.config.to_dict(), f"random-{self.seed}")

    @property
    def memory(self) -> np.ndarray:
        """uint8 (mem_bytes,): requantization entries, then random bytes."""
        return memory_image(self.seed, self.config)

    def with_lines(self, lines: tuple[Line, ...]) -> RandomProgram:
        return replace(self, lines=lines)


def memory_image(seed: int, config: ArrayConfig) -> np.ndarray:
    """Return the external memory of a random program: entries whose shifts are legal, then random words, some of them extreme."""
    rng = np.random.default_rng(seed)
    memory = rng.integers(0, 256, config.mem_bytes, dtype=np.uint8)
    data = memory.view("<u2")
    extreme = rng.integers(0, len(data), len(data) // 8)
    data[extreme] = rng.choice(np.array(EXTREMES, "<u2"), len(extreme))
    entries = MemoryMap(config.p_entries // 2).entries
    data[: 2 * entries * PARAM_WORDS] = _entries(rng, entries).ravel()
    return memory


def _entries(rng: np.random.Generator, entries: int) -> np.ndarray:
    """Requantization entries, uint16 (2 * entries, words): any legal shift, then shifts that gemmlowp takes.

    A third is anything legal; a third scales by 2^-20 .. 2, so that results are seldom cut to a limit; a third halves up to
    five times, so that ties are common.
    """
    count = 2 * entries
    words = rng.integers(0, 1 << 16, (count, PARAM_WORDS), dtype=np.uint16)
    bias = rng.integers(-(1 << 47), 1 << 47, count)
    multiplier = rng.integers(0, 1 << 31, count)
    least, kind = np.repeat([1, 31], entries), rng.integers(0, 3, count)
    power = np.where(kind == 0, 0, rng.integers(8, 31, count))
    scaling = power + np.where(kind == 1, rng.integers(0, 21, count), rng.integers(1, 6, count))
    bias >>= np.where(kind == 0, rng.integers(0, 48, count), rng.integers(30, 48, count))
    multiplier = np.choose(kind, [multiplier >> rng.integers(0, 31, count), multiplier % (1 << power) + (1 << power), 1 << power])
    shift = np.where(kind == 0, rng.integers(least, 63), np.clip(scaling, least, 62))
    for k in range(3):
        words[:, k] = (bias >> (16 * k)) & 0xFFFF
    words[:, 3], words[:, 4] = multiplier & 0xFFFF, multiplier >> 16
    words[:, 5] = shift | (words[:, 5] & 0xFF80)  # the upper bits of the shift's word are not looked at
    return words


def random_program(seed: int, config: ArrayConfig, profile: Profile | None = None) -> RandomProgram:
    """Return the random program of ``seed`` for this machine."""
    profile = profile or Profile()
    return _Generator(seed, config, profile).build()


class _Generator:
    """Writes one program, top down: prologue, a tree of loops and branches around sections, halt."""

    def __init__(self, seed: int, config: ArrayConfig, profile: Profile) -> None:
        self.rng = Random(f"{seed}/{config}")
        self.seed, self.config, self.profile = seed, config, profile
        self.commands = Commands(self.rng, config)
        self.sections = Sections(self.rng, config, self.commands, self.arithmetic)
        self.labels = 0
        self.counters_free = list(COUNT_REGISTERS)
        self.room = config.imem_words

    def build(self) -> RandomProgram:
        rng, profile = self.rng, self.profile
        body: list[list[Line]] = []
        while len(body) < profile.sections and sum(map(len, body)) < self.room // 3 and (not body or rng.random() < 0.85):
            body.append(self.block(0))
        if rng.random() < profile.wild:
            body.insert(rng.randrange(len(body) + 1), wild_lines(rng, self.config))
        if rng.random() < profile.faults:
            body.insert(rng.randrange(len(body) + 1), fault_lines(rng, self.config, self.commands, self.label, profile.causes))
        lines = self.prologue()
        for part in body:
            if len(lines) + len(part) < self.room - EPILOGUE_LINES:
                lines += part
        lines += self.epilogue()
        limit = rng.randint(1, 600) if rng.random() < profile.cycle_limit else profile.max_cycles
        return RandomProgram(self.seed, self.config, tuple(lines), limit)

    def label(self) -> int:
        self.labels += 1
        return self.labels

    # -- pieces ----------------------------------------------------------------------------------------------------

    def prologue(self) -> list[Line]:
        """Parameters, operands, accumulators and contexts, so that what follows has something to work on."""
        rng = self.rng
        commands = [self.commands.ld_params(first=True, half=0), self.commands.ld_params(first=True, half=1),
                    self.commands.ld_operands("a"), self.commands.ld_operands("w")]
        lines: list[Line] = [line for command in commands for line in self.sections.emit(command)]
        lines += self.sections.context(0, plain_product(rng))
        products = [self.commands.run_all(0), self.commands.run_all(1)]
        lines += [*self.sections.settle(products[0], commands), *(line for command in products for line in self.sections.emit(command))]
        for slot in range(rng.randint(0, 1), rng.choice((2, 4, self.config.ctx_slots))):
            lines += self.sections.context(slot, context_word(rng))
        if self.commands.nv is not None:
            lines += self.macros(self.commands.nv)
        lines.append(op("fence", engines=every_engine(self.config) if rng.random() < 0.8 else 1 << EX | 1 << NV & every_engine(self.config)))
        return lines

    def macros(self, nv: NvCommands) -> list[Line]:
        """Words in the X bank, cells in some macros, and products in every NV accumulator."""
        load = self.commands.ld_operands("x")
        commands: list[Command] = [nv.nvprog_all(macro, self.rng.choice(ROWS_PROGRAMMED)) for macro in range(self.config.nv_macros)
                                   if macro == 0 or self.rng.random() < 0.4]
        commands += [nv.nvmac_all(0), nv.nvmac_all(1)]
        lines = [*self.sections.emit(load), *self.sections.settle(commands[0], [load])]
        return lines + [line for command in commands for line in self.sections.emit(command)]

    def epilogue(self) -> list[Line]:
        """Read some counters and halt; what stands behind is never executed."""
        lines: list[Line] = [op("fence", engines=every_engine(self.config))] if self.rng.random() < 0.5 else []
        return [*lines, *(self.read_counter() for _ in range(self.rng.randint(0, 4))), op("halt"), *self.arithmetic(2)]

    def block(self, depth: int) -> list[Line]:
        """A section, a loop around blocks, blocks that a branch may skip, or a counted backward branch."""
        rng = self.rng
        kind = rng.choices(("section", "loop", "skip", "back", "call"), (6, 4 if depth < LOOP_DEPTH else 0, 1.5, 1, 0.5))[0]
        if kind == "section" or depth > 5:
            return self.sections.section()
        inner = [line for _ in range(rng.choice((1, 1, 2))) for line in self.block(depth + 1)]
        if rng.random() < 0.2:
            inner = self.arithmetic(rng.randint(1, 4))
        return getattr(self, f"_{kind}")(inner)

    def _loop(self, inner: list[Line]) -> list[Line]:
        rng, end = self.rng, self.label()
        # A nop between two ends keeps "no shared end" and "no loop as the last of a body".
        body = [*inner, *self.arithmetic(1), Label(end)]
        if rng.random() < 0.5:
            return [op("loopi", target=end, count=rng.choice((0, 1, 2, 2, 3))), *body]
        register = rng.choice(GENERAL)
        return [op("andi", rd=register, rs=rng.choice(GENERAL), imm=3), op("loop", target=end, rs=register), *body]

    def _skip(self, inner: list[Line]) -> list[Line]:
        end = self.label()
        return [op(self.rng.choice(("beq", "bne", "blt", "bge", "bltu", "bgeu")), target=end, rs=self.any(), rt=self.any()), *inner, Label(end)]

    def _back(self, inner: list[Line]) -> list[Line]:
        if not self.counters_free or any(isinstance(line, Op) and line.operands.get("rd") in COUNT_REGISTERS for line in inner):
            return inner
        register, start = self.rng.choice(self.counters_free), self.label()
        return [op("addi", rd=register, rs=0, imm=self.rng.randint(1, 3)), Label(start), *inner, op("addi", rd=register, rs=register, imm=-1),
                op("bne", target=start, rs=register, rt=0)]

    def _call(self, inner: list[Line]) -> list[Line]:
        """A subroutine behind a jump: called, and returned from with `jalr`. Without inner calls, as there is one link register."""
        if any(isinstance(line, Op) and line.name == "jal" for line in inner):
            return inner
        start, end = self.label(), self.label()
        jump = op("jal", target=end, rd=0)
        return [jump, Label(start), *inner, op("jalr", rd=0, rs=LINK, imm=0), Label(end), op("jal", target=start, rd=LINK)]

    # -- core ------------------------------------------------------------------------------------------------------

    def any(self) -> int:
        return self.rng.choice((0, *GENERAL))

    def read_counter(self) -> Op:
        return op(self.rng.choice(("rdctr", "rdctr", "rdctrh")), rd=self.rng.choice(GENERAL), counter=self.rng.choice(COUNTERS).index)

    def arithmetic(self, count: int) -> list[Line]:
        """``count`` instructions on general registers."""
        return [self._alu() for _ in range(count)]

    def _alu(self) -> Op:
        rng, rd = self.rng, self.rng.choice((*GENERAL, *GENERAL, 0))
        name = rng.choice(("add", "sub", "mul", "and", "or", "xor", "sll", "srl", "sra", "slt", "addi", "addi", "andi", "ori", "slli", "srli", "srai",
                           "lui", "lui", "rdctr"))
        if name == "rdctr":
            return self.read_counter()
        if name == "lui":
            return op(name, rd=rd, imm=rng.randrange(1 << 16))
        if name in ("slli", "srli", "srai"):
            return op(name, rd=rd, rs=self.any(), shamt=rng.randrange(32))
        if name in ("andi", "ori"):
            return op(name, rd=rd, rs=self.any(), imm=rng.randrange(1 << 16))
        if name == "addi":
            return op(name, rd=rd, rs=self.any(), imm=rng.choice((rng.randint(-4, 4), rng.randint(-(1 << 17), (1 << 17) - 1))))
        return op(name, rd=rd, rs=self.any(), rt=self.any())
