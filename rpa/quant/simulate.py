"""Fake quantization: the grids of an integer network, with everything between them in real numbers.

Weights, biases and activations have the values that the integers stand for; sums and rescaling are real (float64), and a stored activation is
rounded to the nearest point of its grid, ties to even. What differs from the integer network is how it rescales: a 31-bit multiplier, the shift
before it, and its rounding mode.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from rpa.net.convolve import convolve
from rpa.net.integer import IntNet, Mac, Product, inputs_of
from rpa.net.reference import evaluate
from rpa.quant.convert import Converted


def simulate(converted: Converted, inputs: Mapping[str, np.ndarray], wanted: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Features in `wanted` (the outputs unless told) as integers (N, H, W, C) of their grids, for integers (N, H, W, C)."""
    net = converted.net
    names = tuple(net.outputs if wanted is None else wanted)
    known = {name: np.asarray(values) for name, values in inputs.items()}
    last = {name: index for index, node in enumerate(net.nodes) for name in inputs_of(node)}
    for index, node in enumerate(net.nodes):
        sources = {name: known[name] for name in inputs_of(node)}
        if isinstance(node, Mac):
            known[node.output] = _stored(net, node.output, _accumulated(converted, node, sources))
        elif isinstance(node, Product):
            a, b = ((sources[name] - net.features[name].zero_point) * net.features[name].scale for name in node.inputs)
            known[node.output] = _stored(net, node.output, a * b)
        else:
            known[node.output] = evaluate(net, node, sources)
        for name in sources:
            if last[name] == index and name not in names:
                del known[name]
    return {name: known[name] for name in names}


def _accumulated(converted: Converted, node: Mac, sources: Mapping[str, np.ndarray]) -> np.ndarray:
    """Real numbers before rounding, float64 (N, H, W, M). Sums of products of integers are exact, so their multiples are the real sums."""
    total = sum(convolve(sources[term.input], term, converted.net.features[term.input].zero_point) for term in node.terms)
    return (total + node.bias) * converted.built[node.name].scale


def _stored(net: IntNet, name: str, values: np.ndarray) -> np.ndarray:
    feature = net.features[name]
    return np.clip(np.rint(values / feature.scale) + feature.zero_point, feature.low, feature.high).astype(np.int64)
