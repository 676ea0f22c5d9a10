"""Functions of one number with results of more than 8 bits, where a table ends: HardSigmoid, HardSwish and LeakyRelu as sums and products."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from rpa.net.graph import Node
from rpa.quant.blocks import Block, MacBlock, NodeBlock
from rpa.quant.fuse import identity_part, leaky

GATE = ".gate"
"""Behind the name of a HardSwish's output: its second factor, 0..1."""


def wide_form(node: Node, channels: int) -> Sequence[Block]:
    """`node` as blocks of any width; none if only a table can compute it. What lies between them is called `OUTPUT.positive` or `OUTPUT.gate`."""
    make = _FORMS.get(node.op)
    return () if make is None else make(node, channels)


def _gate(name: str, node: Node, output: str, alpha: float, beta: float, channels: int) -> MacBlock:
    """clip(alpha * x + beta, 0, 1)."""
    part = replace(identity_part(node.name, node.inputs[0], channels), factor=alpha)
    return MacBlock(name=name, parts=(part,), bias=np.full(channels, beta), output=output, clip=(0.0, 1.0))


def _hard_sigmoid(node: Node, channels: int) -> Sequence[Block]:
    alpha, beta = (cast("float", node.attributes[name]) for name in ("alpha", "beta"))
    return (_gate(node.name, node, node.output, alpha, beta, channels),) if alpha > 0 else ()


def _hard_swish(node: Node, channels: int) -> Sequence[Block]:
    gate = node.output + GATE
    product = Node(op="Mul", name=node.name, inputs=(node.inputs[0], gate), outputs=node.outputs)
    return _gate(node.name + GATE, node, gate, 1 / 6, 0.5, channels), NodeBlock(node=product)


def _leaky_relu(node: Node, channels: int) -> Sequence[Block]:
    return leaky(node, np.full(channels, cast("float", node.attributes["alpha"])))


_FORMS: dict[str, Callable[[Node, int], Sequence[Block]]] = {"HardSigmoid": _hard_sigmoid, "HardSwish": _hard_swish, "LeakyRelu": _leaky_relu}
