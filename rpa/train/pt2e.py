"""Quantization-aware training with torchao (`pip install torchao==0.18`, which this package does not need) at widths of the array.

    graph = torch.export.export(module.train(), (images,)).module()
    graph = prepare_qat_pt2e(graph, narrow_quantizer(weight_bits=4, act_bits=3))     # torchao.quantization.pt2e.quantize_pt2e
    ...                                                                              # train `graph` as any module
    graph = exportable(convert_pt2e(graph))
    torch.onnx.export(torch.export.export(graph, (images[:1],)), dynamo=True).save("mine.onnx")

`rpa compile mine.onnx` takes that file as it is.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

LAYERS = ("aten.conv2d", "aten.linear")
_SMALLEST = 2.0**-12
"""The least scale of anything."""


def narrow_quantizer(*, weight_bits: int, act_bits: int) -> Any:
    """A torchao `Quantizer`: what convolutions and linear layers read has one scale and values 0..2^act_bits - 1, with a zero point where it may be
    negative; weights are symmetric with a scale for each output channel. ModuleNotFoundError without torchao."""
    from torchao.quantization.pt2e import (  # type: ignore[import-not-found, unused-ignore]
        FusedMovingAvgObsFakeQuantize,
        MovingAverageMinMaxObserver,
        MovingAveragePerChannelMinMaxObserver,
    )
    from torchao.quantization.pt2e.quantizer import (  # type: ignore[import-not-found, unused-ignore]
        QuantizationAnnotation,
        QuantizationSpec,
        Quantizer,
    )

    def spec(observer: Any, dtype: torch.dtype, low: int, high: int, scheme: torch.qscheme, **more: Any) -> Any:
        fake = FusedMovingAvgObsFakeQuantize.with_args(observer=observer, quant_min=low, quant_max=high, dtype=dtype, qscheme=scheme, eps=_SMALLEST)
        return QuantizationSpec(dtype=dtype, quant_min=low, quant_max=high, qscheme=scheme, observer_or_fake_quant_ctr=fake, **more)

    activations = spec(MovingAverageMinMaxObserver, torch.uint8, 0, 2**act_bits - 1, torch.per_tensor_affine)
    half = 2 ** (weight_bits - 1)
    weights = spec(MovingAveragePerChannelMinMaxObserver, torch.int8, -half, half - 1, torch.per_channel_symmetric, ch_axis=0)

    class Narrow(Quantizer):
        def annotate(self, model: fx.GraphModule) -> fx.GraphModule:
            for node in _calls(model, *LAYERS):
                node.meta["quantization_annotation"] = QuantizationAnnotation(
                    input_qspec_map={node.args[0]: activations, node.args[1]: weights}, _annotated=True)
            return model

        def validate(self, model: fx.GraphModule) -> None:
            """Nothing is left out that must be there."""

    return Narrow()


def exportable(model: fx.GraphModule) -> fx.GraphModule:
    """A converted model that says in ONNX what it does, changed in place.

    ONNX's QuantizeLinear saturates at 8 bits only, so a clamp goes in front of narrower ones. Biases are rounded to the unit of the accumulator, the
    product of both scales, as an integer array has them.
    """
    for node in _calls(model, "quantized_decomposed.quantize_per_tensor"):
        values, scale, zero, low, high, dtype = node.args[:6]
        if (low, high) != (torch.iinfo(dtype).min, torch.iinfo(dtype).max):  # type: ignore[arg-type]
            with model.graph.inserting_before(node):
                limited = model.graph.call_function(torch.ops.aten.clamp.default, (values, (low - zero) * scale, (high - zero) * scale))  # type: ignore[operator]
            node.replace_input_with(values, limited)  # type: ignore[arg-type]
    for node in _calls(model, *LAYERS):
        if len(node.args) > 2 and node.args[2] is not None:
            _round_bias(model, *node.args[:3])  # type: ignore[arg-type]
    model.recompile()
    return model


@torch.no_grad()
def _round_bias(model: fx.GraphModule, x: fx.Node, weight: fx.Node, bias: fx.Node) -> None:
    while "dequantize_per_tensor" not in str(x.target):         # behind what only moves numbers: flatten, reshape
        x = x.all_input_nodes[0]
    values = model.get_parameter(str(bias.target))
    unit = x.args[1] * model.get_buffer(str(weight.args[1].target))  # type: ignore[operator, union-attr]
    values.copy_((values.double() / unit).round() * unit)


def _calls(model: fx.GraphModule, *names: str) -> list[fx.Node]:
    return [node for node in model.graph.nodes if node.op == "call_function" and str(node.target).startswith(names)]
