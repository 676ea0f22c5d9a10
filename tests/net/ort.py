"""onnxruntime as an oracle: single operators on integers, and whole models."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the extra `net` brings onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra `net` brings onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402


def model(nodes, inputs, outputs, constants=None, *, opset=21, ir=10, functions=None):
    """A checked model; inputs and outputs: {name: (type, shape)}, constants: {name: array}."""
    values = [[helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in group.items()] for group in (inputs, outputs)]
    graph = helper.make_graph(nodes, "test", values[0], values[1], [numpy_helper.from_array(np.asarray(a), n) for n, a in (constants or {}).items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)


def session(the_model):
    """On one thread, without optimisation: nodes are computed as they stand."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    data = the_model if isinstance(the_model, bytes | str) else the_model.SerializeToString()
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def run(the_model, feeds):
    """{output name: array}."""
    runner = session(the_model)
    names = [output.name for output in runner.get_outputs()]
    return dict(zip(names, runner.run(names, feeds), strict=True))


def _attributes(term):
    return {"kernel_shape": term.weight.shape[1:3], "strides": term.stride, "pads": term.pads, "dilations": term.dilation, "group": term.groups}


def qlinear_conv(x, term, zero_point, bias, scales, out_zero_point):
    """QLinearConv, S8S8, of x (H, W, C); scales (M,) = input scale * weight scale / output scale. Returns (P, Q, M)."""
    weight = term.weight.transpose(0, 3, 1, 2).astype(np.int8)
    constants = {"xs": np.float32(1), "xz": np.int8(zero_point), "w": weight, "ws": scales.astype(np.float32), "wz": np.zeros(len(weight), np.int8),
                 "ys": np.float32(1), "yz": np.int8(out_zero_point), "b": bias.astype(np.int32)}
    node = helper.make_node("QLinearConv", ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"], ["y"], **_attributes(term))
    image = x.astype(np.int8).transpose(2, 0, 1)[None]
    the_model = model([node], {"x": (TensorProto.INT8, image.shape)}, {"y": (TensorProto.INT8, None)}, constants)
    return run(the_model, {"x": image})["y"][0].transpose(1, 2, 0)


def conv_integer(x, term, zero_point):
    """ConvInteger of x (H, W, C): the sums of (x - zero_point) * weight, int32 (P, Q, M). Unsigned, as onnxruntime takes no signed input here."""
    weight = (term.weight.transpose(0, 3, 1, 2) + 128).astype(np.uint8)
    node = helper.make_node("ConvInteger", ["x", "w", "xz", "wz"], ["y"], **_attributes(term))
    image = (x + 128).astype(np.uint8).transpose(2, 0, 1)[None]
    the_model = model([node], {"x": (TensorProto.UINT8, image.shape)}, {"y": (TensorProto.INT32, None)},
                      {"w": weight, "xz": np.uint8(zero_point + 128), "wz": np.uint8(128)})
    return run(the_model, {"x": image})["y"][0].transpose(1, 2, 0)
