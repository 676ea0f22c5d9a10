"""Stages get their tokens: what runs at the same time, and what waits for what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np

from rpa.arch.config import ArrayConfig
from rpa.compile.ahead import Due, Need, Turn, turns
from rpa.compile.commands import Command, Context, Item, Nest, Region, Stage, stages_of
from rpa.compile.prefetch import Constants, prefetch
from rpa.compile.split import Parts, split_up

PARTS = 2
"""Parts of a block that a load waits for."""
LAG = 4
"""Blocks before a node's first whose results a load must wait for one by one; earlier ones are waited for as one, the last of them."""


def schedule(layers: Sequence[Nest], config: ArrayConfig, *, fine: bool = False, lag: int = LAG) -> Nest:
    """Commands with tokens, in the order in which the core issues them, nested as the stages are.

    fine: a block that a load waits for is drained and stored in `PARTS` parts, and constants that no stage hides are cut
    (`rpa.compile.prefetch`). That saves cycles and costs loops: stages are no longer alike.
    lag: with 0 a node's first load waits for all nodes before, and no other does: more of its stages are alike.

    Tokens: an LD -> EX token a stage; EX -> LD two stages back; EX -> DR and back for the two banks of accumulators; DR -> ST and
    back for the halves of the O banks; ST -> LD from the last block that a later load depends on. NV has tokens as EX has them. Where
    stages change from one of them to the other, LD waits until everything before is in memory: then every buffer is free.
    """
    segments = _segments(layers)
    constants = [commands for segment in segments for commands in prefetch(segment, config, cut=fine)]
    besides = [[*turn.own, *turn.early] for turn in constants]
    loads = turns([stage for segment in segments for stage in segment], _needed_blocks(layers, lag), besides, config)
    walker = _Walker(constants, loads, PARTS if fine else 1)
    items = [walker.convert(layer) for layer in layers]
    pairs = [pair for engine in dict.fromkeys(segment[0].engine for segment in segments) for pair in ((f"sync {engine}", "ld"), ("sync dr", engine))]
    empty = tuple(Command(text, {}, (), (to,)) for text, to in (*pairs, ("sync st", "dr")) for _ in range(2))
    return Nest("", (Nest("both halves of every buffer are empty", empty), *items))


def _segments(layers: Sequence[Nest]) -> list[list[Stage]]:
    """Stages one after the other whose runs are for the same engine."""
    return [list(group) for _, group in groupby((stage for layer in layers for stage in stages_of(layer)), key=lambda stage: stage.engine)]


def _needed_blocks(layers: Sequence[Nest], lag: int) -> list[list[Need]]:
    """What every load of every stage needs."""
    writers = _Writers()
    needs: list[list[Need]] = []
    blocks = 0
    for layer in layers:
        least = blocks - 1 - lag
        for stage in stages_of(layer):
            needs.append([Need(writers.last(load.reads), least) for load in stage.loads])
            if stage.results is not None:
                writers.add(stage.results.writes, blocks)
                blocks += 1
    return needs


class _Writers:
    """Regions written so far, by feature."""

    def __init__(self) -> None:
        self._regions: dict[str, list[tuple[int, ...]]] = {}
        self._arrays: dict[str, np.ndarray] = {}
        self._known: dict[Region, int] = {}

    def add(self, region: Region, block: int) -> None:
        self._regions.setdefault(region.feature, []).append((*region.rows, *region.columns, *region.channels, block))
        self._arrays.pop(region.feature, None)

    def last(self, region: Region) -> int:
        """The last block that wrote part of a region (all of its feature is written by now), or -1."""
        if region not in self._known:
            self._known[region] = self._search(region)
        return self._known[region]

    def _search(self, region: Region) -> int:
        rows = self._regions.get(region.feature)
        if not rows:
            return -1
        if region.feature not in self._arrays:
            self._arrays[region.feature] = np.array(rows)
        table = self._arrays[region.feature]
        hit = np.ones(len(table), bool)
        for axis, (low, high) in enumerate((region.rows, region.columns, region.channels)):
            hit &= (table[:, 2 * axis] < high) & (low < table[:, 2 * axis + 1])
        return int(table[hit, 6].max()) if hit.any() else -1


