"""Blocks: what becomes one accumulator, still in real numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from rpa.net.graph import Node


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """A convolution of one input, a summand of a block. Inputs outside the image are 0."""

    node: str
    """The node of the graph that it comes from; the row of the width table that it follows."""
    input: str
    weight: np.ndarray = field(repr=False)
    """float32 or float64 (M, R, S, C // groups). Of an exact part the pattern alone: ones."""
    factor: float = 0.0
    """Not 0: an exact part, whose real weights are factor * weight. Its integers are a whole multiple of the pattern, so nothing is rounded."""
    stride: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def exact(self) -> bool:
        return self.factor != 0.0

    @property
    def depthwise(self) -> bool:
        """One input channel for each output channel: what the array may compute lane by lane."""
        return self.groups > 1 and self.weight.shape[3] == 1


@dataclass(frozen=True, kw_only=True, eq=False)
class MacBlock:
    """out = clip(sum of the parts + bias)."""

    name: str
    parts: tuple[Part, ...]
    bias: np.ndarray = field(repr=False)
    """float (M,)."""
    output: str
    clip: tuple[float, float] | None = None
    keeps_format: bool = False
    """The output has the format of the input; so it must be a value of the input, or 0."""

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(part.input for part in self.parts)


@dataclass(frozen=True, kw_only=True, eq=False)
class NodeBlock:
    """A node that is no sum of convolutions: MaxPool, Concat, Mul, or a function of one number."""

    node: Node

    @property
    def keeps_format(self) -> bool:
        """The output has the format of the inputs."""
        return self.node.op in ("MaxPool", "Concat")

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.node.inputs

    @property
    def output(self) -> str:
        return self.node.output


Block: TypeAlias = MacBlock | NodeBlock
