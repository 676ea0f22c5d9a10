"""Weights and parameters of a layer are loaded before the layer begins, as early as what they overwrite is used no more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from isa.table import DIMS, NV_DIMS, PARAM_WORDS
from rpa.arch.config import ArrayConfig
from rpa.compile.commands import Command, Stage
from rpa.compile.timing import visits

AHEAD = 8
"""Stages by which constants may come early: more would only fill the buffers sooner."""
_LAG = {"w": 2, "p": 4, "x": 2}
"""Stages from a use of a word on in which a load may overwrite it (`rpa.compile.commands.Stage`)."""
_LEAST = 64
"""Cycles of a part of a load: a shorter one is not worth another wait for the memory."""
_DEPTH = 1 << 16
"""Words that addresses reach."""


class Constants(NamedTuple):
    """Loads of weights and parameters in a stage's turn, in order."""

    own: list[Command]
    """What the stage needs."""
    early: list[Command]
    """What later ones need."""


def prefetch(stages: Sequence[Stage], config: ArrayConfig, *, cut: bool = False) -> list[Constants]:
    """Constants that each stage loads, when they are moved ahead as far as the protocol of buffers allows.

    A load comes `_LAG` stages after the last use of what it overwrites at the earliest, `AHEAD` stages before it is needed at the
    earliest, and else as late as LD has most of its time to spare; loads stay in order.

    cut: a load that a stage has not most of the time for may be cut: its end comes there, the rest before.
    """
    result = [Constants([], []) for _ in stages]
    waiting = _constants(stages)
    for index in range(len(stages) - 1, -1, -1):
        spare = _spare(stages[index - 1], stages[index], config) if index else 0
        while waiting and waiting[-1].last >= index:
            constant = waiting.pop()
            if constant.first < index and 2 * spare < _load_time(constant.command, config):
                rest, end = _cut(constant.command, spare if cut else 0, config)
                waiting.append(constant._replace(command=rest))
                if end is None:
                    break
                constant = constant._replace(command=end)
            spare -= _load_time(constant.command, config)
            (result[index].own if constant.last == index else result[index].early).insert(0, constant.command)
    return result


def _cut(command: Command, spare: int, config: ArrayConfig) -> tuple[Command, Command | None]:
    """(the rest, the end that fits `spare` cycles) of a load; no end where it would be short."""
    values = command.registers
    rows, units = values.get("ld.rows", 1), values.get("ld.units", 1)
    fits = (spare - config.mem_latency - 1) // rows
    if not command.text.endswith("mem") or fits * rows < _LEAST or fits >= units:
        return command, None
    begin = units - fits
    end = {**values, "ld.units": fits, "ld.addr": values["ld.addr"] + begin * values["ld.sstep"],
           "ld.base": values.get("ld.base", 0) + begin * values["ld.dstep"]}
    return replace(command, registers={**values, "ld.units": begin}), replace(command, registers=end)


class _Constant(NamedTuple):
    command: Command
    first: int
    """The first stage that may load it."""
    last: int
    """The stage that needs it."""


def _constants(stages: Sequence[Stage]) -> list[_Constant]:
    """All loads of constants, in order, with the stages that may do them."""
    found = []
    used = {bank: np.full(_DEPTH, -max(_LAG.values())) for bank in _LAG}
    earliest = 0
    for index, stage in enumerate(stages):
        for command in stage.constants:
            bank = command.text[3]
            free = int(used[bank][written(command)].max()) + _LAG[bank] if bank in used else index
            if free > index:
                raise AssertionError(f"stage {index}: `{command.text}` overwrites what runs or drains of stages before still need")
            earliest = max(earliest, free, index - AHEAD)      # loads stay in order
            found.append(_Constant(command, earliest, index))
        for bank, words in read(stage):
            used[bank][words] = index
    return found


def _spare(before: Stage, stage: Stage, config: ArrayConfig) -> int:
    """Cycles in which LD has nothing to do while the runs of the stage before go on: they hide the loads of this one."""
    runs = sum(visits(item, config) for item in before.runs if isinstance(item, Command))
    return runs - sum(_load_time(command, config) for load in stage.loads for command in load.commands)


def _load_time(command: Command, config: ArrayConfig) -> int:
    return visits(command, config) + config.mem_latency + 1


def written(command: Command) -> slice:
    """Words that a load of constants writes in some bank."""
    registers = command.registers
    base = registers.get("ld.base", 0)
    units = registers.get("ld.units", 1)
    return slice(base, base + (units - 1) * registers.get("ld.dstep", 0) + registers.get("ld.unit", 1))


def read(stage: Stage) -> Iterator[tuple[str, slice]]:
    """("w", words of W banks), ("x", words of the X bank) and ("p", words of P banks) that runs and the drains of a stage read."""
    for item in stage.runs:
        if isinstance(item, Command) and item.engine == "ex" and item.registers.get("ex.wen", 1):
            yield "w", _reach(item.registers, "ex.wbase", [(f"ex.n{loop}", f"ex.ws{loop}") for loop in range(DIMS)], 1)
        elif isinstance(item, Command) and item.text == "nvprog":
            rows = _reach(item.registers, "nv.xbase", [("nv.rows", "nv.xv0")], 1)
            yield "x", slice(rows.start, rows.stop + item.registers["nv.k0"] - 1)
        elif isinstance(item, Command) and item.engine == "nv":
            loops = [(f"nv.{count}{loop}", f"nv.{step}{loop}") for count, step in (("n", "xv"), ("k", "xk")) for loop in range(NV_DIMS)]
            yield "x", _reach(item.registers, "nv.xbase", loops, 1)
    for drain, _ in stage.results.parts if stage.results is not None else ():
        yield "p", _reach(drain.registers, "dr.param", [("dr.accs", "dr.pacc"), ("dr.lanes", "dr.plane")], PARAM_WORDS)


def _reach(registers: dict[str, int], base: str, loops: Sequence[tuple[str, str]], size: int) -> slice:
    """Words from the least to the greatest address of nested loops (count, step)."""
    ends = [(registers.get(count, 1) - 1) * registers.get(step, 0) for count, step in loops]
    low = registers.get(base, 0) + sum(min(0, end) for end in ends)
    high = registers.get(base, 0) + sum(max(0, end) for end in ends)
    return slice(size * low, size * (high + 1))
