"""What an integer network computes, feature by feature: the definition that quantizer, compiler and machine are compared with.

Plain NumPy, nothing of the array in it: no tiles, no widths of words, no order of steps. What stochastic rounding draws
depends on the order in which the array drains; a compiled network tells it (`States`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial

import numpy as np

from rpa.arch.numerics import requantize
from rpa.net.convolve import convolve
from rpa.net.errors import NetError
from rpa.net.integer import Concat, Feature, IntNet, Lookup, Mac, MaxPool, Node, Product, inputs_of, output_size

ACC_BITS = 48
CHUNK_BYTES = 32 << 20
"""`run_many` takes as many images at once as keep its largest feature below this."""
Evaluator = Callable[[IntNet, Node, Mapping[str, np.ndarray]], np.ndarray]
"""Computes the output (N, H, W, C) of a node from its inputs by name."""
States = Mapping[str, np.ndarray]
"""States of the LFSR, 1..2^32-1, for every element (H, W, C) of the features that are rounded stochastically, by name of the feature."""


def run(net: IntNet, inputs: Mapping[str, np.ndarray], *, states: States | None = None) -> dict[str, np.ndarray]:
    """Every feature of `net`, inputs and outputs included, as int64 (H, W, C).

    inputs: integers (H, W, C) for each name in `net.inputs`. states: where rounding is stochastic.
    NetError if one is missing or unknown, or has another type, shape or range.
    """
    batch = {name: np.asarray(values)[None] for name, values in inputs.items()}
    features = _run_batch(net, _checked(net, batch), net.features, partial(evaluate, states=states))
    return {name: values[0].astype(np.int64) for name, values in features.items()}


def run_many(net: IntNet, inputs: Mapping[str, np.ndarray], *, wanted: Collection[str] | None = None,
             evaluator: Evaluator | None = None, states: States | None = None, at_once: bool = False) -> dict[str, np.ndarray]:
    """`run` for many images: inputs (N, H, W, C); returns the features in `wanted` (the outputs unless told) as int64 (N, H, W, C).

    evaluator: what computes a node instead of :func:`evaluate`; images come in order, some at a time, each part through all nodes.
    at_once: all images through a node before the next one, whatever memory that takes, for evaluators that must see all of them.
    states: where rounding is stochastic; every image sees the same ones, as each begins a run of its own.
    """
    names = tuple(net.outputs if wanted is None else wanted)
    unknown = [name for name in names if name not in net.features]
    if unknown:
        raise NetError(f"`{unknown[0]}` is not a feature of `{net.name}`")
    batch = _checked(net, {name: np.asarray(values) for name, values in inputs.items()})
    count = len(next(iter(batch.values())))
    step = count if at_once else max(1, CHUNK_BYTES // (8 * max(int(np.prod(feature.shape)) for feature in net.features.values())))
    results = {name: np.empty((count, *net.features[name].shape), np.int64) for name in names}
    for start in range(0, count, step):
        part = _run_batch(net, {name: values[start:start + step] for name, values in batch.items()}, names,
                          evaluator or partial(evaluate, states=states))
        for name in names:
            results[name][start:start + step] = part[name]
    return results


def _checked(net: IntNet, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    if set(batch) != set(net.inputs):
        raise NetError(f"inputs are {', '.join(sorted(batch)) or 'none'}, `{net.name}` takes {', '.join(sorted(net.inputs))}")
    counts = {len(values) if values.ndim else 0 for values in batch.values()}
    for name, values in batch.items():
        feature = net.features[name]
        if not np.issubdtype(values.dtype, np.integer):
            raise NetError(f"input `{name}` has type {values.dtype}, must be integers")
        if values.shape[1:] != feature.shape or len(counts) != 1 or not values.size:
            raise NetError(f"input `{name}` has shape {values.shape[1:]} ({len(values)} of them), must be {feature.shape}, as many as of each input")
        if values.min() < feature.low or values.max() > feature.high:
            raise NetError(f"input `{name}` has values {values.min()}..{values.max()}, must be {feature.low}..{feature.high}")
    return batch


def _run_batch(net: IntNet, features: dict[str, np.ndarray], wanted: Collection[str], evaluator: Evaluator) -> dict[str, np.ndarray]:
    """The features in `wanted`; the others are dropped after their last use."""
    known = {name: values.astype(np.int32) for name, values in features.items()}
    last = {name: index for index, node in enumerate(net.nodes) for name in inputs_of(node)}
    for index, node in enumerate(net.nodes):
        result = evaluator(net, node, {name: known[name] for name in inputs_of(node)})
        known[node.output] = result.astype(np.int32)
        for name in set(inputs_of(node)):
            if last[name] == index and name not in wanted:
                del known[name]
    return {name: known[name] for name in wanted}


def evaluate(net: IntNet, node: Node, inputs: Mapping[str, np.ndarray], *, states: States | None = None) -> np.ndarray:
    """The output of one node for inputs (N, H, W, C) by name, within the output's low..high. NetError where the network contradicts itself."""
    output = net.features[node.output]
    if isinstance(node, Mac):
        result = _mac(net, node, inputs, output, states)
    elif isinstance(node, MaxPool):
        result = _maxpool(node, inputs[node.input])
    elif isinstance(node, Concat):
        result = np.concatenate([inputs[name] for name in node.inputs], axis=3)
    elif isinstance(node, Lookup):
        result = _lookup(net, node, inputs[node.input])
    else:
        result = _product(net, node, inputs, output, states)
    if result.shape[1:] != output.shape:
        raise NetError(f"`{node.name}` gives {result.shape[1:]}, its output `{output.name}` is declared {output.shape}")
    if result.min() < output.low or result.max() > output.high:
        raise NetError(f"`{node.name}` gives {result.min()}..{result.max()}, its output `{output.name}` is declared {output.low}..{output.high}")
    return result


