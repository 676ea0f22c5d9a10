"""Which activation drives which word line: a convolution's kernel as the words that `nvmac` reads from the X bank.

A pixel's channels fill whole words of E = 16 / container elements; a vector is its kernel's rows, their columns, their words. Input i of a
layer is element i mod E of word (i div E), words counted in that order. Row splits are boxes of (kernel rows) x (kernel columns) x (words of
a pixel), which the three loops of `nvmac` can walk.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from rpa.flash.errors import FlashError
from rpa.net.integer import Term, output_size

WORD_BITS = 16


@dataclass(frozen=True)
class Box:
    """A part of a kernel: kernel rows, kernel columns, words of a pixel; as half-open intervals."""

    rows: range
    columns: range
    words: range

    @property
    def count(self) -> int:
        """Words of one vector: kw of `nvmac`, with k0 = words, k1 = columns, k2 = rows."""
        return len(self.rows) * len(self.columns) * len(self.words)

    def inputs(self, kernel_columns: int, pixel_words: int, elements: int) -> npt.NDArray[np.int64]:
        """The layer's inputs in the order of the word lines."""
        words = [(r * kernel_columns + s) * pixel_words + w for r, s, w in product(self.rows, self.columns, self.words)]
        return (np.array(words, np.int64)[:, None] * elements + np.arange(elements)).reshape(-1)


def pixel_words(channels: int, bits: int) -> int:
    """Words that hold a pixel's channels in containers of `bits`."""
    return -(-channels * bits // WORD_BITS)


def boxes(kernel: tuple[int, int], words: int, elements: int, rows: int) -> tuple[Box, ...]:
    """Cut a kernel (R, S) of pixels of `words` words into as few boxes of at most `rows` word lines as a grid of cuts allows.

    Among equally many, cuts between kernel rows are preferred, then between columns. FlashError if not even a word fits.
    """
    if elements > rows:
        raise FlashError(f"a word carries {elements} activations, the macro has {rows} word lines; it needs at least as many")
    best = min((r * s * w, w, s, r) for r, s, w in product(range(1, kernel[0] + 1), range(1, kernel[1] + 1), range(1, words + 1))
               if -(-kernel[0] // r) * -(-kernel[1] // s) * -(-words // w) * elements <= rows)
    axes = [_parts(size, count) for size, count in zip((*kernel, words), (best[3], best[2], best[1]), strict=True)]
    return tuple(Box(*ranges) for ranges in product(*axes))


def _parts(size: int, count: int) -> list[range]:
    step = -(-size // count)
    return [range(start, min(start + step, size)) for start in range(0, size, step)]


def matrix(term: Term, bits: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Weights (M, R*S*words*E) of a term whose input has containers of `bits`, and which of them are weights (others are padding or other groups)."""
    m, r, s, c = term.weight.shape
    channels, elements = c * term.groups, WORD_BITS // bits
    padded = pixel_words(channels, bits) * elements
    weights, present = np.zeros((m, r, s, padded), np.int64), np.zeros((m, r, s, padded), bool)
    per_group = m // term.groups
    for group in range(term.groups):
        outs, ins = slice(group * per_group, (group + 1) * per_group), slice(group * c, (group + 1) * c)
        weights[outs, :, :, ins] = term.weight[outs]
        present[outs, :, :, ins] = True
    return weights.reshape(m, -1), present.reshape(m, -1)


def vectors(x: npt.NDArray[np.integer], term: Term, bits: int, zero_point: int, *, signed: bool = True) -> npt.NDArray[np.integer]:
    """What a term's word lines see of images x (N, H, W, C): (N, P, Q, R*S*words*E); border and filled-up words carry the zero point.

    signed: False if no activation is below 0.
    """
    r, s = term.weight.shape[1:3]
    top, left, bottom, right = term.pads
    fill = pixel_words(x.shape[3], bits) * (WORD_BITS // bits) - x.shape[3]
    kind = np.int32 if bits == WORD_BITS else np.int16 if signed else np.uint8
    image = np.pad(x.astype(kind), ((0, 0), (top, bottom), (left, right), (0, fill)), constant_values=zero_point)
    height = output_size(x.shape[1], r, term.stride[0], top, bottom, term.dilation[0])
    width = output_size(x.shape[2], s, term.stride[1], left, right, term.dilation[1])
    result = np.empty((len(x), height, width, r, s, image.shape[3]), kind)
    for i, j in product(range(r), range(s)):
        y, z = i * term.dilation[0], j * term.dilation[1]
        tap = image[:, y:y + (height - 1) * term.stride[0] + 1:term.stride[0], z:z + (width - 1) * term.stride[1] + 1:term.stride[1]]
        result[:, :, :, i, j] = tap
    return result.reshape(len(x), height, width, -1)
