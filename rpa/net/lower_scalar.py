"""Functions of one number."""

from __future__ import annotations

import numpy as np

from rpa.net.errors import NetError
from rpa.net.lower_quantized import narrowed
from rpa.net.lowering import Constant, Lowering, lowers, number
from rpa.net.onnx_raw import RawNode
from rpa.net.views import Tensor

INFINITY = float("inf")


@lowers("Relu")
def relu(ctx: Lowering, node: RawNode) -> Tensor:
    return ctx.like("Clip", node, ctx.tensor(node), attributes={"clip": (0.0, INFINITY)})


@lowers("Clip")
def clip(ctx: Lowering, node: RawNode) -> Tensor:
    source = ctx.value(node, 0)
    if isinstance(source, Tensor) and source.code is not None:
        return narrowed(ctx, node, source, bound(ctx, node, 1, -INFINITY), bound(ctx, node, 2, INFINITY))
    x = ctx.tensor(node)
    if ctx.opset < 11:
        low, high = (float(node.attributes.get(name, default)) for name, default in (("min", -INFINITY), ("max", INFINITY)))  # type: ignore[arg-type]
    else:
        low, high = bound(ctx, node, 1, -INFINITY), bound(ctx, node, 2, INFINITY)
    if np.isnan(low) or np.isnan(high):
        raise NetError(f"limits are {low} and {high}, must be numbers")
    return ctx.like("Clip", node, x, attributes={"clip": (min(low, high), high)})


def bound(ctx: Lowering, node: RawNode, index: int, default: float) -> float:
    """A limit that is a constant of one element, infinite ones included."""
    found = ctx.value(node, index)
    if found is None:
        return default
    if not isinstance(found, Constant) or found.values.size != 1:
        raise NetError(f"input {index} must be one constant")
    return float(found.values.ravel()[0])


@lowers("LeakyRelu")
def leaky_relu(ctx: Lowering, node: RawNode) -> Tensor:
    return ctx.like("LeakyRelu", node, ctx.tensor(node), attributes={"alpha": number(node, "alpha", 0.01)})


@lowers("HardSigmoid")
def hard_sigmoid(ctx: Lowering, node: RawNode) -> Tensor:
    return ctx.like("HardSigmoid", node, ctx.tensor(node), attributes={"alpha": number(node, "alpha", 0.2), "beta": number(node, "beta", 0.5)})


@lowers("HardSwish", "Sigmoid", "Tanh")
def named(ctx: Lowering, node: RawNode) -> Tensor:
    return ctx.like(node.op, node, ctx.tensor(node))


@lowers("Swish")
def swish(ctx: Lowering, node: RawNode) -> Tensor:
    if number(node, "alpha", 1.0) != 1:
        raise NetError(f"alpha is {number(node, 'alpha', 1.0)}, must be 1")
    return ctx.like("Silu", node, ctx.tensor(node))


@lowers("PRelu")
def prelu(ctx: Lowering, node: RawNode) -> Tensor:
    x = ctx.tensor(node)
    slope = ctx.vector(node, 1, x, "slope")
    if (slope == slope[0]).all():
        return ctx.like("LeakyRelu", node, x, attributes={"alpha": float(slope[0])})
    return ctx.like("PRelu", node, x, (ctx.initializer(f"{node.name}.slope", slope),))


@lowers("Max", "Min")
def limit(ctx: Lowering, node: RawNode) -> Tensor:
    """Of an activation and a number."""
    if len(node.inputs) != 2:
        raise NetError(f"has {len(node.inputs)} inputs, must have an activation and one number")
    at = 0 if isinstance(ctx.value(node, 0), Tensor) else 1
    value = bound(ctx, node, 1 - at, 0.0)
    return ctx.like("Clip", node, ctx.tensor(node, at), attributes={"clip": (value, INFINITY) if node.op == "Max" else (-INFINITY, value)})


@lowers("LogSoftmax", "ConvTranspose")
def never(ctx: Lowering, node: RawNode) -> Tensor:
    reasons = {"ConvTranspose": "transposed convolutions are not supported",
               "LogSoftmax": "the host computes Softmax alone; the order of the classes is the same without it"}
    raise NetError(reasons[node.op])
