"""Multiply-accumulates and parameters of an ONNX model of convolutions and matrix products, layer by layer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import onnx
from onnx import shape_inference

from rpa.models.errors import ModelError


@dataclass(frozen=True)
class LayerCount:
    """One convolution or matrix product."""

    name: str
    macs: int
    """Multiply-accumulates for one input (a batch of one); the bias is not counted."""
    parameters: int
    """Weights and biases."""


def count_layers(model: onnx.ModelProto) -> list[LayerCount]:
    """Count what Conv and Gemm nodes do, in graph order. Raises ModelError if a shape is not known or the weights are no initializer."""
    shapes = _shapes(model)
    weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    counts = []
    for node in model.graph.node:
        if node.op_type not in ("Conv", "Gemm"):
            continue
        if node.input[1] not in weights or node.output[0] not in shapes:
            raise ModelError(f"{node.name}: its weights must be an initializer and its shape known to count its multiply-accumulates")
        macs = math.prod(weights[node.input[1]][1:]) if node.op_type == "Conv" else _gemm_depth(node, weights[node.input[1]])
        counts.append(LayerCount(node.name, macs * math.prod(shapes[node.output[0]][1:]), sum(math.prod(weights[name]) for name in node.input[1:])))
    return counts


def count_macs(model: onnx.ModelProto) -> int:
    """Multiply-accumulates of the whole network for one input."""
    return sum(layer.macs for layer in count_layers(model))


def count_parameters(model: onnx.ModelProto, *, trained: bool = True) -> int:
    """Values in all initializers; ``trained`` leaves out the running statistics of batch norm, as torch's count does."""
    statistics = {name for node in model.graph.node if node.op_type == "BatchNormalization" for name in node.input[3:]} if trained else set()
    return sum(math.prod(tensor.dims) for tensor in model.graph.initializer if tensor.name not in statistics)


def _gemm_depth(node: onnx.NodeProto, shape: tuple[int, ...]) -> int:
    transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
    return shape[1] if transposed else shape[0]


def _shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Shapes of all tensors, the batch as 0 where it is not fixed. The weights' values are left out: they may be hundreds of megabytes."""
    light = onnx.ModelProto()
    light.CopyFrom(onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import))
    light.graph.name = model.graph.name
    light.graph.node.extend(model.graph.node)
    light.graph.input.extend(model.graph.input)
    light.graph.output.extend(model.graph.output)
    for tensor in model.graph.initializer:
        light.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    inferred = shape_inference.infer_shapes(light).graph
    return {info.name: tuple(axis.dim_value for axis in info.type.tensor_type.shape.dim) for info in (*inferred.value_info, *inferred.output)}
