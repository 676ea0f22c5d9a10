"""Float graphs by scipy and plain NumPy in float64, and small graphs by hand: the oracle of the quantizer's tests."""

from __future__ import annotations

from math import inf

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.signal import correlate
from scipy.special import expit

from rpa.net.graph import Graph, Node

RELU = (0.0, inf)


def evaluate(graph: Graph, inputs: dict[str, np.ndarray], weights=None, after=None) -> dict[str, np.ndarray]:
    """Every activation, float64 (N, C, H, W). weights: other initializers by name. after: called with (name, array), gives what is stored instead."""
    weights = {**graph.initializers, **(weights or {})}
    known: dict[str, np.ndarray] = {}

    def keep(name, values):
        known[name] = np.asarray(after(name, values) if after else values, np.float64)

    for name, values in inputs.items():
        keep(name, np.asarray(values, np.float64))
    for node in graph.nodes:
        arrays = [known[name] if name in known else np.asarray(weights[name], np.float64) for name in node.inputs]
        result = _operate(node, *arrays)
        if node.attributes.get("clip") is not None:
            result = np.clip(result, *node.attributes["clip"])
        keep(node.output, result)
    return known


def convolve(x, weight, bias=0.0, *, stride=(1, 1), pads=(0, 0, 0, 0), dilation=(1, 1), groups=1) -> np.ndarray:
    """Cross-correlation of (N, C, H, W) with (M, C / groups, R, S) by scipy, without Fourier transforms; holes of a dilated kernel are zeros."""
    x, (outputs, depth, rows, columns) = padded(x, pads), weight.shape
    spread = np.zeros((outputs, depth, (rows - 1) * dilation[0] + 1, (columns - 1) * dilation[1] + 1))
    spread[:, :, ::dilation[0], ::dilation[1]] = weight
    per_group = outputs // groups
    starts = [m // per_group * depth for m in range(outputs)]
    channels = [correlate(x[:, start:start + depth], spread[None, m], "valid", "direct")[:, 0] for m, start in enumerate(starts)]
    return np.stack(channels, axis=1)[:, :, ::stride[0], ::stride[1]] + np.reshape(bias, (-1, 1, 1))


def padded(x, pads, value=0.0) -> np.ndarray:
    """(N, C, H, W) with top, left, bottom, right more rows and columns."""
    top, left, bottom, right = pads
    return np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=value)


def windows(x, kernel, stride) -> np.ndarray:
    """(N, C, H', W', R, S)."""
    return sliding_window_view(x, kernel, (2, 3))[:, :, ::stride[0], ::stride[1]]


def _operate(node: Node, x, *rest):
    a = node.attributes
    if node.op == "Conv":
        return convolve(x, *rest, stride=a["stride"], pads=a["pads"], dilation=a["dilation"], groups=a["groups"])
    if node.op == "Gemm":
        return convolve(x, *rest)
    if node.op == "Add":
        return sum(rest, x)
    if node.op == "Mul":
        return x * rest[0]
    if node.op == "Concat":
        return np.concatenate([x, *rest], axis=1)
    if node.op == "MaxPool":
        return windows(padded(x, a["pads"], -inf), a["kernel"], a["stride"]).max(axis=(4, 5))
    if node.op == "AveragePool":
        return windows(padded(x, a["pads"]), a["kernel"], a["stride"]).mean(axis=(4, 5))
    if node.op == "GlobalAveragePool":
        return x.mean(axis=(2, 3), keepdims=True)
    if node.op == "PRelu":
        return np.where(x >= 0, x, x * rest[0].reshape(-1, 1, 1))
    return scalar(node.op, x, a)


def scalar(op, x, a) -> np.ndarray:
    """Functions of one number."""
    return {"Clip": lambda: x, "LeakyRelu": lambda: np.where(x >= 0, x, x * a.get("alpha", 0.01)), "HardSwish": lambda: x * np.clip(x + 3, 0, 6) / 6,
            "Silu": lambda: x * expit(x), "Sigmoid": lambda: expit(x), "Tanh": lambda: np.tanh(x),
            "HardSigmoid": lambda: np.clip(x * a.get("alpha", 1 / 6) + a.get("beta", 0.5), 0, 1)}[op]()


