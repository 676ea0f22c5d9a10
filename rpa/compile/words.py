"""What kernels share whose columns are words of channels: groups of words, loads of tiles, parameters by lane, drains and stores.

A column holds one 16-bit word of a pixel, that is 16/bits channels in the lanes of an accumulator (`macl`), and a drained line is a run
of words of one pixel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from isa.table import PARAM_WORDS
from rpa.arch.config import ArrayConfig
from rpa.arch.numerics import rounding_code
from rpa.arch.packing import pack_params
from rpa.compile.commands import Command, Region
from rpa.compile.layout import Placed, align
from rpa.compile.loads import NO_CHANNEL, Window, largest_unit
from rpa.compile.shift import MOST_COLUMNS

ONE = (0, 1 << 30, 30)
"""Bias, multiplier and shift that change nothing."""


@dataclass(frozen=True)
class Group:
    """Words `first` .. `first + count - 1` of every pixel; column c works on word first + c."""

    index: int
    first: int
    count: int


def channel_words(placed: Placed) -> int:
    """Words of a pixel that hold channels."""
    return -(-placed.feature.shape[2] * placed.feature.bits // 16)


def groups_of(words: int, config: ArrayConfig) -> tuple[Group, ...]:
    """All words of a pixel, as many at a time as are shifted in."""
    size = min(words, config.cols, MOST_COLUMNS)
    return tuple(Group(index, first, min(size, words - first)) for index, first in enumerate(range(0, words, size)))


@dataclass(frozen=True)
class Tile:
    """How a part of a feature lies in the A banks: from a pixel to the next, from a row of a bank's window to the next, words in front."""

    window: Window
    """Rows of the feature, all that the banks take."""
    pixels: int
    pixel_pitch: int
    row_pitch: int
    lead: int

    @property
    def words(self) -> int:
        return self.lead + self.window.length * self.row_pitch

    def at(self, base: int, pixel: int) -> int:
        """Address of a pixel of a bank's first row."""
        return base + self.lead + pixel * self.pixel_pitch


def tile_of(window: Window, pixels: int, pixel_pitch: int, lead: int, config: ArrayConfig) -> Tile:
    return Tile(window, pixels, pixel_pitch, align(pixels * pixel_pitch, config.bus_words), align(lead, config.bus_words))


