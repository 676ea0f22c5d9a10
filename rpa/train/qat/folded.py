"""A float network without batch norm: the nodes of an ONNX graph in order, and the weights of its layers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from rpa.train.settings import TrainingError

LAYERS = ("Conv", "Gemm")
"""Operators with weights."""
OPERATORS = (*LAYERS, "Relu", "MaxPool", "GlobalAveragePool", "Flatten", "Add")


@dataclass(frozen=True)
class Node:
    """One operator. ``inputs`` are activations only; a layer's weights are in `Folded.weights` under its name."""

    operator: str
    name: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, object]


@dataclass(frozen=True)
class Folded:
    """Nodes in order of execution; ``weights`` and ``biases`` by the layer's name, float64 (M, ...) and (M,)."""

    nodes: tuple[Node, ...]
    weights: dict[str, np.ndarray]
    biases: dict[str, np.ndarray]
    input: str
    output: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]

    def consumers(self, tensor: str) -> list[Node]:
        """Nodes that read a tensor."""
        return [node for node in self.nodes if tensor in node.inputs]

    def producer(self, tensor: str) -> Node | None:
        """The node that writes a tensor; None for the input."""
        return next((node for node in self.nodes if node.output == tensor), None)


def fold(model: onnx.ModelProto) -> Folded:
    """Fold every batch norm into the layer before it, in float64.

    Raises TrainingError if the model has an operator that this training does not know, or a batch norm that cannot be folded.
    """
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    weights: dict[str, np.ndarray] = {}
    biases: dict[str, np.ndarray] = {}
    nodes: list[Node] = []
    for raw in model.graph.node:
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in raw.attribute}
        if raw.op_type == "BatchNormalization":
            _fold_norm(raw, attributes, nodes, weights, biases, arrays)
            continue
        if raw.op_type not in OPERATORS:
            raise TrainingError(f"{raw.name}: {raw.op_type} cannot be trained with quantization; these can: {', '.join(OPERATORS)}")
        if raw.op_type in LAYERS:
            _take_weights(raw, attributes, weights, biases, arrays)
        inputs = tuple(name for name in raw.input if name not in arrays)
        nodes.append(Node(raw.op_type, raw.name, inputs, raw.output[0], attributes))
    source, result = model.graph.input[0], model.graph.output[0]
    return Folded(tuple(nodes), weights, biases, source.name, result.name, _shape(source), _shape(result))


def _shape(port: onnx.ValueInfoProto) -> tuple[int, ...]:
    """Without the batch."""
    return tuple(axis.dim_value for axis in port.type.tensor_type.shape.dim)[1:]


def _take_weights(raw: onnx.NodeProto, attributes: dict[str, object], weights: dict[str, np.ndarray], biases: dict[str, np.ndarray],
                  arrays: dict[str, np.ndarray]) -> None:
    weight = arrays[raw.input[1]].astype(np.float64)
    if raw.op_type == "Gemm" and not attributes.get("transB"):
        weight = weight.T
    weights[raw.name] = weight
    biases[raw.name] = arrays[raw.input[2]].astype(np.float64) if len(raw.input) > 2 else np.zeros(len(weight))


def _fold_norm(raw: onnx.NodeProto, attributes: dict[str, object], nodes: list[Node], weights: dict[str, np.ndarray], biases: dict[str, np.ndarray],
               arrays: dict[str, np.ndarray]) -> None:
    """Scale and shift the layer that feeds a batch norm; it then writes what the batch norm wrote."""
    layer = next((node for node in nodes if node.output == raw.input[0] and node.name in weights), None)
    if layer is None or any(raw.input[0] in node.inputs for node in nodes):
        raise TrainingError(f"{raw.name}: a batch norm can be folded only where it alone reads a convolution or a matrix product")
    gain, shift, mean, variance = (arrays[name].astype(np.float64) for name in raw.input[1:5])
    factor = gain / np.sqrt(variance + float(attributes.get("epsilon", 1e-5)))  # type: ignore[arg-type]
    weights[layer.name] = weights[layer.name] * factor.reshape(-1, *[1] * (weights[layer.name].ndim - 1))
    biases[layer.name] = (biases[layer.name] - mean) * factor + shift
    nodes[nodes.index(layer)] = Node(layer.operator, layer.name, layer.inputs, raw.output[0], layer.attributes)
