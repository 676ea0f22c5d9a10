"""Where a network is quantized: which tensors become integers, and which sums share an accumulator."""

from __future__ import annotations

from dataclasses import dataclass

from rpa.train.qat.folded import LAYERS, Folded, Node
from rpa.train.settings import TrainingError

KEEPS_VALUES = ("MaxPool", "Flatten")
"""Operators whose output holds values of their input: it is quantized already, with the same scale."""


@dataclass(frozen=True)
class Join:
    """An addition in the accumulator: a layer's sums, and beside them another layer's sums or a quantized tensor.

    The scale of the other's products is an integer times that of the main layer's, channel by channel, so that the sum is exact.
    """

    output: str
    main: str
    """Layer."""
    other: str
    """Layer or tensor."""
    other_is_layer: bool


@dataclass(frozen=True)
class Plan:
    """``points``: tensors that are rounded when they are written; ``sources``: for other tensors of integers the point that has their scale."""

    points: tuple[str, ...]
    sources: dict[str, str]
    joins: tuple[Join, ...]
    non_negative: frozenset[str]
    """Points that hold no negative value, whatever comes in."""

    def point_of(self, tensor: str) -> str:
        """The point whose scale and zero point a tensor has."""
        return self.sources.get(tensor, tensor)


def plan(net: Folded) -> Plan:
    """Quantize the input and every layer's result after what can be done in its accumulator: bias, addition, ReLU."""
    points, joins = [net.input], []
    sources: dict[str, str] = {}
    non_negative: set[str] = set()
    for node in net.nodes:
        if node.operator == "Add":
            joins.append(_join(net, node))
        if node.operator in KEEPS_VALUES:
            sources[node.output] = sources.get(node.inputs[0], node.inputs[0])
        elif node.output != net.output and not _stays_in_accumulator(net, node):
            points.append(node.output)
            positive_input = node.operator == "GlobalAveragePool" and sources.get(node.inputs[0], node.inputs[0]) in non_negative
            if node.operator == "Relu" or positive_input:
                non_negative.add(node.output)
    return Plan(tuple(points), sources, tuple(joins), frozenset(non_negative))


def _stays_in_accumulator(net: Folded, node: Node) -> bool:
    """Whether the only reader of a result continues it before it is rounded: a ReLU, or an addition of sums."""
    readers = net.consumers(node.output)
    if len(readers) != 1 or node.operator not in (*LAYERS, "Add"):
        return False
    return readers[0].operator == "Relu" or (readers[0].operator == "Add" and node.operator in LAYERS)


def _join(net: Folded, node: Node) -> Join:
    """The first operand that is a layer's sum is the main one."""
    first, second = node.inputs
    makers = [net.producer(name) for name in (first, second)]
    sums = [maker is not None and maker.operator in LAYERS and _stays_in_accumulator(net, maker) for maker in makers]
    if not any(sums):
        raise TrainingError(f"{node.name}: an addition of two rounded tensors cannot be trained; one operand must be a layer's result that nothing "
                            "else reads")
    (main, other), (_, other_is_sum) = ((first, second), sums) if sums[0] else ((second, first), sums[::-1])
    main_node, other_node = net.producer(main), net.producer(other)
    assert main_node is not None, "a sum has a producer"
    return Join(node.output, main_node.name, other_node.name if other_is_sum and other_node is not None else other, other_is_sum)
