"""Models trained with quantization as float graphs again: same weights, same ranges, nothing rounded; and quantized once more."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest

pytest.importorskip("onnx", reason="networks come as ONNX models: the extra `net`")

from rpa import data
from rpa.models import find, load_quantized
from rpa.net.float_run import run_float
from rpa.net.graph import Graph, Node
from rpa.net.onnx_import import load_onnx
from rpa.net.unquantized import without_quantization
from rpa.quant import Calibrated


def quant(name: str, source: str, output: str, scale: float, zero: int, low: int, high: int) -> Node:
    attributes = {"scale": scale, "zero_point": zero, "low": low, "high": high, "bits": 8, "signed": low < 0}
    return Node(op="Quant", name=name, inputs=(source,), outputs=(output,), attributes=attributes)


def small(*, pooled: bool) -> Graph:
    """Input and result of a 1x1 convolution are rounded; `pooled`: a pool reads the result as it was before, too."""
    conv = Node(op="Conv", name="conv", inputs=("xq", "w", "b"), outputs=("y",),
                attributes={"stride": (1, 1), "pads": (0, 0, 0, 0), "dilation": (1, 1), "groups": 1, "clip": (0.0, inf)})
    pool = Node(op="MaxPool", name="pool", inputs=("y",), outputs=("p",), attributes={"kernel": (1, 1), "stride": (1, 1), "pads": (0, 0, 0, 0)})
    last = Node(op="Clip", name="last", inputs=("yq",), outputs=("z",), attributes={"clip": (-1.0, 5.0)})
    nodes = (quant("in", "x", "xq", 0.5, 3, 0, 15), conv, quant("out", "y", "yq", 0.25, 0, 0, 15), last, *((pool,) if pooled else ()))
    names = [name for node in nodes for name in node.outputs]
    return Graph(name="small", nodes=nodes, inputs=("x",), outputs=("z", "p") if pooled else ("z",), shapes=dict.fromkeys(["x", *names], (1, 1, 4)),
                 initializers={"w": np.full((1, 1, 1, 1), 2, np.float32), "b": np.zeros(1, np.float32)})


@pytest.mark.parametrize("pooled", [False, True])
def test_values_are_limited_and_not_rounded(pooled):
    graph = without_quantization(small(pooled=pooled))
    assert {node.op for node in graph.nodes} <= {"Conv", "Clip", "MaxPool"}
    found = run_float(graph, {"x": np.array([-1.0, 0.3, 1.1, 9.0], np.float32).reshape(1, 1, 1, 4)})
    assert found["z"].reshape(-1).tolist() == pytest.approx([0.0, 0.6, 2.2, 3.75])          # 15 * 0.25 is the most that was stored
    if pooled:
        assert found["p"].reshape(-1).tolist() == pytest.approx([0.0, 0.6, 2.2, 18.0])


@pytest.mark.parametrize(("name", "widths"), [("lenet5_w4a4", "4"), ("lenet5_w4a3", "w4a3")])
def test_a_trained_model_stays_right_at_its_own_widths(name, widths):
    found, network = data.load("mnist-subset"), find("lenet5")
    graph = without_quantization(load_onnx(load_quantized(name)))
    assert not graph.quantized and all(node.op != "Quant" for node in graph.nodes)
    quantized = Calibrated(graph, network.to_input(found.train.images)).quantize(widths)
    comparison = quantized.compare(network.to_input(found.test.images), found.test.labels)
    assert comparison.accuracy_float >= 0.985 and comparison.accuracy_integer >= 0.98
