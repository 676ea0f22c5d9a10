"""Side by side: the float network, its fake-quantized form, and the integer network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import inf, log10
from typing import cast

import numpy as np

from rpa.net import reference
from rpa.net.float_run import run_float
from rpa.net.graph import Graph
from rpa.net.integer import Mac
from rpa.quant.convert import Converted
from rpa.quant.errors import QuantError
from rpa.quant.options import Options
from rpa.quant.simulate import simulate

RANDOM = 0
"""Seed of what stochastic rounding draws in a report: one draw of many, not the array's."""


@dataclass(frozen=True, kw_only=True)
class LayerReport:
    """One node of the integer network."""

    name: str
    kind: str
    act_bits: tuple[int, ...]
    """Logical width of each input."""
    act_containers: tuple[int, ...]
    """Bits that each input takes in memory."""
    weight_containers: tuple[int, ...]
    """Bits that the weights of each term take; empty without weights."""
    weight_bytes: int
    """Of all terms, packed."""
    output: str
    output_scale: float
    output_zero_point: int
    accumulator_bits: int
    """Bits, sign included, of the largest sum that can occur; 0 where nothing is accumulated."""
    pre: int
    """Right shift of the accumulator before it is rescaled."""
    sqnr_db: float | None
    """Power of the float activation over that of its error, in dB; infinite where equal, None if the float network does not have it."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Outputs of the three networks on the same images."""

    images: int
    relative_error_integer: float
    """Of the outputs against float: sqrt(sum of squared errors / sum of squares)."""
    relative_error_fake: float | None = None
    """None, as everything else of it, where the fake-quantized network was not run."""
    largest_difference: float | None = None
    """Between integer and fake-quantized outputs, in steps of the output."""
    accuracy_float: float | None = None
    """Share of images whose largest output is the labelled one; None without labels."""
    accuracy_fake: float | None = None
    accuracy_integer: float | None = None


@dataclass(frozen=True, kw_only=True)
class Report:
    """What quantization did, and what it cost on the calibration images."""

    network: str
    options: Options
    layers: tuple[LayerReport, ...]
    comparison: Comparison
    weight_bytes: int
    float_weight_bytes: int
    """Of the same weights as float32."""
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """For JSON: plain types; infinities as None."""
        return _plain(asdict(self))  # type: ignore[return-value]


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def sqnr(expected: np.ndarray, got: np.ndarray) -> float:
    """Signal to quantization noise in dB; infinite where there is none, minus infinity where there is no signal."""
    signal, noise = (float(np.square(values, dtype=np.float64).sum()) for values in (expected, expected - got))
    return inf if noise == 0 else -inf if signal == 0 else 10 * log10(signal / noise)


def relative_error(expected: np.ndarray, got: np.ndarray) -> float:
    """sqrt(sum of squared errors / sum of squares); infinite where only the error is not 0."""
    signal, noise = (float(np.square(values, dtype=np.float64).sum()) for values in (expected, expected - got))
    return (noise / signal) ** 0.5 if signal else (inf if noise else 0.0)


