"""Fusion: the nodes of a float graph as blocks, each of which becomes one node of the integer network.

A convolution takes its bias and clip along. An addition goes into the accumulator of the largest convolution that it adds (if nothing else
reads that convolution's result): other convolutions under the same condition become further parts ("joint"), everything else a 1x1 part with
weight 1. Average pooling is a part with weights 1 / n.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from rpa.net.errors import grouped
from rpa.net.graph import Graph, Node
from rpa.net.scalar import SCALAR_OPERATORS
from rpa.quant.blocks import Block, MacBlock, NodeBlock, Part
from rpa.quant.errors import QuantError

LOOKUPS = tuple(op for op in SCALAR_OPERATORS if op not in ("Clip", "Quant"))
"""Functions of one number that become a table."""
WEIGHTED = ("Conv", "Gemm")


def fuse(graph: Graph, separate: frozenset[str] = frozenset()) -> tuple[Block, ...]:
    """Blocks in the order of execution.

    separate: convolutions that keep a block of their own although an addition could take them in.
    Raises QuantError with every node that has no integer form.
    """
    refuse_unsupported(graph)
    readers = _count_readers(graph)
    taken = _taken_by_additions(graph, readers, separate)
    absorbed = {node.name for convolutions in taken.values() for node in convolutions}
    blocks: list[Block] = []
    for node in graph.nodes:
        if node.name not in absorbed:
            blocks.extend(_blocks_of(graph, node, taken.get(node.name, ())))
    return tuple(blocks)


def refuse_unsupported(graph: Graph) -> None:
    """Raise QuantError with all nodes that cannot become integers, and why."""
    faults = [f"output `{name}` is an input; nothing is left to compute" for name in graph.outputs if name in graph.inputs]
    for node in graph.nodes:
        if node.op == "AveragePool" and any(_pads(node)) and not node.attributes["count_include_pad"]:
            faults.append(f"`{node.name}`: AveragePool divides by fewer at its edges; export it with count_include_pad = 1 or without padding")
        least, most = _clip(node) or (0.0, 0.0)
        if least > 0 or most < 0:
            faults.append(f"`{node.name}`: is limited to {least:g}..{most:g}, must reach 0, which stands around every image; move the input by "
                          f"{-least if least > 0 else -most:g}, limit it, and move it back")
        if node.op == "Quant":
            faults.append(f"`{node.name}`: the model is quantized already; its integers are taken as they are by `rpa.net.qdq`")
    if faults:
        raise QuantError(grouped(faults, ""))


def _count_readers(graph: Graph) -> dict[str, int]:
    """How often an activation is read; being an output counts."""
    readers = dict.fromkeys(graph.shapes, 0)
    for node in graph.nodes:
        for name in graph.activations(node):
            readers[name] += 1
    for name in graph.outputs:
        readers[name] += 1
    return readers


def _taken_by_additions(graph: Graph, readers: dict[str, int], separate: frozenset[str]) -> dict[str, tuple[Node, ...]]:
    """For each Add the convolutions that go into its accumulator, the one with the largest kernels first."""
    producers = {node.output: node for node in graph.nodes}
    taken: dict[str, tuple[Node, ...]] = {}
    for node in graph.nodes:
        if node.op != "Add":
            continue
        found = [producers[name] for name in dict.fromkeys(node.inputs) if name in producers]
        free = [other for other in found if other.op in WEIGHTED and other.attributes.get("clip") is None and readers[other.output] == 1
                and other.name not in separate]
        taken[node.name] = tuple(sorted(free, key=lambda other: -graph.initializers[other.inputs[1]][0].size))
    return taken


def _pads(node: Node) -> tuple[int, int, int, int]:
    return cast("tuple[int, int, int, int]", tuple(node.attributes.get("pads", (0, 0, 0, 0))))  # type: ignore[arg-type]


def _pair(node: Node, name: str, default: tuple[int, int] = (1, 1)) -> tuple[int, int]:
    return cast("tuple[int, int]", tuple(node.attributes.get(name, default)))  # type: ignore[arg-type]


def _clip(node: Node) -> tuple[float, float] | None:
    return cast("tuple[float, float] | None", node.attributes.get("clip"))


def _blocks_of(graph: Graph, node: Node, taken: tuple[Node, ...]) -> list[Block]:
    channels = graph.shapes[node.output][0]
    nothing = np.zeros(channels)
    if node.op in WEIGHTED:
        return [MacBlock(name=node.name, parts=(weighted_part(graph, node),), bias=_bias(graph, node), output=node.output, clip=_clip(node))]
    if node.op == "Add":
        return [_addition(graph, node, taken)]
    if node.op in ("AveragePool", "GlobalAveragePool"):
        return [MacBlock(name=node.name, parts=(_pool_part(graph, node),), bias=nothing, output=node.output, clip=_clip(node))]
    if node.op == "Clip":
        part = identity_part(node.name, node.inputs[0], channels)
        return [MacBlock(name=node.name, parts=(part,), bias=nothing, output=node.output, clip=_clip(node))]
    if node.op == "PRelu":
        return list(leaky(node, np.asarray(graph.initializers[node.inputs[1]], np.float64).reshape(-1)))
    return [NodeBlock(node=node)]


def weighted_part(graph: Graph, node: Node) -> Part:
    """The part of a Conv or Gemm; (M, C, R, S) becomes (M, R, S, C)."""
    weight = graph.initializers[node.inputs[1]].transpose(0, 2, 3, 1)
    return Part(node=node.name, input=node.inputs[0], weight=weight, stride=_pair(node, "stride"), pads=_pads(node),
                dilation=_pair(node, "dilation"), groups=cast("int", node.attributes.get("groups", 1)))


def identity_part(node: str, name: str, channels: int) -> Part:
    """A part that takes its input as it is."""
    return Part(node=node, input=name, weight=np.ones((channels, 1, 1, 1)), factor=1.0, groups=channels)


def _bias(graph: Graph, node: Node) -> np.ndarray:
    return np.asarray(graph.initializers[node.inputs[2]], np.float64)


def _addition(graph: Graph, node: Node, taken: tuple[Node, ...]) -> MacBlock:
    channels = graph.shapes[node.output][0]
    row = taken[0].name if taken else node.name
    parts = [weighted_part(graph, convolution) for convolution in taken]
    inside = {convolution.output for convolution in taken}
    parts += [identity_part(row, name, channels) for name in node.inputs if name not in inside]
    bias = sum((_bias(graph, convolution) for convolution in taken), np.zeros(channels))
    return MacBlock(name=row, parts=tuple(parts), bias=bias, output=node.output, clip=_clip(node))


def _pool_part(graph: Graph, node: Node) -> Part:
    channels, height, width = graph.shapes[node.inputs[0]]
    kernel = (height, width) if node.op == "GlobalAveragePool" else _pair(node, "kernel")
    return Part(node=node.name, input=node.inputs[0], weight=np.ones((channels, *kernel, 1)), factor=1 / (kernel[0] * kernel[1]),
                stride=_pair(node, "stride"), pads=_pads(node), groups=channels)


def leaky(node: Node, slope: np.ndarray) -> tuple[MacBlock, MacBlock]:
    """x where it is positive, else slope (C,) * x: relu(x), then slope * x + (1 - slope) * relu(x), a depthwise 1x1 part each."""
    channels = len(slope)
    positive = f"{node.output}.positive"
    rectified = MacBlock(name=f"{node.name}.positive", parts=(identity_part(node.name, node.inputs[0], channels),), bias=np.zeros(channels),
                         output=positive, clip=(0.0, np.inf), keeps_format=True)
    parts = tuple(Part(node=node.name, input=name, weight=weight.reshape(channels, 1, 1, 1), groups=channels)
                  for name, weight in ((node.inputs[0], slope), (positive, 1 - slope)))
    return rectified, MacBlock(name=node.name, parts=parts, bias=np.zeros(channels), output=node.output)
