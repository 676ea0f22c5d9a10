"""Pooling, padding and means over the image."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np

from rpa.net.errors import NetError
from rpa.net.integer import output_size
from rpa.net.lower_linear import placed, window
from rpa.net.lower_quantized import as_itself
from rpa.net.lowering import Constant, Lowering, conv_attributes, integer, integers, lowers
from rpa.net.onnx_raw import RawNode
from rpa.net.views import Shape, Tensor, fresh, groups_of


def _pool_window(node: RawNode, x: Tensor):
    """(kernel, stride, dilation, pads, extra): `extra` are the rows and columns that ceil_mode adds below and right."""
    kernel = integers(node, "kernel_shape", ())
    kernel, stride, dilation, pads = window(node, x, kernel, integers(node, "dilations", (1,) * len(kernel)))
    extra = [0, 0]
    if integer(node, "ceil_mode", 0):
        for axis in (0, 1):
            size, before, after = x.shape[1 + axis], pads[axis], pads[2 + axis]
            span = size + before + after - dilation[axis] * (kernel[axis] - 1) - 1
            count = -(-span // stride[axis]) + 1
            if (count - 1) * stride[axis] >= size + before:  # the last window would start in the padding
                count -= 1
            extra[axis] = max(0, (count - 1) * stride[axis] - span)
    for axis in (0, 1):
        if max(pads[axis], pads[2 + axis] + extra[axis]) >= dilation[axis] * (kernel[axis] - 1) + 1:
            raise NetError(f"pads are {pads}, must be smaller than the kernel {kernel}: a window would hold nothing")
    return kernel, stride, dilation, pads, tuple(extra)


def _pooled(x: Tensor, kernel, stride, dilation, pads) -> Shape:
    return cast(Shape, (x.shape[0], *(output_size(x.shape[1 + i], kernel[i], stride[i], pads[i], pads[2 + i], dilation[i]) for i in (0, 1))))


@lowers("MaxPool")
def max_pool(ctx: Lowering, node: RawNode) -> Tensor:
    source = ctx.value(node, 0)
    x = ctx.image(as_itself(ctx, node, source) if isinstance(source, Tensor) else ctx.tensor(node))
    code = x.code
    if sum(map(bool, node.outputs)) > 1:
        raise NetError("gives indices, must give values alone")
    kernel, stride, dilation, pads, extra = _pool_window(node, x)
    if dilation != (1, 1):
        raise NetError(f"dilations are {dilation}, must be 1")
    pads = (*pads[:2], pads[2] + extra[0], pads[3] + extra[1])
    shape = _pooled(x, kernel, stride, dilation, pads)
    name = ctx.emit("MaxPool", node, (x.name,), shape, {"kernel": kernel, "stride": stride, "pads": pads})
    return replace(placed(x, name, shape), code=code)


@lowers("AveragePool")
def average_pool(ctx: Lowering, node: RawNode) -> Tensor:
    x = ctx.image(ctx.tensor(node))
    kernel, stride, dilation, pads, extra = _pool_window(node, x)
    counted = bool(integer(node, "count_include_pad", 0)) and any(pads)
    if any(extra) and counted:
        raise NetError("has ceil_mode and count_include_pad, so that windows at the edge count otherwise; one of them must be 0")
    pads = (*pads[:2], pads[2] + extra[0], pads[3] + extra[1])
    shape = _pooled(x, kernel, stride, dilation, pads)
    if dilation != (1, 1):
        return placed(x, _dilated_average(ctx, node, x, kernel, stride, dilation, pads, counted, shape), shape)
    if kernel == x.shape[1:] and not any(pads):
        return placed(x, ctx.emit("GlobalAveragePool", node, (x.name,), shape, {"clip": None}), shape)
    attributes = {"kernel": kernel, "stride": stride, "pads": pads, "count_include_pad": counted or not any(pads), "clip": None}
    return placed(x, ctx.emit("AveragePool", node, (x.name,), shape, attributes), shape)


def _dilated_average(ctx: Lowering, node: RawNode, x: Tensor, kernel, stride, dilation, pads, counted: bool, shape: Shape) -> str:
    if any(pads) and not counted:
        raise NetError("has dilations and pads that do not count, must have one of them alone")
    channels = x.shape[0]
    weight = ctx.initializer(f"{node.name}.weight", np.full((channels, 1, *kernel), 1 / (kernel[0] * kernel[1])))
    bias = ctx.initializer(f"{node.name}.bias", np.zeros(channels))
    attributes = conv_attributes(stride=stride, pads=pads, dilation=dilation, groups=channels)
    return ctx.emit("Conv", node, (x.name, weight, bias), shape, attributes)


@lowers("GlobalAveragePool")
def global_average_pool(ctx: Lowering, node: RawNode) -> Tensor:
    x = ctx.image(ctx.tensor(node))
    return placed(x, ctx.emit("GlobalAveragePool", node, (x.name,), (x.shape[0], 1, 1), {"clip": None}), (x.shape[0], 1, 1))


@lowers("GlobalMaxPool")
def global_max_pool(ctx: Lowering, node: RawNode) -> Tensor:
    x = ctx.image(ctx.tensor(node))
    shape = (x.shape[0], 1, 1)
    attributes: dict[str, object] = {"kernel": x.shape[1:], "stride": (1, 1), "pads": (0, 0, 0, 0)}
    return placed(x, ctx.emit("MaxPool", node, (x.name,), shape, attributes), shape)


@lowers("ReduceMean")
def reduce_mean(ctx: Lowering, node: RawNode) -> Tensor:
    x = ctx.tensor(node)
    given = ctx.optional(node, 1, "axes")
    axes = integers(node, "axes", ()) if given is None else tuple(int(axis) for axis in given.ravel())
    axes = tuple(sorted({axis % len(x.dims) for axis in axes if -len(x.dims) <= axis < len(x.dims)})) or tuple(range(len(x.dims)))
    if not set(axes) - {0} and integer(node, "noop_with_empty_axes", 0):
        return x
    groups = groups_of(x)
    if groups is None:
        raise NetError(f"takes the mean over axes {axes} of {x.dims}, which cut channels, rows or columns ({x.shape}) apart")
    reduced = {axis for index in axes for axis in groups[index]}
    if 1 in reduced or (0 in axes and x.layout.batched):
        raise NetError(f"takes the mean over axes {axes} of {x.dims}, must leave batch and channels")
    shape = cast(Shape, (x.shape[0], *(1 if axis in reduced else x.shape[axis - 1] for axis in (2, 3))))
    dims = tuple(1 if index in axes else size for index, size in enumerate(x.dims))
    kept = dims if integer(node, "keepdims", 1) else tuple(size for index, size in enumerate(x.dims) if index not in axes)
    if shape[1:] == (1, 1):
        name = ctx.emit("GlobalAveragePool", node, (x.name,), shape, {"clip": None})
    else:
        kernel = tuple(x.shape[axis - 1] if axis in reduced else 1 for axis in (2, 3))
        name = ctx.emit("AveragePool", node, (x.name,), shape,
                        {"kernel": kernel, "stride": (1, 1), "pads": (0, 0, 0, 0), "count_include_pad": True, "clip": None})
    return replace(x, name=name, shape=shape, layout=replace(x.layout, shape=kept))


@lowers("Pad")
def pad(ctx: Lowering, node: RawNode) -> Tensor:
    x = ctx.image(ctx.tensor(node))
    if str(node.attributes.get("mode", "constant")) != "constant":
        raise NetError(f"mode is {node.attributes['mode']!r}, must be constant")
    amounts, value = _amounts(ctx, node, x)
    if not any(amounts):
        return x
    rank = len(x.dims)
    before, after = amounts[:rank], amounts[rank:]
    if any((*before[:2], *after[:2])) or min(amounts) < 0 or rank < 3:
        raise NetError(f"pads {x.dims} by {amounts}, must pad rows and columns alone, by 0 or more")
    if value:
        raise NetError(f"pads with {value}, must pad with 0")
    if rank == 3:
        pads = (0, before[2], 0, after[2])
    else:
        pads = (before[2], before[3], after[2], after[3])
    channels = x.shape[0]
    shape = (channels, x.shape[1] + pads[0] + pads[2], x.shape[2] + pads[1] + pads[3])
    names = (ctx.initializer(f"{node.name}.one", np.ones((channels, 1, 1, 1))), ctx.initializer(f"{node.name}.zero", np.zeros(channels)))
    name = ctx.emit("Conv", node, (x.name, *names), shape, conv_attributes(pads=pads, groups=channels))
    return fresh(name, (1, channels, *shape[1:][4 - rank:]))


def _amounts(ctx: Lowering, node: RawNode, x: Tensor) -> tuple[tuple[int, ...], float]:
    """Amounts per axis, all the befores first, and the value."""
    if ctx.opset < 11:
        return integers(node, "pads", (0,) * 2 * len(x.dims)), float(cast(float, node.attributes.get("value", 0.0)))
    given = [int(amount) for amount in ctx.constant(node, 1, "pads").values.ravel()]
    filler = ctx.value(node, 2)
    if filler is not None and not (isinstance(filler, Constant) and filler.values.size == 1):
        raise NetError("the value is not one constant")
    value = float(filler.values.ravel()[0]) if isinstance(filler, Constant) else 0.0
    axes = ctx.optional(node, 3, "axes")
    places = [int(axis) % len(x.dims) for axis in axes.ravel()] if axes is not None else list(range(len(x.dims)))
    if len(given) != 2 * len(places) or len(set(places)) != len(places):
        raise NetError(f"pads are {given}, must be 2 for each of {len(places)} axes")
    amounts = [0] * 2 * len(x.dims)
    for index, axis in enumerate(places):
        amounts[axis], amounts[len(x.dims) + axis] = given[index], given[len(places) + index]
    return tuple(amounts), value
