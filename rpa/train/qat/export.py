"""What training gives, as files that other tools read: an ONNX model with QuantizeLinear and DequantizeLinear nodes, and the integers by name.

Convention of the model (opset 13, float32 in and out, run by any ONNX runtime):
- weights are int8 behind a DequantizeLinear with a scale per output channel and zero point 0; 4-, 3- and 2-bit weights are int8 that stay in
  -2^(bits-1) .. 2^(bits-1)-1. Biases are int32, scale = input scale * weight scale;
- a rounded tensor is Clip -> QuantizeLinear -> DequantizeLinear with one scale; uint8 where it holds no negative value or is asymmetric, int8
  otherwise. The Clip holds it in the values of its width, low..high: its limits are (low - zero_point) * scale and (high - zero_point) * scale; at 8
  bits there is none, as QuantizeLinear itself saturates;
- MaxPool and Flatten follow a DequantizeLinear and are followed by the next layer: they choose among rounded values and round none;
- an Add joins two sums before they are rounded; scales are such that its operands are whole multiples of the main layer's accumulator.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from rpa.models.graph import IR_VERSION, OPSET
from rpa.train.qat.folded import LAYERS, Node
from rpa.train.qat.network import QatNetwork

ACCUMULATOR_LIMIT = 2**31 - 1


@dataclass(frozen=True)
class Point:
    """A rounded tensor: real = scale * (q - zero_point), q in low..high."""

    bits: int
    low: int
    high: int
    scale: np.float32
    zero_point: int

    @property
    def unsigned(self) -> bool:
        """Whether q is stored as uint8."""
        return self.low == 0


@dataclass(frozen=True)
class Integers:
    """A trained network as numbers. Layers by name: int8 weights, float32 scales (M,), int32 biases; joins by output: int (M,)."""

    points: dict[str, Point]
    weights: dict[str, np.ndarray]
    scales: dict[str, np.ndarray]
    biases: dict[str, np.ndarray]
    ratios: dict[str, np.ndarray]


@torch.no_grad()
def integers(network: QatNetwork) -> Integers:
    """Round everything that a network learned."""
    points = {}
    for name in network.plan.points:
        quantizer = network.point(name)
        points[name] = Point(quantizer.bits, quantizer.low, quantizer.high, np.float32(quantizer.step()), int(quantizer.zero_point()))
    steps = network.steps()
    inputs = {node.name: network.plan.point_of(node.inputs[0]) for node in network.net.nodes if node.operator in LAYERS}
    weights = {name: network.layer(name).integers(step).numpy() for name, step in steps.items()}
    scales = {name: step.numpy() for name, step in steps.items()}
    biases = {name: np.clip(np.rint(network.layer(name).bias.numpy().astype(np.float64) / (np.float64(points[inputs[name]].scale) * scales[name])),
                            -ACCUMULATOR_LIMIT, ACCUMULATOR_LIMIT).astype(np.int32) for name in steps}
    return Integers(points, weights, scales, biases, {name: ratio.numpy().astype(np.int32) for name, ratio in network.ratios().items()})


@dataclass
class _Writer:
    """Nodes and initializers of the model in the making."""

    values: Integers
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: dict[str, onnx.TensorProto] = field(default_factory=dict)

    def constant(self, name: str, value: np.ndarray) -> str:
        self.initializers.setdefault(name, numpy_helper.from_array(value, name))
        return name

    def add(self, operator: str, inputs: list[str], output: str, **attributes: object) -> None:
        self.nodes.append(helper.make_node(operator, inputs, [output], f"{output}:{operator}", **attributes))  # type: ignore[arg-type]

    def layer(self, name: str, input_scale: np.float32) -> list[str]:
        """Weights and bias behind DequantizeLinear nodes."""
        values, scales = self.values, self.values.scales[name]
        self.constant(f"{name}.weight_zero", np.zeros(len(scales), np.int8))
        inputs = [self.constant(f"{name}.weight_q", values.weights[name]), self.constant(f"{name}.weight_scale", scales), f"{name}.weight_zero"]
        self.add("DequantizeLinear", inputs, f"{name}.weight", axis=0)
        inputs = [self.constant(f"{name}.bias_q", values.biases[name]), self.constant(f"{name}.bias_scale", input_scale * scales)]
        self.add("DequantizeLinear", inputs, f"{name}.bias", axis=0)
        return [f"{name}.weight", f"{name}.bias"]

    def rounded(self, raw: str, output: str, tensor: str) -> None:
        """``raw`` to ``output`` through Clip, QuantizeLinear, DequantizeLinear, as the point ``tensor``."""
        point = self.values.points[tensor]
        zero_point = np.array(point.zero_point, np.uint8 if point.unsigned else np.int8)
        step = [self.constant(f"{tensor}.scale", np.array(point.scale)), self.constant(f"{tensor}.zero_point", zero_point)]
        if point.bits < 8:
            limits = [self.constant(f"{tensor}.{end}", np.array((value - point.zero_point) * point.scale, np.float32))
                      for end, value in (("low", point.low), ("high", point.high))]
            self.add("Clip", [raw, *limits], f"{output}.clipped")
            raw = f"{output}.clipped"
        self.add("QuantizeLinear", [raw, *step], f"{output}.q")
        self.add("DequantizeLinear", [f"{output}.q", *step], output)


def to_onnx(network: QatNetwork, values: Integers, title: str, notes: dict[str, object]) -> onnx.ModelProto:
    """Return the model; ``notes`` go into its metadata as JSON, under `rpa.quantization`."""
    net, plan = network.net, network.plan
    writer = _Writer(values)
    names = {net.input: f"{net.input}.rounded"}
    writer.rounded(net.input, names[net.input], net.input)
    for node in net.nodes:
        inputs = [names.get(name, name) for name in node.inputs]
        if node.operator in LAYERS:
            inputs += writer.layer(node.name, values.points[plan.point_of(node.inputs[0])].scale)
        is_point = node.output in plan.points
        writer.nodes.append(_plain(node, inputs, f"{node.output}.raw" if is_point else node.output))
        if is_point:
            writer.rounded(f"{node.output}.raw", node.output, node.output)
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])
             for name, shape in ((net.input, net.input_shape), (net.output, net.output_shape))]
    graph = helper.make_graph(writer.nodes, title, ports[:1], ports[1:], list(writer.initializers.values()))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="rpa")
    helper.set_model_props(model, {"rpa.quantization": json.dumps(notes)})
    return model


def _plain(node: Node, inputs: list[str], output: str) -> onnx.NodeProto:
    attributes = dict(node.attributes) | ({"transB": 1} if node.operator == "Gemm" else {})
    return helper.make_node(node.operator, inputs, [output], node.name, **attributes)  # type: ignore[arg-type]


def tensors(network: QatNetwork, values: Integers) -> dict[str, np.ndarray]:
    """For the .safetensors file: of each LAYER the trained float `weight` and `bias` (batch norm folded), `weight_q`, `weight_scale`, `bias_q`;
    of each rounded TENSOR `scale` and `zero_point`; of each join `ratio`."""
    result: dict[str, np.ndarray] = {}
    for name in network.net.weights:
        layer = network.layer(name)
        result |= {f"{name}.weight": layer.weight.detach().numpy(), f"{name}.bias": layer.bias.detach().numpy(),
                   f"{name}.weight_q": values.weights[name], f"{name}.weight_scale": values.scales[name], f"{name}.bias_q": values.biases[name]}
    for name, point in values.points.items():
        result |= {f"{name}.scale": np.array([point.scale], np.float32), f"{name}.zero_point": np.array([point.zero_point], np.int32)}
    return result | {f"{name}.ratio": ratio for name, ratio in values.ratios.items()}
