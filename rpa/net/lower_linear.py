"""Conv, Gemm and MatMul with constant weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import cast

import numpy as np

from rpa.net.errors import NetError
from rpa.net.integer import output_size
from rpa.net.lowering import Constant, Lowering, Relay, conv_attributes, integer, integers, lowers, number
from rpa.net.onnx_raw import RawNode
from rpa.net.views import Shape, Tensor, fresh, groups_of

PARAMETER_LIMIT = 1 << 16
"""Kernel, stride, dilation and padding along an axis."""


def window(node: RawNode, tensor: Tensor, kernel: tuple[int, ...], dilation: tuple[int, ...]):
    """kernel, stride, dilation as (y, x) and pads (top, left, bottom, right) of a window that slides over `tensor`.

    Reads strides, pads and auto_pad. NetError if they contradict themselves.
    """
    axes = len(tensor.dims) - 2
    stride = integers(node, "strides", (1,) * axes)
    pads = integers(node, "pads", (0,) * 2 * axes)
    for name, found, length in (("kernel_shape", kernel, axes), ("strides", stride, axes), ("dilations", dilation, axes), ("pads", pads, 2 * axes)):
        least = 0 if name == "pads" else 1
        if len(found) != length or min(found) < least or max(found) > PARAMETER_LIMIT:
            raise NetError(f"{name} is {found}, must be {length} numbers, each {least}..{PARAMETER_LIMIT}")
    if axes not in (1, 2):
        raise NetError(f"works along {axes} axes, must work along 1 or 2")
    if axes == 1:
        kernel, stride, dilation, pads = (1, *kernel), (1, *stride), (1, *dilation), (0, pads[0], 0, pads[1])
    auto = str(node.attributes.get("auto_pad", "NOTSET"))
    if auto not in ("NOTSET", ""):
        pads = _auto_pads(auto, tensor.shape[1:], kernel, stride, dilation)
    return kernel, stride, dilation, cast("tuple[int, int, int, int]", pads)


def _auto_pads(auto: str, sizes: tuple[int, ...], kernel, stride, dilation) -> tuple[int, ...]:
    if auto not in ("VALID", "SAME_UPPER", "SAME_LOWER"):
        raise NetError(f"auto_pad is {auto!r}, must be NOTSET, VALID, SAME_UPPER or SAME_LOWER")
    if auto == "VALID":
        return (0, 0, 0, 0)
    both = [max(0, (-(-size // s) - 1) * s + (k - 1) * d + 1 - size) for size, k, s, d in zip(sizes, kernel, stride, dilation, strict=True)]
    less, more = [total // 2 for total in both], [total - total // 2 for total in both]
    return (*less, *more) if auto == "SAME_UPPER" else (*more, *less)


def placed(tensor: Tensor, name: str, shape: Shape) -> Tensor:
    """The output of a window operation on `tensor`: as many axes, other sizes."""
    dims = (1, shape[0], *shape[1:][4 - len(tensor.dims):])
    return fresh(name, dims)


@lowers("Conv")
def conv(ctx: Lowering, node: RawNode) -> Tensor:
    x = ctx.image(ctx.tensor(node))
    weight = ctx.constant(node, 1, "weight")
    shape = weight.values.shape
    groups = integer(node, "group", 1)
    if len(shape) != len(x.dims) or len(shape) < 3:
        raise NetError(f"weights have shape {shape}, must have as many axes as the input {x.dims}, 3 or 4")
    if integers(node, "kernel_shape", shape[2:]) != shape[2:]:
        raise NetError(f"kernel_shape is {integers(node, 'kernel_shape', ())}, the weights have {shape[2:]}")
    if groups < 1 or shape[0] % groups or shape[1] * groups != x.shape[0]:
        raise NetError(f"weights {shape} in {groups} groups do not take {x.shape[0]} channels")
    kernel, stride, dilation, pads = window(node, x, shape[2:], integers(node, "dilations", (1,) * (len(shape) - 2)))
    size = tuple(output_size(x.shape[1 + i], kernel[i], stride[i], pads[i], pads[2 + i], dilation[i]) for i in (0, 1))
    out = (shape[0], *size)
    full = (shape[0], shape[1], *kernel)
    names = parameters(ctx, node, weight, bias_of(ctx, node, 2, shape[0]), 0, lambda array: array.reshape(full))
    attributes = conv_attributes(stride=stride, pads=pads, dilation=dilation, groups=groups)
    return placed(x, ctx.emit("Conv", node, (x.name, *names), cast(Shape, out), attributes), cast(Shape, out))


def bias_of(ctx: Lowering, node: RawNode, index: int, channels: int) -> Constant:
    """The bias input as (M,), zeros where there is none."""
    if ctx.value(node, index) is None:
        return Constant(np.zeros(channels, np.float32))
    bias = ctx.constant(node, index, "bias")
    if bias.values.size not in (1, channels) or bias.values.shape[-1:] not in ((), (1,), (channels,)):
        raise NetError(f"bias has shape {bias.values.shape}, must be ({channels},)")
    quantized = bias.quantized
    if quantized is not None:
        quantized = replace(quantized, values=np.broadcast_to(quantized.values.reshape(-1), (channels,)))
    return Constant(np.broadcast_to(bias.values.reshape(-1), (channels,)), quantized)


def parameters(ctx: Lowering, node: RawNode, weight: Constant, bias: Constant, axis: int,
               place: Callable[[np.ndarray], np.ndarray]) -> tuple[str, str]:
    """Names of the two initializers of a Conv or Gemm. `place` brings an array of the weight's shape to (M, C, R, S); `axis` becomes M."""
    quantized = None
    if weight.quantized is not None:
        if weight.quantized.scale.ndim and weight.axis != axis:
            raise NetError(f"weights have scales along axis {weight.axis}, must have them for output channels, axis {axis}")
        quantized = replace(weight.quantized, values=place(weight.quantized.values))
    name = ctx.initializer(f"{node.name}.weight", place(weight.values), quantized)
    return name, ctx.initializer(f"{node.name}.bias", bias.values, bias.quantized)


