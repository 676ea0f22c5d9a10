"""Readable state of a `StepMachine` between two cycles: what a debugger shows. Reading changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from isa.disassembler import format_context, format_instruction
from isa.encoding import REGISTER_BY_INDEX
from isa.table import CORE_REGISTERS, COUNTERS, ENGINES, REGISTERS
from rpa.emu.step import layout as L

if TYPE_CHECKING:
    from rpa.emu.step.machine import StepMachine


@dataclass(frozen=True)
class LoopFrame:
    """One level of the loop stack, the outermost first."""

    start: int
    end: int
    count: int
    """Passes left, this one included."""


@dataclass(frozen=True)
class QueueEntry:
    """An instruction that waits in an engine's queue."""

    pc: int
    text: str
    """The instruction as assembly; `set` shows register and value."""
    wait: int
    """Mask of engines it takes a token from; likewise signal: gives one to."""
    signal: int


@dataclass(frozen=True)
class ExStage:
    """An entry in the EX pipeline that will be in ``stage`` in the next cycle."""

    stage: str
    """feed, exec or acc."""
    pc: int
    is_step: bool
    slot: int
    bank: int
    index: int
    """Accumulator index."""
    first: bool


@dataclass(frozen=True)
class DrStage:
    """An entry in the DR pipeline that will be in ``stage`` (d1 .. d5) in the next cycle; values (COLS,) as they are there."""

    stage: str
    pc: int
    is_element: bool
    values: np.ndarray


@dataclass(frozen=True)
class Pe:
    """State of one PE."""

    out: int
    flag: int
    registers: tuple[int, ...]
    accumulators: np.ndarray
    """int64 (2, 16), signed."""
    contexts: tuple[str, ...]
    """Every slot as assembly."""


@dataclass(frozen=True)
class Nv:
    """State of the NOR-flash engine."""

    phase: str
    """What it does: load, loaded, start, wait, combine or last; of a busy engine alone."""
    vector: int
    """Vectors done, or rows programmed."""
    in_pass: int
    """Pass of the vector."""
    activations: np.ndarray
    """(nv_rows,): what is on the word lines, unsigned."""
    codes: np.ndarray
    """(nv_cols,): codes of the last operation."""
    accumulators: np.ndarray
    """int64 (2, 16, COLS), signed."""


