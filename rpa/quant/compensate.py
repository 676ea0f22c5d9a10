"""Rounding weights one after the other, each making up for the errors of those before it.

With H = E[x x^T] over the patches x that a filter sees, rounding weights w to q costs (w - q)^T H (w - q) of its output. Weights are
rounded in order; the error of each is spread over those that are still free so that the cost grows least. Source: Frantar et al., "GPTQ",
ICLR 2023, algorithm 1 (without its blocks); Hassibi and Stork, "Optimal Brain Surgeon", 1993.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from rpa.net.float_run import run_float
from rpa.net.graph import Graph
from rpa.quant.blocks import Block, MacBlock, Part

LARGEST = 2304
"""Weights of a filter, at most, that are compensated; the work grows with the square, and larger filters suffer less from rounding."""
IMAGES, PATCHES = 64, 16384
"""What H is estimated from, at most."""
_DAMPING = 0.01


Moments = dict[tuple[str, str], np.ndarray]
"""E[x x^T] of what the filters of a part see, by its node and its input: float64 (groups, K, K), K in the order of (R, S, C)."""
Factors = dict[tuple[str, str], np.ndarray]
"""What rounding needs of it, `factors_of`."""


def patch_moments(graph: Graph, blocks: Iterable[Block], images: Mapping[str, np.ndarray]) -> Moments:
    """H of every part with weights that is small enough, estimated from the first images."""
    parts = [part for block in blocks if isinstance(block, MacBlock) for part in block.parts
             if not part.exact and part.weight[0].size <= LARGEST and part.input in graph.shapes]
    count = min(IMAGES, len(next(iter(images.values()))))
    rng = np.random.default_rng(0)
    sums: Moments = {}
    counts: dict[tuple[str, str], int] = {}
    for start in range(0, count, 8):
        batch = run_float(graph, {name: values[start:min(start + 8, count)] for name, values in images.items()},
                          wanted=tuple(dict.fromkeys(part.input for part in parts)))
        for part in parts:
            patches = _patches(part, batch[part.input].transpose(0, 2, 3, 1), PATCHES * 8 // count + 1, rng)
            key = part.node, part.input
            sums[key] = sums.get(key, 0) + np.matmul(patches.transpose(0, 2, 1), patches)
            counts[key] = counts.get(key, 0) + patches.shape[1]
    return {key: total / counts[key] for key, total in sums.items()}


def _patches(part: Part, x: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Patches of x (N, H, W, C) that the part's filters see, at most `most` of them, float64 (groups, n, K)."""
    _, rows, columns, c = part.weight.shape
    top, left, bottom, right = part.pads
    x = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    span = [(size - 1) * step + 1 for size, step in zip((rows, columns), part.dilation, strict=True)]
    windows = np.lib.stride_tricks.sliding_window_view(x, span, axis=(1, 2))[:, ::part.stride[0], ::part.stride[1]]
    windows = windows[..., ::part.dilation[0], ::part.dilation[1]]
    places = np.array(np.unravel_index(np.arange(np.prod(windows.shape[:3])), windows.shape[:3]))
    if places.shape[1] > most:
        places = places[:, np.sort(rng.choice(places.shape[1], most, replace=False))]
    picked = windows[tuple(places)].astype(np.float64)
    picked = picked.transpose(0, 2, 3, 1).reshape(len(picked), rows, columns, part.groups, c)
    return picked.transpose(3, 0, 1, 2, 4).reshape(part.groups, len(picked), rows * columns * c)


def factors_of(moments: np.ndarray) -> np.ndarray:
    """For H (groups, K, K), damped: the upper triangular U with U^T U = H^-1, whose row k says how the error of weight k is spread."""
    result = np.empty_like(moments)
    for group, one in enumerate(moments):
        size = len(one)
        mean = float(np.trace(one)) / size or 1.0
        inverse = np.linalg.inv(one + np.eye(size) * (_DAMPING * mean))
        result[group] = np.linalg.cholesky((inverse + inverse.T) / 2).T
    return result


def compensated(weight: np.ndarray, step: np.ndarray, low: np.ndarray, high: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Integers for weights (M, ...) with steps, limits (M,) each and factors (groups, K, K); int64 of the weights' shape."""
    groups = len(factors)
    free = (weight.reshape(len(weight), -1) / step[:, None]).reshape(groups, -1, factors.shape[1])
    low, high = low.reshape(groups, -1), high.reshape(groups, -1)
    result = np.empty_like(free)
    for k in range(free.shape[2]):
        result[:, :, k] = np.minimum(np.maximum(np.rint(free[:, :, k]), low), high)
        error = (free[:, :, k] - result[:, :, k]) / factors[:, k, k, None]
        free[:, :, k + 1:] -= error[:, :, None] * factors[:, None, k, k + 1:]
    return result.reshape(weight.shape).astype(np.int64)
