"""Where features, weights and parameters of a network lie in external memory."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from isa.program import TENSOR_ALIGN
from rpa.arch.config import ArrayConfig
from rpa.net.integer import Feature, IntNet, Mac, MaxPool, inputs_of


@dataclass(frozen=True)
class Placed:
    """A feature in external memory: NHWC, a border around the image, pixels and rows padded to whole words and bus units."""

    feature: Feature
    address: int
    """Bytes; of the border's first word."""
    border: tuple[int, int, int, int]
    """Pixels around the image: top, left, bottom, right."""
    pixel_words: int
    row_words: int
    """From a row to the next."""
    words: int
    """All of it, with some words behind that loads of whole units may touch."""
    border_value: int
    """The integer that the border holds: the zero point, or the least value where only pooling looks at it."""

    def offset_words(self, y: int, x: int, word: int = 0) -> int:
        """Words from the start to pixel (y, x) of the image; -top <= y, -left <= x."""
        return (y + self.border[0]) * self.row_words + (x + self.border[1]) * self.pixel_words + word

    def at(self, y: int, x: int, word: int = 0) -> int:
        """Byte address of pixel (y, x) of the image."""
        return self.address + 2 * self.offset_words(y, x, word)

    @property
    def fill_word(self) -> int:
        """16 bits of the border's value."""
        bits = self.feature.bits
        return sum((self.border_value & ((1 << bits) - 1)) << shift for shift in range(0, 16, bits))


@dataclass
class Layout:
    """External memory: features, then constants as kernels ask for them. Addresses are final as soon as they are given."""

    config: ArrayConfig
    features: dict[str, Placed] = field(default_factory=dict)
    constants: list[np.ndarray] = field(default_factory=list)
    """uint16 arrays, one after the other from `constants_address`, each at a multiple of TENSOR_ALIGN bytes."""
    constants_address: int = 0
    dry: bool = False
    """Constants are given addresses and not kept: kernels are built only to be timed."""
    _constant_bytes: int = 0

    def constant(self, words: np.ndarray) -> int:
        """Byte address of these words, uint16 of any shape, in the data image."""
        address = self.constants_address + self._constant_bytes
        if not self.dry:
            self.constants.append(np.ascontiguousarray(words, "<u2").reshape(-1))
        self._constant_bytes += align(2 * words.size, TENSOR_ALIGN)
        return address

    @property
    def constant_bytes(self) -> int:
        return self._constant_bytes

    def constant_image(self) -> np.ndarray:
        """All constants, uint16."""
        image = np.zeros(self._constant_bytes // 2, "<u2")
        position = 0
        for words in self.constants:
            image[position:position + words.size] = words
            position += align(2 * words.size, TENSOR_ALIGN) // 2
        return image


def align(value: int, unit: int) -> int:
    return -(-value // unit) * unit


def place(net: IntNet, config: ArrayConfig) -> Layout:
    """Give every feature its place, in the order in which they are written."""
    borders = {name: (0, 0, 0, 0) for name in net.features}
    pooled: set[str] = set()                # whose border pooling looks at, and whose convolutions
    convolved: set[str] = set()
    for node in net.nodes:
        for name, pads in _pads(node):
            borders[name] = tuple(max(a, b) for a, b in zip(borders[name], pads, strict=True))  # type: ignore[assignment]
            if any(pads):
                (pooled if isinstance(node, MaxPool) else convolved).add(name)
    layout = Layout(config)
    address = 0
    for name in (*net.inputs, *(node.output for node in net.nodes)):
        feature = net.features[name]
        outside = feature.low if name in pooled - convolved else feature.zero_point
        placed = _placed(feature, address, borders[name], outside, config, stored=name not in net.inputs)
        layout.features[name] = placed
        address += align(2 * placed.words, TENSOR_ALIGN)
    layout.constants_address = address
    return layout


def _pads(node) -> list[tuple[str, tuple[int, int, int, int]]]:
    if isinstance(node, Mac):
        return [(term.input, term.pads) for term in node.terms]
    if isinstance(node, MaxPool):
        return [(node.input, node.pads)]
    return [(name, (0, 0, 0, 0)) for name in inputs_of(node)]


def _placed(feature: Feature, address: int, border: tuple[int, int, int, int], outside: int, config: ArrayConfig, *, stored: bool) -> Placed:
    height, width, channels = feature.shape
    if stored:      # results come in groups of COLS channels, whole groups are written
        pixel_words = -(-channels // config.cols) * max(1, config.cols * feature.bits // 16)
    else:
        pixel_words = -(-channels * feature.bits // 16)
    top, left, bottom, right = border
    row_words = align((left + width + right) * pixel_words, config.bus_words)
    words = (top + height + bottom) * row_words + 2 * config.bus_words + 8 * pixel_words
    return Placed(feature, address, border, pixel_words, row_words, words, outside)
