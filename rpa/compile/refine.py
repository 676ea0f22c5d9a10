"""Layers are mapped one by one, then together: what a layer leaves to do decides how soon the next one begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from rpa.arch.config import ArrayConfig
from rpa.compile.commands import Command, Nest, leaves_of, stages_of
from rpa.compile.issue import MOST_COMMANDS as SMALL
from rpa.compile.issue import schedule_network
from rpa.compile.kernels import Choice
from rpa.compile.schedule import schedule
from rpa.compile.timing import Timing

CANDIDATES = 16
"""Mappings of a layer that are tried in a small network, one whose commands are issued in the order of their starts."""
_CANDIDATES_LARGE = 8
MOST_COMMANDS = 150_000
"""Commands that are timed for it in all: what a few seconds allow. In large networks the ends of layers weigh little."""
_PROJECTED = 3
"""How many times that a sweep may be expected to take, by its first layers or by the whole network, and still be begun."""
_SWEEPS = 3
_BEFORE, _BEHIND = 1, 2
"""Neighbours that a mapping is timed with in a large network; in a small one, all layers."""

_BOTH = 5_000
"""Commands of a network up to which weights are tried packed and not."""

Build = Callable[[Sequence[Choice], bool], list[Nest]]
"""Nests of these choices, for timing only, with weights packed (`rpa.compile.banks`) or not."""


def refine(candidates: Sequence[Sequence[Choice]], build: Build, config: ArrayConfig) -> list[Choice]:
    """The best found kernel and mapping of every layer; candidates come the most promising first.

    A network that is small after its layers were tried with their neighbours is tried once more as a whole.
    """
    tried = [[options[0] for options in candidates]]
    if _commands(build(tried[0], True)) * (_BEFORE + 1 + _BEHIND) * _CANDIDATES_LARGE > _PROJECTED * MOST_COMMANDS:
        return tried[0]
    if not _is_small(tried[0], build, config):
        tried.append(_sweep(tried[0], [options[:_CANDIDATES_LARGE] for options in candidates], build, config, small=False))
    if _is_small(tried[-1], build, config):
        tried.append(_sweep(tried[-1], candidates, build, config, small=True))
    if _commands(build(tried[-1], True)) > _BOTH:
        return tried[-1]
    # What is better for neighbours need not be for the whole.
    return min(tried, key=lambda found: min(_as_issued(build(found, packed), config) for packed in (True, False)))


def is_better_packed(chosen: Sequence[Choice], build: Build, config: ArrayConfig) -> bool:
    """Whether weights had better lie behind each other; taken for granted in a large network."""
    packed = build(chosen, True)
    return _commands(packed) > _BOTH or _as_issued(packed, config) <= _as_issued(build(chosen, False), config)


def _as_issued(nests: list[Nest], config: ArrayConfig) -> int:
    """Cycles in the best order of issue."""
    return Timing(config).follow(leaves_of(schedule_network(nests, config)[1])).cycles


def _is_small(chosen: Sequence[Choice], build: Build, config: ArrayConfig) -> bool:
    return _time(build(chosen, True), config, small=False).commands <= SMALL


def _sweep(chosen: Sequence[Choice], candidates: Sequence[Sequence[Choice]], build: Build, config: ArrayConfig, *, small: bool) -> list[Choice]:
    """Try every candidate of a layer after the other, beginning with these choices, until none saves cycles."""
    chosen = list(chosen)
    left = MOST_COMMANDS
    for _ in range(_SWEEPS):
        changed = False
        for index, options in enumerate(candidates):
            first, end = (0, len(chosen)) if small else (max(0, index - _BEFORE), index + 1 + _BEHIND)
            best, size = _time(build(chosen[first:end], small), config, small=small)
            if left < size * len(options) or (not small and size * len(options) * len(candidates) > _PROJECTED * MOST_COMMANDS):
                return chosen
            left -= size * len(options)
            for option in options:
                if option is chosen[index]:
                    continue
                trial = [*chosen[first:index], option, *chosen[index + 1:end]]
                cycles, commands = _time(build(trial, small), config, small=small)
                if cycles < best and not (small and commands > SMALL):
                    best, chosen[index], changed = cycles, option, True
        if not changed:
            break
    return chosen


def _commands(nests: Sequence[Nest]) -> int:
    """Commands of stages without tokens."""
    return sum(len(stage.constants) + sum(len(load.commands) for load in stage.loads) + len(stage.runs)
               + sum(1 + len(stores) for _, stores in (stage.results.parts if stage.results is not None else ()))
               for nest in nests for stage in stages_of(nest))


class _Timed(NamedTuple):
    cycles: int
    commands: int


def _time(nests: list[Nest], config: ArrayConfig, *, small: bool) -> _Timed:
    """How long layers take. small: the core issues every command in time (`rpa.compile.issue`)."""
    commands = [leaf for leaf in leaves_of(schedule(nests, config, fine=small)) if isinstance(leaf, Command)]
    return _Timed(Timing(config, instant=small).follow(commands).cycles, len(commands))
