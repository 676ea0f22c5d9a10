"""The integer network: what quantization produces, what the compiler places, what the reference computes.

Nothing here is approximate. A tensor of activations is a :class:`Feature` (H, W, C) of integers; a node says exactly which integers
come out. There is no batch dimension: an image at a time goes through the array. Vectors have H = W = 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from isa.table import WIDTHS
from rpa.arch.numerics import MULTIPLIER_MAX, SHIFT_MAX, SHIFT_MIN, element_range, rounding_code
from rpa.net.errors import NetError

CONTAINERS = WIDTHS
"""Widths in bits that a word can be cut into; 3-bit numbers travel in 4-bit containers."""


@dataclass(frozen=True, kw_only=True)
class Feature:
    """A tensor of activations; real = scale * (q - zero_point)."""

    name: str
    shape: tuple[int, int, int]
    """H, W, C."""
    bits: int
    """Container: 2, 4, 8 or 16."""
    signed: bool
    low: int
    high: int
    """The values that occur, both included; within the container."""
    scale: float = 1.0
    zero_point: int = 0
    """The integer that stands for 0, and what convolutions see outside the image; low..high."""

    def __post_init__(self) -> None:
        if self.bits not in CONTAINERS:
            raise NetError(f"`{self.name}`: bits is {self.bits}, must be one of {', '.join(map(str, CONTAINERS))}")
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise NetError(f"`{self.name}`: shape is {self.shape}, must be three positive sizes H, W, C")
        least, most = element_range(self.bits, self.signed)
        if not least <= self.low <= self.high <= most:
            raise NetError(f"`{self.name}`: values {self.low}..{self.high} do not fit {self.bits} bits, {least}..{most}")
        if not self.low <= self.zero_point <= self.high:
            raise NetError(f"`{self.name}`: zero_point is {self.zero_point}, must be {self.low}..{self.high}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Term:
    """One sum of products of a :class:`Mac`: a convolution of one input.

    out[y, x, m] = sum over r, s, c of weight[m, r, s, c] * in[y*stride + r*dilation - top, x*stride + s*dilation - left, g(m) + c];
    outside the image the input is its zero point. A fully connected layer has a kernel as large as its input; a residual
    connection is a 1x1 convolution with groups = channels whose weights are the ratio of two scales; average pooling has weights 1.
    """

    input: str
    weight: np.ndarray = field(repr=False)
    """Integers (M, R, S, C // groups)."""
    weight_bits: int
    """Container of the weights: 2, 4, 8 or 16."""
    weight_signed: bool = True
    stride: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Top, left, bottom, right."""
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Mac:
    """Convolutions into one accumulator, then requantization: out = `rpa.arch.numerics.requantize`(sum of the terms, ...).

    ``bias`` holds everything constant, zero points included, so that the terms multiply the stored integers as they are.
    """

    name: str
    terms: tuple[Term, ...]
    bias: np.ndarray = field(repr=False)
    """int64 (M,), signed 48 bits."""
    multiplier: np.ndarray = field(repr=False)
    """int64 (M,), 0..2^31-1."""
    shift: np.ndarray = field(repr=False)
    """int64 (M,), 1..62."""
    output: str
    pre: int = 0
    """Right shift of the accumulator before the multiplication, 0..31: what it may need to fit 32 bits."""
    rounding: str = "half_even"
    """A name in `isa.table.ROUNDINGS`."""


@dataclass(frozen=True, kw_only=True)
class MaxPool:
    """The largest value of each window; positions outside the image do not count. Input and output have the same scale."""

    name: str
    input: str
    output: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)


@dataclass(frozen=True, kw_only=True)
class Concat:
    """Channels of several features, one after the other. All have the output's bits, scale and zero point."""

    name: str
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Lookup:
    """out = table[in - low of the input]: any function of one number (LeakyRelu, HardSwish, Sigmoid) on at most 8 bits."""

    name: str
    input: str
    output: str
    table: np.ndarray = field(repr=False)
    """Integers (high - low + 1,)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Product:
    """out = requantize((a - zero point of a) * (b - zero point of b), multiplier, shift); b is (H, W, C) or (1, 1, C)."""

    name: str
    inputs: tuple[str, str]
    output: str
    multiplier: int
    shift: int
    rounding: str = "half_even"


Node: TypeAlias = Mac | MaxPool | Concat | Lookup | Product


@dataclass(frozen=True, kw_only=True, eq=False)
class HostStep:
    """What the host computes in float after the array is done, on the output's real values: `softmax` or `reshape`."""

    op: str
    source: str
    attributes: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class IntNet:
    """A network of integers, in the order of execution. Raises NetError if it contradicts itself."""

    name: str
    features: dict[str, Feature]
    """Every tensor of activations by name, inputs included."""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    host: tuple[HostStep, ...] = ()

    def __post_init__(self) -> None:
        known = set(self.inputs)
        for node in self.nodes:
            for name in inputs_of(node):
                if name not in known:
                    raise NetError(f"`{node.name}` reads `{name}`, which nothing before it writes")
            if node.output in known:
                raise NetError(f"`{node.name}` writes `{node.output}`, which is there already")
            known.add(node.output)
        for name in (*known, *self.outputs):
            if name not in self.features or name not in known:
                raise NetError(f"`{name}` is used in `{self.name}` and is not declared or never written")
        for node in self.nodes:
            if isinstance(node, Mac):
                _check_mac(node, self.features)

    def feature(self, name: str) -> Feature:
        return self.features[name]


def inputs_of(node: Node) -> tuple[str, ...]:
    """Names of the features that a node reads."""
    if isinstance(node, Mac):
        return tuple(term.input for term in node.terms)
    if isinstance(node, MaxPool | Lookup):
        return (node.input,)
    return node.inputs


def output_size(size: int, kernel: int, stride: int, before: int, after: int, dilation: int = 1) -> int:
    """Positions of a window along one axis."""
    return (size + before + after - dilation * (kernel - 1) - 1) // stride + 1


def _check_mac(node: Mac, features: dict[str, Feature]) -> None:
    height, width, channels = features[node.output].shape
    rounding_code(node.rounding)
    for values, low, high, what in ((node.multiplier, 0, MULTIPLIER_MAX, "multiplier"), (node.shift, SHIFT_MIN, SHIFT_MAX, "shift"),
                                    (node.bias, *element_range(48, True), "bias")):
        if values.shape != (channels,) or values.min() < low or values.max() > high:
            raise NetError(f"`{node.name}`: {what} has shape {values.shape} and values {values.min()}..{values.max()}, "
                           f"must be ({channels},) within {low}..{high}")
    for term in node.terms:
        source = features[term.input]
        m, r, s, c = term.weight.shape
        top, left, bottom, right = term.pads
        size = (output_size(source.shape[0], r, term.stride[0], top, bottom, term.dilation[0]),
                output_size(source.shape[1], s, term.stride[1], left, right, term.dilation[1]))
        if m != channels or c * term.groups != source.shape[2] or m % term.groups:
            raise NetError(f"`{node.name}`: weights {term.weight.shape} in {term.groups} groups do not take {source.shape[2]} channels to {channels}")
        if size != (height, width):
            raise NetError(f"`{node.name}`: the term on `{term.input}` gives {size[0]}x{size[1]}, the output is {height}x{width}")
        least, most = element_range(term.weight_bits, term.weight_signed)
        if term.weight_bits not in CONTAINERS or term.weight.min() < least or term.weight.max() > most:
            raise NetError(f"`{node.name}`: weights {term.weight.min()}..{term.weight.max()} do not fit {term.weight_bits} bits, {least}..{most}")
