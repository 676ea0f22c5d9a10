"""Activations are loaded before the stage that needs them, where LD has time to spare and what they overwrite is read no more."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from isa.table import DIMS
from rpa.arch.config import ArrayConfig
from rpa.compile.commands import Command, Load, Stage
from rpa.compile.timing import visits

MOST = 16
"""Stages by which a load may come early."""
_LAG = 2
"""Stages from a run on in which a load may overwrite what it reads (`rpa.compile.commands.Stage`)."""
_STORED = 3
"""Stages from the end of a block on in which a load that needs it may stand in front of others: by then it does not hold them up."""
_DEPTH = 1 << 16
"""Words that addresses reach."""


class Need(NamedTuple):
    """What a load depends on."""

    last: int
    """The last block that it needs, -1 for none."""
    least: int
    """What blocks long before a layer wrote counts as written by this one: then few stores need a token."""

    @property
    def waits(self) -> int:
        """The block to wait for."""
        return max(self) if self.last >= 0 else -1


class Due(NamedTuple):
    """A load and the block that it waits for, -1 for none."""

    waits: int
    load: Load


class Turn(NamedTuple):
    """Loads of activations in a stage's turn."""

    everything: int
    """The block that all of them, constants too, wait for; -1 for none."""
    own: list[Due]
    """What the stage needs."""
    early: list[Due]
    """What a later one needs."""


def turns(stages: Sequence[Stage], needs: Sequence[Sequence[Need]], constants: Sequence[Sequence[Command]], config: ArrayConfig) -> list[Turn]:
    """When every load is done. Loads stay in order, and behind a change from one engine to another.

    needs: of every load of every stage. constants: what is loaded besides in the turn of each.
    """
    queue = _Queue(config)
    for stage, wanted, besides in zip(stages, needs, constants, strict=True):
        queue.add(stage, wanted, besides)
    return queue.turns


class _Queue:
    """The turns of the stages up to now."""

    def __init__(self, config: ArrayConfig) -> None:
        self.turns: list[Turn] = []
        self._config = config
        self._spare: list[int] = []
        self._read = np.full(_DEPTH, -_LAG)
        self._ends: list[int] = []
        self._earliest = 0
        self._engine = ""

    def add(self, stage: Stage, needs: Sequence[Need], constants: Sequence[Command]) -> None:
        index = len(self.turns)
        changes = stage.engine != self._engine
        self.turns.append(Turn(len(self._ends) - 1 if changes else -1, [], []))
        if changes:
            self._earliest, self._engine = index, stage.engine
        own = sum(self._load(index, need, load) for need, load in sorted(zip(needs, stage.loads, strict=True), key=lambda pair: pair[0].waits))
        if self._spare:
            self._spare[-1] -= own
        steps = sum(visits(item, self._config) for item in stage.runs if isinstance(item, Command))
        self._spare.append(steps - cycles(constants, self._config))
        for words in reads(stage):
            self._read[words] = index
        if stage.results is not None:
            self._ends.append(index)

    def _load(self, index: int, need: Need, load: Load) -> int:
        """Give a load of stage `index` its turn; returns the cycles that it takes of that stage's own."""
        free = max(int(self._read[words].max()) for words in map(written, load.commands)) + _LAG if _into_a(load) else index
        stored = self._ends[need.last] + _STORED if need.last >= 0 else 0
        size = cycles(load.commands, self._config)
        self._earliest = _place(self._spare, max(self._earliest, min(index, max(free, stored, index - MOST))), size)
        if self._earliest == index:
            self.turns[index].own.append(Due(need.waits, load))
            return size
        done = bisect_right(self._ends, self._earliest - _STORED) - 1
        self.turns[self._earliest].early.append(Due(max(need.last, min(need.waits, done)), load))
        return 0


def _place(spare: list[int], earliest: int, size: int) -> int:
    """The last stage from `earliest` on from which LD has `size` cycles to spare until stage len(spare); takes them.

    If there is none: the stage before that one, where it may be.
    spare: cycles by which the runs of a stage take longer than what LD does after its turn.
    """
    index, left = len(spare), size
    while left > 0 and index > earliest:
        index -= 1
        left -= spare[index]
    if left > 0:
        index = max(earliest, len(spare) - 1)
        if index < len(spare):
            spare[index] -= size
        return index
    for stage in range(index, len(spare)):
        taken = max(0, min(size, spare[stage]))
        spare[stage] -= taken
        size -= taken
    return index


def cycles(commands: Sequence[Command], config: ArrayConfig) -> int:
    """Cycles that LD takes for these."""
    return sum(visits(command, config) + 1 + (config.mem_latency if command.text.endswith("mem") else 0) for command in commands)


def _into_a(load: Load) -> bool:
    return all(command.text.startswith("ld a,") for command in load.commands)


def written(command: Command) -> slice:
    """A words that a load writes in some bank: all rows of the windows count."""
    registers = command.registers
    pitch = registers.get("ld.pitch", 0)
    if registers.get("ld.bstep", 0) != registers.get("ld.wstep", 0) * pitch:
        return slice(0, _DEPTH)
    base = registers.get("ld.base", 0) - registers.get("ld.j0", 0) * pitch
    size = (registers.get("ld.units", 1) - 1) * registers.get("ld.dstep", 0) + registers.get("ld.unit", 1)
    return slice(max(0, base), base + (registers.get("ld.wlen", 1) - 1) * pitch + size)


def reads(stage: Stage) -> Iterator[slice]:
    """A words that the runs of a stage read, from the least to the greatest."""
    for item in stage.runs:
        if isinstance(item, Command) and item.registers.get("ex.aen", 1):
            ends = [(item.registers.get(f"ex.n{loop}", 1) - 1) * item.registers.get(f"ex.as{loop}", 0) for loop in range(DIMS)]
            base = item.registers.get("ex.abase", 0)
            yield slice(max(0, base + sum(min(0, end) for end in ends)), base + sum(max(0, end) for end in ends) + 1)