def fully_connected(ctx: Lowering, node: RawNode, x: Tensor, weight: Constant, bias: Constant) -> Tensor:
    """x (..., K) times the weight (K, M), plus the bias (M,)."""
    depth, channels = weight.values.shape
    if x.dims[-1] != depth:
        raise NetError(f"input has shape {x.dims}, weights {weight.values.shape}: {x.dims[-1]} is not {depth}")
    if prod(x.dims[:-1]) == 1:
        return _whole(ctx, node, x, weight, bias)
    groups = groups_of(x)
    spatial = [axis for axis in (2, 3) if x.shape[axis - 1] > 1]
    if groups is None or groups[-1] not in ((1,), ()) or (depth == 1 and x.shape[0] > 1) or any(1 in group for group in groups[:-1]):
        x = _channels_last(ctx, x)
    order = [axis for axis in x.layout.axes if axis in spatial]
    if order != sorted(order):
        raise NetError(f"`{x.name}` was transposed before, which the array cannot do")

    def place(array: np.ndarray) -> np.ndarray:
        return array.T.reshape(channels, depth, 1, 1)

    names = parameters(ctx, node, weight, bias, 1, place)
    shape = (channels, *x.shape[1:])
    name = ctx.emit("Conv", node, (x.name, *names), shape, conv_attributes())
    axes = (*(axis for axis in x.layout.axes if axis != 1), 1)
    return Tensor(name, shape, replace(x.layout, axes=cast("tuple[int, int, int, int]", axes), shape=(*x.dims[:-1], channels)))


def _channels_last(ctx: Lowering, x: Tensor) -> Tensor:
    """Ask for the input to lie with its last axis as channels; NetError if x is not an input."""
    source = ctx.sources.get(x.name)
    if source is None or source.dims != x.dims or len(x.dims) > 4 or x.dims[0] != 1:
        raise NetError(f"contracts the last axis of {x.dims}, which is not the channels of `{x.name}` {x.shape}")
    rows = (1,) * (4 - len(x.dims)) + x.dims[1:-1]
    layout = replace(source.layout, axes=(0, 2, 3, 1))
    raise Relay(source.name, layout, cast(Shape, (x.dims[-1], *rows)))


def _whole(ctx: Lowering, node: RawNode, x: Tensor, weight: Constant, bias: Constant) -> Tensor:
    """The contraction takes the whole activation: a kernel as large as it is."""
    channels = weight.values.shape[1]
    order = [axis for axis in x.layout.axes if axis]
    sizes = [x.shape[axis - 1] for axis in order]

    def place(array: np.ndarray) -> np.ndarray:
        cut = array.T.reshape(channels, *sizes)
        return np.ascontiguousarray(cut.transpose(0, *(1 + order.index(axis) for axis in (1, 2, 3))))

    names = parameters(ctx, node, weight, bias, 1, place)
    name = ctx.emit("Gemm", node, (x.name, *names), (channels, 1, 1), {"clip": None})
    return Tensor(name, (channels, 1, 1), replace(x.layout, axes=(0, 1, 2, 3), shape=(*x.dims[:-1], channels)))


def _turned(weight: Constant) -> Constant:
    """The transpose of a matrix; its output channels, along which scales go, stay the same."""
    quantized = replace(weight.quantized, values=weight.quantized.values.T) if weight.quantized else None
    return Constant(weight.values.T, quantized, 1 - weight.axis)


@lowers("Gemm")
def gemm(ctx: Lowering, node: RawNode) -> Tensor:
    x, weight = ctx.tensor(node), ctx.constant(node, 1, "weight")
    if weight.values.ndim != 2 or len(x.dims) != 2:
        raise NetError(f"input has shape {x.dims}, weights {weight.values.shape}: both must have 2 axes")
    if integer(node, "transA", 0):
        raise NetError("transA is 1, must be 0")
    if integer(node, "transB", 0):
        weight = _turned(weight)
    alpha, beta = number(node, "alpha", 1.0), number(node, "beta", 1.0)
    bias = bias_of(ctx, node, 2, weight.values.shape[1])
    if alpha != 1:
        weight = Constant(weight.values * np.float32(alpha))
    if beta != 1:
        bias = Constant(bias.values * np.float32(beta))
    return fully_connected(ctx, node, x, weight, bias)


@lowers("MatMul")
def matmul(ctx: Lowering, node: RawNode) -> Tensor:
    x, weight = ctx.tensor(node), ctx.constant(node, 1, "second factor")
    shape = weight.values.shape
    if len(shape) < 2 or prod(shape[:-2]) != 1 or len(shape) > max(2, len(x.dims)):
        raise NetError(f"second factor has shape {shape}, must be a matrix")
    if len(shape) > 2:
        quantized = replace(weight.quantized, values=weight.quantized.values.reshape(shape[-2:])) if weight.quantized else None
        weight = Constant(weight.values.reshape(shape[-2:]), quantized, weight.axis - len(shape) + 2)
    return fully_connected(ctx, node, x, weight, Constant(np.zeros(shape[-1], np.float32)))
