"""The photograph, and how it is cut into tiles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

PHOTO_HEIGHT, PHOTO_WIDTH = 248, 228
TOP, LEFT = 40, 94
"""Where the picture is cut out of `skimage.data.chelsea`, a photograph that its author put in the public domain (CC0)."""
MID_GREY = 128
PLANES = 16
"""Input planes: red, green, blue and zeros. Sixteen, because at 2 bits eight pixels of them just fill two bus transfers."""


def photograph() -> np.ndarray:
    """Return the picture: uint8 (PHOTO_HEIGHT, PHOTO_WIDTH, 3)."""
    from skimage import data

    return data.chelsea()[TOP:TOP + PHOTO_HEIGHT, LEFT:LEFT + PHOTO_WIDTH]


def planes(photo: np.ndarray) -> np.ndarray:
    """Return float64 (H + 2, W + 2, PLANES) in -1 .. 127/128: 0 is mid grey, as is the border of one pixel all around."""
    height, width, colours = photo.shape
    result = np.zeros((height + 2, width + 2, PLANES))
    result[1:-1, 1:-1, :colours] = (photo.astype(np.float64) - MID_GREY) / MID_GREY
    return result


@dataclass(frozen=True)
class Tile:
    """One pass of the kernel: it reads ``source`` of the bordered picture, and its inner pixels are ``target`` of the result.

    The kernel pads its input with zeros, so the outermost pixels of what it returns are wrong inside a picture; tiles overlap by two.
    """

    source: tuple[slice, slice]
    target: tuple[slice, slice]


INNER = (slice(1, -1), slice(1, -1))
"""The pixels of a tile's output that count."""


def tiles(height: int, width: int, tile_height: int, tile_width: int) -> Iterator[Tile]:
    """Cover a result of ``height`` x ``width`` pixels; at the lower and right edge tiles move back to stay inside."""
    step_y, step_x = tile_height - 2, tile_width - 2
    for y in range(0, height, step_y):
        for x in range(0, width, step_x):
            top, left = min(y, height - step_y), min(x, width - step_x)
            yield Tile((slice(top, top + tile_height), slice(left, left + tile_width)),
                       (slice(top, top + step_y), slice(left, left + step_x)))
