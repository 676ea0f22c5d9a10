"""What kernels produce: commands with complete register settings, grouped into stages, nested as they repeat.

A kernel thinks in values. It says for every command the value of each engine register that is not at its reset value. Which `set`
statements that takes, which values a loop can compute, and which tokens keep the engines apart is found later
(`rpa.compile.schedule`, `rpa.compile.loops`, `rpa.compile.emit`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from isa.table import INSTRUCTIONS
from rpa.compile.errors import CompileError

_ENGINE_OF = {row.name: row.engine for row in INSTRUCTIONS if row.engine is not None}


@dataclass(frozen=True)
class Command:
    """An engine command as it stands in assembly, without its tokens: `ld a, mem`, `run 0`, `nvmac 0`, `drain 1`, `st`, `sync ld`."""

    text: str
    registers: dict[str, int] = field(default_factory=dict)
    """Values by full name (`ld.addr`); a register of this engine that is not here has its reset value. Addresses are bytes."""
    wait: tuple[str, ...] = ()
    signal: tuple[str, ...] = ()

    @property
    def engine(self) -> str:
        """`ld`, `ex`, `dr`, `st` or `nv`: the engine that this command is for."""
        words = self.text.replace(",", " ").split()
        return words[1] if words[0] == "sync" else _ENGINE_OF.get(words[0], words[0])


@dataclass(frozen=True)
class Context:
    """Context memory slot `slot` holds these lines (as in a `.context` block) from here on."""

    slot: int
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Region:
    """Part of a feature: rows, columns and channels, half-open; clipped to the feature by whoever makes it."""

    feature: str
    rows: tuple[int, int]
    columns: tuple[int, int]
    channels: tuple[int, int]

    def meets(self, other: Region) -> bool:
        """Whether both name a common element."""
        return self.feature == other.feature and all(a[0] < b[1] and b[0] < a[1] for a, b in (
            (self.rows, other.rows), (self.columns, other.columns), (self.channels, other.channels)))


@dataclass(frozen=True)
class Load:
    """Loads of activations, and what they need of an earlier node's results."""

    commands: tuple[Command, ...]
    reads: Region


@dataclass(frozen=True)
class Results:
    """The end of a block: accumulators are drained into the O banks and stored."""

    drain: Command
    """Bank of accumulators and O addresses are chosen by the kernel: both alternate from block to block."""
    stores: tuple[Command, ...]
    writes: Region
    more: tuple[tuple[Command, tuple[Command, ...]], ...] = ()
    """Further drains of the same accumulators, each with its stores."""

    @property
    def parts(self) -> tuple[tuple[Command, tuple[Command, ...]], ...]:
        """Every drain with its stores, in order."""
        return ((self.drain, self.stores), *self.more)


@dataclass(frozen=True)
class Stage:
    """What one token from LD to EX (or NV) covers: loads, then the runs that need them; at the end of a block also its results.

    Buffers: the loads of stage p may overwrite what runs up to stage p - 2 read, so a double buffer needs no more thought. Parameter
    entries (P banks) are read by drains, which lag: they may be overwritten from stage p + 4 on.
    """

    constants: tuple[Command, ...] = ()
    """Loads of weights and parameters: they depend on no activation."""
    loads: tuple[Load, ...] = ()
    """Loads of activations, in any order: those whose data is there first are issued first."""
    runs: tuple[Command | Context, ...] = ()
    """At least one `run`; or `nvmac` or `nvprog`, and no `run`. All runs of a block use the same bank of accumulators, the next block the other."""
    results: Results | None = None
    begins: bool | None = None
    """Whether this is the first stage of its block; None: if the stage before has results."""

    @property
    def engine(self) -> str:
        """The engine that its runs are for: `ex` or `nv`."""
        return next(item.engine for item in self.runs if isinstance(item, Command))

    @property
    def accumulates(self) -> bool:
        """Whether its runs write accumulators: all but `nvprog` do."""
        return not any(isinstance(item, Command) and item.text == "nvprog" for item in self.runs)


@dataclass(frozen=True)
class Nest:
    """Items in order, under a name that becomes a comment. Items that repeat with equal steps become a loop."""

    label: str
    items: Sequence[Item] = ()


Item: TypeAlias = "Nest | Stage | Command | Context"


def stages_of(item: Item) -> Iterator[Stage]:
    """Every stage, in order."""
    if isinstance(item, Stage):
        yield item
    elif isinstance(item, Nest):
        for child in item.items:
            yield from stages_of(child)


def leaves_of(item: Item) -> Iterator[Command | Context]:
    """Every command and context of a scheduled nest, in order. Raises CompileError at a stage: stages are scheduled first."""
    if isinstance(item, Nest):
        for child in item.items:
            yield from leaves_of(child)
    elif isinstance(item, Stage):
        raise CompileError("a stage is no command yet; put it through rpa.compile.schedule")
    else:
        yield item
