"""What a layer costs when it runs alone: its commands under tokens, followed by the model of `rpa.compile.timing`."""

from __future__ import annotations

from rpa.arch.config import ArrayConfig
from rpa.compile.commands import Command, Nest, leaves_of
from rpa.compile.cost import Cost
from rpa.compile.schedule import schedule
from rpa.compile.timing import Timing, visits

UNKNOWN = Cost(0, "", 0, 0)
"""Of a plan that has not been costed."""
_LIMITS = {"ex": "array", "nv": "macro", "ld": "loads", "dr": "drain", "st": "stores"}


def cost_of(nest: Nest, config: ArrayConfig) -> Cost:
    """Expected figures of one layer without tokens."""
    timing, busy, words = Timing(config), dict.fromkeys(_LIMITS, 0), 0
    for command in leaves_of(schedule([nest], config)):
        timing.follow((command,))
        if isinstance(command, Command):
            busy[command.engine] += visits(command, config) + (config.mem_latency if command.text.endswith("mem") else 0)
            words += visits(command, config) * _unit(command)
    return Cost(timing.cycles, _LIMITS[max(busy, key=busy.__getitem__)], words, timing.cycles - timing.steps_end)


def _unit(command: Command) -> int:
    """Words of external memory that a visit moves."""
    if command.text == "st":
        return command.registers.get("st.unit", 1)
    return command.registers.get("ld.unit", 1) if command.text.endswith("mem") else 0
