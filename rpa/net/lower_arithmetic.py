"""Sums and products of activations, and with constants, which become depthwise 1x1 convolutions."""

from __future__ import annotations

from math import prod

import numpy as np

from rpa.net.errors import NetError
from rpa.net.lowering import Lowering, integer, lowers, number
from rpa.net.onnx_raw import RawNode
from rpa.net.views import Tensor, channel_vector, groups_of


@lowers("BatchNormalization")
def batch_normalization(ctx: Lowering, node: RawNode) -> Tensor:
    x = ctx.tensor(node)
    if integer(node, "training_mode", 0) or sum(map(bool, node.outputs)) > 1:
        raise NetError("is in training mode, must be exported for inference")
    dims = (1, -1, *(1,) * (len(x.dims) - 2)) if len(x.dims) > 1 else (-1,)
    gamma, beta, mean, variance = (channel_vector(ctx.constant(node, index, what).values.reshape(dims), x).astype(np.float64)
                                   for index, what in ((1, "scale"), (2, "bias"), (3, "mean"), (4, "variance")))
    spread = variance + number(node, "epsilon", 1e-5)
    if (spread <= 0).any():
        raise NetError(f"variance + epsilon is {spread.min()}, must be positive")
    scale = gamma / np.sqrt(spread)
    return ctx.affine(node, x, scale, beta - mean * scale)


@lowers("Add", "Sum")
def add(ctx: Lowering, node: RawNode) -> Tensor:
    tensors = [index for index in range(len(node.inputs)) if isinstance(ctx.value(node, index), Tensor)]
    if not tensors:
        raise NetError("has no input that depends on the model's input")
    terms = [ctx.tensor(node, index) for index in tensors]
    total = terms[0] if len(terms) == 1 else _sum(ctx, node, terms)
    for index in range(len(node.inputs)):
        if index not in tensors:
            total = ctx.affine(node, total, 1.0, ctx.vector(node, index, total, "addend"))
    return total


def _sum(ctx: Lowering, node: RawNode, terms: list[Tensor]) -> Tensor:
    same_place(terms)
    return ctx.like("Add", node, terms[0], tuple(term.name for term in terms[1:]), {"clip": None})


def same_place(terms: list[Tensor]) -> None:
    """NetError unless all are shaped and laid out alike."""
    first = terms[0]
    for term in terms[1:]:
        if term.dims != first.dims:
            raise NetError(f"combines shapes {first.dims} and {term.dims}, must be equal")
        if term.shape != first.shape or groups_of(term) != groups_of(first):
            raise NetError(f"combines `{first.name}` {first.shape} and `{term.name}` {term.shape}, which are laid out differently")


@lowers("Sub")
def subtract(ctx: Lowering, node: RawNode) -> Tensor:
    left, right = (ctx.value(node, index) for index in (0, 1))
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        return _sum(ctx, node, [ctx.tensor(node), ctx.affine(node, ctx.tensor(node, 1), -1.0, 0.0)])
    if isinstance(left, Tensor):
        x = ctx.tensor(node)
        return ctx.affine(node, x, 1.0, -ctx.vector(node, 1, x, "subtrahend"))
    x = ctx.tensor(node, 1)
    return ctx.affine(node, x, -1.0, ctx.vector(node, 0, x, "minuend"))


@lowers("Neg")
def negate(ctx: Lowering, node: RawNode) -> Tensor:
    return ctx.affine(node, ctx.tensor(node), -1.0, 0.0)


@lowers("Mul")
def multiply(ctx: Lowering, node: RawNode) -> Tensor:
    left, right = (ctx.value(node, index) for index in (0, 1))
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        return _product(ctx, node, ctx.tensor(node), ctx.tensor(node, 1))
    at = 0 if isinstance(left, Tensor) else 1
    x = ctx.tensor(node, at)
    return ctx.affine(node, x, ctx.vector(node, 1 - at, x, "factor"), 0.0)


def _product(ctx: Lowering, node: RawNode, a: Tensor, b: Tensor) -> Tensor:
    if prod(b.shape) > prod(a.shape):
        a, b = b, a
    if b.dims == a.dims:
        same_place([a, b])
    else:
        try:
            spread = np.broadcast_shapes(a.dims, b.dims)
        except ValueError:
            spread = ()
        groups = groups_of(a)
        aligned = (1,) * (len(a.dims) - len(b.dims)) + b.dims
        wanted = tuple(size if group == (1,) else 1 for size, group in zip(a.dims, groups or (), strict=False))
        if spread != a.dims or groups is None or aligned != wanted or b.shape != (a.shape[0], 1, 1):
            raise NetError(f"multiplies {a.dims} and {b.dims}: shapes must be equal, or one must have one number for each channel of the other")
    return ctx.like("Mul", node, a, (b.name,), {"clip": None})


@lowers("Div")
def divide(ctx: Lowering, node: RawNode) -> Tensor:
    x = ctx.tensor(node)
    divisor = ctx.vector(node, 1, x, "divisor")
    if not divisor.all():
        raise NetError("divides by zero")
    return ctx.affine(node, x, 1 / divisor, 0.0)