def _mac(net: IntNet, node: Mac, inputs: Mapping[str, np.ndarray], output: Feature, states: States | None) -> np.ndarray:
    total = sum(convolve(inputs[term.input], term, net.features[term.input].zero_point) for term in node.terms)
    return requantized(node, total, output, bias=node.bias, pre=node.pre, states=states)


def requantized(node: Mac | Product, total, output: Feature, *, bias=0, pre: int = 0, states: States | None = None) -> np.ndarray:
    """Sums (..., M) as the integers of `output`. NetError where rounding is stochastic and its states are not given."""
    lfsr = (states or {}).get(node.output)
    if node.rounding == "stochastic" and lfsr is None:
        raise NetError(f"`{node.name}`: rounding is stochastic, and what is drawn depends on the order in which the array drains; give `states`, "
                       "those of a compiled network (`CompiledNet.states`) or any others (`random_states`)")
    return requantize(total, node.multiplier, node.shift, output.zero_point, low=output.low, high=output.high, rounding=node.rounding,
                      bias=bias, pre=pre, acc_bits=ACC_BITS, lfsr=1 if lfsr is None else lfsr)


def random_states(net: IntNet, seed: int) -> dict[str, np.ndarray]:
    """States for every node that rounds stochastically, independent of any order: what a network is worth, not what an array computes."""
    random = np.random.default_rng(seed)
    return {node.output: random.integers(1, 1 << 32, net.features[node.output].shape) for node in net.nodes
            if isinstance(node, Mac | Product) and node.rounding == "stochastic"}


def _maxpool(node: MaxPool, x: np.ndarray) -> np.ndarray:
    top, left, bottom, right = node.pads
    height = output_size(x.shape[1], node.kernel[0], node.stride[0], top, bottom)
    width = output_size(x.shape[2], node.kernel[1], node.stride[1], left, right)
    least = np.iinfo(np.int32).min
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=least)
    result = np.full((len(x), height, width, x.shape[3]), least, np.int32)
    for r in range(node.kernel[0]):
        for s in range(node.kernel[1]):
            rows = slice(r, r + (height - 1) * node.stride[0] + 1, node.stride[0])
            columns = slice(s, s + (width - 1) * node.stride[1] + 1, node.stride[1])
            np.maximum(result, padded[:, rows, columns], out=result)
    return result


def _lookup(net: IntNet, node: Lookup, x: np.ndarray) -> np.ndarray:
    source = net.features[node.input]
    table = np.asarray(node.table)
    if table.shape != (source.high - source.low + 1,):
        raise NetError(f"`{node.name}`: table has {table.shape[0]} entries, `{source.name}` takes {source.high - source.low + 1} values")
    return table[x - source.low]


def _product(net: IntNet, node: Product, inputs: Mapping[str, np.ndarray], output: Feature, states: States | None) -> np.ndarray:
    a, b = (inputs[name].astype(np.int64) - net.features[name].zero_point for name in node.inputs)
    return requantized(node, a * b, output, states=states)
