"""The float graph: a network as it was trained, normalised to few operators. The importers make it, the quantizer consumes it.

Every activation is (C, H, W); there is no batch dimension, a vector is (C, 1, 1). Arrays of activations at run time are (N, C, H, W).
Nodes stand in the order of execution. `Node.inputs` names activations first, then initializers. What a node may be:

========================  ========================================  ==================================================================
operator                  inputs                                    attributes
========================  ========================================  ==================================================================
``Conv``                  x, weight (M, C/groups, R, S), bias (M)   stride (y, x), pads (top, left, bottom, right; zeros), dilation
                                                                    (y, x), groups, clip. Depthwise: groups = C.
``Gemm``                  x, weight (M, C, H, W), bias (M)          clip. The kernel is as large as its input; output (M, 1, 1).
``Add``                   two or more activations, same shape       clip
``Mul``                   a, b; b has a's shape or is (C, 1, 1)     clip
``Concat``                two or more activations, same H and W     none; along channels
``MaxPool``               x                                         kernel, stride, pads (padding does not count)
``AveragePool``           x                                         kernel, stride, pads, count_include_pad (bool), clip
``GlobalAveragePool``     x                                         clip; output (C, 1, 1)
``PRelu``                 x, slope (C)                              none; x where x >= 0, else slope * x
``Clip``                  x                                         clip; only where no producer could take it
``LeakyRelu``             x                                         alpha
``HardSigmoid``           x                                         alpha, beta: min(max(alpha * x + beta, 0), 1)
``HardSwish``, ``Silu``   x                                         none
``Sigmoid``, ``Tanh``     x                                         none
``Quant``                 x                                         scale, zero_point, low, high, bits, signed: the value becomes
                                                                    scale * (min(max(rint(x / scale) + zero_point, low), high) - zero_point)
========================  ========================================  ==================================================================

`clip` is (low, high) as floats, possibly infinite, applied to the result, or None; a Relu is (0, inf). Weights and biases are float32
and always there (a missing bias is zeros). The functions of one number are in `rpa.net.scalar`. `Quant` occurs only in models that were
quantized elsewhere (QuantizeLinear with DequantizeLinear, QLinearConv, QONNX Quant, ...), `Graph.quantized` then holds the integers
of their weights. What else ONNX has is either rewritten into these (a BatchNormalization folds into the convolution before it, or
becomes a depthwise 1x1 convolution) or refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rpa.net.errors import NetError
from rpa.net.integer import HostStep

OPERATORS = ("Conv", "Gemm", "Add", "Mul", "Concat", "MaxPool", "AveragePool", "GlobalAveragePool", "PRelu", "Clip", "LeakyRelu",
             "HardSigmoid", "HardSwish", "Silu", "Sigmoid", "Tanh", "Quant")
CLIPPED = ("Conv", "Gemm", "Add", "Mul", "AveragePool", "GlobalAveragePool")
"""Operators that have a `clip` of their own."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Node:
    """One operation; see the table above."""

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, object] = field(default_factory=dict)

    @property
    def output(self) -> str:
        return self.outputs[0]


@dataclass(frozen=True)
class Layout:
    """How an array of the model's own shape lies in an activation: own = nchw.transpose(axes).reshape(shape)."""

    axes: tuple[int, int, int, int]
    """The order of N, C, H, W in the model's array; N first."""
    shape: tuple[int, ...]
    """The model's shape, its batch dimension (if it has one) as 1."""
    batched: bool = True
    """The first axis of `shape` is the batch."""

    def to_model(self, array: np.ndarray) -> np.ndarray:
        """(N, C, H, W) -> (N, ...) as the model shapes it. NetError if N is not 1 and the model has no batch dimension."""
        if not self.batched and len(array) != 1:
            raise NetError(f"array holds {len(array)} images, must hold 1: the model's {self.shape} has no batch dimension")
        return array.transpose(self.axes).reshape((len(array), *self.shape[1:]) if self.batched else self.shape)

    def to_nchw(self, array: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
        """The inverse: the model's array -> (N, *shape) with shape = (C, H, W). NetError if sizes differ."""
        array = np.asarray(array)
        count = len(array) if self.batched and array.ndim else 1
        if array.shape != ((count, *self.shape[1:]) if self.batched else self.shape) or not count:
            raise NetError(f"array has shape {array.shape}, must be {self.shape}" + (" with any number of images first" if self.batched else ""))
        full = (count, *shape)
        return array.reshape(tuple(full[axis] for axis in self.axes)).transpose(tuple(np.argsort(self.axes)))


@dataclass(frozen=True)
class Code:
    """How integers at the model's border stand for numbers: real = scale * (q - zero_point)."""

    scale: float
    zero_point: int
    bits: int
    signed: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class QuantizedArray:
    """Integers that an initializer was made from: initializer = scale * (values - zero_point), per output channel."""

    values: np.ndarray = field(repr=False)
    """int64, the initializer's shape."""
    scale: np.ndarray
    """float32, () or (M,)."""
    zero_point: np.ndarray
    """int64, () or (M,)."""
    bits: int
    """Of the type that they came in: 2, 4, 8, 16, or 32 for a bias."""
    signed: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """A network of floats, in the order of execution. Raises NetError if it contradicts itself."""

    name: str
    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    """Activations that leave the array; `host` goes on from there."""
    shapes: dict[str, tuple[int, int, int]]
    """C, H, W of every activation."""
    initializers: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    """float32."""
    quantized: dict[str, QuantizedArray] = field(default_factory=dict, repr=False)
    """By name of an initializer; only in models that were quantized elsewhere."""
    layouts: dict[str, Layout] = field(default_factory=dict)
    """How the arrays of the model's inputs and outputs lie in ours."""
    codes: dict[str, Code] = field(default_factory=dict)
    """Inputs and outputs that the model itself has as integers."""
    host: tuple[HostStep, ...] = ()
    """`softmax` on an output's array of the model's own shape; attributes: `axes`, those over which the results add up to 1."""

    def __post_init__(self) -> None:
        known = set(self.inputs) | set(self.initializers)
        for node in self.nodes:
            if node.op not in OPERATORS:
                raise NetError(f"`{node.name}` is a `{node.op}`, must be one of {', '.join(OPERATORS)}")
            missing = [name for name in node.inputs if name not in known]
            if missing:
                raise NetError(f"`{node.name}` reads `{missing[0]}`, which nothing before it writes")
            known.update(node.outputs)
        for name in (*self.inputs, *self.outputs, *(name for node in self.nodes for name in node.outputs)):
            if name not in self.shapes or name not in known:
                raise NetError(f"`{name}` is used in `{self.name}` and has no shape or is never written")

    def producer(self, name: str) -> Node | None:
        """The node that writes an activation; None for an input."""
        return next((node for node in self.nodes if name in node.outputs), None)

    def consumers(self, name: str) -> tuple[Node, ...]:
        """The nodes that read an activation or an initializer."""
        return tuple(node for node in self.nodes if name in node.inputs)

    def activations(self, node: Node) -> tuple[str, ...]:
        """Those inputs of a node that are not initializers."""
        return tuple(name for name in node.inputs if name not in self.initializers)
