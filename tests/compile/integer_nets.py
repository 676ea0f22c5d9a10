"""Integer networks for tests: random weights, requantization that uses the whole range of the output."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rpa.arch.numerics import element_range, quantize_multiplier
from rpa.net.integer import Feature, IntNet, Mac, Term, output_size


class Builder:
    """Collects layers; every layer's integers are drawn from one seeded generator."""

    def __init__(self, shape: tuple[int, int, int], bits: int, *, seed: int = 0, signed: bool = True) -> None:
        self.random = np.random.default_rng(seed)
        self.features: dict[str, Feature] = {}
        self.nodes: list[Mac] = []
        self._feature("x", shape, bits, signed)

    def _feature(self, name: str, shape: tuple[int, int, int], bits: int, signed: bool, zero_point: int = 0) -> Feature:
        low, high = element_range(bits, signed)
        self.features[name] = Feature(name=name, shape=shape, bits=bits, signed=signed, low=low, high=high, zero_point=zero_point)
        return self.features[name]

    def term(self, source: str, channels: int, kernel: int | tuple[int, int], weight_bits: int, *, stride: int = 1, pad: int = 0, dilation: int = 1,
             groups: int = 1) -> Term:
        rows, columns = (kernel, kernel) if isinstance(kernel, int) else kernel
        low, high = element_range(weight_bits, True)
        depth = self.features[source].shape[2] // groups
        weight = self.random.integers(low, high + 1, (channels, rows, columns, depth))
        return Term(input=source, weight=weight, weight_bits=weight_bits, stride=(stride, stride), pads=(pad,) * 4,
                    dilation=(dilation, dilation), groups=groups)

    def mac(self, name: str, terms: Sequence[Term], *, bits: int, signed: bool = False, zero_point: int = 0, rounding: str = "half_even") -> None:
        """A layer whose results use the output's range: the scale comes from the sum's standard deviation."""
        term = terms[0]
        height, width, _ = self.features[term.input].shape
        channels, rows, columns, _ = term.weight.shape
        size = tuple(output_size(length, kernel, stride, term.pads[0], term.pads[2], dilation) for length, kernel, stride, dilation
                     in zip((height, width), (rows, columns), term.stride, term.dilation, strict=True))
        output = self._feature(name, (*size, channels), bits, signed, zero_point)
        bound = sum(self._largest(part) * np.abs(part.weight).sum(axis=(1, 2, 3)).max() for part in terms)
        spread = max(1.0, sum((self._largest(part) ** 2 / 3) * (part.weight.astype(float) ** 2).sum(axis=(1, 2, 3)).mean() for part in terms) ** 0.5)
        pre = max(0, int(2 * bound).bit_length() - 31)
        multiplier, shift = quantize_multiplier(output.high / (2 * spread) * 2.0**pre)
        bias = self.random.integers(-int(spread) - 1, int(spread) + 2, channels)
        self.nodes.append(Mac(name=f"to_{name}", terms=tuple(terms), bias=bias, multiplier=np.full(channels, multiplier),
                              shift=np.full(channels, shift), output=name, pre=pre, rounding=rounding))

    def _largest(self, term: Term) -> int:
        feature = self.features[term.input]
        return max(abs(feature.low), feature.high)

    def net(self, output: str) -> IntNet:
        return IntNet(name="net", features=self.features, inputs=("x",), outputs=(output,), nodes=tuple(self.nodes))

    def image(self) -> np.ndarray:
        feature = self.features["x"]
        return self.random.integers(feature.low, feature.high + 1, feature.shape)
