"""Layers are mapped one by one, then together: what a layer leaves to do decides how soon the next one begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rpa.arch.config import ArrayConfig
from rpa.compile.commands import Command, Nest, leaves_of
from rpa.compile.kernels import Choice
from rpa.compile.schedule import schedule
from rpa.compile.timing import Timing

CANDIDATES = 8
"""Mappings of a layer that are tried."""
MOST_COMMANDS = 150_000
"""Commands that are timed for it in all: what a few seconds allow. In large networks the ends of layers weigh little."""
_PROJECTED = 3
"""How many times that a sweep may be expected to take, by what its first layers take, and still be begun."""
_SWEEPS = 2
_BEFORE, _BEHIND = 1, 2
"""Neighbours that a mapping is timed with."""

Build = Callable[[Sequence[Choice]], list[Nest]]
"""Nests of these choices, for timing only."""


def refine(candidates: Sequence[Sequence[Choice]], build: Build, config: ArrayConfig) -> list[Choice]:
    """The best found kernel and mapping of every layer; candidates come the most promising first."""
    chosen = [options[0] for options in candidates]
    left = MOST_COMMANDS
    for _ in range(_SWEEPS):
        changed = False
        for index, options in enumerate(candidates):
            first, end = max(0, index - _BEFORE), index + 1 + _BEHIND
            best, size = _cycles(build(chosen[first:end]), config)
            if left < size * len(options) or size * len(options) * len(candidates) > _PROJECTED * MOST_COMMANDS:
                return chosen
            left -= size * len(options)
            for option in options:
                if option is chosen[index]:
                    continue
                trial = [*chosen[first:index], option, *chosen[index + 1:end]]
                cycles, _ = _cycles(build(trial), config)
                if cycles < best:
                    best, chosen[index], changed = cycles, option, True
        if not changed:
            break
    return chosen


def _cycles(nests: list[Nest], config: ArrayConfig) -> tuple[int, int]:
    """Cycles, and the number of commands."""
    commands = [leaf for leaf in leaves_of(schedule(nests, config)) if isinstance(leaf, Command)]
    return Timing(config).follow(commands).cycles, len(commands)
