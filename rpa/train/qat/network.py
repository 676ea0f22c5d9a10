"""A folded network in torch, with fake quantization where the plan says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from rpa.train.qat.fake import ActivationQuantizer, Layer
from rpa.train.qat.folded import LAYERS, Folded, Node
from rpa.train.qat.plan import Plan
from rpa.train.settings import TrainingError

WEIGHT_BITS, ACTIVATION_BITS = range(2, 9), range(1, 9)


@dataclass(frozen=True, kw_only=True)
class Widths:
    """Bits of a quantized network."""

    weights: int
    activations: int
    """Of hidden tensors."""
    input: int = 8
    asymmetric: bool = False
    """Tensors that hold negative values get a zero point (without: they are symmetric)."""

    def __post_init__(self) -> None:
        for name, value, allowed in (("weights", self.weights, WEIGHT_BITS), ("activations", self.activations, ACTIVATION_BITS),
                                     ("input", self.input, ACTIVATION_BITS)):
            if value not in allowed:
                raise TrainingError(f"{name} of {value} bits cannot be trained, must be {allowed[0]}..{allowed[-1]}")

    @property
    def join_limit(self) -> int:
        """Largest magnitude of the integers that multiply a residual: they travel in a container twice as wide as the weights', 8 or 16 bits."""
        return 2 ** (7 if self.weights <= 4 else 15) - 1

    @property
    def label(self) -> str:
        """As in `w4a3`, or `w4a4_asymmetric`."""
        return f"w{self.weights}a{self.activations}{'_asymmetric' if self.asymmetric else ''}"


