"""Pieces of printed text from the photograph of a page that lies in scikit-image: upright, and upside down."""

from __future__ import annotations

import numpy as np

HEIGHT, WIDTH, ENLARGED = 16, 64, 3
"""Pixels of a piece on the page, and by how much it is enlarged."""
LINES = ((15, 290), (49, 378), (66, 378), (84, 378), (102, 378), (119, 170))
"""First row of each line of text on the page, and where it ends."""
LEFT, STEP = 6, 26
"""First column of the first piece of a line, and from one piece to the next."""


def pieces(page: np.ndarray) -> np.ndarray:
    """uint8 (N, 48, 192): pieces of the lines of uint8 (191, 384), in order."""
    places = [(top, left) for top, end in LINES for left in range(LEFT, end - WIDTH + 1, STEP)]
    return np.stack([enlarged(page[top:top + HEIGHT, left:left + WIDTH]) for top, left in places])


def enlarged(piece: np.ndarray) -> np.ndarray:
    """uint8 (H, W) -> (3H, 3W): linear between the centres of pixels, in exact integers, halves up."""
    values = piece.astype(np.int64)
    for axis in (0, 1):
        moved = np.moveaxis(values, axis, 0)
        before, after = np.concatenate([moved[:1], moved[:-1]]), np.concatenate([moved[1:], moved[-1:]])
        thirds = np.stack([before + 2 * moved, 3 * moved, 2 * moved + after], axis=1)
        values = np.moveaxis(thirds.reshape(-1, *moved.shape[1:]), 0, axis)
    return ((2 * values + ENLARGED**2) // (2 * ENLARGED**2)).astype(np.uint8)
