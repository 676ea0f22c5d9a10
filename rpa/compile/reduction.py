"""How the sum of products of a `Mac` is cut: terms, channel windows, chunks of words, and the weights in the order of use."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rpa.arch.packing import pack
from rpa.compile.layout import Placed
from rpa.net.integer import Term


@dataclass(frozen=True, eq=False)
class Reduction:
    """One term of a `Mac` on an array of `cols` columns, seen per group of `cols` output channels."""

    term: Term
    placed: Placed
    cols: int

    @property
    def act_bits(self) -> int:
        return self.placed.feature.bits

    @property
    def weight_bits(self) -> int:
        return self.term.weight_bits

    @property
    def compute_bits(self) -> int:
        return max(self.act_bits, self.weight_bits)

    @property
    def kernel(self) -> tuple[int, int]:
        return self.term.weight.shape[1], self.term.weight.shape[2]

    @cached_property
    def act_ratio(self) -> int:
        """A words for each narrow word: 1 unless activations are the wider operand."""
        return max(1, self.act_bits // self.weight_bits)

    @cached_property
    def weight_ratio(self) -> int:
        """W words for each narrow word."""
        return max(1, self.weight_bits // self.act_bits)

    @cached_property
    def narrow_channels(self) -> int:
        """Channels in a word of the narrower operand."""
        return 16 // min(self.act_bits, self.weight_bits)

    @cached_property
    def window(self) -> int:
        """Input channels that a group of output channels can need: all of them, or those of its own convolution groups, from a whole word on."""
        if self.term.groups == 1:
            return self.placed.feature.shape[2]
        return max(self._needed(group)[1] - self.first_channel(group) for group in range(self.groups))

    @property
    def groups(self) -> int:
        """Groups of `cols` output channels."""
        return -(-self.term.weight.shape[0] // self.cols)

    def _needed(self, group: int) -> tuple[int, int]:
        """First and last + 1 input channel that a group of output channels multiplies."""
        outputs, _, _, depth = self.term.weight.shape
        per_group = outputs // self.term.groups
        first, last = group * self.cols // per_group, (min(outputs, (group + 1) * self.cols) - 1) // per_group
        return first * depth, (last + 1) * depth

    def first_channel(self, group: int) -> int:
        """Input channel at which the window of a group of output channels begins."""
        if self.term.groups == 1:
            return 0
        channels = max(self.narrow_channels, 16 // self.act_bits)
        return self._needed(group)[0] // channels * channels

    @cached_property
    def narrow_words(self) -> int:
        """Narrow words of the window."""
        return -(-self.window // self.narrow_channels)

    @cached_property
    def slices(self) -> int:
        """Steps for a narrow word; fewer than its ratio if it is the only one and not full."""
        ratio = max(self.act_ratio, self.weight_ratio)
        return min(ratio, -(-self.window * self.compute_bits // 16)) if self.narrow_words == 1 else ratio

    def act_words(self, chunk: Chunk) -> tuple[int, int]:
        """First word of a pixel's window, and words, that a chunk reads. Those behind the pixel's last word are left out."""
        first = chunk.first * self.act_ratio
        return first, min(chunk.words * self.act_ratio, self.window_words - first)

    @cached_property
    def window_words(self) -> int:
        """A words of the window."""
        return min(-(-self.window * self.act_bits // 16), self.placed.pixel_words)

    def tap_words(self, chunk: Chunk) -> int:
        """W words of one tap."""
        return chunk.words * self.weight_ratio

    def weights(self, group: int, chunk: Chunk) -> np.ndarray:
        """W words of a chunk for a group of output channels: uint16 (channels of the group, R*S*tap words), in the order of use."""
        dense = self._dense(group)
        first = chunk.first * self.narrow_channels
        taken = dense[..., first:first + chunk.words * self.narrow_channels]
        channels = chunk.words * self.narrow_channels
        padded = np.zeros((*taken.shape[:-1], channels), np.int64)
        padded[..., :taken.shape[-1]] = taken
        return pack(padded, self.weight_bits, signed=self.term.weight_signed, what="weight").reshape(len(padded), -1)

    def _dense(self, group: int) -> np.ndarray:
        """Weights of a group of output channels on its window, 0 where another convolution group's channels are: (m, R, S, window)."""
        term = self.term
        taken = term.weight[group * self.cols:(group + 1) * self.cols]
        if term.groups == 1:
            return taken
        outputs, rows, columns, depth = term.weight.shape
        dense = np.zeros((len(taken), rows, columns, self.window), np.int64)
        start = self.first_channel(group)
        for index in range(len(taken)):
            first = (group * self.cols + index) // (outputs // term.groups) * depth - start
            dense[index, :, :, first:first + depth] = taken[index]
        return dense


@dataclass(frozen=True)
class Chunk:
    """Narrow words `first` .. `first + words - 1` of a window."""

    first: int
    words: int


def chunks_of(reduction: Reduction, words: int) -> tuple[Chunk, ...]:
    """The window in chunks of at most `words` narrow words."""
    total = reduction.narrow_words
    return tuple(Chunk(first, min(words, total - first)) for first in range(0, total, words))
