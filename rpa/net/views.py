"""What reshapes and transpositions do to an activation: nothing but to the way in which its axes are read.

A `Tensor` is an activation (C, H, W) together with its `Layout`, the way in which the model sees it at this place: its elements in the
order `layout.axes`, cut into `layout.shape`. Reshape, Flatten, Squeeze and Transpose make another Tensor of the same activation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import numpy as np

from rpa.net.errors import NetError
from rpa.net.graph import Code, Layout

Shape = tuple[int, int, int]
NCHW = (0, 1, 2, 3)


@dataclass(frozen=True)
class Tensor:
    """An activation as the model sees it at one place."""

    name: str
    shape: Shape
    """C, H, W."""
    layout: Layout
    code: Code | None = None
    """How the model's integers are to be read, where it holds integers here."""

    @property
    def dims(self) -> tuple[int, ...]:
        """The model's shape."""
        return self.layout.shape

    def seen_as(self, *dims: int) -> Tensor:
        return replace(self, layout=replace(self.layout, shape=dims))


def plain_shape(dims: tuple[int, ...]) -> Shape:
    """C, H, W of a model's shape read as (N, C, H, W), (N, C, W), (N, C) or (C). NetError for more axes."""
    if len(dims) > 4:
        raise NetError(f"shape {dims} has {len(dims)} axes, must have at most 4")
    channels, *rest = dims[1:] if len(dims) > 1 else (dims[0] if dims else 1,)
    return (channels, *([1] * (2 - len(rest))), *rest)  # type: ignore[return-value]


def fresh(name: str, dims: tuple[int, ...], code: Code | None = None) -> Tensor:
    """A tensor whose model shape is `dims`, in the usual order of axes."""
    return Tensor(name, plain_shape(dims), Layout(NCHW, dims, len(dims) > 1), code)


def groups_of(tensor: Tensor) -> list[tuple[int, ...]] | None:
    """For each of the model's axes: which of N, C, H, W (those larger than 1) it is made of, in order. None if one of them is cut apart."""
    full = (1, *tensor.shape)
    left = [axis for axis in tensor.layout.axes if full[axis] > 1]
    groups = []
    for size in tensor.dims:
        group: list[int] = []
        while prod(full[axis] for axis in group) < size:
            if not left:
                return None
            group.append(left.pop(0))
        if prod(full[axis] for axis in group) != size:
            return None
        groups.append(tuple(group))
    return groups


def transposed(tensor: Tensor, order: tuple[int, ...]) -> Tensor:
    """The tensor after a Transpose."""
    if sorted(order) != list(range(len(tensor.dims))):
        raise NetError(f"perm is {order}, must order the {len(tensor.dims)} axes")
    if tensor.layout.batched and order[0] != 0:
        raise NetError(f"perm is {order}, which moves the batch")
    groups = groups_of(tensor)
    if groups is None:
        raise NetError(f"transposes {tensor.dims}, which cuts channels, rows or columns ({tensor.shape}) apart")
    placed = [axis for index in order for axis in groups[index]]
    axes = (*(axis for axis in NCHW if axis not in placed), *placed)
    dims = tuple(tensor.dims[index] for index in order)
    return replace(tensor, layout=Layout(axes, dims, tensor.layout.batched))  # type: ignore[arg-type]


def reshaped(tensor: Tensor, dims: tuple[int, ...]) -> Tensor:
    """The tensor after a Reshape to a shape of as many elements."""
    if prod(dims) != prod(tensor.dims) or min(dims, default=1) < 1:
        raise NetError(f"reshapes {tensor.dims} to {dims}, which has another number of elements")
    batched = tensor.layout.batched and len(dims) > 0 and dims[0] == 1
    return replace(tensor, layout=Layout(tensor.layout.axes, dims, batched))


def order_of(tensor: Tensor) -> tuple[int, ...]:
    """The order of those axes that are larger than 1."""
    return tuple(axis for axis in tensor.layout.axes if axis and tensor.shape[axis - 1] > 1)


def is_plain(tensor: Tensor, shape: Shape) -> bool:
    """Whether the activation is (C, H, W) = `shape` in the usual order."""
    return tensor.shape == shape and list(order_of(tensor)) == sorted(order_of(tensor))


def relaid(tensor: Tensor, source: Tensor, shape: Shape) -> tuple[Layout, Shape] | None:
    """How an input `source` must lie so that its view `tensor` is (C, H, W) = `shape` in the usual order; None if it cannot.

    tensor and source are the same activation.
    """
    same_order = order_of(tensor) == order_of(source)
    if same_order:
        return Layout(NCHW, source.dims, source.layout.batched), shape
    groups = groups_of(replace(tensor, layout=Layout(tensor.layout.axes, (1, *shape))))
    if groups is None:
        return None
    wanted = [group for group in groups[1:] if group]
    order = order_of(source)
    axes, at = [], 0
    while at < len(order):
        match = [index for index, group in enumerate(groups) if group and order[at:at + len(group)] == group]
        if not match:
            return None
        axes.append(match[0])
        at += len(groups[match[0]])
    if len(axes) != len(wanted):
        return None
    return Layout((*(axis for axis in NCHW if axis not in axes), *axes), source.dims, source.layout.batched), shape  # type: ignore[arg-type]


def channel_vector(values: np.ndarray, tensor: Tensor) -> np.ndarray:
    """A constant that the model adds to or multiplies with `tensor`, as one number for each channel, (C).

    NetError if it does not fit the tensor or differs over the image.
    """
    try:
        full = np.broadcast_to(values, tensor.dims)
    except ValueError:
        raise NetError(f"combines shapes {tensor.dims} and {values.shape}, must keep the first") from None
    image = tensor.layout.to_nchw(full, tensor.shape)[0]
    if (image != image[:, :1, :1]).any():
        raise NetError(f"combines {tensor.dims} with a constant that differs over the image, must be one number for each channel")
    return np.ascontiguousarray(image[:, 0, 0])
