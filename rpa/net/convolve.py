"""Exact convolutions of integers on floating-point matrix products.

A product of matrices whose every partial sum is an integer below 2^24 (float32) or 2^53 (float64) has no rounding in it, in whatever
order BLAS adds. The bound used is max over output channels of sum |w|, times max |x|. Work is cut along images so that patches never
take more than `PATCH_BYTES`, unless one image alone does.
"""

from __future__ import annotations

import numpy as np

from rpa.net.errors import NetError
from rpa.net.integer import Term, output_size

FLOAT32_EXACT, FLOAT64_EXACT = 1 << 24, 1 << 53
PATCH_BYTES = 64 << 20


def exact_float(weight: np.ndarray, most: int) -> type[np.floating]:
    """The smallest float type in which sums of products of `weight` (M, ...) with integers of magnitude `most` are exact. NetError if none."""
    bound = int(np.abs(weight.reshape(len(weight), -1).astype(np.int64)).sum(axis=1).max()) * most
    if bound >= FLOAT64_EXACT:
        raise NetError(f"sums of products reach {bound}, must stay below 2^53")
    return np.float32 if bound < FLOAT32_EXACT else np.float64


def convolve(x: np.ndarray, term: Term, zero_point: int) -> np.ndarray:
    """The sum of products of `term` for integers x (N, H, W, C); outside the image x is `zero_point`. Returns int64 (N, P, Q, M)."""
    kind = exact_float(term.weight, max(abs(int(x.min())), abs(int(x.max())), abs(zero_point)))
    return _convolve(x, term, zero_point, kind, np.int64)


def convolve_float(x: np.ndarray, term: Term) -> np.ndarray:
    """The same for floats and zeros outside the image, in x's type; rounded as BLAS does."""
    return _convolve(x, term, 0, x.dtype.type, x.dtype.type)


def _convolve(x: np.ndarray, term: Term, filler: float, kind: type[np.floating], result: type[np.number]) -> np.ndarray:
    m, r, s, c = term.weight.shape
    top, left, bottom, right = term.pads
    height = output_size(x.shape[1], r, term.stride[0], top, bottom, term.dilation[0])
    width = output_size(x.shape[2], s, term.stride[1], left, right, term.dilation[1])
    out = np.empty((len(x), height, width, m), result)
    step = max(1, PATCH_BYTES // (height * width * r * s * c * term.groups * np.dtype(kind).itemsize))
    for start in range(0, len(x), step):
        image = x[start:start + step].astype(kind)
        if any(term.pads):
            image = np.pad(image, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=filler)
        products = _depthwise if c == 1 else _matrix
        out[start:start + step] = products(image, np.asarray(term.weight), term, height, width)
    return out


def _taps(image: np.ndarray, term: Term, height: int, width: int):
    """For each tap (r, s) of the kernel: the inputs (N, height, width, C) that it meets."""
    _, rows, columns, _ = term.weight.shape
    for r in range(rows):
        for s in range(columns):
            y, x = r * term.dilation[0], s * term.dilation[1]
            yield r, s, image[:, y:y + (height - 1) * term.stride[0] + 1:term.stride[0], x:x + (width - 1) * term.stride[1] + 1:term.stride[1]]


def _depthwise(image: np.ndarray, weight: np.ndarray, term: Term, height: int, width: int) -> np.ndarray:
    """One input channel for each output channel: element-wise, tap by tap."""
    m = len(weight)
    per_group = m // term.groups
    total = np.zeros((len(image), height, width, m), image.dtype)
    for r, s, inputs in _taps(image, term, height, width):
        spread = np.repeat(inputs, per_group, axis=3) if per_group > 1 else inputs
        total += spread * weight[:, r, s, 0].astype(image.dtype)
    return total


def _matrix(image: np.ndarray, weight: np.ndarray, term: Term, height: int, width: int) -> np.ndarray:
    """Patches times weights, group by group."""
    m, r, s, c = weight.shape
    images, groups = len(image), term.groups
    patches = np.empty((images, height, width, groups, r, s, c), image.dtype)
    for y, x, inputs in _taps(image, term, height, width):
        patches[:, :, :, :, y, x] = inputs.reshape(images, height, width, groups, c)
    rows = patches.reshape(images * height * width, groups, r * s * c).transpose(1, 0, 2)
    columns = weight.reshape(groups, m // groups, r * s * c).astype(image.dtype).transpose(0, 2, 1)
    return np.matmul(rows, columns).transpose(1, 0, 2).reshape(images, height, width, m)
