"""A whole integer network as commands: every node finds its kernel, mappings are chosen, stages get their tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rpa.arch.config import ArrayConfig
from rpa.compile.banks import Banks
from rpa.compile.commands import Nest
from rpa.compile.conv import Convolution
from rpa.compile.errors import CompileError
from rpa.compile.layout import Layout, place
from rpa.compile.mapping import ConvPlan, choose
from rpa.compile.reduction import Reduction
from rpa.compile.refine import CANDIDATES, refine
from rpa.compile.schedule import schedule
from rpa.net.integer import IntNet, Mac, Node


@dataclass(frozen=True, eq=False)
class Mapped:
    """A network as commands."""

    net: IntNet
    layout: Layout
    plans: tuple[ConvPlan | None, ...]
    """Per node; None where the kernel has no choice of mapping."""
    layers: tuple[Nest, ...]
    """Stages of each node."""
    nest: Nest
    """Commands with tokens: what stands before the first layer, then one item per layer."""


def map_network(net: IntNet, config: ArrayConfig, *, effort: bool = True) -> Mapped:
    """Choose mappings and build all commands. `effort`: try mappings of neighbours together (`rpa.compile.refine`).

    Raises CompileError that names every node that cannot be placed.
    """
    _refuse(net, config)
    layout = place(net, config)

    def build(plans: Sequence[ConvPlan | None], dry: bool) -> list[Nest]:
        target = replace(layout, dry=True) if dry else layout
        banks = Banks(config)
        return [_kernel(node, plan, target, banks) for node, plan in zip(net.nodes, plans, strict=True)]

    candidates = _candidates(net, layout)
    plans = refine(candidates, build, config) if effort else [options[0] if options else None for options in candidates]
    layers = build(plans, False)
    return Mapped(net, layout, tuple(plans), tuple(layers), schedule(layers))


def _refuse(net: IntNet, config: ArrayConfig) -> None:
    """Report everything that this array cannot do, at once."""
    faults = []
    for feature in net.features.values():
        if config.cols * feature.bits < 16:
            faults.append(f"`{feature.name}` has {feature.bits}-bit elements: {config.cols} columns store at least {16 // config.cols}-bit ones")
    faults += [f"`{node.name}` is a {type(node).__name__}, which has no kernel" for node in net.nodes if not isinstance(node, Mac)]
    if faults:
        raise CompileError(f"`{net.name}` cannot run on {config.rows}x{config.cols} PEs:\n" + "\n".join(f"  {fault}" for fault in faults))


def _candidates(net: IntNet, layout: Layout) -> list[list[ConvPlan]]:
    found: list[list[ConvPlan]] = []
    waits = 0
    for node in net.nodes:
        options = _options(node, layout, waits)
        waits = options[0].cost.tail if options else 0
        found.append(options)
    return found


def _options(node: Node, layout: Layout, waits: int) -> list[ConvPlan]:
    if not isinstance(node, Mac):
        return []
    reductions = tuple(Reduction(term, layout.features[term.input], layout.config.cols) for term in node.terms)
    return choose(reductions, layout.features[node.output], layout.config, node.name, waits, CANDIDATES)


def _kernel(node: Node, plan: ConvPlan | None, layout: Layout, banks: Banks) -> Nest:
    if isinstance(node, Mac) and plan is not None:
        return Convolution(node, plan, layout, banks).nest()
    raise CompileError(f"`{node.name}` is a {type(node).__name__}, which has no kernel")
