"""Float networks as ONNX, and what onnxruntime's own quantizer makes of them."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from .ort import model


class Builder:
    """Nodes one after the other; parameters are drawn."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}

    def add(self, op: str, *inputs: str, name: str = "", domain: str = "", **attributes) -> str:
        output = name or f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [output], name=f"{output}_node", domain=domain, **attributes))
        return output

    def keep(self, name: str, values) -> str:
        self.constants[name] = np.asarray(values)
        return name

    def conv(self, x: str, channels: int, kernel: tuple[int, ...], depth: int, *, bias: bool = True, **attributes) -> str:
        at = len(self.nodes)
        weight = self.rng.normal(0, 1 / np.sqrt(depth * np.prod(kernel)), (channels, depth, *kernel)).astype(np.float32)
        inputs = [x, self.keep(f"w{at}", weight)]
        if bias:
            inputs.append(self.keep(f"b{at}", self.rng.normal(0, 0.2, channels).astype(np.float32)))
        return self.add("Conv", *inputs, **attributes)

    def norm(self, x: str, channels: int) -> str:
        at = len(self.nodes)
        draws = {"gamma": self.rng.normal(1, 0.3, channels), "beta": self.rng.normal(0, 0.3, channels), "mean": self.rng.normal(0, 0.3, channels),
                 "variance": self.rng.uniform(0.5, 2, channels)}
        return self.add("BatchNormalization", x, *(self.keep(f"{key}{at}", value.astype(np.float32)) for key, value in draws.items()))

    def gemm(self, x: str, outputs: int, depth: int) -> str:
        at = len(self.nodes)
        weight = self.rng.normal(0, 1 / np.sqrt(depth), (outputs, depth)).astype(np.float32)
        return self.add("Gemm", x, self.keep(f"w{at}", weight), self.keep(f"b{at}", self.rng.normal(0, 0.2, outputs).astype(np.float32)), transB=1)

    def model(self, shape, y: str, *, batch="n") -> onnx.ModelProto:
        kind = TensorProto.FLOAT
        return model(self.nodes, {"x": (kind, [batch, *shape])}, {y: (kind, None)}, self.constants)


def residual(seed: int = 0, *, activation: str = "Relu") -> onnx.ModelProto:
    """Convolution, a residual block with a strided shortcut, depthwise, pools and a classifier; input (3, 16, 16)."""
    b = Builder(seed)
    x = b.add(activation, b.norm(b.conv("x", 8, (3, 3), 3, pads=[1] * 4, bias=False), 8))
    y = b.add(activation, b.conv(x, 16, (3, 3), 8, pads=[1] * 4, strides=[2, 2]))
    y = b.conv(y, 16, (3, 3), 16, pads=[1] * 4)
    x = b.add(activation, b.add("Add", y, b.conv(x, 16, (1, 1), 8, strides=[2, 2])))
    x = b.add("MaxPool", b.conv(x, 16, (3, 3), 1, group=16, pads=[1] * 4), kernel_shape=[2, 2], strides=[2, 2])
    x = b.add("Flatten", b.add("GlobalAveragePool", x))
    return b.model((3, 16, 16), b.gemm(x, 10, 16))


class Reader:
    """Calibration data, one batch after the other."""

    def __init__(self, batches) -> None:
        self.batches = iter([{"x": batch} for batch in batches])

    def get_next(self):
        return next(self.batches, None)


def quantize(the_model: onnx.ModelProto, folder, batches, *, operators: bool = False, per_channel: bool = True, activations: str = "QInt8",
             weights: str = "QInt8", **extra) -> onnx.ModelProto:
    """onnxruntime's static quantization, as QDQ or as QLinear operators."""
    from onnxruntime import quantization as q

    source, target = folder / "float.onnx", folder / "quantized.onnx"
    onnx.save(the_model, source)
    form = q.QuantFormat.QOperator if operators else q.QuantFormat.QDQ
    q.quantize_static(source, target, Reader(batches), quant_format=form, per_channel=per_channel, activation_type=getattr(q.QuantType, activations),
                      weight_type=getattr(q.QuantType, weights), extra_options=extra)
    return onnx.load(target)
