"""Between a model's own arrays and the features of its integer network.

The inputs and outputs of the integer network are those of the graph that it was made from, in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rpa.net.errors import NetError
from rpa.net.float_run import finite, model_outputs
from rpa.net.graph import Graph
from rpa.net.integer import Feature, IntNet


def quantize_array(values: np.ndarray, feature: Feature) -> np.ndarray:
    """Numbers as the feature's integers: nearest, ties to even, in float32; int64."""
    scaled = np.rint(values.astype(np.float32) / np.float32(feature.scale)) + feature.zero_point
    return np.clip(scaled, feature.low, feature.high).astype(np.int64)


def dequantize_array(values: np.ndarray, feature: Feature) -> np.ndarray:
    """The feature's integers as float32 numbers."""
    return (values - feature.zero_point).astype(np.float32) * np.float32(feature.scale)


def features_of(graph: Graph, net: IntNet, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays of the model's own shapes (numbers, or integers where the model takes integers) as inputs of `net`, int64 (N, H, W, C)."""
    if set(arrays) != set(graph.inputs):
        raise NetError(f"inputs are {', '.join(sorted(arrays)) or 'none'}, `{graph.name}` takes {', '.join(sorted(graph.inputs))}")
    result = {}
    for name, feature_name in zip(graph.inputs, net.inputs, strict=True):
        placed = graph.layouts[name].to_nchw(np.asarray(arrays[name]), graph.shapes[name]).transpose(0, 2, 3, 1)
        result[feature_name] = placed.astype(np.int64) if name in graph.codes else quantize_array(finite(placed, name), net.features[feature_name])
    return result


def arrays_of(graph: Graph, net: IntNet, results: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs of `net` (N, H, W, C) as the model has them, with what the host computes after the array."""
    numbers = {name: dequantize_array(results[feature], net.features[feature]).transpose(0, 3, 1, 2)
               for name, feature in zip(graph.outputs, net.outputs, strict=True)}
    return model_outputs(graph, numbers)
