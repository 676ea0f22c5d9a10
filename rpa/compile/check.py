"""Brute-force check of the back end: what a program really issues, against what the kernels asked for.

The expected side is the flat list of the nest's commands. The actual side executes every instruction of the program
(`rpa.compile.follow`); it knows nothing of loops found, pointers or elided settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

import isa
from isa.program import Program
from isa.table import ENGINES, REGISTERS
from rpa.arch.config import ArrayConfig
from rpa.compile.commands import Command, Context, Nest, leaves_of
from rpa.compile.follow import Started, follow
from rpa.compile.relevance import relevant

_ENGINES = tuple(code.name for code in ENGINES)
_RESET = {register.name: register.reset for register in REGISTERS}

Slots = dict[tuple[int, int, int], int]
"""Context memory: (slot, row, column) -> word, where something was written."""
Contexts = frozenset[tuple[tuple[int, int, int], int]]


class Issued(NamedTuple):
    """A command as an engine starts it."""

    text: str
    wait: tuple[str, ...]
    signal: tuple[str, ...]
    registers: dict[str, int]
    """Every register that the command looks at."""
    contexts: Contexts
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

    Raises CompileError if the program does not come to its end.
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
    lists: dict[str, list[Issued]] = {name: [] for name in _ENGINES}
    for engine, command in commands:
        lists[engine].append(command)
    return lists


def wanted(nest: Nest, config: ArrayConfig) -> Iterator[tuple[str, Issued]]:
    """The flat list of a nest's commands with complete registers."""
    slots: Slots = {}
    words: dict[tuple[str, ...], Slots] = {}
    contexts: Contexts = frozenset()
    for leaf in leaves_of(nest):
        if isinstance(leaf, Context):
            if leaf.lines not in words:
                words[leaf.lines] = _assembled(leaf.lines, config)
            slots |= {(leaf.slot, row, column): word for (_, row, column), word in words[leaf.lines].items()}
            contexts = frozenset(slots.items())
        else:
            yield leaf.engine, _complete(leaf, contexts if leaf.text.startswith("run") else frozenset())


def _complete(command: Command, contexts: Contexts) -> Issued:
    registers = {name: command.registers.get(name, _RESET[name]) & 0xFFFFFFFF for name in _in_order(command.text)}
    return Issued(" ".join(command.text.split()), _ordered(command.wait), _ordered(command.signal), registers, contexts)


@cache
def _in_order(text: str) -> tuple[str, ...]:
    """The registers that a command looks at, in the order of the table."""
    return tuple(name for name in _RESET if name in relevant(text))


def _ordered(engines: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in _ENGINES if name in engines)


def _assembled(lines: tuple[str, ...], config: ArrayConfig) -> Slots:
    """What one `.context` block writes, assembled alone."""
    source = "\n".join((".context block", *lines, ".end", "ctx block, 0", "halt", ""))
    slots: Slots = {}
    for command in follow(isa.assemble(source, config)):
        _load(slots, command, config)
    return slots


def _load(slots: Slots, command: Started, config: ArrayConfig) -> None:
    """Do a `ctxld`."""
    slot = int(command.text.split()[1].rstrip(","))
    rows, columns = command.registers["ex.rmask"], command.registers["ex.cmask"]
    slots |= {(slot, row, column): command.value
              for row in range(config.rows) if rows >> row & 1 for column in range(config.cols) if columns >> column & 1}


def issued(program: Program) -> Iterator[tuple[str, Issued]]:
    """Every command that a program issues; `ctxld` shows in the contexts of the runs behind it."""
    config = ArrayConfig.from_dict(program.config)
    slots: Slots = {}
    contexts: Contexts = frozenset()
    for command in follow(program):
        if command.text.startswith("ctxld"):
            _load(slots, command, config)
            contexts = frozenset(slots.items())
        elif not command.text.startswith("seed"):      # which `link` puts in front of the nest's commands
            registers = {name: command.registers[name] for name in _in_order(command.text)}
            held = contexts if command.text.startswith("run") else frozenset()
            yield command.engine, Issued(command.text, command.wait, command.signal, registers, held)
