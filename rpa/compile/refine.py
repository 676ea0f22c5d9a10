"""Layers are mapped one by one, then together: what a layer leaves to do decides how soon the next one begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rpa.arch.config import ArrayConfig
from rpa.compile.commands import Nest, stages_of
from rpa.compile.kernels import Choice
from rpa.compile.schedule import schedule
from rpa.compile.timing import Timing, leaves

MOST_STAGES = 600
"""In larger networks the ends of layers weigh little, and trying takes long."""
CANDIDATES = 8
"""Mappings of a layer that are tried."""
_SWEEPS = 2

Build = Callable[[Sequence[Choice], bool], list[Nest]]
"""Nests of all layers with these mappings; the flag: for timing only."""


def refine(candidates: Sequence[Sequence[Choice]], build: Build, config: ArrayConfig) -> list[Choice]:
    """The best found kernel and mapping of every layer; candidates come the most promising first."""
    chosen = [options[0] for options in candidates]
    nests = build(chosen, True)
    if sum(1 for nest in nests for _ in stages_of(nest)) > MOST_STAGES:
        return chosen
    best = _cycles(nests, config)
    for _ in range(_SWEEPS):
        before = best
        for index, options in enumerate(candidates):
            for option in options:
                trial = [*chosen[:index], option, *chosen[index + 1:]]
                cycles = _cycles(build(trial, True), config)
                if cycles < best:
                    best, chosen = cycles, trial
        if best == before:
            break
    return chosen


def _cycles(nests: list[Nest], config: ArrayConfig) -> int:
    return Timing(config).follow(leaves([schedule(nests)])).cycles
