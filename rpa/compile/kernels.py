"""Which kernels can compute a node, and with which mappings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from rpa.compile import concat, depthwise, flash, globalpool, mapping, maxpool, pointwise
from rpa.compile.banks import Banks
from rpa.compile.commands import Nest
from rpa.compile.conv import Convolution
from rpa.compile.cost import Cost
from rpa.compile.errors import CompileError
from rpa.compile.flash_plan import FlashLayer
from rpa.compile.flow import cost_of
from rpa.compile.layout import Layout
from rpa.compile.reduction import Reduction
from rpa.net.integer import Concat, Lookup, Mac, MaxPool, Node


@dataclass(frozen=True, eq=False)
class Choice:
    """A kernel with a mapping for one node."""

    kernel: str
    """`broadcast`, `depthwise`, `global pool`, `max pool`, `concat`, `table`, `product` or `flash`."""
    plan: object
    cost: Cost
    make: Callable[[Layout, Banks], Nest]
    """The node's stages."""


def choices(node: Node, layout: Layout, waits: int, most: int, *, broadcast_only: bool = False) -> list[Choice]:
    """At most `most` ways to compute a node, the fastest first. `waits`: see `rpa.compile.cost.estimate`.

    broadcast_only: a `Mac` is computed by the broadcast convolution even where another kernel is faster.
    Raises CompileError, with the reason, if there is none.
    """
    if isinstance(node, Mac):
        others = [] if broadcast_only else _others(node, layout, most)
        try:
            found = _broadcast(node, layout, waits, most) + others
        except CompileError:
            if not others:
                raise
            found = others
        return sorted(found, key=lambda choice: choice.cost.key)[:most]
    if isinstance(node, MaxPool):
        return [_choice("max pool", maxpool.MaxPooling, node, plan) for plan in maxpool.choose(node, layout)][:most]
    if isinstance(node, Concat):
        return [_choice("concat", concat.Concatenation, node, plan) for plan in concat.choose(node, layout)][:most]
    if isinstance(node, Lookup):
        return [_choice("table", pointwise.Table, node, plan) for plan in pointwise.choose_lookup(node, layout)][:most]
    return [_choice("product", pointwise.Multiply, node, plan) for plan in pointwise.choose_product(node, layout)][:most]


def on_macros(layer: FlashLayer, layout: Layout) -> Choice:
    """The way to compute a node on NOR-flash macros."""
    nest = flash.FlashConvolution(layer, replace(layout, dry=True), Banks(layout.config)).nest()
    plan = flash.FlashPlan(layer, cost_of(nest, layout.config))
    return Choice("flash", plan, plan.cost, lambda layout, banks: flash.FlashConvolution(layer, layout, banks).nest())


def _broadcast(node: Mac, layout: Layout, waits: int, most: int) -> list[Choice]:
    reductions = tuple(Reduction(term, layout.features[term.input], layout.config.cols) for term in node.terms)
    plans = mapping.choose(reductions, layout.features[node.output], layout.config, node.name, waits, most)
    return [_choice("broadcast", Convolution, node, plan) for plan in plans]


def _others(node: Mac, layout: Layout, most: int) -> list[Choice]:
    """Kernels for special forms of a `Mac`, where they apply."""
    found: list[Choice] = []
    if depthwise.refusal(node, layout) is None:
        found += _if_it_fits("depthwise", depthwise.Depthwise, node, layout, depthwise.choose, most)
    if globalpool.refusal(node, layout) is None:
        found += _if_it_fits("global pool", globalpool.GlobalPool, node, layout, globalpool.choose, most)
    return found


def _if_it_fits(kernel: str, make, node: Mac, layout: Layout, choose, most: int) -> list[Choice]:
    try:
        return [_choice(kernel, make, node, plan) for plan in choose(node, layout)[:most]]
    except CompileError:        # the broadcast convolution computes it
        return []


def _choice(kernel: str, make, node: Node, plan) -> Choice:
    return Choice(kernel, plan, plan.cost, lambda layout, banks: make(node, plan, layout, banks).nest())