class QatNetwork(nn.Module):
    """Runs the nodes of a folded network. Points and layers are quantized if their quantizers are enabled."""

    def __init__(self, net: Folded, plan: Plan, widths: Widths, input_scale: float, input_signed: bool) -> None:
        super().__init__()
        self.net, self.plan, self.widths = net, plan, widths
        self.layers = nn.ModuleDict({key(name): Layer(torch.from_numpy(weight).float(), torch.from_numpy(net.biases[name]).float(), widths.weights)
                                     for name, weight in net.weights.items()})
        self.points = nn.ModuleDict({key(name): self._quantizer(name, input_scale, input_signed) for name in plan.points})

    def _quantizer(self, name: str, input_scale: float, input_signed: bool) -> ActivationQuantizer:
        """The input at 8 bits keeps the grid of its pixels; everything else learns its scale."""
        signed = "asymmetric" if self.widths.asymmetric else "symmetric"
        if name == self.net.input:
            if self.widths.input == 8:
                return ActivationQuantizer(8, "symmetric" if input_signed else "unsigned", input_scale)
            return ActivationQuantizer(self.widths.input, signed if input_signed else "unsigned")
        return ActivationQuantizer(self.widths.activations, "unsigned" if name in self.plan.non_negative else signed)

    def layer(self, name: str) -> Layer:
        """A layer's weights."""
        layer = self.layers[key(name)]
        assert isinstance(layer, Layer)
        return layer

    def point(self, tensor: str) -> ActivationQuantizer:
        """The quantizer whose scale a tensor has."""
        quantizer = self.points[key(self.plan.point_of(tensor))]
        assert isinstance(quantizer, ActivationQuantizer)
        return quantizer

    def steps(self) -> dict[str, torch.Tensor]:
        """Weight scales (M,) of every layer, those of joined layers moved to where the ratio of their products' scales is an integer."""
        steps = {name: self.layer(name).step() for name in self.net.weights}
        inputs = {node.name: self.point(node.inputs[0]).step() for node in self.net.nodes if node.operator in LAYERS}
        for join in self.plan.joins:
            ratio = self.ratio(join.output, steps, inputs)
            if join.other_is_layer:
                steps[join.other] = _moved(steps[join.other], inputs[join.main] * steps[join.main] * ratio / inputs[join.other])
            else:
                steps[join.main] = _moved(steps[join.main], self.point(join.other).step() / (inputs[join.main] * ratio))
        return steps

    def ratio(self, output: str, steps: dict[str, torch.Tensor], inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """For a join, by channel: how many steps of the main layer's accumulator one step of the other operand is; a whole number."""
        join = next(join for join in self.plan.joins if join.output == output)
        other = inputs[join.other] * steps[join.other] if join.other_is_layer else self.point(join.other).step()
        most = self.widths.join_limit // (2 ** (self.widths.weights - 1) if join.other_is_layer else 1)
        return (other / (inputs[join.main] * steps[join.main])).detach().round().clamp(1, most)

    def ratios(self) -> dict[str, torch.Tensor]:
        """`ratio` of every join by its output, from the scales as they are used."""
        steps = self.steps()
        inputs = {node.name: self.point(node.inputs[0]).step() for node in self.net.nodes if node.operator in LAYERS}
        return {join.output: self.ratio(join.output, steps, inputs) for join in self.plan.joins}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.tensors(x)[self.net.output]

    def tensors(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Every tensor by name, points rounded."""
        steps = self.steps()
        values = {self.net.input: self.point(self.net.input)(x)}
        for node in self.net.nodes:
            result = self._run(node, [values[name] for name in node.inputs], steps)
            values[node.output] = self.point(node.output)(result) if node.output in self.plan.points else result
        return values

    def _run(self, node: Node, inputs: list[torch.Tensor], steps: dict[str, torch.Tensor]) -> torch.Tensor:
        x = inputs[0]
        if node.operator in LAYERS:
            layer = self.layer(node.name)
            weight, bias = layer.quantized(steps[node.name]), layer.rounded_bias(steps[node.name] * self.point(node.inputs[0]).step())
            return F.linear(x, weight, bias) if node.operator == "Gemm" else _convolve(x, weight, bias, node)
        if node.operator == "Relu":
            return F.relu(x)
        if node.operator == "Add":
            return x + inputs[1]
        if node.operator == "MaxPool":
            return F.max_pool2d(_padded(x, node, -torch.inf), _pair(node, "kernel_shape"), _pair(node, "strides"))
        return x.mean((2, 3), keepdim=True) if node.operator == "GlobalAveragePool" else x.flatten(1)

    @contextmanager
    def in_float(self) -> Iterator[None]:
        """No quantization inside the `with`."""
        quantizers = [module for module in self.modules() if isinstance(module, ActivationQuantizer | Layer)]
        for quantizer in quantizers:
            quantizer.enabled = False
        try:
            yield
        finally:
            for quantizer in quantizers:
                quantizer.enabled = True


def key(name: str) -> str:
    """A name that torch takes for a submodule."""
    return name.replace(".", "__")


def _moved(step: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """``target`` in value, ``step`` in gradient."""
    return step + (target - step).detach()


def _convolve(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, node: Node) -> torch.Tensor:
    groups, top_left = int(str(node.attributes.get("group", 1))), _pads(node)
    symmetric = top_left[:2] == top_left[2:]
    padding = top_left[:2] if symmetric else (0, 0)
    return F.conv2d(x if symmetric else _padded(x, node, 0.0), weight, bias, _pair(node, "strides"), padding, _pair(node, "dilations"), groups)


def _padded(x: torch.Tensor, node: Node, value: float) -> torch.Tensor:
    top, left, bottom, right = _pads(node)
    return F.pad(x, (left, right, top, bottom), value=value) if any((top, left, bottom, right)) else x


def _pads(node: Node) -> tuple[int, ...]:
    values = node.attributes.get("pads", (0, 0, 0, 0))
    assert isinstance(values, list | tuple)
    return tuple(values)


def _pair(node: Node, name: str) -> tuple[int, ...]:
    values = node.attributes.get(name, (1, 1))
    assert isinstance(values, list | tuple)
    return tuple(values)
