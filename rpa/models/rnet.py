"""R-Net of MTCNN, which says of 24 x 24 pixels whether they show a face, as an ONNX model made of its published tensors.

Source: Zhang et al., "Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks", 2016, in the form with a PReLU
behind every layer, pools that reach over the edge, and features flattened column by column.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rpa.models.errors import ModelError
from rpa.models.graph import IR_VERSION, OPSET

SIZE = 24
SHAPES = {"conv1": (28, 3, 3, 3), "conv2": (48, 28, 3, 3), "conv3": (64, 48, 2, 2), "dense4": (128, 576), "dense5_1": (2, 128), "dense5_2": (4, 128)}
"""Weights (outputs, inputs, height, width) of each layer, and (outputs, inputs)."""


def rnet(tensors: Mapping[str, np.ndarray]) -> onnx.ModelProto:
    """The model: `input` (N, 3, 24, 24), (pixel - 127.5) / 128; `scores` (N, 2), of no face and of a face; `box` (N, 4).

    Raises ModelError for other tensors.
    """
    _check(tensors)
    nodes: list[onnx.NodeProto] = []
    stored: list[onnx.TensorProto] = []

    def node(operator: str, x: str, name: str, *parameters: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(operator, [x, *parameters], [name], name, **attributes))
        return name

    def layer(x: str, name: str) -> str:
        stored.extend(numpy_helper.from_array(np.asarray(tensors[f"{name}.{part}"]), f"{name}.{part}") for part in ("weight", "bias"))
        convolves = len(SHAPES[name]) == 4
        return node("Conv", x, name, f"{name}.weight", f"{name}.bias") if convolves else \
            node("Gemm", x, name, f"{name}.weight", f"{name}.bias", transB=1)

    def prelu(x: str, number: int) -> str:
        slope = np.asarray(tensors[f"prelu{number}.weight"])
        stored.append(numpy_helper.from_array(slope if x.startswith("dense") else slope.reshape(-1, 1, 1), f"prelu{number}.weight"))
        return node("PRelu", x, f"prelu{number}", f"prelu{number}.weight")

    x = "input"
    for number in (1, 2):
        x = node("MaxPool", prelu(layer(x, f"conv{number}"), number), f"pool{number}", kernel_shape=(3, 3), strides=(2, 2), ceil_mode=1)
    x = prelu(layer(x, "conv3"), 3)
    x = node("Flatten", node("Transpose", x, "columns", perm=(0, 3, 2, 1)), "flat")
    x = prelu(layer(x, "dense4"), 4)
    node("Softmax", layer(x, "dense5_1"), "scores", axis=1)
    layer(x, "dense5_2")
    nodes[-1].output[0] = "box"
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape]) for name, shape in
             (("input", (3, SIZE, SIZE)), ("scores", (2,)), ("box", (4,)))]
    graph = helper.make_graph(nodes, "rnet", ports[:1], ports[1:], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="rpa")


def _check(tensors: Mapping[str, np.ndarray]) -> None:
    wanted: dict[str, tuple[int, ...]] = {}
    for name, shape in SHAPES.items():
        wanted |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    wanted |= {f"prelu{number}.weight": (outputs,) for number, outputs in ((1, 28), (2, 48), (3, 64), (4, 128))}
    found = {name: tuple(values.shape) for name, values in tensors.items()}
    if found != wanted:
        wrong = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
        raise ModelError(f"rnet: `{wrong[0]}` is {found.get(wrong[0], 'missing')}, must be {wanted.get(wrong[0], 'left out')}")
