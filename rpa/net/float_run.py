"""The float graph computed in float32, for a batch: what quantization starts from and is compared with."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import cast

import numpy as np

from rpa.net.convolve import convolve_float
from rpa.net.errors import NetError
from rpa.net.graph import Graph, Node
from rpa.net.integer import Term, output_size
from rpa.net.scalar import SCALAR_OPERATORS, apply_clip, scalar_function

CHUNK_BYTES = 64 << 20
"""As many images at once as keep the largest activation below this."""


def run_float(graph: Graph, inputs: Mapping[str, np.ndarray], *, wanted: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Activations of `graph` as float32 (N, C, H, W), those in `wanted`, or the outputs.

    inputs: numbers (N, C, H, W) by name; `model_inputs` makes them of arrays shaped as the model's. NetError if a name or shape is wrong.
    """
    names = tuple(graph.outputs if wanted is None else wanted)
    batch = {name: np.asarray(values, np.float32) for name, values in inputs.items()}
    if set(batch) != set(graph.inputs):
        raise NetError(f"inputs are {', '.join(sorted(batch)) or 'none'}, `{graph.name}` takes {', '.join(sorted(graph.inputs))}")
    counts = {len(values) for values in batch.values() if values.ndim}
    for name, values in batch.items():
        if values.shape[1:] != graph.shapes[name] or len(counts) != 1 or not values.size:
            raise NetError(f"input `{name}` has shape {values.shape}, must be (N, {', '.join(map(str, graph.shapes[name]))})")
    unknown = [name for name in names if name not in graph.shapes]
    if unknown:
        raise NetError(f"`{unknown[0]}` is not an activation of `{graph.name}`")
    count = counts.pop()
    step = max(1, CHUNK_BYTES // (4 * max(int(np.prod(shape)) for shape in graph.shapes.values())))
    results = {name: np.empty((count, *graph.shapes[name]), np.float32) for name in names}
    for start in range(0, count, step):
        part = _run(graph, {name: values[start:start + step] for name, values in batch.items()}, names)
        for name in names:
            results[name][start:start + step] = part[name].transpose(0, 3, 1, 2)
    return results


def model_inputs(graph: Graph, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays of the model's own shapes and types as numbers (N, C, H, W). NetError if a shape does not fit."""
    result = {}
    for name, values in arrays.items():
        if name not in graph.inputs:
            raise NetError(f"`{name}` is not an input of `{graph.name}`, must be one of {', '.join(graph.inputs)}")
        placed = graph.layouts[name].to_nchw(np.asarray(values), graph.shapes[name])
        code = graph.codes.get(name)
        if code is None:
            result[name] = finite(placed, name)
        else:
            result[name] = (placed.astype(np.int64) - code.zero_point).astype(np.float32) * np.float32(code.scale)
    return result


def finite(values: np.ndarray, name: str) -> np.ndarray:
    """`values` as float32. NetError if one of them is not finite there."""
    with np.errstate(over="ignore"):
        result = values.astype(np.float32)
    if not np.isfinite(result).all():
        raise NetError(f"input `{name}` holds numbers that are NaN, infinite or beyond float32, must be finite")
    return result


def model_outputs(graph: Graph, results: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs (N, C, H, W) as the model has them: shapes, integers, and what the host computes after the array."""
    arrays = {}
    for name in graph.outputs:
        values, code = graph.layouts[name].to_model(results[name]), graph.codes.get(name)
        arrays[name] = values if code is None else (np.rint(values / np.float32(code.scale)) + code.zero_point).astype(np.int64)
    for step in graph.host:
        if step.op != "softmax":
            raise NetError(f"host step is {step.op!r}, must be softmax")
        axes = cast("tuple[int, ...]", step.attributes["axes"])
        powers = np.exp(arrays[step.source] - arrays[step.source].max(axis=axes, keepdims=True))
        arrays[step.source] = powers / powers.sum(axis=axes, keepdims=True)
    return arrays


def run_model(graph: Graph, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The model on arrays of its own shapes, as its author would run it."""
    return model_outputs(graph, run_float(graph, model_inputs(graph, arrays)))


def _run(graph: Graph, batch: Mapping[str, np.ndarray], wanted: Collection[str]) -> dict[str, np.ndarray]:
    known = {name: values.transpose(0, 2, 3, 1) for name, values in batch.items()}
    last = {name: index for index, node in enumerate(graph.nodes) for name in node.inputs}
    for index, node in enumerate(graph.nodes):
        activations = graph.activations(node)
        known[node.output] = evaluate_float(graph, node, [known[name] for name in activations])
        for name in set(activations):
            if last[name] == index and name not in wanted:
                del known[name]
    return {name: known[name] for name in wanted}


def evaluate_float(graph: Graph, node: Node, inputs: list[np.ndarray]) -> np.ndarray:
    """One node on activations (N, H, W, C) of float32."""
    x, a = inputs[0], node.attributes
    if node.op in ("Conv", "Gemm"):
        result = convolve_float(x, term_of(graph, node)) + graph.initializers[node.inputs[2]]
    elif node.op == "Add":
        result = np.sum(inputs, axis=0, dtype=np.float32)
    elif node.op == "Mul":
        result = x * inputs[1]
    elif node.op == "Concat":
        return np.concatenate(inputs, axis=3)
    elif node.op in ("MaxPool", "AveragePool"):
        result = _pool(node, x)
    elif node.op == "GlobalAveragePool":
        result = x.mean(axis=(1, 2), keepdims=True, dtype=np.float64).astype(np.float32)
    elif node.op == "PRelu":
        return np.where(x >= 0, x, x * graph.initializers[node.inputs[1]])
    elif node.op in SCALAR_OPERATORS:
        return scalar_function(node, x)
    else:
        raise NetError(f"`{node.name}` is a `{node.op}`, which has no float implementation")
    return apply_clip(result, a.get("clip"))


def term_of(graph: Graph, node: Node) -> Term:
    """A Conv or Gemm as a term of floats: weights (M, R, S, C)."""
    a = node.attributes
    weight = graph.initializers[node.inputs[1]].transpose(0, 2, 3, 1)
    if node.op == "Gemm":
        return Term(input=node.inputs[0], weight=weight, weight_bits=16)
    return Term(input=node.inputs[0], weight=weight, weight_bits=16, stride=cast("tuple[int, int]", a["stride"]),
                pads=cast("tuple[int, int, int, int]", a["pads"]), dilation=cast("tuple[int, int]", a["dilation"]), groups=cast(int, a["groups"]))


def _pool(node: Node, x: np.ndarray) -> np.ndarray:
    a = node.attributes
    kernel, stride = cast("tuple[int, int]", a["kernel"]), cast("tuple[int, int]", a["stride"])
    pads = cast("tuple[int, int, int, int]", a["pads"])
    if node.op == "MaxPool":
        return _windows(x, kernel, stride, pads, -np.inf, np.maximum)
    total = _windows(x, kernel, stride, pads, 0, np.add)
    if a["count_include_pad"]:
        return total / np.float32(kernel[0] * kernel[1])
    return total / _windows(np.ones((1, *x.shape[1:3], 1), np.float32), kernel, stride, pads, 0, np.add)


def _windows(x: np.ndarray, kernel, stride, pads, filler: float, combine: np.ufunc) -> np.ndarray:
    padded = np.pad(x, ((0, 0), (pads[0], pads[2]), (pads[1], pads[3]), (0, 0)), constant_values=filler)
    height, width = (output_size(x.shape[1 + i], kernel[i], stride[i], pads[i], pads[2 + i]) for i in (0, 1))
    result = np.full((len(x), height, width, x.shape[3]), filler, x.dtype)
    for r in range(kernel[0]):
        for s in range(kernel[1]):
            tap = padded[:, r:r + (height - 1) * stride[0] + 1:stride[0], s:s + (width - 1) * stride[1] + 1:stride[1]]
            combine(result, tap, out=result)
    return result


