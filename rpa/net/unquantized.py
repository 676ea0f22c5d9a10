"""A model that was quantized elsewhere as a float graph again: its weights, and the ranges that its activations were limited to."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import cast

from rpa.net.graph import CLIPPED, Graph, Node

Limits = tuple[float, float]


def without_quantization(graph: Graph) -> Graph:
    """`graph` without its `Quant` nodes: what they rounded is limited to the range they could hold, by its producer or by a `Clip`.

    Inputs are as they come. A model trained with quantization so keeps what it learned, and can be given other widths.
    """
    made: dict[str, str] = {}
    nodes: list[Node] = []
    where: dict[str, int] = {}
    readers = {name: len(graph.consumers(name)) for name in graph.shapes}
    for node in graph.nodes:
        inputs = tuple(made.get(name, name) for name in node.inputs)
        if node.op != "Quant":
            where[node.output] = len(nodes)
            nodes.append(replace(node, inputs=inputs))
            continue
        producer = nodes[where[inputs[0]]] if inputs[0] in where else None
        if node.output in graph.outputs or (producer is not None and (producer.op not in CLIPPED or readers[inputs[0]] != 1)):
            where[node.output] = len(nodes)
            nodes.append(Node(op="Clip", name=node.name, inputs=inputs, outputs=node.outputs, attributes={"clip": _range(node)}))
        else:
            made[node.output] = inputs[0]
            if producer is not None:
                clip = _both(cast("Limits | None", producer.attributes.get("clip")), _range(node))
                nodes[where[inputs[0]]] = replace(producer, attributes={**producer.attributes, "clip": clip})
    shapes = {name: shape for name, shape in graph.shapes.items() if name not in made}
    return replace(graph, nodes=tuple(nodes), shapes=shapes, quantized={}, codes={})


def _range(node: Node) -> Limits:
    """The smallest and the largest number that a `Quant` node gives."""
    scale, zero, low, high = (float(cast("float", node.attributes[name])) for name in ("scale", "zero_point", "low", "high"))
    return (low - zero) * scale, (high - zero) * scale


def _both(clip: Limits | None, limits: Limits) -> Limits:
    low, high = clip or (-inf, inf)
    return max(low, limits[0]), min(high, limits[1])
