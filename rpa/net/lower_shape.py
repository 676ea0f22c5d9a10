"""What moves no numbers: Reshape and its kin, Transpose, Concat, and what disappears."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from rpa.net.errors import NetError
from rpa.net.integer import HostStep
from rpa.net.lower_arithmetic import same_place
from rpa.net.lowering import Constant, Lowering, Value, integer, integers, lowers
from rpa.net.onnx_raw import RawNode
from rpa.net.views import Tensor, groups_of, reshaped, transposed


def _activation(ctx: Lowering, node: RawNode, index: int = 0) -> Tensor:
    """An activation, of integers too: what moves no numbers takes both."""
    found = ctx.value(node, index)
    if not isinstance(found, Tensor):
        raise NetError(f"input {index} is {'missing' if found is None else 'a constant'}, must be computed from the model's input")
    return found


@lowers("Identity", "Dropout")
def identity(ctx: Lowering, node: RawNode) -> Value:
    if sum(map(bool, node.outputs)) > 1:
        raise NetError("has a second output, must have one")
    return _activation(ctx, node)


@lowers("Cast")
def cast_(ctx: Lowering, node: RawNode) -> Tensor:
    """Between float types; from integers without zero point, which are then the numbers themselves."""
    x = _activation(ctx, node)
    if integer(node, "to", 0) not in (1, 10, 11, 16):
        raise NetError("casts to integers, must cast to a float type")
    if x.code is None:
        return x
    if x.code.scale <= 0 or x.code.zero_point:
        raise NetError("casts quantized integers, must dequantize them")
    scale = x.code.scale
    x = replace(x, code=None)
    return x if scale == 1 else ctx.affine(node, x, 1 / scale, 0.0)


@lowers("Shape")
def shape_of(ctx: Lowering, node: RawNode) -> Constant:
    dims = _activation(ctx, node).dims
    end = integer(node, "end", len(dims))
    return Constant(np.array(dims[integer(node, "start", 0):end], np.int64))


@lowers("Reshape")
def reshape(ctx: Lowering, node: RawNode) -> Tensor:
    x = _activation(ctx, node)
    given = ctx.optional(node, 1, "shape") if ctx.opset >= 5 else np.array(integers(node, "shape", ()))
    if given is None or given.dtype.kind not in "iu" or given.ndim != 1 or given.size > 8:
        raise NetError("shape must be a list of at most 8 integers")
    wanted = [int(size) for size in given]
    if not integer(node, "allowzero", 0):
        wanted = [x.dims[index] if size == 0 and index < len(x.dims) else size for index, size in enumerate(wanted)]
    return reshaped(x, _completed(wanted, x.dims, ctx.batches))


def _completed(wanted: list[int], dims: tuple[int, ...], batches: frozenset[int]) -> tuple[int, ...]:
    """The target with its -1 computed; a batch that the file fixes is taken as 1."""
    total = prod(dims)
    if wanted and wanted[0] in batches and (-1 in wanted or prod(wanted) == total * wanted[0]) and wanted[0] > 1:
        wanted = [1, *wanted[1:]]
    rest = prod(size for size in wanted if size != -1)
    if wanted.count(-1) == 1 and rest > 0 and total % rest == 0:
        return tuple(total // rest if size == -1 else size for size in wanted)
    if -1 in wanted or min(wanted, default=1) < 1:
        raise NetError(f"reshapes {dims} to {tuple(wanted)}, which has another number of elements")
    return tuple(wanted)


def _keep_batch(ctx: Lowering, x: Tensor) -> None:
    if x.layout.batched and max(ctx.batches) > 1:
        raise NetError(f"takes a batch of {max(ctx.batches)} for something else, must leave it first; export with a batch of 1")


@lowers("Flatten")
def flatten(ctx: Lowering, node: RawNode) -> Tensor:
    x = _activation(ctx, node)
    axis = integer(node, "axis", 1)
    if not -len(x.dims) <= axis <= len(x.dims):
        raise NetError(f"axis is {axis}, must be {-len(x.dims)}..{len(x.dims)}")
    axis += len(x.dims) * (axis < 0)
    if axis == 0:
        _keep_batch(ctx, x)
    return reshaped(x, (prod(x.dims[:axis]), prod(x.dims[axis:])))


def _axes(ctx: Lowering, node: RawNode, rank: int) -> tuple[int, ...] | None:
    given = ctx.optional(node, 1, "axes") if ctx.opset >= 13 else None
    axes = integers(node, "axes", ()) if given is None else tuple(int(axis) for axis in given.ravel())
    if not axes:
        return None
    if any(not -rank <= axis < rank for axis in axes) or len({axis % rank for axis in axes}) != len(axes):
        raise NetError(f"axes are {axes}, must be different and within {-rank}..{rank - 1}")
    return tuple(axis % rank for axis in axes)


@lowers("Squeeze")
def squeeze(ctx: Lowering, node: RawNode) -> Tensor:
    x = _activation(ctx, node)
    axes = _axes(ctx, node, len(x.dims)) or tuple(index for index, size in enumerate(x.dims) if size == 1)
    if any(x.dims[axis] != 1 for axis in axes):
        raise NetError(f"squeezes axes {axes} of {x.dims}, must be of size 1")
    return reshaped(x, tuple(size for index, size in enumerate(x.dims) if index not in axes))


@lowers("Unsqueeze")
def unsqueeze(ctx: Lowering, node: RawNode) -> Tensor:
    x = _activation(ctx, node)
    given = ctx.optional(node, 1, "axes") if ctx.opset >= 13 else None
    axes = _axes(ctx, node, len(x.dims) + (len(integers(node, "axes", ())) if given is None else given.size)) or ()
    if 0 in axes:
        _keep_batch(ctx, x)
    dims = list(x.dims)
    for axis in sorted(axes):
        dims.insert(axis, 1)
    return reshaped(x, tuple(dims))


@lowers("Transpose")
def transpose(ctx: Lowering, node: RawNode) -> Tensor:
    x = _activation(ctx, node)
    return transposed(x, integers(node, "perm", tuple(reversed(range(len(x.dims))))))


@lowers("Concat")
def concat(ctx: Lowering, node: RawNode) -> Tensor:
    terms = [_activation(ctx, node, index) for index in range(len(node.inputs))]
    first = terms[0]
    axis = integer(node, "axis", 1)
    if len({len(term.dims) for term in terms}) != 1 or not -len(first.dims) <= axis < len(first.dims):
        raise NetError(f"joins shapes {', '.join(str(term.dims) for term in terms)} along axis {axis}")
    if len({term.code for term in terms}) != 1:
        raise NetError("joins integers of different scales or zero points, must be quantized alike")
    axis %= len(first.dims)
    if len(terms) == 1:
        return first
    channels = [_channels_along(term, axis) for term in terms]
    shape = (sum(channels), *first.shape[1:])
    same_place([replace(term, shape=(1, *term.shape[1:]), layout=replace(term.layout, shape=_without(term.dims, axis))) for term in terms])
    name = ctx.emit("Concat", node, tuple(term.name for term in terms), shape)
    dims = tuple(sum(channels) if index == axis else size for index, size in enumerate(first.dims))
    axes = first.layout.axes
    wide = next((term for term in terms if term.shape[0] > 1), first)
    return Tensor(name, shape, replace(first.layout, axes=wide.layout.axes if first.shape[0] == 1 else axes, shape=dims), first.code)


def _without(dims: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return tuple(1 if index == axis else size for index, size in enumerate(dims))


def _channels_along(term: Tensor, axis: int) -> int:
    """Channels of a term, if the axis is made of all of them and nothing else. NetError otherwise."""
    groups = groups_of(term)
    single = term.shape[0] == 1 and term.dims[axis] == 1 and axis == 1 and len(term.dims) > 1
    if groups is None or not (groups[axis] == (1,) or single):
        raise NetError(f"joins `{term.name}` {term.shape}, seen as {term.dims}, along axis {axis}, must join channels")
    return term.shape[0]


@lowers("Softmax")
def softmax(ctx: Lowering, node: RawNode) -> Tensor:
    """On the host, so it must be last."""
    x = ctx.tensor(node)
    if node.outputs[0] not in ctx.last:
        raise NetError("is computed by the host after the array is done, so it must be last")
    axis = integer(node, "axis", -1 if ctx.opset >= 13 else 1)
    if not -len(x.dims) <= axis < max(1, len(x.dims)):
        raise NetError(f"axis is {axis}, must be {-len(x.dims)}..{len(x.dims) - 1}")
    axis %= len(x.dims)
    axes = (axis,) if ctx.opset >= 13 else tuple(range(axis, len(x.dims)))
    ctx.host[ctx.last[node.outputs[0]]] = HostStep(op="softmax", source=x.name, attributes={"axes": axes})
    return x
