"""Functions of one number that a node may be, in float: what the quantizer samples into a table."""

from __future__ import annotations

from typing import cast

import numpy as np

from rpa.net.errors import NetError
from rpa.net.graph import Node

SCALAR_OPERATORS = ("Clip", "LeakyRelu", "HardSigmoid", "HardSwish", "Silu", "Sigmoid", "Tanh", "Quant")


def apply_clip(values: np.ndarray, clip: object) -> np.ndarray:
    """`values` within a `clip` attribute: (low, high) or None."""
    if clip is None:
        return values
    low, high = cast("tuple[float, float]", clip)
    return np.clip(values, values.dtype.type(low), values.dtype.type(high))


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) without overflow, in x's type."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small)).astype(x.dtype)


def fake_quantize(x: np.ndarray, attributes: dict[str, object]) -> np.ndarray:
    """A `Quant` node: to the nearest representable value, ties to the even integer, in x's type."""
    scale, zero = x.dtype.type(attributes["scale"]), x.dtype.type(attributes["zero_point"])
    low, high = x.dtype.type(attributes["low"]), x.dtype.type(attributes["high"])
    return (np.clip(np.rint(x / scale) + zero, low, high) - zero) * scale


def scalar_function(node: Node, x: np.ndarray) -> np.ndarray:
    """f(x) of a node in `SCALAR_OPERATORS`, element by element, in x's float type. NetError for any other node."""
    a = node.attributes
    kind = x.dtype.type
    if node.op == "Clip":
        return apply_clip(x, a["clip"])
    if node.op == "LeakyRelu":
        return np.where(x >= 0, x, x * kind(a["alpha"]))
    if node.op == "HardSigmoid":
        return np.clip(x * kind(a["alpha"]) + kind(a["beta"]), kind(0), kind(1))
    if node.op == "HardSwish":
        return x * np.clip(x / kind(6) + kind(0.5), kind(0), kind(1))
    if node.op == "Silu":
        return x * sigmoid(x)
    if node.op == "Sigmoid":
        return sigmoid(x)
    if node.op == "Tanh":
        return np.tanh(x)
    if node.op == "Quant":
        return fake_quantize(x, a)
    raise NetError(f"`{node.name}` is a `{node.op}`, not a function of one number ({', '.join(SCALAR_OPERATORS)})")
