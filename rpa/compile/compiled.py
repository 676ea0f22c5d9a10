"""A compiled network: program, report, runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from isa.program import Program
from rpa.arch.config import ArrayConfig
from rpa.arch.macro import Macro
from rpa.compile.draws import rounds_stochastically, states_of
from rpa.compile.errors import CodeTooLong
from rpa.compile.explain import NetReport, explain
from rpa.compile.link import Linked, feature_names, link, write
from rpa.compile.network import Mapped, map_network
from rpa.flash.placed import Placement
from rpa.net.errors import NetError
from rpa.net.integer import IntNet

if TYPE_CHECKING:
    from rpa.runner import Result

_NO_LIMIT = 1 << 40
"""Cycles; a compiled network ends, its cycles are known before it runs."""


@dataclass(frozen=True, eq=False)
class NetRun:
    """One image through the array."""

    outputs: dict[str, np.ndarray]
    """Integers (H, W, C) of the network's outputs."""
    features: dict[str, np.ndarray]
    """Integers (H, W, C) of every feature, inputs included, as they stand in external memory."""
    result: Result
    """Cycles, counters, fault."""


@dataclass(frozen=True, eq=False)
class CompiledNet:
    """An integer network as a program for one machine."""

    net: IntNet
    mapped: Mapped
    linked: Linked

    @property
    def program(self) -> Program:
        return self.linked.program

    @property
    def source(self) -> str:
        """Assembly, with a comment for every layer."""
        return self.linked.source

    @property
    def config(self) -> ArrayConfig:
        """The machine: as asked for, with instruction and external memory grown where the network needs it."""
        return self.linked.config

    @cached_property
    def report(self) -> NetReport:
        """Cycles, utilisation and accesses of every layer, known without running."""
        return explain(self.mapped, self.program)

    @cached_property
    def states(self) -> dict[str, np.ndarray]:
        """For the reference: what stochastic rounding draws in a run, (H, W, C) by name of the feature; empty where nothing is rounded so."""
        names = rounds_stochastically(self.net)
        return states_of(self.program, [self.mapped.layout.features[name] for name in names]) if names else {}

    def run(self, inputs: Mapping[str, np.ndarray], backend: str = "fast", macro: Macro | None = None) -> NetRun:
        """Run one image. `inputs`: integers (H, W, C) for every input. macro: the NOR-flash macros, exact unless told.

        Raises InputError as `rpa.run` does, NetError if the machine faults.
        """
        import rpa

        names = feature_names(self.net)
        given = {names.get(name, name): values for name, values in inputs.items()}
        result = rpa.run(self.program, given, backend, max_cycles=_NO_LIMIT, preflight=False, macro=macro)
        if result.fault is not None:
            raise NetError(f"`{self.net.name}` stopped: {result.fault}")
        features = {name: self._read(result, names[name]) for name in self.net.features}
        return NetRun({name: features[name] for name in self.net.outputs}, features, result)

    def _read(self, result: Result, tensor: str) -> np.ndarray:
        from rpa.arch.memory import read_tensor

        return read_tensor(result.outcome.memory, self.program.tensors[tensor])

    def save(self, folder: str | Path) -> tuple[Path, Path, Path]:
        """Write assembly, data image and program file; returns their paths."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        return write(self.linked, Path(folder))


def compile_net(net: IntNet, config: ArrayConfig | None = None, *, effort: bool = True, broadcast_only: bool = False,
                place: Mapping[str, Placement] | None = None, seed: int = 0) -> CompiledNet:
    """Compile an integer network for a machine (`default` if none is given).

    effort: try mappings of neighbouring layers together; for small networks this saves some percent of cycles and takes seconds.
    broadcast_only: convolutions and sums use no kernel of the mesh, for comparison. place: nodes for NOR-flash macros, by name.
    seed: of what stochastic rounding draws, if the network rounds so.
    Raises CompileError, with every node and reason, if the machine cannot run it.
    """
    config = config or ArrayConfig.preset("hybrid" if place else "default")
    mapped = map_network(net, config, effort=effort, broadcast_only=broadcast_only, place_on_flash=place)
    try:
        linked = link(net, mapped.layout, mapped.issued, config, seed)
    except CodeTooLong:
        mapped = mapped.shorter(config)
        linked = link(net, mapped.layout, mapped.issued, config, seed)
    return CompiledNet(net, mapped, linked)
