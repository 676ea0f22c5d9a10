"""Sixteen classic 3x3 filters on red, green and blue: one for each column of the array."""

from __future__ import annotations

import numpy as np

from rpa.demo.photo import PLANES

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in brightness: ITU-R BT.601."""
IDENTITY = ((0, 0, 0), (0, 1, 0), (0, 0, 0))
GAUSS = ((1, 2, 1), (2, 4, 2), (1, 2, 1))
BOX = ((1, 1, 1), (1, 1, 1), (1, 1, 1))
SHARPEN = ((0, -1, 0), (-1, 7, -1), (0, -1, 0))
SOBEL_X = ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1))
SOBEL_Y = ((-1, -2, -1), (0, 0, 0), (1, 2, 1))
LAPLACE = ((0, 1, 0), (1, -4, 1), (0, 1, 0))
EMBOSS = ((-2, -1, 0), (-1, 1, 1), (0, 1, 2))
DIAGONAL = ((0, 1, 2), (-1, 0, 1), (-2, -1, 0))
RED, GREEN, BLUE = (1, 0, 0), (0, 1, 0), (0, 0, 1)

BANK = {
    "blur red": (GAUSS, RED, 16), "blur green": (GAUSS, GREEN, 16), "blur blue": (GAUSS, BLUE, 16),
    "sharpen red": (SHARPEN, RED, 3), "sharpen green": (SHARPEN, GREEN, 3), "sharpen blue": (SHARPEN, BLUE, 3),
    "sobel x": (SOBEL_X, LUMA, 4), "sobel y": (SOBEL_Y, LUMA, 4), "laplace": (LAPLACE, LUMA, 1), "emboss": (EMBOSS, LUMA, 1),
    "rising": (DIAGONAL, LUMA, 4), "falling": (tuple(row[::-1] for row in DIAGONAL), LUMA, 4), "grey": (IDENTITY, LUMA, 1), "box": (BOX, LUMA, 9),
    "red - green": (GAUSS, (1, -1, 0), 16), "yellow - blue": (GAUSS, (0.5, 0.5, -1), 16),
}
"""Name: (3x3 kernel, share of red, green and blue, divisor)."""
INDEX = {name: number for number, name in enumerate(BANK)}


def weights() -> np.ndarray:
    """Return float64 (16, 3, 3, PLANES), in the order of :data:`BANK`."""
    result = np.zeros((len(BANK), 3, 3, PLANES))
    for number, (kernel, colours, divisor) in enumerate(BANK.values()):
        result[number, :, :, :3] = np.multiply.outer(np.array(kernel) / divisor, colours)
    return result
