"""Repair of weights that have stuck cells: the other cells of the same weight take over what they can.

In a differential pair whose positive cell is stuck at c, the negative cell takes c - w; digits below take what is left of one above. A repair
costs no hardware, but cells of the same bit line carry more current.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rpa.flash.errors import FlashError

HEALTHY = -1
"""In arrays of stuck codes: the cell takes any code."""
Ints = npt.NDArray[np.int64]


def repaired(values: npt.ArrayLike, stuck: npt.ArrayLike, *, cell_bits: int, differential: bool) -> tuple[Ints, Ints]:
    """Codes of cells that come nearest to given values.

    values: integers of any shape, what the cells of a weight are to say together: sum of code << (cell_bits * digit), positive less negative.
    stuck: (..., K), the code that a cell is stuck at, or HEALTHY; digits lowest first, the positive ones before the negative ones. Shapes broadcast.
    Returns codes (..., K) and what they miss, value less what is said (...). With two digits or fewer nothing nearer exists.
    """
    wanted, fixed = np.asarray(values, np.int64), np.asarray(stuck, np.int64)
    parts, top = fixed.shape[-1], (1 << cell_bits) - 1
    if parts % (2 if differential else 1) or not ((fixed >= HEALTHY) & (fixed <= top)).all():
        raise FlashError(f"repair: `stuck` has {parts} cells for a weight and codes {fixed.min(initial=HEALTHY)}..{fixed.max(initial=HEALTHY)}, "
                         f"must have {'an even number' if differential else 'any number'} and {HEALTHY}..{top}")
    digits = parts // 2 if differential else parts
    shape = np.broadcast_shapes(wanted.shape, fixed.shape[:-1])
    cells = np.broadcast_to(fixed, (*shape, parts)).copy()
    free = cells == HEALTHY
    cells[free] = 0
    most = np.where(free[..., :digits], top, 0)
    least = -np.where(free[..., digits:], top, 0) if differential else np.zeros_like(most)
    left = np.broadcast_to(wanted, shape) - said(cells, cell_bits=cell_bits, differential=differential)
    places = 1 << cell_bits * np.arange(digits)
    for digit in range(digits - 1, -1, -1):
        below = ((most + least)[..., :digit] * places[:digit]).sum(axis=-1)
        # Nearest to the middle of what the digits below can reach; doubled, so that it stays whole. Halves go down.
        chosen = -((below - 2 * left + places[digit]) // (2 * places[digit]))
        chosen = np.clip(chosen, least[..., digit], most[..., digit])
        left = left - chosen * places[digit]
        cells[..., digit] += np.maximum(chosen, 0)
        if differential:
            cells[..., digits + digit] += np.maximum(-chosen, 0)
    return cells, left


def said(cells: npt.NDArray[np.integer], *, cell_bits: int, differential: bool) -> Ints:
    """What codes (..., K) of the cells of a weight say together."""
    codes = np.asarray(cells, np.int64)
    if differential:
        positive, negative = np.split(codes, 2, axis=-1)
        codes = positive - negative
    return (codes << cell_bits * np.arange(codes.shape[-1])).sum(axis=-1)