class Builder:
    """A graph, node by node; every method returns the name of an activation."""

    def __init__(self, shape: tuple[int, int, int], seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[Node] = []
        self.shapes = {"x": shape}
        self.initializers: dict[str, np.ndarray] = {}

    def add(self, op: str, inputs, shape, **attributes) -> str:
        number = sum(node.op == op for node in self.nodes)
        name = f"{op.lower()}{number}"
        self.nodes.append(Node(op=op, name=name, inputs=tuple(inputs), outputs=(f"{name}.out",), attributes=attributes))
        self.shapes[f"{name}.out"] = tuple(shape)
        return f"{name}.out"

    def _weights(self, m, c, r, s) -> list[str]:
        number = len(self.initializers) // 2
        spread = self.rng.uniform(0.5, 2, (m, 1, 1, 1))
        self.initializers[f"w{number}"] = (self.rng.standard_normal((m, c, r, s)) * spread / np.sqrt(c * r * s)).astype(np.float32)
        self.initializers[f"b{number}"] = (self.rng.standard_normal(m) * 0.2).astype(np.float32)
        return [f"w{number}", f"b{number}"]

    def conv(self, x, m, kernel=3, stride=1, pad=None, groups=1, clip=RELU, dilation=1) -> str:
        c, h, w = self.shapes[x]
        pad = dilation * (kernel // 2) if pad is None else pad
        size = [(n + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1 for n in (h, w)]
        return self.add("Conv", [x, *self._weights(m, c // groups, kernel, kernel)], (m, *size), stride=(stride, stride),
                        pads=(pad,) * 4, dilation=(dilation, dilation), groups=groups, clip=clip)

    def gemm(self, x, m, clip=None) -> str:
        return self.add("Gemm", [x, *self._weights(m, *self.shapes[x])], (m, 1, 1), clip=clip)

    def plus(self, *inputs, clip=RELU) -> str:
        return self.add("Add", inputs, self.shapes[inputs[0]], clip=clip)

    def times(self, a, b, clip=None) -> str:
        return self.add("Mul", [a, b], self.shapes[a], clip=clip)

    def concat(self, *inputs) -> str:
        first = self.shapes[inputs[0]]
        return self.add("Concat", inputs, (sum(self.shapes[name][0] for name in inputs), *first[1:]))

    def maxpool(self, x, kernel=2, stride=2, pad=0) -> str:
        c, *size = self.shapes[x]
        return self.add("MaxPool", [x], (c, *((n + 2 * pad - kernel) // stride + 1 for n in size)), kernel=(kernel, kernel),
                        stride=(stride, stride), pads=(pad,) * 4)

    def average(self, x, kernel=2, stride=2) -> str:
        c, *size = self.shapes[x]
        return self.add("AveragePool", [x], (c, *((n - kernel) // stride + 1 for n in size)), kernel=(kernel, kernel), stride=(stride, stride),
                        pads=(0,) * 4, count_include_pad=False, clip=None)

    def global_average(self, x) -> str:
        return self.add("GlobalAveragePool", [x], (self.shapes[x][0], 1, 1), clip=None)

    def scalar(self, op, x, **attributes) -> str:
        return self.add(op, [x], self.shapes[x], **attributes)

    def prelu(self, x) -> str:
        c = self.shapes[x][0]
        self.initializers[f"slope{len(self.nodes)}"] = self.rng.uniform(-0.2, 0.6, c).astype(np.float32)
        return self.add("PRelu", [x, f"slope{len(self.nodes)}"], self.shapes[x])

    def graph(self, *outputs) -> Graph:
        return Graph(name="net", nodes=tuple(self.nodes), inputs=("x",), outputs=outputs, shapes=self.shapes, initializers=self.initializers)

    def images(self, count: int) -> np.ndarray:
        return self.rng.standard_normal((count, *self.shapes["x"])).astype(np.float32)


def residual_net(seed: int = 0) -> Builder:
    """A stem, an identity block, a block whose shortcut is a convolution, pooling and a classifier."""
    net = Builder((3, 12, 12), seed)
    x = net.conv("x", 8)
    y = net.conv(net.conv(x, 8), 8, clip=None)
    x = net.plus(y, x)
    y = net.conv(net.conv(x, 16, stride=2), 16, clip=None)
    x = net.plus(y, net.conv(x, 16, kernel=1, stride=2, pad=0, clip=None))
    net.gemm(net.global_average(x), 10)
    return net
