"""Weights and parameters of a layer are loaded before the layer begins, as early as their buffers are free."""

from __future__ import annotations

from collections.abc import Sequence

from rpa.compile.banks import PARAM_RING
from rpa.compile.commands import Command, Stage

AHEAD = 4
"""Stages by which constants may come early: more would only fill the buffers sooner."""
_PARAM_LAG = 4
"""Drains may read parameters up to so many stages after a load could overwrite them (`rpa.compile.commands.Stage`)."""


def prefetch(stages: Sequence[Stage]) -> list[list[Command]]:
    """Constants that each stage loads, when they are moved ahead as far as the protocol of buffers allows.

    A half of the W banks is used until the load of the other half has its stage; so its next load may come one stage later. A part
    of the P banks is used until the stage of the load after its own.
    """
    result: list[list[Command]] = [[] for _ in stages]
    weights: list[int] = []
    params: list[int] = []
    earliest = 0
    for index, stage in enumerate(stages):
        for command in stage.constants:
            if command.text == "ld p, mem":
                loads, free = params, params[-PARAM_RING + 1] + _PARAM_LAG - 1 if len(params) >= PARAM_RING - 1 else 0
            else:
                loads, free = weights, weights[-1] + 1 if weights else 0
            earliest = max(earliest, min(index, max(free, index - AHEAD)))      # loads stay in order
            result[earliest].append(command)
            loads.append(index)
    return result
