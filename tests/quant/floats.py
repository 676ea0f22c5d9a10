"""Float graphs by torch in float64, and small graphs by hand: the oracle of the quantizer's tests."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest

pytest.importorskip("torch", reason="the oracle of these tests: the extra `train` brings torch")

import torch
import torch.nn.functional as F

from rpa.net.graph import Graph, Node

RELU = (0.0, inf)


def evaluate(graph: Graph, inputs: dict[str, np.ndarray], weights=None, after=None) -> dict[str, np.ndarray]:
    """Every activation, float64 (N, C, H, W). weights: other initializers by name. after: called with (name, array), gives what is stored instead."""
    weights = {**graph.initializers, **(weights or {})}
    known: dict[str, torch.Tensor] = {}

    def keep(name, values):
        array = values.numpy()
        known[name] = torch.from_numpy(np.asarray(after(name, array) if after else array, np.float64))

    for name, values in inputs.items():
        keep(name, torch.from_numpy(np.asarray(values, np.float64)))
    for node in graph.nodes:
        tensors = [known[name] if name in known else torch.from_numpy(np.asarray(weights[name], np.float64)) for name in node.inputs]
        result = _operate(node, *tensors)
        if node.attributes.get("clip") is not None:
            result = result.clamp(*node.attributes["clip"])
        keep(node.output, result)
    return {name: values.numpy() for name, values in known.items()}


def _operate(node: Node, x, *rest):
    a = node.attributes
    if "pads" in a:
        top, left, bottom, right = a["pads"]
        x = F.pad(x, (left, right, top, bottom), value=-inf if node.op == "MaxPool" else 0.0)
    if node.op == "Conv":
        return F.conv2d(x, *rest, stride=a["stride"], dilation=a["dilation"], groups=a["groups"])
    if node.op == "Gemm":
        return F.conv2d(x, *rest)
    if node.op == "Add":
        return sum(rest, x)
    if node.op == "Mul":
        return x * rest[0]
    if node.op == "Concat":
        return torch.cat([x, *rest], dim=1)
    if node.op == "MaxPool":
        return F.max_pool2d(x, a["kernel"], a["stride"])
    if node.op == "AveragePool":
        return F.avg_pool2d(x, a["kernel"], a["stride"])
    if node.op == "GlobalAveragePool":
        return x.mean(dim=(2, 3), keepdim=True)
    if node.op == "PRelu":
        return F.prelu(x, rest[0].reshape(-1))
    return {"Clip": lambda: x, "LeakyRelu": lambda: F.leaky_relu(x, a.get("alpha", 0.01)), "HardSwish": lambda: F.hardswish(x),
            "Silu": lambda: F.silu(x), "Sigmoid": lambda: torch.sigmoid(x), "Tanh": lambda: torch.tanh(x),
            "HardSigmoid": lambda: (x * a.get("alpha") + a.get("beta")).clamp(0, 1)}[node.op]()


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
