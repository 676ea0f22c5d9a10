"""What the translation of each ONNX operator works on: known values, and the nodes made so far.

A handler is a function (Lowering, RawNode) -> Value, or a tuple of Values for several outputs; it is registered for its operator by
:func:`lowers`. It raises NetError to refuse the node, with the reason alone; the caller adds the node and goes on with the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeAlias, cast

import numpy as np

from rpa.net.errors import NetError
from rpa.net.graph import Code, Layout, Node, QuantizedArray
from rpa.net.integer import HostStep
from rpa.net.onnx_raw import ELEMENT_LIMIT, RawNode
from rpa.net.views import Shape, Tensor, channel_vector, fresh, is_plain, relaid

QONNX = "qonnx.custom_op.general"
MICROSOFT = "com.microsoft"


@dataclass(frozen=True, eq=False)
class Constant:
    """A value known before anything runs, in the model's shape."""

    values: np.ndarray
    quantized: QuantizedArray | None = None
    """Where it comes from integers: these, with the scale and zero point of axis `axis` as (M,), or ()."""
    axis: int = 0


Value: TypeAlias = Tensor | Constant
Handler: TypeAlias = "Callable[[Lowering, RawNode], Value | tuple[Value, ...]]"
HANDLERS: dict[tuple[str, str], Handler] = {}
"""By domain and operator."""


def lowers(*operators: str, domain: str = "") -> Callable[[Handler], Handler]:
    """Register a handler."""
    def register(handler: Handler) -> Handler:
        HANDLERS.update({(domain, operator): handler for operator in operators})
        return handler

    return register


class Relay(Exception):
    """An input must lie otherwise than it was assumed to: translate again with this layout and shape."""

    def __init__(self, name: str, layout: Layout, shape: Shape) -> None:
        super().__init__(name)
        self.name, self.layout, self.shape = name, layout, shape


