"""Brute-force check of the back end: what a program really issues, against what the kernels asked for.

The expected side is the flat list of the nest's commands. The actual side is the event loop of the fast emulator, which executes
every instruction of the program; it knows nothing of loops found, pointers or elided settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import isa
from isa.encoding import REGISTER_BY_NAME
from isa.program import Program
from isa.table import DESTS, ENGINES, REGISTERS, SOURCES
from rpa.arch.config import ArrayConfig
from rpa.compile.commands import Command, Context, Nest
from rpa.compile.errors import CompileError
from rpa.compile.loops import leaves_of
from rpa.compile.relevance import relevant
from rpa.emu.fast.trace import trace

_ENGINES = {code.code: code.name for code in ENGINES}
_DESTS = {code.code: code.name for code in DESTS}
_SOURCES = {code.code: code.name for code in SOURCES}

Slots = dict[tuple[int, int, int], int]
"""Context memory: (slot, row, column) -> word, where it is not nop."""


class Issued(NamedTuple):
    """A command as an engine starts it."""

    text: str
    wait: tuple[str, ...]
    signal: tuple[str, ...]
    registers: dict[str, int]
    """Every register that the command looks at."""
    contexts: frozenset[tuple[tuple[int, int, int], int]]
    """A run: what context memory holds."""


class Difference(NamedTuple):
    """The first command of an engine that is not as expected; None where there is no further one."""

    engine: str
    number: int
    expected: Issued | None
    actual: Issued | None

    def __str__(self) -> str:
        if self.expected is None or self.actual is None:
            return f"{self.engine} command {self.number}: expected {self.expected}, issued {self.actual}"
        parts = [f"{name}: expected {expected}, issued {actual}"
                 for name, expected, actual in zip(Issued._fields, self.expected, self.actual, strict=True)
                 if expected != actual and name != "registers"]
        parts += [f"{name}: expected {value}, issued {self.actual.registers[name]}"
                  for name, value in self.expected.registers.items() if self.actual.registers[name] != value]
        return f"{self.engine} command {self.number} `{self.expected.text}`: {'; '.join(parts)}"


def first_difference(nest: Nest, program: Program) -> Difference | None:
    """Compare a program with the scheduled nest that it was made from, engine by engine; None if it issues exactly that.

    Raises CompileError if the program does not come to its end (deadlock, fault).
    """
    config = ArrayConfig.from_dict(program.config)
    expected, actual = _by_engine(wanted(nest, config)), _by_engine(issued(program))
    for engine in expected:
        for number in range(max(len(expected[engine]), len(actual[engine]))):
            pair = [side[engine][number] if number < len(side[engine]) else None for side in (expected, actual)]
            if pair[0] != pair[1]:
                return Difference(engine, number, *pair)
    return None


def _by_engine(commands: Iterable[tuple[str, Issued]]) -> dict[str, list[Issued]]:
    lists: dict[str, list[Issued]] = {name: [] for name in _ENGINES.values()}
    for engine, command in commands:
        lists[engine].append(command)
    return lists


def wanted(nest: Nest, config: ArrayConfig) -> Iterator[tuple[str, Issued]]:
    """The flat list of a nest's commands with complete registers."""
    slots: Slots = {}
    words: dict[tuple[str, ...], Slots] = {}
    contexts: frozenset[tuple[tuple[int, int, int], int]] = frozenset()
    for leaf in leaves_of(nest):
        if isinstance(leaf, Context):
            if leaf.lines not in words:
                words[leaf.lines] = _assembled(leaf.lines, config)
            slots |= {(leaf.slot, row, column): word for (_, row, column), word in words[leaf.lines].items()}
            contexts = frozenset(slots.items())
        else:
            yield leaf.engine, _complete(leaf, contexts if leaf.text.startswith("run") else frozenset())


def _complete(command: Command, contexts: frozenset[tuple[tuple[int, int, int], int]]) -> Issued:
    looks_at = relevant(command.text)
    registers = {r.name: command.registers.get(r.name, r.reset) & 0xFFFFFFFF for r in REGISTERS if r.name in looks_at}
    return Issued(" ".join(command.text.split()), _ordered(command.wait), _ordered(command.signal), registers, contexts)


def _ordered(engines: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in _ENGINES.values() if name in engines)


def _assembled(lines: tuple[str, ...], config: ArrayConfig) -> Slots:
    """What one `.context` block writes, assembled alone."""
    source = "\n".join((".context block", *lines, ".end", "ctx block, 0", "halt", ""))
    slots: Slots = {}
    for command, _ in trace(isa.assemble(source, config)).commands:
        _load(slots, command, config)
    return slots


def _load(slots: Slots, command: Any, config: ArrayConfig) -> None:
    rows, columns = command.registers.rmask, command.registers.cmask
    slots |= {(command.operand, row, column): command.value
              for row in range(config.rows) if rows >> row & 1 for column in range(config.cols) if columns >> column & 1}


def issued(program: Program) -> Iterator[tuple[str, Issued]]:
    """Every command that a program starts, engine by engine in order; `ctxld` shows in the contexts of the runs behind it."""
    config = ArrayConfig.from_dict(program.config)
    followed = trace(program)
    if followed.ended_because is not None or followed.cycles is None:
        waiting = "; ".join(f"{_ENGINES[b.command.engine]} at pc {b.command.pc} waits for {', '.join(_ENGINES[e] for e in b.missing)}"
                            for b in followed.blocked)
        raise CompileError(f"`{program.name}` does not come to its end: {followed.ended_because}{'; ' if waiting else ''}{waiting}")
    slots: Slots = {}
    contexts: frozenset[tuple[tuple[int, int, int], int]] = frozenset()
    for command, _ in followed.commands:
        if command.name == "ctxld":
            _load(slots, command, config)
            contexts = frozenset(slots.items())
            continue
        engine, text = _ENGINES[command.engine], _text(command)
        looks_at = relevant(text)
        registers = {name: getattr(command.registers, name.partition(".")[2]) & 0xFFFFFFFF
                     for name in REGISTER_BY_NAME if name in looks_at}
        tokens = [tuple(_ENGINES[code] for code in sorted(codes)) for codes in (command.waits, command.signals)]
        yield engine, Issued(text, tokens[0], tokens[1], registers, contexts if command.name == "run" else frozenset())


def _text(command: Any) -> str:
    if command.name == "ld":
        destination, source = command.operand
        return f"ld {_DESTS[destination]}, {_SOURCES[source]}"
    if command.name == "sync":
        return f"sync {_ENGINES[command.engine]}"
    return f"{command.name} {command.operand}" if command.name in ("run", "drain") else command.name