class View:
    """State of a machine after its last cycle. Arrays are copies."""

    def __init__(self, machine: StepMachine) -> None:
        self._machine, self._s, self._m = machine, machine.s, machine.m

    def _numbers(self, offset: int, count: int) -> list[int]:
        return [int(value) for value in self._s[offset:offset + count]]

    @property
    def pc(self) -> int:
        return int(self._s[L.PC])

    @property
    def halted(self) -> bool:
        return bool(self._s[L.HALTED])

    @property
    def registers(self) -> tuple[int, ...]:
        """r0..r15, unsigned 32 bits."""
        return tuple(self._numbers(L.CORE, CORE_REGISTERS))

    @property
    def loops(self) -> tuple[LoopFrame, ...]:
        return tuple(LoopFrame(*(int(self._s[region + level]) for region in (L.LOOP_START, L.LOOP_END, L.LOOP_COUNT)))
                     for level in range(int(self._s[L.LOOPS])))

    @property
    def counters(self) -> dict[str, int]:
        return {counter.name: int(self._s[L.COUNT + counter.index]) for counter in COUNTERS}

    @property
    def tokens(self) -> dict[tuple[str, str], int]:
        """(from, to) -> tokens, only where there are any."""
        counts = {(giver.name, taker.name): int(self._s[L.TOKEN + giver.code * L.ENGINE_COUNT + taker.code])
                  for giver in ENGINES for taker in ENGINES}
        return {pair: count for pair, count in counts.items() if count}

    @property
    def busy(self) -> dict[str, bool]:
        return {engine.name: bool(self._s[L.BUSY + engine.code]) for engine in ENGINES}

    def command(self, engine: str) -> str | None:
        """The command that an engine works on, as assembly; None if it is not busy."""
        code = self._code(engine)
        return self._text(int(self._s[L.COMMAND_PC + code])) if self._s[L.BUSY + code] else None

    def queue(self, engine: str) -> tuple[QueueEntry, ...]:
        """Entries of an engine's queue, the oldest first."""
        code = self._code(engine)
        head, depth = int(self._s[L.QUEUE_HEAD + code]), int(self._s[L.QUEUE_DEPTH])
        return tuple(self._entry(code, (head + i) % depth) for i in range(int(self._s[L.QUEUE_COUNT + code])))

    def active(self, engine: str) -> dict[str, int]:
        """Registers that the command under way uses, by name."""
        return self._registers(engine, L.ACTIVE)

    def shadow(self, engine: str) -> dict[str, int]:
        """Registers that the next command will use, by name."""
        return self._registers(engine, L.SHADOW)

    @property
    def ex_pipeline(self) -> tuple[ExStage, ...]:
        """Valid entries, the youngest first."""
        stages = []
        for distance, stage in enumerate(("feed", "exec", "acc"), 1):
            x = L.EX_PIPE + ((self._machine.cycles - distance) & (L.EX_RING - 1)) * L.X_ENTRY
            if self._s[x + L.X_VALID]:
                pc, step, slot, bank, index, first = (int(self._s[x + f]) for f in (L.X_PC, L.X_STEP, L.X_SLOT, L.X_BANK, L.X_INDEX, L.X_FIRST))
                stages.append(ExStage(stage, pc, bool(step), slot, bank, index, bool(first)))
        return tuple(stages)

    @property
    def dr_pipeline(self) -> tuple[DrStage, ...]:
        """Valid entries, the youngest first."""
        stages = []
        for distance in range(1, 6):
            slot = (self._machine.cycles - distance) & (L.DR_RING - 1)
            d = L.DR_PIPE + slot * L.D_ENTRY
            if self._s[d + L.D_VALID]:
                values = self._m.dr_q if distance == 5 else self._m.dr_value[slot]
                stages.append(DrStage(f"d{distance}", int(self._s[d + L.D_PC]), int(self._s[d + L.D_OPCODE]) == L.DRAIN, values.copy()))
        return tuple(stages)

    @property
    def buses(self) -> tuple[np.ndarray, np.ndarray]:
        """A bus (ROWS,) and W bus (COLS,), unsigned words."""
        return self._m.abus.copy(), self._m.wbus.copy()

    def feeder(self, operand: str) -> np.ndarray:
        """Feeder words of operand `a` (8, ROWS) or `w` (8, COLS); -1 in slots that this run has not filled."""
        words, valid = {"a": (self._m.afeed, self._s[L.EX_AVALID]), "w": (self._m.wfeed, self._s[L.EX_WVALID])}[operand]
        filled = (int(valid) >> np.arange(len(words)) & 1) == 1
        return np.where(filled[:, None], words, -1)

    def pe(self, row: int, col: int) -> Pe:
        """State of the PE in this row and column."""
        m = self._m
        return Pe(int(m.out[row, col]), int(m.flag[row, col]), tuple(m.regs[:, row, col].tolist()), self._signed(m.acc[:, :, row, col]),
                  tuple(format_context(int(word)) for word in m.ctx[:, row, col]))

    @property
    def nv(self) -> Nv:
        """State of the NOR-flash engine; arrays of length 0 where the machine has none."""
        m, s = self._m, self._s
        return Nv(L.NV_PHASES[int(s[L.NV_PHASE])], int(s[L.NV_VECTOR]), int(s[L.NV_PASS]), m.nv_acts.copy(), m.nv_codes.copy(),
                  self._signed(m.nv_acc[:, :, 0]))

    def bank(self, name: str) -> np.ndarray:
        """Words of the `a`, `w`, `p`, `o` or `x` banks, uint16 (banks, depth); parameter entries are 8 words each."""
        return {"a": self._m.abank, "w": self._m.wbank, "p": self._m.pbank, "o": self._m.obank, "x": self._m.xbank}[name].T.copy()

    def _signed(self, accumulators: np.ndarray) -> np.ndarray:
        bits = self._machine.config.acc_bits
        return np.where(accumulators >> (bits - 1) & 1, accumulators - (1 << bits), accumulators)

    @property
    def lfsr(self) -> np.ndarray:
        """State of every column's LFSR, int64 (COLS,)."""
        return self._m.lfsr.copy()

    def _code(self, engine: str) -> int:
        return next(row.code for row in ENGINES if row.name == engine)

    def _text(self, pc: int) -> str:
        return format_instruction(self._machine.program.code[pc], pc) or "illegal"

    def _entry(self, engine: int, position: int) -> QueueEntry:
        entry = L.QUEUE + (engine * L.MAX_QUEUE + position) * L.Q_ENTRY
        kind, register, value, wait, signal, pc = (int(self._s[entry + f]) for f in (L.Q_KIND, L.Q_REGISTER, L.Q_VALUE, L.Q_WAIT, L.Q_SIGNAL, L.Q_PC))
        text = f"set {REGISTER_BY_INDEX[register].name}, {value}" if kind == L.KIND_SET else self._text(pc)
        return QueueEntry(pc, text, wait, signal)

    def _registers(self, engine: str, region: int) -> dict[str, int]:
        return {register.name: int(self._s[region + register.index]) for register in REGISTERS if register.engine == engine}