@dataclass(kw_only=True, eq=False)
class Lowering:
    """The state of a translation."""

    opset: int
    values: dict[str, Value]
    nodes: list[Node] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    initializers: dict[str, np.ndarray] = field(default_factory=dict)
    quantized: dict[str, QuantizedArray] = field(default_factory=dict)
    codes: dict[str, Code] = field(default_factory=dict)
    host: dict[str, HostStep] = field(default_factory=dict)
    """What the host computes last, by name of the model's output."""
    sources: dict[str, Tensor] = field(default_factory=dict)
    """The model's inputs, under their own names and those of what was quantized from them."""
    last: dict[str, str] = field(default_factory=dict)
    """Names that no node reads but to hand them on unchanged, and which of the model's outputs they are."""
    taken: dict[str, int] = field(default_factory=dict)
    """Names of activations, initializers and nodes, with how often a number was put behind."""
    batches: frozenset[int] = frozenset()
    """Batch sizes that the file names; all are taken as 1."""

    # reading a node

    def value(self, node: RawNode, index: int) -> Value | None:
        """The input at this place, None where there is none."""
        return self.values[node.inputs[index]] if index < len(node.inputs) and node.inputs[index] else None

    def tensor(self, node: RawNode, index: int = 0) -> Tensor:
        """An activation of numbers. NetError if it is a constant, or integers that were not dequantized."""
        found = self.value(node, index)
        if not isinstance(found, Tensor):
            raise NetError(f"input {index} is {'missing' if found is None else 'a constant'}, must be computed from the model's input")
        if found.code is not None:
            raise NetError(f"input {index}, `{found.name}`, holds integers, must be dequantized")
        return found

    def constant(self, node: RawNode, index: int, what: str) -> Constant:
        """A constant input. NetError if it is missing, depends on the model's input, or is not finite."""
        found = self.value(node, index)
        if not isinstance(found, Constant):
            raise NetError(f"{what} is {'missing' if found is None else 'computed from the input'}, must be a constant")
        if found.values.dtype.kind == "f" and not np.isfinite(found.values).all():
            bad = int(np.count_nonzero(~np.isfinite(found.values)))
            raise NetError(f"{what} `{node.inputs[index]}` holds {bad} numbers that are NaN or infinite, must be finite")
        return found

    def optional(self, node: RawNode, index: int, what: str) -> np.ndarray | None:
        """Values of a constant input that may be missing."""
        return None if self.value(node, index) is None else self.constant(node, index, what).values

    def image(self, tensor: Tensor) -> Tensor:
        """`tensor`, whose model shape must be (1, C, H, W), (1, C, W) or (1, C), seen as (C, H, W). NetError if it cannot be."""
        wanted = fresh(tensor.name, tensor.dims).shape
        if is_plain(tensor, wanted):
            return tensor
        source = self.sources.get(tensor.name)
        found = relaid(tensor, source, wanted) if source else None
        if source and found:
            raise Relay(source.name, *found)
        raise NetError(f"`{tensor.name}` {tensor.shape} was reshaped or transposed to {tensor.dims} before, which the array cannot do")

    # making nodes

    def unique(self, name: str) -> str:
        """A name that was not given out yet."""
        count, other = self.taken.get(name, 0), name
        while other in self.taken:
            count, other = count + 1, f"{name}.{count + 1}"
        self.taken[name] = count
        self.taken.setdefault(other, 0)
        return other

    def initializer(self, name: str, values: np.ndarray, quantized: QuantizedArray | None = None) -> str:
        """Keep an array; returns its name. NetError if it is not finite as float32."""
        with np.errstate(over="ignore"):
            kept = np.ascontiguousarray(values, dtype=np.float32)
        if not np.isfinite(kept).all():
            raise NetError(f"`{name}` holds numbers that are NaN, infinite or beyond float32, must be finite")
        name = self.unique(name)
        self.initializers[name] = kept
        if quantized is not None:
            self.quantized[name] = quantized
        return name

    def emit(self, op: str, raw: RawNode, inputs: tuple[str, ...], shape: Shape, attributes: dict[str, object] | None = None, *,
             output: str = "") -> str:
        """Add a node; returns the name of its output, which is `output` or the first one of the ONNX node. NetError if that is too large."""
        if min(shape) < 1 or np.prod(shape, dtype=object) > ELEMENT_LIMIT:
            raise NetError(f"its output would be {shape[0]}x{shape[1]}x{shape[2]}, must be 1..{ELEMENT_LIMIT} elements")
        name = self.unique(output or raw.outputs[0])
        self.shapes[name] = shape
        self.nodes.append(Node(op=op, name=self.unique(raw.name), inputs=inputs, outputs=(name,), attributes=attributes or {}))
        return name

    def like(self, op: str, raw: RawNode, tensor: Tensor, more: tuple[str, ...] = (), attributes: dict[str, object] | None = None) -> Tensor:
        """Add a node whose output is shaped as `tensor`, its first input."""
        return replace(tensor, name=self.emit(op, raw, (tensor.name, *more), tensor.shape, attributes), code=None)

    def affine(self, raw: RawNode, tensor: Tensor, scale: np.ndarray | float, shift: np.ndarray | float) -> Tensor:
        """scale * x + shift for each channel: a depthwise 1x1 convolution. scale, shift: (C,) or one number."""
        channels = tensor.shape[0]
        weight = self.initializer(f"{raw.name}.scale", np.broadcast_to(scale, (channels,)).reshape(-1, 1, 1, 1))
        bias = self.initializer(f"{raw.name}.shift", np.broadcast_to(shift, (channels,)))
        return self.like("Conv", raw, tensor, (weight, bias), conv_attributes(groups=channels))

    def vector(self, node: RawNode, index: int, tensor: Tensor, what: str) -> np.ndarray:
        """A constant input as one number for each channel of `tensor`, float64 (C,)."""
        values = self.constant(node, index, what).values
        if self.opset < 7 and values.size > 1:  # aligned with the axis that an attribute names
            axis = integer(node, "axis", 1 if node.op == "PRelu" else len(tensor.dims) - values.ndim)
            values = values.reshape(*values.shape, *[1] * max(0, len(tensor.dims) - axis - values.ndim))
        elif node.op == "PRelu" and values.ndim == 1 and self.opset < 9 and values.size == tensor.shape[0]:
            values = values.reshape(-1, *[1] * (len(tensor.dims) - 2))
        return channel_vector(values, tensor).astype(np.float64)


def conv_attributes(*, stride=(1, 1), pads=(0, 0, 0, 0), dilation=(1, 1), groups: int = 1) -> dict[str, object]:
    """Attributes of a `Conv`."""
    return {"stride": tuple(stride), "pads": tuple(pads), "dilation": tuple(dilation), "groups": groups, "clip": None}


def integers(node: RawNode, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    """An attribute that is a list of integers."""
    return tuple(int(value) for value in cast("tuple[int, ...]", node.attributes.get(name, default)))


def integer(node: RawNode, name: str, default: int) -> int:
    return int(cast(int, node.attributes.get(name, default)))


def number(node: RawNode, name: str, default: float) -> float:
    """A float attribute. NetError if it is not finite."""
    value = float(cast(float, node.attributes.get(name, default)))
    if not np.isfinite(value):
        raise NetError(f"attribute `{name}` is {value}, must be finite")
    return value
