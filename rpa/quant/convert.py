"""Float graph + what calibration saw + widths -> integer network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np

from rpa.arch.numerics import quantize_multiplier
from rpa.net.graph import Graph, Node
from rpa.net.integer import CONTAINERS, Concat, Feature, HostStep, IntNet, Lookup, MaxPool, Product
from rpa.net.integer import Node as IntNode
from rpa.net.scalar import scalar_function
from rpa.quant.blocks import Block, MacBlock, NodeBlock
from rpa.quant.compensate import Factors
from rpa.quant.formats import LOOKUP_BITS, activation_format, assign_formats
from rpa.quant.fuse import LOOKUPS, fuse, identity_part
from rpa.quant.histogram import Histogram
from rpa.quant.mac import Built, build_mac
from rpa.quant.options import Options
from rpa.quant.scales import Format
from rpa.quant.shortcuts import choose_separate
from rpa.quant.statistics import Observed, share_formats
from rpa.quant.wide_tables import GATE, wide_form
from rpa.quant.widths import WidthTable

DEPTHWISE_CONTAINER = 4
"""The narrowest container that depthwise layers read: 2-bit lanes of an accumulator would hold 6 bits."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Converted:
    """An integer network and how it stands for the float graph."""

    net: IntNet
    blocks: tuple[Block, ...]
    formats: dict[str, Format]
    """Of every activation that is stored."""
    built: dict[str, Built] = field(repr=False)
    """By name of a `Mac`."""
    notes: tuple[str, ...]
    """What was decided that a user may want to know."""


def convert(graph: Graph, observed: Mapping[str, Observed], table: WidthTable, options: Options, factors: Factors | None = None) -> Converted:
    """The integer network of a graph.

    observed: statistics of every activation of the graph (`rpa.quant.calibrate`). factors: what `compensated` rounding needs.
    Raises QuantError for operators without an integer form, for layers in the table that do not exist, and for accumulators that could
    overflow.
    """
    blocks = fuse(graph)
    table.check(layers_of(blocks))
    observed = {**observed, **_parts_of_prelu(blocks, observed)}
    formats = assign_formats(graph, blocks, observed, share_formats(blocks), table, options)
    separate = choose_separate(graph, blocks, formats, observed, table, options)
    notes = [f"{name}: kept apart from the addition that follows" for name in sorted(separate)]
    if separate:
        blocks = fuse(graph, separate)
        formats = assign_formats(graph, blocks, observed, share_formats(blocks), table, options)
    widened = _widen_lookups(blocks, formats, observed)
    if widened != blocks:
        blocks, observed = widened, {**observed, **_parts_of_prelu(widened, observed), **_gates(widened, observed)}
        formats = assign_formats(graph, blocks, observed, share_formats(blocks), table, options)
    blocks = _narrow_lookups(blocks, formats, observed, options, notes)
    nodes: list[IntNode] = []
    built: dict[str, Built] = {}
    for block in blocks:
        if isinstance(block, MacBlock):
            built[block.name] = build_mac(block, formats, observed, table, options, factors)
            formats[block.output] = formats[block.output].clipped(block.clip)
            nodes.append(built[block.name].mac)
        else:
            nodes.append(_other(block.node, formats, options))
    _widen_containers(blocks, built, formats, options, notes)
    net = IntNet(name=graph.name, features=_features(graph, blocks, formats), inputs=graph.inputs, outputs=graph.outputs, nodes=tuple(nodes),
                 host=_host_steps(graph))
    return Converted(net=net, blocks=tuple(blocks), formats=formats, built=built, notes=tuple(notes))


def layers_of(blocks: Iterable[Block]) -> tuple[str, ...]:
    """Names that a table of widths can have, in order."""
    names: dict[str, None] = {}
    for block in blocks:
        if isinstance(block, MacBlock):
            names.update(dict.fromkeys(part.node for part in block.parts if not block.keeps_format))
        elif not block.keeps_format:
            names[block.name] = None
    return tuple(names)


def _parts_of_prelu(blocks: Sequence[Block], observed: Mapping[str, Observed]) -> dict[str, Observed]:
    """Statistics of what the graph does not have: the positive part of a PRelu's input, near enough that of its input."""
    return {block.output: observed[block.inputs[0]] for block in blocks if isinstance(block, MacBlock) and block.keeps_format}


def _widen_lookups(blocks: Sequence[Block], formats: Mapping[str, Format], observed: Mapping[str, Observed]) -> tuple[Block, ...]:
    """Functions whose results have more bits than a table gives, as sums and products where they can be."""
    result: list[Block] = []
    for block in blocks:
        wide: Sequence[Block] = ()
        if isinstance(block, NodeBlock) and block.node.op in LOOKUPS and formats[block.output].bits > LOOKUP_BITS:
            wide = wide_form(block.node, len(observed[block.inputs[0]].mean))
        result += wide or (block,)
    return tuple(result)


def _gates(blocks: Sequence[Block], observed: Mapping[str, Observed]) -> dict[str, Observed]:
    """Statistics of the second factors of a HardSwish: only their range is asked for, and it is known."""
    unit = Histogram("gate")
    unit.add(np.array([0.0, 1.0]))
    return {block.output: replace(observed[block.inputs[0]], histogram=unit, formats={}) for block in blocks
            if isinstance(block, MacBlock) and block.output.endswith(GATE) and block.output not in observed}