def to_integers(converted: Converted, images: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Images (N, C, H, W) as the integers (N, H, W, C) that the network takes."""
    return {name: converted.formats[name].quantize(values.transpose(0, 2, 3, 1)) for name, values in images.items()}


def to_real(converted: Converted, name: str, integers: np.ndarray) -> np.ndarray:
    """Integers (N, H, W, C) of a feature as real numbers (N, C, H, W)."""
    return converted.formats[name].dequantize(integers).transpose(0, 3, 1, 2)


def compare(graph: Graph, converted: Converted, images: Mapping[str, np.ndarray], labels: np.ndarray | None = None,
            float_outputs: Mapping[str, np.ndarray] | None = None, fake: bool = True) -> Comparison:
    """Run all three networks. labels: (N,) indices into the first output. float_outputs: what `run_float` gave, if it is known already.
    fake: whether to run the fake-quantized one.

    Raises QuantError if there are not as many labels as images, or if a label is no index.
    """
    count = len(next(iter(images.values())))
    floats = run_float(graph, images) if float_outputs is None else dict(float_outputs)
    inputs = to_integers(converted, images)
    states = reference.random_states(converted.net, RANDOM)
    integers = [reference.run_many(converted.net, inputs, states=states), *([simulate(converted, inputs)] if fake else [])]
    results = [{name: to_real(converted, name, values[name]) for name in graph.outputs} for values in integers]
    errors: list[float | None] = [relative_error(_flat(floats, graph.outputs), _flat(result, graph.outputs)) for result in results]
    accuracy: list[float | None] = [None] * 3
    if labels is not None:
        accuracy = [_accuracy(values[graph.outputs[0]], labels) for values in (floats, *results)]
    difference = max(float(np.abs(integers[0][name] - integers[1][name]).max()) for name in graph.outputs) if fake else None
    return Comparison(images=count, relative_error_integer=cast("float", errors[0]), relative_error_fake=errors[1] if fake else None,
                      largest_difference=difference, accuracy_float=accuracy[0], accuracy_integer=accuracy[1],
                      accuracy_fake=accuracy[2] if fake else None)


def _flat(outputs: Mapping[str, np.ndarray], names: tuple[str, ...]) -> np.ndarray:
    return np.concatenate([outputs[name].reshape(-1) for name in names])


def _accuracy(outputs: np.ndarray, labels: np.ndarray) -> float:
    labels, flat = np.asarray(labels), outputs.reshape(len(outputs), -1)
    if labels.shape != (len(flat),) or not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= flat.shape[1]:
        raise QuantError(f"labels are {labels.dtype} {labels.shape}, must be {len(flat)} integers 0..{flat.shape[1] - 1}")
    return float((flat.argmax(axis=1) == labels).mean())


def layer_reports(graph: Graph, converted: Converted, images: Mapping[str, np.ndarray]) -> tuple[LayerReport, ...]:
    """One for each node, in order; the ratio of signal to noise is measured on `images`."""
    names = [node.output for node in converted.net.nodes]
    known = [name for name in names if name in graph.shapes]
    floats = run_float(graph, images, wanted=known)
    states = reference.random_states(converted.net, RANDOM)
    exact = reference.run_many(converted.net, to_integers(converted, images), wanted=known, states=states)
    ratios = {name: sqnr(floats[name], to_real(converted, name, exact[name])) for name in known}
    return tuple(_layer(converted, node, ratios.get(node.output)) for node in converted.net.nodes)


def _layer(converted: Converted, node, ratio: float | None) -> LayerReport:
    form = converted.formats[node.output]
    terms = node.terms if isinstance(node, Mac) else ()
    sources = [term.input for term in terms] or list(reference.inputs_of(node))
    bound = converted.built[node.name].bound if isinstance(node, Mac) else 0
    return LayerReport(
        name=node.name, kind=type(node).__name__, act_bits=tuple(converted.formats[name].bits for name in sources),
        act_containers=tuple(converted.formats[name].container for name in sources), weight_containers=tuple(term.weight_bits for term in terms),
        weight_bytes=_weight_bytes(terms), output=node.output, output_scale=form.scale, output_zero_point=form.zero_point,
        accumulator_bits=bound.bit_length() + 1 if bound else 0, pre=node.pre if isinstance(node, Mac) else 0, sqnr_db=ratio)


def _weight_bytes(terms) -> int:
    return sum((term.weight.size * term.weight_bits + 7) // 8 for term in terms)


def weight_bytes(converted: Converted) -> tuple[int, int]:
    """Bytes of all weights, packed, and as float32; what stands for ones, ratios of scales and biases is not counted."""
    packed = floats = 0
    for block in converted.blocks:
        built = converted.built.get(block.name)
        if built is not None:
            kept = [(part, term) for part, term in zip(block.parts, built.mac.terms, strict=True) if not part.exact]  # type: ignore[union-attr]
            packed += _weight_bytes([term for _, term in kept])
            floats += sum(4 * part.weight.size for part, _ in kept)
    return packed, floats
