"""Loads that kernels share: pieces of features into A banks, weights into W banks, requantization entries into P banks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from isa.table import PARAM_WORDS
from rpa.arch.config import ArrayConfig
from rpa.arch.packing import pack_params
from rpa.compile.commands import Command
from rpa.compile.layout import Layout, Placed, align
from rpa.net.integer import Mac

EVERY_LANE = 63
NO_CHANNEL = pack_params(0, 0, 31)
"""The entry, uint16 (1, 8), of a column without a channel: it gives 0, with a shift that every rounding takes."""


def largest_unit(config: ArrayConfig, *values: int) -> int:
    """The largest power of two, at most bus_words, that divides all values (0 is divided by all)."""
    unit = config.bus_words
    for value in values:
        while value % unit:
            unit //= 2
    return unit


@dataclass(frozen=True)
class Window:
    """How a piece of a feature is spread over A banks: bank q << group | lane takes rows q*step .. q*step + length - 1 of its lane's piece."""

    rows: int
    """Rows of the piece, of the feature's rows or of every `row_stride`-th of them."""
    step: int
    length: int
    group: int = 0
    row_stride: int = 1


@dataclass(frozen=True)
class Span:
    """Words of a row: `pixels` pixels, `pixel_stride` apart, words `word` .. `word + words - 1` of each."""

    pixels: int
    word: int
    words: int
    pixel_stride: int = 1

    def whole(self, placed: Placed) -> bool:
        """Whether it is one run of words."""
        return self.pixel_stride == 1 and self.words == placed.pixel_words


@dataclass(frozen=True)
class Piece:
    """How a span of a feature is loaded, the same way for every origin: unit and words from a row to the next in the bank."""

    span: Span
    unit: int
    pitch: int
    lead: int
    """Most words in front of the span that whole units bring along."""


def piece_of(placed: Placed, span: Span, origins: list[int], config: ArrayConfig, shift: int = 0) -> Piece:
    """Plan loads of a span at these columns of the image (may be negative: in the border), also moved by multiples of `shift` words."""
    if span.whole(placed):
        unit = config.bus_words
        starts = [placed.offset_words(0, x) % unit for x in origins]
        least = min(starts)
        if len(set(starts)) > 1:        # one lead for all: a unit that divides the differences
            unit = largest_unit(config, placed.row_words, *(start - least for start in starts))
        lead = starts[0] % unit
        return Piece(span, unit, align(lead + span.pixels * span.words, unit), lead)
    unit = largest_unit(config, span.words, span.word, shift, placed.pixel_words, *(placed.offset_words(0, x) for x in origins))
    return Piece(span, unit, align(span.pixels * span.words, unit), 0)


def load_piece(placed: Placed, piece: Piece, window: Window, y: int, x: int, base: int, lane: int = EVERY_LANE) -> Iterator[Command]:
    """Bring a piece whose first row and column are (y, x) of the image to `base` of the A banks of a lane.

    Pixel p, word k of row j lies at base + lead + j * pitch + p * words + k.
    """
    span = piece.span
    common = {"ld.rows": window.rows, "ld.unit": piece.unit, "ld.sstride": 2 * placed.row_words * window.row_stride, "ld.pitch": piece.pitch,
              "ld.wstep": window.step, "ld.wlen": window.length, "ld.bstep": window.step * piece.pitch, "ld.group": window.group, "ld.sel": lane}
    start = placed.at(y, x, span.word)
    if span.whole(placed):
        yield Command("ld a, mem", {**common, "ld.addr": start - 2 * piece.lead, "ld.base": base, "ld.units": piece.pitch // piece.unit,
                                    "ld.sstep": 2 * piece.unit, "ld.dstep": piece.unit})
        return
    for word in range(0, span.words, piece.unit):
        yield Command("ld a, mem", {**common, "ld.addr": start + 2 * word, "ld.base": base + word, "ld.units": span.pixels,
                                    "ld.sstep": 2 * placed.pixel_words * span.pixel_stride, "ld.dstep": span.words})


def piece_visits(placed: Placed, piece: Piece, window: Window) -> tuple[int, int]:
    """Load commands of a piece, and cycles that they visit in all."""
    if piece.span.whole(placed):
        return 1, window.rows * (piece.pitch // piece.unit)
    commands = piece.span.words // piece.unit
    return commands, commands * window.rows * piece.span.pixels


def load_weights(layout: Layout, words: np.ndarray, base: int) -> tuple[Command, int]:
    """Row c of `words`, uint16 (COLS, n), into W bank c from `base`. Returns the command and its visits."""
    config = layout.config
    unit = config.bus_words
    padded = np.zeros((config.cols, align(words.shape[1], unit)), np.uint16)
    padded[:len(words), :words.shape[1]] = words
    units = padded.shape[1] // unit
    address = layout.constant(padded)
    return weights_command(config, address, units, base), config.cols * units


def weights_command(config: ArrayConfig, address: int, units: int, base: int) -> Command:
    """Load COLS rows of `units` bus units into the W banks."""
    unit = config.bus_words
    return Command("ld w, mem", {"ld.addr": address, "ld.rows": config.cols, "ld.unit": unit, "ld.units": units, "ld.sstride": 2 * unit * units,
                                 "ld.sstep": 2 * unit, "ld.dstep": unit, "ld.base": base, "ld.wstep": 1})


def params_of(node: Mac, first: int, count: int, cols: int) -> np.ndarray:
    """Requantization entries of `count` groups of channels from channel `first`, uint16 (cols, count, 8): column c has channel first + i*cols + c.

    Columns without a channel give 0.
    """
    channels = len(node.bias)
    entries = pack_params(node.bias, node.multiplier, node.shift).reshape(channels, PARAM_WORDS)
    padded = np.tile(NO_CHANNEL, (count * cols, 1))
    taken = entries[first:first + count * cols]
    padded[:len(taken)] = taken
    return padded.reshape(count, cols, PARAM_WORDS).transpose(1, 0, 2)


def load_params(layout: Layout, entries: np.ndarray, entry: int) -> tuple[Command, int]:
    """Row c of `entries`, uint16 (COLS, n, 8), into P bank c from `entry`. Returns the command and its visits."""
    config = layout.config
    unit = min(config.bus_words, PARAM_WORDS)
    count = entries.shape[1]
    units = count * PARAM_WORDS // unit
    command = Command("ld p, mem", {"ld.addr": layout.constant(entries), "ld.rows": config.cols, "ld.unit": unit, "ld.units": units,
                                    "ld.sstride": 2 * PARAM_WORDS * count, "ld.sstep": 2 * unit, "ld.dstep": unit,
                                    "ld.base": PARAM_WORDS * entry, "ld.wstep": 1})
    return command, config.cols * units
