"""Running one node's stages: scheduled, emitted, assembled, and executed; results unpacked from external memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import isa
import rpa
from isa.program import Program, Segment
from rpa.arch.config import ArrayConfig
from rpa.arch.packing import pack, unpack
from rpa.compile.check import first_difference
from rpa.compile.commands import Nest
from rpa.compile.emit import emit
from rpa.compile.layout import Layout, Placed
from rpa.compile.schedule import schedule
from rpa.net.integer import Feature
from rpa.runner.result import Result

BACKENDS = ("fast", "step")


def machine(name: str) -> ArrayConfig:
    """A preset with room for every test: sizes of banks and array stay."""
    return replace(ArrayConfig.preset(name), imem_words=1 << 15, mem_bytes=1 << 22)


def random_values(feature: Feature, seed: int = 0) -> np.ndarray:
    """Values over the whole range of a feature, int64 (H, W, C)."""
    return np.random.default_rng(seed).integers(feature.low, feature.high + 1, feature.shape)


def image_of(placed: Placed, values: np.ndarray) -> bytes:
    """A feature as it lies in memory, border and padding included."""
    feature, (top, left, _, _) = placed.feature, placed.border
    height, width, _ = feature.shape
    image = np.zeros(placed.words, np.uint16)
    rows = image[:(top + height + placed.border[2]) * placed.row_words].reshape(-1, placed.row_words)
    rows[:, :] = placed.fill_word
    words = pack(values, feature.bits, signed=feature.signed)
    for y in range(height):
        for x in range(width):
            start = (left + x) * placed.pixel_words
            rows[top + y, start:start + words.shape[2]] = words[y, x]
    return image.astype("<u2").tobytes()


def border_only(placed: Placed) -> bytes:
    """A feature that is still to be written: zero points everywhere, so that what is not written shows."""
    return np.full(placed.words, placed.fill_word, "<u2").tobytes()


def read_feature(placed: Placed, memory: np.ndarray) -> np.ndarray:
    """The image of a feature in external memory, int64 (H, W, C)."""
    feature, (height, width, channels) = placed.feature, placed.feature.shape
    words = memory[placed.address:placed.address + 2 * placed.words].view("<u2")
    result = np.zeros(feature.shape, np.int64)
    for y in range(height):
        for x in range(width):
            start = placed.offset_words(y, x)
            result[y, x] = unpack(words[start:start + placed.pixel_words], feature.bits, channels, signed=feature.signed)
    return result


def border_of(placed: Placed, memory: np.ndarray) -> np.ndarray:
    """Words of a feature's border, in order."""
    feature = placed.feature
    words = memory[placed.address:placed.address + 2 * placed.words].view("<u2")
    top, left, bottom, _ = placed.border
    rows = words[:(top + feature.shape[0] + bottom) * placed.row_words].reshape(-1, placed.row_words).copy()
    inside = np.zeros(rows.shape, bool)
    inside[top:top + feature.shape[0], left * placed.pixel_words:(left + feature.shape[1]) * placed.pixel_words] = True
    return rows[~inside]


def program_of(nests: list[Nest], layout: Layout, inputs: dict[str, np.ndarray]) -> Program:
    """Layers as a program whose memory holds the inputs, empty features and constants."""
    nest = schedule(nests, layout.config)
    program = isa.assemble("\n".join((*emit(nest).lines, "        halt", "")), layout.config)
    difference = first_difference(nest, program)
    assert difference is None, str(difference)
    payloads = [(placed.address, image_of(placed, inputs[name]) if name in inputs else border_only(placed))
                for name, placed in layout.features.items()]
    payloads.append((layout.constants_address, layout.constant_image().tobytes()))
    return replace(program, segments=tuple(Segment(address, payload) for address, payload in payloads if payload))


def run(nests: list[Nest], layout: Layout, inputs: dict[str, np.ndarray], backend: str = "fast") -> Result:
    """Run layers; fails on a fault."""
    result = rpa.run(program_of(nests, layout, inputs), backend=backend)
    assert result.fault is None, str(result.fault)
    return result
