"""Sections of random programs: a few engine commands tied together by tokens in program order, so that they cannot deadlock."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from isa.table import ENGINES, REGISTERS, TOKEN_MAX
from rpa.arch.config import ArrayConfig
from rpa.verify.lines import Line, Op, load_word, op
from rpa.verify.placing import Command, engines_of, every_engine
from rpa.verify.random_commands import Commands, context_word

ENGINE = {row.name: row.code for row in ENGINES}
REGISTER = {row.name: row for row in REGISTERS}
SCRATCH = 15
WORD_FIELD_BITS = 16
KINDS, SHARES = ("ld", "run", "drain", "st", "ctxld", "seed"), (1, 3, 3, 1, 1, 0.5)
"""Kinds of commands and how common they are; programs vary by up to four times."""
NV_KINDS, NV_SHARES = ("nvmac", "nvprog"), (2.5, 0.5)
"""The same, of machines with NOR-flash macros."""
CAREFUL = 0.6
"""Programs in which no two engines work on the same banks at a time; the fast emulator carries these out without stepping."""
SHARED = {("ld", "run"), ("ld", "drain"), ("ld", "st"), ("drain", "st"), ("drain", "ld"), ("ld", "nvmac"), ("ld", "nvprog")}
"""Pairs of commands that may touch the same bank or memory words, either way round."""
MASKS = ("ex.rmask", "ex.cmask")
"""Registers of `ctxld`, which is not preceded by a `reset`."""


def set_register(name: str, value: int) -> list[Line]:
    """Instructions that write one engine register, through a core register where the immediate is too short."""
    index = REGISTER[name].index
    if -(1 << (WORD_FIELD_BITS - 1)) <= value < 1 << (WORD_FIELD_BITS - 1):
        return [op("set", reg=index, imm=value)]
    return [*load_word(SCRATCH, value), op("setr", reg=index, rt=SCRATCH)]


def legal_value(rng: Random, row, config: ArrayConfig) -> int:
    """A value that `set` accepts: a choice, small, a limit, or anywhere in the range; counts of steps stay small."""
    if row.choices:
        return rng.choice([value for value in row.choices if row.accepts(value, config)])
    low, high = row.limits(config)
    counts = row.minimum == 1
    value = rng.choice((row.reset, rng.randint(0, 5), rng.randint(0, 5), rng.randint(0, 3) if counts else rng.randint(low, high)))
    return min(max(value, low), high)


def _drained(commands: list[Command]) -> list[str]:
    """Engines whose accumulators are drained."""
    return sorted({command.accumulators or "" for command in commands if command.name == "drain"})


def _meet(earlier: Command, later: Command) -> bool:
    """True if one writes accumulators and the other drains such."""
    drains = (earlier.name == "drain") + (later.name == "drain")
    return drains == 1 and earlier.accumulators == later.accumulators


class Sections:
    """Writes sections; ``filler(n)`` gives n harmless core instructions."""

    def __init__(self, rng: Random, config: ArrayConfig, commands: Commands, filler: Callable[[int], list[Line]]) -> None:
        self.rng, self.config, self.commands, self.filler = rng, config, commands, filler
        self.careful = rng.random() < CAREFUL
        self.kinds, shares = [*KINDS, *(NV_KINDS if config.nv_engine else ())], [*SHARES, *(NV_SHARES if config.nv_engine else ())]
        self.weights = [share * rng.choice((1, 2, 4)) for share in shares]
        self.engines, self.everything = engines_of(config), every_engine(config)

    def section(self) -> list[Line]:
        """One to six commands, those that share an accumulator bank wait for each other; or an exchange of tokens."""
        rng = self.rng
        if rng.random() < 0.08:
            return self._exchange()
        commands = [self._command() for _ in range(rng.randint(1, 6))]
        waits, signals = self._tokens(commands)
        lines = self._begin(commands)
        for k, command in enumerate(commands):
            lines += self.settle(command, commands[:k])
            lines += self.emit(command, waits[k], signals[k])
            if rng.random() < 0.3:
                lines += self.filler(rng.randint(1, 5))
            if rng.random() < 0.06:
                lines.append(op("fence", engines=rng.randint(0, self.everything)))
        return lines + self._end(commands)

    def settle(self, command: Command, before: list[Command]) -> list[Line]:
        """In a careful program: wait for the engines of ``before`` that may use what ``command`` uses."""
        if not self.careful:
            return []
        engines = {earlier.engine for earlier in before if {(earlier.name, command.name), (command.name, earlier.name)} & SHARED}
        return [op("fence", engines=sum(1 << ENGINE[engine] for engine in engines))] if engines else []

    def _begin(self, commands: list[Command]) -> list[Line]:
        """Keep earlier sections away in a careful program; otherwise, nearly always, what writes the banks that are drained here."""
        if self.careful:
            return [op("fence", engines=self.everything)]
        if self.rng.random() < 0.04:
            return []
        return [line for engine in _drained(commands) for line in self._one_after_the_other(engine, "dr")]

    def _one_after_the_other(self, first: str, second: str) -> list[Line]:
        """What stands behind this in the queue of ``second`` starts after what stands before it in the queue of ``first``."""
        if self.rng.random() < 0.5:
            return [op("fence", engines=1 << ENGINE[first] | self.rng.randint(0, self.everything))]
        return [op("sync", engine=ENGINE[first], signal=1 << ENGINE[second], wait=0),
                op("sync", engine=ENGINE[second], wait=1 << ENGINE[first], signal=0)]

    def _end(self, commands: list[Command]) -> list[Line]:
        """Keep a later `run` or `nvmac` (perhaps of the next iteration) away from the banks that are drained here."""
        return [line for engine in _drained(commands) for line in self._one_after_the_other("dr", engine)]

    def _exchange(self) -> list[Line]:
        """One engine gives tokens to some, which take them sooner or later; all are taken in the end."""
        rng = self.rng
        giver, takers = rng.choice(self.engines), rng.sample(self.engines, rng.randint(1, len(self.engines)))
        lines: list[Line] = []
        waiting: list[Line] = []
        keep = rng.choice((0.0, 0.4, 0.8, 1.0))  # 1: up to TOKEN_MAX at a time
        for _ in range(rng.choice((rng.randint(1, TOKEN_MAX), TOKEN_MAX))):
            lines.append(op("sync", engine=giver.code, wait=0, signal=sum(1 << taker.code for taker in takers)))
            waiting += [op("sync", engine=taker.code, wait=1 << giver.code, signal=0) for taker in rng.sample(takers, len(takers))]
            if rng.random() >= keep:
                lines += waiting
                waiting = []
        return lines + waiting

    def _command(self) -> Command:
        rng = self.rng
        kind = rng.choices((*self.kinds, "sync"), (*self.weights, 0.5))[0]
        if kind == "ctxld":
            masks = {"ex.rmask": rng.choice((-1, rng.randint(-(1 << 31), (1 << 31) - 1))), "ex.cmask": rng.choice((-1, rng.randrange(1 << 8)))}
            return Command("ex", "ctxld", {"slot": rng.randrange(self.config.ctx_slots)}, masks)
        if kind == "seed":
            return Command("dr", "seed")
        if kind == "sync":
            engine = rng.choice(self.engines)
            return Command(engine.name, "sync", {"engine": engine.code})
        return getattr(self.commands.nv if kind in NV_KINDS else self.commands, kind)() or self.commands.run()

    def _tokens(self, commands: list[Command]) -> tuple[list[int], list[int]]:
        """Return wait and signal masks: an edge i -> j only for i < j, so program order is a schedule that works."""
        rng = self.rng
        waits, signals = [0] * len(commands), [0] * len(commands)

        def tie(i: int, j: int) -> bool:
            out, into = 1 << ENGINE[commands[j].engine], 1 << ENGINE[commands[i].engine]
            if signals[i] & out or waits[j] & into:
                return False
            signals[i] |= out
            waits[j] |= into
            return True

        for j, later in enumerate(commands):
            for i in reversed(range(j)):
                if _meet(commands[i], later) and rng.random() < 0.98 and tie(i, j):
                    break
        for _ in range(rng.randint(0, 4)):
            if len(commands) > 1:
                i, j = sorted(rng.sample(range(len(commands)), 2))
                tie(i, j)
        return waits, signals

    def emit(self, command: Command, wait: int = 0, signal: int = 0) -> list[Line]:
        """Instructions that set the registers of a command and issue it, sometimes twice with one register changed."""
        rng = self.rng
        lines = self._registers(command)
        operands = dict(command.operands, wait=wait, signal=signal)
        if command.name in ("ctxld", "seed"):
            word = context_word(rng) if command.name == "ctxld" else rng.getrandbits(32)
            lines += load_word(SCRATCH, word)
            operands["rs" if command.name == "ctxld" else "rt"] = SCRATCH
        lines.append(op(command.name, None, **operands))
        if not wait and not signal and command.name in ("ld", "run", "st") and rng.random() < 0.15:
            lines += [op(command.name, None, **operands) for _ in range(rng.randint(1, 3))]
        return lines

    def _registers(self, command: Command) -> list[Line]:
        """`reset` and the registers that differ, or now and then every register of the engine, in random order."""
        rng = self.rng
        lines: list[Line] = []
        if command.name in ("sync", "seed"):
            return lines
        if rng.random() < 0.2:
            lines += self._idle_settings(command.engine)
        names = [name for name, value in command.registers.items() if value != REGISTER[name].reset]
        if command.name == "ctxld":
            names = list(command.registers)
        elif rng.random() < 0.9:
            lines.append(op("reset", engine=ENGINE[command.engine]))
        else:
            names = [row.name for row in REGISTERS if row.engine == command.engine]
        rng.shuffle(names)
        for name in names:
            lines += set_register(name, command.registers.get(name, REGISTER[name].reset))
        return lines

    def _idle_settings(self, engine: str) -> list[Line]:
        """Legal values, many at a limit, that `reset` or later settings replace before a command uses them."""
        rng = self.rng
        lines: list[Line] = []
        for row in rng.sample([row for row in REGISTERS if row.engine == engine and row.name not in MASKS], rng.randint(1, 5)):
            limits = row.choices or row.limits(self.config)
            value = rng.choice([value for value in limits if row.accepts(value, self.config)])
            lines += set_register(row.name, value if rng.random() < 0.6 else legal_value(rng, row, self.config))
        return lines

    def context(self, slot: int, word: int) -> list[Line]:
        """Load one context word into all PEs."""
        load: list[Op] = load_word(SCRATCH, word)
        return [*load, op("ctxld", slot=slot, rs=SCRATCH, wait=0, signal=0)]
