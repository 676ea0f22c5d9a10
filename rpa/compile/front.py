"""The front door: a model of PyTorch or ONNX in, a program for the array out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rpa.arch.config import ArrayConfig
from rpa.compile.compiled import CompiledNet, NetRun, compile_net
from rpa.compile.errors import CompileError
from rpa.compile.placement import Verdict, Wish, resolve, wish
from rpa.net.graph import Graph
from rpa.net.integer import HostStep, IntNet

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
    graph: Graph | None = None
    """None for a model that was given as an integer network."""

    @property
    def net(self) -> IntNet:
        return self.compiled.net

    @property
    def left_to_host(self) -> tuple[HostStep, ...]:
        """What is computed behind the array, in float: nothing that was not allowed."""
        return host_steps(self.net)

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

    def results(self, outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Integers (H, W, C) of the network's outputs as the model itself gives them, a batch of 1, with what is left to the host."""
        if self.graph is None:
            raise CompileError(f"`{self.net.name}` was given as integers: how a model would show its outputs is not known; see `real`")
        from rpa.net.border import arrays_of

        return arrays_of(self.graph, self.net, {name: outputs[name][None] for name in self.net.outputs})


def compile_model(model: Any, example: np.ndarray | Mapping[str, np.ndarray] | None = None, *, widths: Any = "8",
                  calibration: np.ndarray | Mapping[str, np.ndarray] | None = None, config: ArrayConfig | None = None, effort: bool = True,
                  place: Wish | str | Sequence[str] | None = None, host: bool = False, **choices: Any) -> CompiledModel:
    """Quantize and compile a model.

    model: an ONNX file, bytes or ModelProto, a `torch.nn.Module`, a :class:`rpa.net.graph.Graph`, or an integer network.
    example: real numbers (N, C, H, W); a torch module is exported with the first of them. They also calibrate, unless `calibration` is given.
    widths: "8", "w4a8", a table of widths or its file (`rpa.quant.widths`). place: layers for NOR-flash macros, as
    "fc1=flash" or "auto=energy" (`rpa.compile.placement.wish` takes more); the same images calibrate their ranges. host: the host may compute a
    Softmax that stands last.
    choices: fields of `rpa.quant.options.Options`.
    A model with quantized weights (QDQ, QOperator, QONNX) keeps its own integers: widths and calibration do not apply.
    Raises NetError, QuantError or CompileError, which name every node concerned.
    """
    place = _wanted(place)
    config = config or ArrayConfig.preset("default" if place is None else "hybrid")
    if isinstance(model, IntNet):
        return _compiled(model, config, effort, place, None)
    graph = to_graph(model, example)
    if graph.host and not host:
        raise CompileError(_not_allowed(graph))
    images = example if calibration is None else calibration
    if graph.quantized:
        from rpa.net.qdq import to_integer

        return replace(_compiled(to_integer(graph), config, effort, place, images), graph=graph)
    if images is None:
        raise CompileError(f"`{graph.name}` has no integers of its own: give images that calibrate its activations (`calibration`, N x C x H x W)")
    from rpa.quant.front import quantize

    quantized = quantize(graph, images, widths, **choices)
    return replace(_compiled(quantized.net, config, effort, place, images, quantized), graph=graph)


def _wanted(place: Wish | str | Sequence[str] | None) -> Wish | None:
    if place is None or isinstance(place, Wish):
        return place
    return wish(place) if len(place) else None


def host_steps(net: Graph | IntNet) -> tuple[HostStep, ...]:
    """Nodes of the model that the host computes; how outputs lie is none."""
    return tuple(step for step in net.host if step.op != "reshape")


def _not_allowed(graph: Graph) -> str:
    steps = "\n".join(f"  output `{step.source}`: {step.op} behind the array" for step in host_steps(graph))
    return (f"`{graph.name}` ends with what the array cannot compute:\n{steps}\n"
            "the host does it if you allow that (`host=True`, on the command line --host); classes keep their order without it")


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

    return load_torch(model, [np.asarray(values)[:1] for values in example.values()] if isinstance(example, Mapping) else np.asarray(example)[:1])


def _to_integers(net: IntNet, name: str, values: np.ndarray) -> np.ndarray:
    feature = net.features[name]
    codes = np.rint(values / feature.scale) + feature.zero_point
    return np.clip(codes, feature.low, feature.high).astype(np.int64).transpose(1, 2, 0)
