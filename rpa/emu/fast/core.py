"""The control core, instruction by instruction; it runs ahead until what it waits for is not known yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from isa.encoding import illegal_context
from isa.table import CORE_REGISTERS, LOOP_DEPTH
from rpa.arch.config import ArrayConfig
from rpa.emu.fast.decode import (
    K_ALU,
    K_ALUI,
    K_BRANCH,
    K_COMMAND,
    K_FENCE,
    K_HALT,
    K_JAL,
    K_LOOP,
    K_RDCTR,
    K_SET,
    K_SETR,
    K_TROUBLE,
    LAST_PUSH,
    MASK,
    signed,
)
from rpa.emu.fast.errors import CycleLimit, NeedStepping
from rpa.emu.fast.layout import RESET, SOURCE, VALUES
from rpa.emu.fast.queues import UNKNOWN, Command, Queue

TOO_LONG = "the program executes very many instructions"
_SUSPICIOUS = 10_000
"""Jumps without waiting for an engine after which the core may be in an endless loop."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """State of the core at some time."""

    pc: int
    registers: list[int]
    rest: tuple
    time: int
    instructions: int


class Core:
    """Registers, pc, loop stack and time of the core.

    ``limit``: the cycle limit.  ``patience``: instructions after which it gives up.

    ``time`` is the cycle in which the instruction at ``pc`` executes, or first tries to. :meth:`advance` returns when the
    program halts or the next step needs an engine's future; call it again after more commands have been started.
    """

    def __init__(self, decoded: tuple[tuple, ...], config: ArrayConfig, queues: list[Queue], limit: int, patience: int) -> None:
        self.decoded = decoded
        self.config = config
        self.queues = queues
        self.limit = limit
        self.patience = patience
        self.registers = [0] * CORE_REGISTERS
        self.pc = 0
        self.time = 1
        self.instructions = 0
        self.fence_cycles = 0
        self.halted = False
        self.last_pc = 0
        self._seen: _Seen | None = None
        self._tries = 0
        self.loops: list[list[int]] = []
        self.shadow = [list(values) for values in RESET]
        self.snapshots: list[tuple | None] = list(RESET)

    def advance(self, read_counter: Callable[[int], int | None]) -> None:
        """Execute until halted or blocked.

        ``read_counter(index)`` gives the value at ``self.time``, or None while it depends on commands not started yet.
        Raises NeedStepping where the program may fault or the cycle limit comes first.
        """
        decoded, regs, loops, size = self.decoded, self.registers, self.loops, len(self.decoded)
        pc, time, done = self.pc, self.time, 0
        last, suspicion = self.last_pc, _SUSPICIOUS
        while not self.halted:
            if not 0 <= pc < size:
                raise NeedStepping("instruction fetch outside the program")
            if time > self.limit:
                self.pc, self.time, self.instructions = pc, time, self.instructions + done
                raise CycleLimit(last)
            item = decoded[pc]
            last = pc
            kind = item[0]
            following = pc + 1
            if kind <= LAST_PUSH:
                now = self._push(kind, item, pc, time)
                if now == UNKNOWN:
                    break
                time = now
            elif kind == K_ALUI:
                if item[2]:
                    regs[item[2]] = item[1](regs[item[3]], item[4])
            elif kind == K_ALU:
                if item[2]:
                    regs[item[2]] = item[1](regs[item[3]], regs[item[4]])
            else:
                self.pc, self.time, self.instructions, done = pc, time, self.instructions + done, 0
                target = self._control(item, read_counter)
                if target == UNKNOWN:
                    break
                time = self.time
                if target != following:
                    pc, time, done = target, time + 1, 1
                    suspicion -= 1
                    if suspicion < 0:
                        time, done = self._skip_periods(pc, time, done)
                    continue
            done += 1
            time += 1
            if loops and following == loops[-1][1]:
                following = self._end_of_body(following)
                if self.instructions + done > self.patience:
                    raise NeedStepping(TOO_LONG)
            pc = following
        self.pc, self.time, self.last_pc = pc, time, last
        self.instructions += done

    def _skip_periods(self, pc: int, time: int, done: int) -> tuple[int, int]:
        """In a loop that repeats the core's whole state without a stall, move on by whole periods, to just before the limit."""
        seen = self._seen
        if seen is not None and seen.pc == pc and seen.registers == self.registers and seen.rest == self._rest():
            period = time - seen.time
            if period == self.instructions + done - seen.instructions:
                skipped = max(0, self.limit - time) // period * period
                return time + skipped, done + skipped
        self._tries += 1
        if self._tries & (self._tries - 1) == 0:
            self._seen = _Seen(pc, list(self.registers), self._rest(), time, self.instructions + done)
        return time, done

    def _rest(self) -> tuple:
        """State of the core beside pc and registers; entries pushed stand for all that engines do."""
        return tuple(map(tuple, self.loops)), tuple(queue.pushed for queue in self.queues)

    def _end_of_body(self, following: int) -> int:
        """Where to go after the last instruction of the innermost body."""
        top = self.loops[-1]
        if top[2] > 1:
            top[2] -= 1
            return top[0]
        self.loops.pop()
        return following

    def _push(self, kind: int, item: tuple, pc: int, time: int) -> int:
        """Push a queue entry; returns the cycle of the push, or UNKNOWN (nothing changes then)."""
        engine, entry, value = item[1], None, 0
        if kind == K_SETR:
            value = self._checked(item)
        elif kind == K_COMMAND:
            entry = self._command(item, pc)
        now = self.queues[engine].push(time, entry)
        if now == UNKNOWN or kind == K_COMMAND:
            return now
        if kind == K_SET:
            self.shadow[engine][item[2]] = item[3]
            self.snapshots[engine] = None
        elif kind == K_SETR:
            self.shadow[engine][item[2]] = value
            self.snapshots[engine] = None
        else:
            self.shadow[engine] = list(RESET[engine])
            self.snapshots[engine] = RESET[engine]
        return now

    def _checked(self, item: tuple) -> int:
        _, _, _, rs, low, high, choices, modulus = item
        value = signed(self.registers[rs])
        if not low <= value <= high or (choices is not None and value not in choices):
            raise NeedStepping("a register value is out of range")
        return value % modulus if modulus else value

    def _command(self, item: tuple, pc: int) -> Command:
        _, engine, name, waits, signals, operand, register = item
        value = self.registers[register]
        if name == "ctxld" and (operand >= self.config.ctx_slots or illegal_context(value) is not None):
            raise NeedStepping("an illegal context")
        snapshot = self.snapshots[engine]
        if snapshot is None:
            self.snapshots[engine] = snapshot = VALUES[engine]._make(self.shadow[engine])
        o_port = name == "st" or (name == "ld" and operand[1] == SOURCE["o"])
        return Command(engine, name, waits, signals, operand, value, snapshot, pc, o_port)

    def _control(self, item: tuple, read_counter: Callable[[int], int | None]) -> int:
        """Execute what can jump or wait; returns the next pc, or UNKNOWN. A jump to pc + 1 cannot be told from falling through."""
        kind, pc, regs = item[0], self.pc, self.registers
        if self.instructions > self.patience:
            raise NeedStepping(TOO_LONG)
        if kind == K_BRANCH:
            taken = item[1](regs[item[2]], regs[item[3]])
            return self._jump(item[4]) if taken else pc + 1
        if kind == K_LOOP:
            return self._loop(item)
        if kind == K_FENCE:
            return self._fence(item[1])
        if kind == K_RDCTR:
            value = read_counter(item[2])
            if value is None:
                return UNKNOWN
            if item[1]:
                regs[item[1]] = (value >> item[3]) & MASK
            return pc + 1
        if kind == K_HALT:
            self.halted = True
            return pc + 1
        if kind == K_TROUBLE:
            raise NeedStepping(item[1])
        target = item[2] if kind == K_JAL else (regs[item[2]] + item[3]) & MASK
        if item[1]:
            regs[item[1]] = pc + 1
        return self._jump(target)

    def _jump(self, target: int) -> int:
        if target == self.pc + 1 and self.loops and target == self.loops[-1][1]:
            raise NeedStepping("a jump to the end of a loop body")
        return target

    def _loop(self, item: tuple) -> int:
        _, register, count, end = item
        pc = self.pc
        if register >= 0:
            count = self.registers[register]
        if count == 0:
            return self._jump(end)
        if len(self.loops) == LOOP_DEPTH:
            raise NeedStepping("loops are nested too deep")
        if end == pc + 1 or (self.loops and self.loops[-1][1] == pc + 1):
            raise NeedStepping("a loop instruction that ends a body")
        self.loops.append([pc + 1, end, count])
        return pc + 1

    def _fence(self, engines: tuple[int, ...]) -> int:
        until = self.time
        for engine in engines:
            queue = self.queues[engine]
            if queue.pending:
                return UNKNOWN
            until = max(until, queue.quiescent_from())
        self.fence_cycles += until - self.time
        self.time = until
        return self.pc + 1


