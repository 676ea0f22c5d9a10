"""The front door: a model of PyTorch or ONNX in, a program for the array out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rpa.arch.config import ArrayConfig
from rpa.compile.compiled import CompiledNet, NetRun, compile_net
from rpa.compile.errors import CompileError
from rpa.compile.placement import Verdict, Wish, resolve
from rpa.net.graph import Graph
from rpa.net.integer import IntNet

if TYPE_CHECKING:
    from rpa.quant.front import Quantized


@dataclass(frozen=True, eq=False)
class CompiledModel:
    """A model on the array, with the way from real numbers to its integers and back."""

    compiled: CompiledNet
    quantized: Quantized | None
    """None for a model that came with its own integers."""
    verdicts: tuple[Verdict, ...] = ()
    """What an automatic placement on NOR-flash macros rests on."""

    @property
    def net(self) -> IntNet:
        return self.compiled.net

    def integers(self, image: np.ndarray | Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """One image of real numbers (C, H, W) as what the array takes: integers (H, W, C) by input.

        A model that came with its own integers uses the scales of its inputs.
        """
        images = dict(image) if isinstance(image, Mapping) else {self.net.inputs[0]: image}
        if self.quantized is not None:
            batch = {name: np.asarray(values)[None] for name, values in images.items()}
            return {name: values[0] for name, values in self.quantized.to_integers(batch).items()}
        return {name: _to_integers(self.net, name, np.asarray(values)) for name, values in images.items()}

    def run(self, image: np.ndarray | Mapping[str, np.ndarray], backend: str = "fast") -> NetRun:
        """Run one image of real numbers (C, H, W)."""
        return self.compiled.run(self.integers(image), backend)

    def real(self, outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Integers (H, W, C) of features as real numbers (C, H, W)."""
        features = self.net.features
        return {name: ((values - features[name].zero_point) * features[name].scale).transpose(2, 0, 1) for name, values in outputs.items()}


def compile_model(model: Any, example: np.ndarray | Mapping[str, np.ndarray] | None = None, *, widths: Any = "8",
                  calibration: np.ndarray | Mapping[str, np.ndarray] | None = None, config: ArrayConfig | None = None, effort: bool = True,
                  place: Wish | None = None, **choices: Any) -> CompiledModel:
    """Quantize and compile a model.

    model: an ONNX file, bytes or ModelProto, a `torch.nn.Module`, a :class:`rpa.net.graph.Graph`, or an integer network.
    example: real numbers (N, C, H, W); a torch module is exported with the first of them. They also calibrate, unless `calibration` is given.
    widths: "8", "w4a8", a table of widths or its file (`rpa.quant.widths`). place: layers for NOR-flash macros
    (`rpa.compile.placement.wish`), whose ranges the same images calibrate. choices: fields of `rpa.quant.options.Options`.
    A model with quantized weights (QDQ, QOperator, QONNX) keeps its own integers: widths and calibration do not apply.
    Raises NetError, QuantError or CompileError, which name every node concerned.
    """
    config = config or ArrayConfig.preset("default" if place is None else "hybrid")
    if isinstance(model, IntNet):
        return _compiled(model, config, effort, place, None)
    graph = to_graph(model, example)
    images = example if calibration is None else calibration
    if graph.quantized:
        from rpa.net.qdq import to_integer

        return _compiled(to_integer(graph), config, effort, place, images)
    if images is None:
        raise CompileError(f"`{graph.name}` has no integers of its own: give images that calibrate its activations (`calibration`, N x C x H x W)")
    from rpa.quant.front import quantize

    quantized = quantize(graph, images, widths, **choices)
    return _compiled(quantized.net, config, effort, place, images, quantized)


def _compiled(net: IntNet, config: ArrayConfig, effort: bool, place: Wish | None, images: Any, quantized: Quantized | None = None) -> CompiledModel:
    seed = 0 if quantized is None else quantized.report.options.seed
    if place is None:
        return CompiledModel(compile_net(net, config, effort=effort, seed=seed), quantized)
    integers = None
    if images is not None and quantized is not None:
        integers = quantized.to_integers(images)
    elif images is not None:
        given = images if isinstance(images, Mapping) else {net.inputs[0]: images}
        integers = {name: np.stack([_to_integers(net, name, one) for one in np.asarray(values)]) for name, values in given.items()}
    placements, verdicts = resolve(place, net, config, integers)
    compiled = compile_net(net, config, effort=effort, place=placements, seed=seed)
    return CompiledModel(compiled, quantized, verdicts)


def to_graph(model: Any, example: np.ndarray | Mapping[str, np.ndarray] | None = None) -> Graph:
    """The float graph of whatever :func:`compile_model` takes. Raises NetError, CompileError."""
    if isinstance(model, Graph):
        return model
    if isinstance(model, str | os.PathLike | bytes | Path) or type(model).__name__ == "ModelProto":
        from rpa.net.onnx_import import load_onnx

        return load_onnx(model)
    if example is None:
        raise CompileError(f"a {type(model).__name__} is exported with an example input: give `example`, N x C x H x W")
    from rpa.net.torch_import import load_torch

    return load_torch(model, example)


def _to_integers(net: IntNet, name: str, values: np.ndarray) -> np.ndarray:
    feature = net.features[name]
    codes = np.rint(values / feature.scale) + feature.zero_point
    return np.clip(codes, feature.low, feature.high).astype(np.int64).transpose(1, 2, 0)
