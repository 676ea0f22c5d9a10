"""Building an ONNX graph layer by layer: float32, NCHW, shapes known, one node a layer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rpa.models.moments import Moments
from rpa.models.parameters import Draw, Parameters

OPSET, IR_VERSION = 13, 10
EPSILON = 1e-5
"""Of batch norm: torch's."""
Pads = int | tuple[int, int, int, int]
"""One number for every side, or top, left, bottom, right."""
Shape = tuple[int, ...]


class Graph:
    """A network in the making. Tensors are named by their layer; shapes leave the batch out: (C, H, W) or (features,).

    A layer's parameters are called as torch calls them (`NAME.weight`, `NAME.bias`, `NAME.running_mean`, ...). Random convolutions and products
    have normal weights, scaled by what is known of their input so that outputs have variance one (He's rule where the input is a ReLU's output).
    """

    def __init__(self, name: str, shape: Shape, parameters: Parameters, batch: int | str = 1) -> None:
        self.name, self.parameters, self.batch = name, parameters, batch
        self.input = "input"
        self.shapes: dict[str, Shape] = {self.input: shape}
        self.moments: dict[str, Moments] = {self.input: Moments()}
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def conv(self, x: str, name: str, outputs: int, kernel: int | tuple[int, int], *, stride: int | tuple[int, int] = 1, pads: Pads = 0,
             groups: int = 1, bias: bool = True) -> str:
        """Convolution; ``pads`` with zeros."""
        inputs, *size = self.shapes[x]
        kernel, stride, pads = _pair(kernel), _pair(stride), _four(pads)
        wanted = [f"{name}.weight", f"{name}.bias"][:1 + bias]
        moments = self._weights(wanted, (outputs, inputs // groups, *kernel), x, centred=groups == 1)
        self._node("Conv", [x, *wanted], name, kernel_shape=kernel, strides=stride, pads=pads, group=groups, dilations=(1, 1))
        return self._result(name, (outputs, *_window(size, kernel, stride, pads)), moments)

    def linear(self, x: str, name: str, outputs: int) -> str:
        """Matrix product with a bias: (features,) -> (outputs,)."""
        wanted = [f"{name}.weight", f"{name}.bias"]
        moments = self._weights(wanted, (outputs, *self.shapes[x]), x, centred=True)
        self._node("Gemm", [x, *wanted], name, transB=1)
        return self._result(name, (outputs,), moments)

    def batch_norm(self, x: str, name: str) -> str:
        """Batch normalization with running statistics; random ones are near those of ``x``."""
        channels, was = self.shapes[x][0], self.moments[x]
        draws: dict[str, Draw] = {
            "weight": lambda random: random.uniform(0.8, 1.2, channels),
            "bias": lambda random: random.normal(0, 0.1, channels),
            "running_mean": lambda random: was.mean + random.normal(0, 0.1 * math.sqrt(was.variance), channels),
            "running_var": lambda random: was.variance * random.uniform(0.8, 1.2, channels),
        }
        for part, draw in draws.items():
            self._parameter(f"{name}.{part}", (channels,), draw)
        self._node("BatchNormalization", [x, *(f"{name}.{part}" for part in draws)], name, epsilon=EPSILON)
        return self._result(name, self.shapes[x], Moments())

    def relu(self, x: str) -> str:
        """max(x, 0)."""
        name = f"{x}.relu"
        self._node("Relu", [x], name)
        return self._result(name, self.shapes[x], self.moments[x].rectified())

    def max_pool(self, x: str, kernel: int, *, stride: int | None = None, pads: Pads = 0) -> str:
        """Largest value in a window; the stride is the kernel's size if not given."""
        name, window, steps, sides = f"{x}.pool", _pair(kernel), _pair(stride or kernel), _four(pads)
        channels, *size = self.shapes[x]
        self._node("MaxPool", [x], name, kernel_shape=window, strides=steps, pads=sides)
        return self._result(name, (channels, *_window(size, window, steps, sides)), self.moments[x])

    def global_average(self, x: str) -> str:
        """Mean over all positions, flattened: (C, H, W) -> (C,)."""
        pooled = f"{x}.mean"
        self._node("GlobalAveragePool", [x], pooled)
        self._result(pooled, (self.shapes[x][0], 1, 1), self.moments[x])
        return self.flatten(pooled)

    def flatten(self, x: str) -> str:
        """(C, H, W) -> (C * H * W,)."""
        name = f"{x}.flat"
        self._node("Flatten", [x], name, axis=1)
        return self._result(name, (math.prod(self.shapes[x]),), self.moments[x])

    def add(self, name: str, x: str, y: str) -> str:
        """Sum of two tensors of the same shape."""
        self._node("Add", [x, y], name)
        return self._result(name, self.shapes[x], self.moments[x] + self.moments[y])

    def finish(self, output: str) -> onnx.ModelProto:
        """Return the model with ``output`` as its only output, called `output`. Raises ModelError for stored parameters left over."""
        self.parameters.finish()
        self.nodes[-1].output[0] = "output"
        ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [self.batch, *self.shapes[tensor]])
                 for name, tensor in ((self.input, self.input), ("output", output))]
        graph = helper.make_graph(self.nodes, self.name, ports[:1], ports[1:], self.initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="rpa")

    def _weights(self, names: list[str], shape: Shape, x: str, *, centred: bool) -> Moments:
        """Add weights of ``shape`` and, if named, a bias; return the moments of what they make of ``x``.

        Centred filters sum to zero, so that the mean that a ReLU gives its output does not add up over the layers until every input looks alike.
        """
        fan_in = math.prod(shape[1:])
        known = self.moments[x]
        centred = centred and x != self.input and fan_in > 1
        deviation = 1 / math.sqrt(fan_in * (known.variance if centred else known.square))

        def draw(random: np.random.Generator) -> np.ndarray:
            values = random.standard_normal(shape, np.float32)
            if centred:
                values -= values.mean(axis=tuple(range(1, len(shape))), keepdims=True)
            values *= deviation
            return values

        self._parameter(names[0], shape, draw)
        for name in names[1:]:
            self._parameter(name, shape[:1], lambda random: random.normal(0, 0.1, shape[:1]))
        return Moments()

    def _parameter(self, name: str, shape: Shape, draw: Draw) -> None:
        self.initializers.append(numpy_helper.from_array(self.parameters.get(name, shape, draw), name))

    def _node(self, operator: str, inputs: list[str], name: str, **attributes: Any) -> None:
        self.nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))

    def _result(self, name: str, shape: Shape, moments: Moments) -> str:
        self.shapes[name], self.moments[name] = shape, moments
        return name


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _four(pads: Pads) -> tuple[int, int, int, int]:
    return (pads, pads, pads, pads) if isinstance(pads, int) else pads


def _window(size: list[int], kernel: tuple[int, int], stride: tuple[int, int], pads: tuple[int, int, int, int]) -> tuple[int, ...]:
    """Height and width of what a sliding window gives."""
    return tuple((size[axis] + pads[axis] + pads[axis + 2] - kernel[axis]) // stride[axis] + 1 for axis in (0, 1))


def same_pads(size: Shape, kernel: tuple[int, int], stride: tuple[int, int]) -> tuple[int, int, int, int]:
    """TensorFlow's SAME padding: outputs are ceil(size / stride), what is odd goes below and to the right."""
    total = [max(0, (math.ceil(size[axis] / stride[axis]) - 1) * stride[axis] + kernel[axis] - size[axis]) for axis in (0, 1)]
    before = [value // 2 for value in total]
    return before[0], before[1], total[0] - before[0], total[1] - before[1]