class _Walker:
    """Turns stages into commands with tokens, in order."""

    def __init__(self, constants: Sequence[Constants], loads: Sequence[Turn], split: int) -> None:
        self._split = split
        self._constants = iter(constants)
        self._turns = iter(loads)
        self._signalling = set(_waited_for(loads))
        self._stored = -1
        self._block = 0
        self._block_begins = True

    def convert(self, item: Item) -> Item:
        if isinstance(item, Stage):
            return Nest("", tuple(self._stage(item)))
        if isinstance(item, Nest):
            return Nest(item.label, tuple(self.convert(child) for child in item.items))
        return item

    def _stage(self, stage: Stage) -> Iterator[Command | Context]:
        """What later stages need comes last: so it holds up nothing of this one."""
        turn, constants = next(self._turns), next(self._constants)
        yield from self._own_loads(turn, constants.own, stage.engine)
        yield from self._runs(stage)
        if stage.results is not None:
            waited_for = self._block in self._signalling
            yield from self._results(split_up(stage.results.parts, self._split if waited_for else 1), stage.engine, waited_for)
            self._block += 1
        yield from self._loads(turn.early)
        yield from constants.early

    @staticmethod
    def _results(parts: Parts, engine: str, waited_for: bool) -> Iterator[Command]:
        last = len(parts) - 1
        for index, (drain, stored) in enumerate(parts):
            yield replace(drain, wait=(engine, "st") if index == 0 else (), signal=(engine, "st") if index == last else ("st",))
            stores = list(stored)
            stores[0] = replace(stores[0], wait=("dr",))
            if index == last:
                stores[-1] = replace(stores[-1], signal=("ld", "dr") if waited_for else ("dr",))
            yield from stores

    def _own_loads(self, turn: Turn, constants: list[Command], engine: str) -> Iterator[Command]:
        loads = constants
        if turn.everything > self._stored:
            self._stored = turn.everything
            loads = [Command("sync ld", wait=("st",)), *loads]
        loads = [*loads, *self._loads(turn.own)] or [Command("sync ld")]
        loads[0] = replace(loads[0], wait=(engine, *loads[0].wait))
        loads[-1] = replace(loads[-1], signal=(engine,))
        yield from loads

    def _loads(self, dues: Sequence[Due]) -> Iterator[Command]:
        """Commands of loads, the first of them after the store that it needs."""
        for due in dues:
            commands = list(due.load.commands)
            if due.waits > self._stored:
                self._stored = due.waits
                commands[0] = replace(commands[0], wait=("st",))
            yield from commands

    def _runs(self, stage: Stage) -> Iterator[Command | Context]:
        commands = [item for item in stage.runs if isinstance(item, Command)]
        wait: tuple[str, ...] = ("ld",)
        signal: tuple[str, ...] = ("ld",)
        if stage.accumulates:
            begins = self._block_begins if stage.begins is None else stage.begins
            wait = ("ld", "dr") if begins else ("ld",)
            self._block_begins = stage.results is not None
            signal = ("ld", "dr") if self._block_begins else ("ld",)
        for item in stage.runs:
            if isinstance(item, Command):
                yield replace(item, wait=wait if item is commands[0] else (), signal=signal if item is commands[-1] else ())
            else:
                yield item


def _waited_for(loads: Sequence[Turn]) -> Iterator[int]:
    """Blocks whose store some load is the first to wait for."""
    stored = -1
    for turn in loads:
        for waits in (turn.everything, *(due.waits for due in (*turn.own, *turn.early))):
            if waits > stored:
                yield waits
                stored = waits
