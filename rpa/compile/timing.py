"""When scheduled commands run: engines, tokens, queues and the core that issues, without data and before there is any code.

Nearly the machine's cycles: what loops and pointers cost the core is not known yet and taken as one instruction for each address.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import prod

from isa.table import DIMS, ENGINES
from rpa.arch.config import ArrayConfig
from rpa.compile.commands import Command, Context
from rpa.compile.macro_time import NvShape, programming_cycles

_NEXT_START = {"ex": 1, "dr": 1, "st": 2, "nv": 2}
"""Cycles after the last visit in which the next command can start; `ld` adds the memory's latency."""
_SIGNAL = {"ex": 4, "dr": 6, "st": 2, "nv": 2}
"""Cycles after the last visit from which a token can be seen."""
_ADDRESSES = ("ld.addr", "st.addr")
_ENGINES = tuple(engine.name for engine in ENGINES)


@dataclass
class Timing:
    """Where the commands up to now have got."""

    config: ArrayConfig
    instant: bool = False
    """Issuing takes no time and queues are never full."""
    core: int = 0
    free: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_ENGINES, 0))
    """Cycle in which each engine can start its next command."""
    tokens: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    """(from, to) -> cycles from which tokens can be seen, the oldest first."""
    registers: dict[str, dict[str, int]] = field(default_factory=lambda: {name: {} for name in _ENGINES})
    popped: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in _ENGINES})
    """Cycles in which the entries of each engine's queue left it."""
    last_start: int = 0
    """Start of the last command."""
    steps_end: int = 0
    """End of the last step of the array."""

    def follow(self, commands: Iterable[Command | Context]) -> Timing:
        """Add these commands; returns self."""
        for command in commands:
            if isinstance(command, Context):
                self._push("ex", self.free["ex"])
                self._push("ex", self.free["ex"])
            else:
                self._command(command)
        return self

    @property
    def cycles(self) -> int:
        """When everything is over."""
        return max(*self.free.values(), self.core)

    def _command(self, command: Command) -> None:
        engine = command.engine
        self._settings(engine, command)
        pushed = self._issue(engine)
        start = max(pushed + 1, self.free[engine], self.popped[engine][-1] + 1 if self.popped[engine] else 0)
        for other in command.wait:
            waiting = self.tokens.get((other, engine))
            if waiting:
                start = max(start, waiting.pop(0))
        self.popped[engine].append(start)
        self.last_start = start
        count = visits(command, self.config)
        latency = self.config.mem_latency if engine == "ld" and command.text.endswith("mem") else 0
        self.free[engine] = start + count + (latency + 1 if engine == "ld" else _NEXT_START[engine])
        seen = start + count + (latency + 1 if engine == "ld" else _SIGNAL[engine])
        for other in command.signal:
            self.tokens.setdefault((engine, other), []).append(seen)
        if command.text.startswith(("run", "nvmac")):
            self.steps_end = start + count

    def _settings(self, engine: str, command: Command) -> None:
        """Entries for the registers that change."""
        if command.text.startswith("sync"):
            return
        held = self.registers[engine]
        if held != command.registers:
            changed = [name for name in {*held, *command.registers} if held.get(name) != command.registers.get(name)]
            for name in changed:
                self.core += name in _ADDRESSES
                self._push(engine, 0)
            self.registers[engine] = command.registers

    def _push(self, engine: str, ready: int) -> None:
        """An entry that leaves the queue in order, as soon as it is there."""
        pushed = self._issue(engine)
        before = self.popped[engine][-1] if self.popped[engine] else 0
        self.popped[engine].append(max(pushed + 1, before + 1, ready))

    def _issue(self, engine: str) -> int:
        """The cycle in which the core pushes the next entry: there must be room in the queue."""
        if self.instant:
            return 0
        popped = self.popped[engine]
        depth = self.config.queue_depth
        room = popped[-depth] + 1 if len(popped) >= depth else 0
        self.core = max(self.core + 1, room)
        return self.core


def visits(command: Command, config: ArrayConfig) -> int:
    """Visits or steps of a command, one a cycle; of a macro's command all its cycles."""
    registers = command.registers
    kind = command.text.split()[0]
    if kind == "run":
        return prod(registers.get(f"ex.n{loop}", 1) for loop in range(DIMS))
    if kind == "drain":
        return registers.get("dr.rows", 1) * registers.get("dr.accs", 1) * registers.get("dr.lanes", 1)
    if kind == "ld":
        return registers.get("ld.rows", 1) * registers.get("ld.units", 1)
    if kind == "nvmac":
        return NvShape(registers, config).cycles
    if kind == "nvprog":
        return programming_cycles(registers, config)
    if kind == "st":
        return registers.get("st.rows", 1) * registers.get("st.xs", 1) * registers.get("st.ws", 1)
    return 1