def load_tile(placed: Placed, tile: Tile, group: Group, y: int, x: int, base: int, config: ArrayConfig, *, rows: tuple[int, int] | None = None,
              pixels: tuple[int, int] | None = None, lane: int | None = None) -> Iterator[Command]:
    """Bring a group's words of rows y.. and columns x.. (of the image, may lie in its border) into the A banks at `base`.

    rows, pixels: the part of the tile that is loaded, half-open; all of it unless told. lane: which lane's banks, all unless told.
    """
    first_row, end_row = rows or (0, tile.window.rows)
    first_pixel, end_pixel = pixels or (0, tile.pixels)
    window, count = tile.window, end_pixel - first_pixel
    words = min(tile.pixel_pitch, placed.pixel_words - group.first)
    start = placed.at(y + first_row * window.row_stride, x + first_pixel, group.first)
    target = tile.at(base, first_pixel) + first_row * tile.row_pitch
    common = {"ld.rows": end_row - first_row, "ld.j0": first_row, "ld.sstride": 2 * placed.row_words * window.row_stride, "ld.pitch": tile.row_pitch,
              "ld.wstep": window.step, "ld.wlen": window.length, "ld.bstep": window.step * tile.row_pitch, "ld.group": window.group}
    if lane is not None:
        common["ld.sel"] = lane
    if words == tile.pixel_pitch == placed.pixel_words:
        unit = largest_unit(config, count * words, target, start // 2)
        yield Command("ld a, mem", {**common, "ld.unit": unit, "ld.units": count * words // unit, "ld.addr": start, "ld.sstep": 2 * unit,
                                    "ld.base": target, "ld.dstep": unit})
        return
    unit = largest_unit(config, words, tile.pixel_pitch, placed.pixel_words, target, start // 2)
    for word in range(0, words, unit):
        yield Command("ld a, mem", {**common, "ld.unit": unit, "ld.units": count, "ld.addr": start + 2 * word, "ld.sstep": 2 * placed.pixel_words,
                                    "ld.base": target + word, "ld.dstep": tile.pixel_pitch})


def fill_tile(tile: Tile, base: int, word: int, pixels: tuple[int, int], config: ArrayConfig) -> Command:
    """Write `word` to these pixels (half-open) of every row of every bank's tile."""
    first, end = pixels
    target, words = tile.at(base, first), (end - first) * tile.pixel_pitch
    unit = largest_unit(config, words, target)
    return Command("ld a, fill", {"ld.fill": word, "ld.rows": tile.window.length, "ld.wlen": tile.window.length, "ld.pitch": tile.row_pitch,
                                  "ld.unit": unit, "ld.units": words // unit, "ld.base": target, "ld.dstep": unit})


def lane_params(bias: np.ndarray, multiplier: np.ndarray, shift: np.ndarray, groups: tuple[Group, ...], lanes: int, cols: int) -> np.ndarray:
    """Requantization entries uint16 (cols, len(groups) * lanes, 8): column c has the channels of word first + c, group by group."""
    channels = len(bias)
    entries = pack_params(bias, multiplier, shift)
    table = np.tile(NO_CHANNEL, (len(groups), cols, lanes, 1))
    for number, group in enumerate(groups):
        taken = entries[group.first * lanes:min(channels, (group.first + group.count) * lanes)]
        table[number].reshape(-1, PARAM_WORDS)[:len(taken)] = taken
    return table.transpose(1, 0, 2, 3).reshape(cols, len(groups) * lanes, PARAM_WORDS)


@dataclass(frozen=True)
class Sink:
    """Where the results of a block of `rows` PE rows x `pixels` accumulators go, computed at `bits`."""

    output: Placed
    bits: int
    """Compute width; the output's is as wide or narrower."""
    rows: int
    pixels: int
    config: ArrayConfig

    @property
    def ratio(self) -> int:
        """Pixels in a drained word."""
        return self.bits // self.output.feature.bits

    @property
    def pitch(self) -> int:
        """O words of a PE row."""
        return -(-self.pixels // self.ratio)

    def drain(self, bank: int, o_base: int, param: int, *, row0: int = 0, pre: int = 0, rounding: str = "half_even", by_lane: bool = True,
              zero_point: int | None = None) -> Command:
        """by_lane: each lane has its own entry from `param`. zero_point: the output's unless told."""
        feature, lanes = self.output.feature, 16 // self.bits
        return Command(f"drain {bank}", {
            "dr.row0": row0, "dr.rows": self.rows, "dr.accs": self.pixels, "dr.lanes": lanes, "dr.plane": int(by_lane), "dr.base": o_base,
            "dr.pitch": self.pitch, "dr.param": param, "dr.pre": pre, "dr.round": rounding_code(rounding),
            "dr.zp": feature.zero_point if zero_point is None else zero_point, "dr.lo": feature.low, "dr.hi": feature.high, "dr.bits": feature.bits})

    def store(self, group: Group, o_base: int, y: int, x: int, first_word: int = 0) -> Command:
        """Store a block whose first pixel is (y, x) of the output; first_word: where the channels begin in a pixel."""
        output, ratio = self.output, self.ratio
        words, first = -(-group.count // ratio), first_word + group.first // ratio
        address = output.at(y, x, first)
        unit = min(largest_unit(self.config, words, address // 2, output.pixel_words, output.row_words), self.config.cols)
        return Command("st", {
            "st.addr": address, "st.rows": self.rows, "st.xs": self.pixels, "st.ws": words // unit, "st.unit": unit, "st.base": o_base,
            "st.pitch": self.pitch, "st.bits": 16 // ratio, "st.rstride": 2 * output.row_words, "st.xstride": 2 * output.pixel_words,
            "st.wstride": 2 * unit})


def channels_of(group: Group, bits: int) -> tuple[int, int]:
    """Channels of a group's words, half-open."""
    return group.first * 16 // bits, (group.first + group.count) * 16 // bits


def region(placed: Placed, rows: tuple[int, int], columns: tuple[int, int], channels: tuple[int, int]) -> Region:
    """Part of a feature, clipped to it."""
    parts = [(max(0, low), min(size, high)) for (low, high), size in zip((rows, columns, channels), placed.feature.shape, strict=True)]
    return Region(placed.feature.name, *parts)