def _narrow_lookups(blocks: Sequence[Block], formats: dict[str, Format], observed: dict[str, Observed], options: Options,
                    notes: list[str]) -> tuple[Block, ...]:
    """Requantize what tables read where it is stored with more bits than they take."""
    result: list[Block] = []
    for block in blocks:
        if isinstance(block, NodeBlock) and block.node.op in LOOKUPS and formats[block.inputs[0]].bits > LOOKUP_BITS:
            source, name = block.inputs[0], f"{block.name}.narrow"
            channels = len(observed[source].mean)
            formats[name] = activation_format(observed[source], LOOKUP_BITS, options)
            observed[name] = observed[source]
            result.append(MacBlock(name=name, parts=(identity_part(block.name, source, channels),), bias=np.zeros(channels), output=name))
            notes.append(f"{block.name}: reads {LOOKUP_BITS} bits, the most that a table takes, instead of {formats[source].bits}")
            block = NodeBlock(node=replace(block.node, inputs=(name,)))
        result.append(block)
    return tuple(result)


def _other(node: Node, formats: dict[str, Format], options: Options) -> IntNode:
    """A node that is no sum of products. Sets the limits of its output's format."""
    if node.op == "MaxPool":
        formats[node.output] = formats[node.inputs[0]]
        return MaxPool(name=node.name, input=node.inputs[0], output=node.output, **{key: tuple(cast("tuple[int, ...]", node.attributes[key]))
                                                                                 for key in ("kernel", "stride", "pads")})  # type: ignore[arg-type]
    if node.op == "Concat":
        sources = [formats[name] for name in node.inputs]
        formats[node.output] = replace(sources[0], low=min(one.low for one in sources), high=max(one.high for one in sources))
        return Concat(name=node.name, inputs=node.inputs, output=node.output)
    if node.op == "Mul":
        a, b = (formats[name] for name in node.inputs)
        multiplier, shift = quantize_multiplier(a.scale * b.scale / formats[node.output].scale)
        formats[node.output] = formats[node.output].clipped(node.attributes.get("clip"))
        return Product(name=node.name, inputs=(node.inputs[0], node.inputs[1]), output=node.output, multiplier=multiplier, shift=shift,
                       rounding=options.rounding)
    source = formats[node.inputs[0]]
    values = source.dequantize(np.arange(source.low, source.high + 1))
    table = formats[node.output].quantize(scalar_function(node, values))
    formats[node.output] = replace(formats[node.output], low=int(min(table.min(), formats[node.output].zero_point)),
                                   high=int(max(table.max(), formats[node.output].zero_point)))
    return Lookup(name=node.name, input=node.inputs[0], output=node.output, table=table)


def _widen_containers(blocks: Sequence[Block], built: Mapping[str, Built], formats: dict[str, Format], options: Options, notes: list[str]) -> None:
    """Give depthwise layers containers in whose lanes of an accumulator their sums fit; formats that are shared stay equal."""
    shared = share_formats(blocks)
    needed: dict[str, int] = {}
    for one in built.values():
        if not one.lane_bits:
            continue
        weights = max(term.weight_bits for term in one.mac.terms)
        lanes = next((container for container in CONTAINERS if options.acc_bits * container // 16 >= one.lane_bits), CONTAINERS[-1])
        container = DEPTHWISE_CONTAINER if weights >= lanes else max(lanes, DEPTHWISE_CONTAINER)
        for term in one.mac.terms:
            if container > max(DEPTHWISE_CONTAINER, formats[term.input].container):
                notes.append(f"{one.mac.name}: reads `{term.input}`, {formats[term.input].bits} bits, in containers of {container} bits, "
                             f"as its sums take {one.lane_bits} bits")
            group = shared[term.input]
            needed[group] = max(needed.get(group, 0), container)
    products = [block.node for block in blocks if isinstance(block, NodeBlock) and block.node.op == "Mul"]
    while _apply(needed, shared, formats) or _match_factors(products, needed, shared, formats):
        pass


def _apply(needed: Mapping[str, int], shared: Mapping[str, str], formats: dict[str, Format]) -> bool:
    """Give all activations of a group the container that it needs; says whether that changed anything."""
    wider = {name: needed[shared[name]] for name, form in formats.items() if needed.get(shared.get(name, name), 0) > form.container}
    formats.update({name: replace(formats[name], container=container) for name, container in wider.items()})
    return bool(wider)


def _match_factors(products: Sequence[Node], needed: dict[str, int], shared: Mapping[str, str], formats: Mapping[str, Format]) -> bool:
    """Both factors of a product lie in equal containers, at least as wide as the result's; says whether some must grow for it."""
    grows = False
    for node in products:
        widest = max(formats[name].container for name in (*node.inputs, node.output))
        for name in node.inputs:
            if formats[name].container < widest:
                needed[shared[name]], grows = widest, True
    return grows


def _features(graph: Graph, blocks: Iterable[Block], formats: Mapping[str, Format]) -> dict[str, Feature]:
    shapes = dict(graph.shapes)
    stored = dict.fromkeys(graph.inputs)
    for block in blocks:
        if block.output not in shapes:
            shapes[block.output] = shapes[block.inputs[0]]
        stored[block.output] = None
    return {name: formats[name].feature(name, (shapes[name][1], shapes[name][2], shapes[name][0])) for name in stored}


def _host_steps(graph: Graph) -> tuple[HostStep, ...]:
    """How the outputs lie in the model's own shapes, then what the graph leaves to the host."""
    steps = []
    for name in graph.outputs:
        layout = graph.layouts.get(name)
        if layout is not None:
            steps.append(HostStep(op="reshape", source=name, attributes={"axes": layout.axes, "shape": layout.shape, "batched": layout.batched}))
    return (*steps, *graph.host)
