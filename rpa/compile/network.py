"""A whole integer network as commands: every node finds its kernel, mappings are chosen, stages get their tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rpa.arch.config import ArrayConfig
from rpa.compile.banks import Banks
from rpa.compile.commands import Nest
from rpa.compile.errors import CompileError
from rpa.compile.flash import programming
from rpa.compile.flash_plan import FlashLayer, plan_layers
from rpa.compile.issue import schedule_network
from rpa.compile.kernels import Choice, choices, on_macros
from rpa.compile.layout import Layout, place
from rpa.compile.refine import CANDIDATES, is_better_packed, refine
from rpa.compile.schedule import schedule
from rpa.flash.placed import Placement
from rpa.net.errors import grouped
from rpa.net.integer import IntNet


@dataclass(frozen=True, eq=False)
class Mapped:
    """A network as commands."""

    net: IntNet
    layout: Layout
    choices: tuple[Choice, ...]
    """Kernel and mapping of each node."""
    layers: tuple[Nest, ...]
    """Stages of each node."""
    nest: Nest
    """Commands with tokens: what stands before the first layer, then one item per layer."""
    issued: Nest
    """The same commands in the order in which the core issues them."""
    before: tuple[Nest, ...] = ()
    """Stages that program macros."""

    @property
    def programming(self) -> int:
        """Items of `nest` that program macros, behind the first and before the layers."""
        return len(self.before)

    def shorter(self, config: ArrayConfig) -> Mapped:
        """The same mapping, each node behind all those before it: a little slower, and more of it is loops."""
        nest = schedule([*self.before, *self.layers], config, lag=0)
        return replace(self, nest=nest, issued=nest)


def map_network(net: IntNet, config: ArrayConfig, *, effort: bool = True, broadcast_only: bool = False,
                place_on_flash: Mapping[str, Placement] | None = None) -> Mapped:
    """Choose mappings and build all commands.

    effort: try mappings of neighbours together (`rpa.compile.refine`). broadcast_only: no mesh kernels for convolutions, for comparison.
    place_on_flash: nodes that NOR-flash macros compute, by name; their cells are programmed before the first layer.
    Raises CompileError that names every node that cannot be placed.
    """
    layout = place(net, config)
    on_flash = plan_layers(net, config, place_on_flash or {})
    candidates = _candidates(net, layout, CANDIDATES if effort else 1, on_flash, broadcast_only=broadcast_only)

    def build(chosen: Sequence[Choice], packed: bool) -> list[Nest]:
        dry, banks = replace(layout, dry=True), Banks(config, packed)
        return [choice.make(dry, banks) for choice in chosen]

    chosen = refine(candidates, build, config) if effort else [options[0] for options in candidates]
    banks = Banks(config, is_better_packed(chosen, build, config))
    before = [programming(on_flash.values(), layout, banks)] if on_flash else []
    layers = [choice.make(layout, banks) for choice in chosen]
    nest, issued = schedule_network([*before, *layers], config)
    return Mapped(net, layout, tuple(chosen), tuple(layers), nest, issued, tuple(before))


def _candidates(net: IntNet, layout: Layout, most: int, on_flash: Mapping[str, FlashLayer], *, broadcast_only: bool) -> list[list[Choice]]:
    """Choices for every node. All that cannot be computed is reported at once."""
    found: list[list[Choice]] = []
    faults = _too_narrow(net, layout.config)
    waits = 0
    for node in net.nodes if not faults else ():
        try:
            found.append([on_macros(on_flash[node.name], layout)] if node.name in on_flash
                         else choices(node, layout, waits, most, broadcast_only=broadcast_only))
            waits = found[-1][0].cost.tail
        except CompileError as error:
            faults.append(str(error))
    if faults:
        sizes = f"{layout.config.rows}x{layout.config.cols} PEs"
        raise CompileError(f"`{net.name}` cannot run on {sizes}:\n{grouped(faults)}")
    return found


def _too_narrow(net: IntNet, config: ArrayConfig) -> list[str]:
    return [f"`{feature.name}` has {feature.bits}-bit elements: {config.cols} columns store at least {16 // config.cols}-bit ones"
            for feature in net.features.values() if config.cols * feature.bits < 16]
