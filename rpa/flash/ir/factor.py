"""The cheap factor: what wire resistance takes from each cell, to first order, in a few cumulative sums.

A driven cell (i, j) meets the sum of the drops of all segments between it and the ends of its two lines. To first order a segment carries
the nominal currents of the cells behind it, so the drop relative to the cell's own voltage is
f_ij = r_b*sum_{k>=i} sum_{l<=k} a_l*G_lj + r_w*sum_{k<=j} sum_{l>=k} G_il, and the cell acts as G_ij/(1 + f_ij). The weight a_l is 1 in the cell's
own row, as the cell itself is driven, and the expected input of another row while it is, the `activity`, in all others. A word line
carries its own row's currents only, which scale with its input.
Source: `docs/design.md`, section 16; its error against exact currents is printed by `python -m benchmarks.ir_drop`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rpa.flash.ir.checks import Floats, as_activity, as_conductances, wire


def effective(conductances: npt.ArrayLike, *, bit_line_ohm: float, word_line_ohm: float = 0.0, activity: npt.ArrayLike = 1.0) -> Floats:
    """Conductances that an array without wires needs to give the same currents.

    conductances: (rows, cols) siemens; row 0 is the farthest from the sense amplifiers, column 0 the nearest to the word-line
    drivers. bit_line_ohm, word_line_ohm: of one segment, 0 or more; a gate-driven array has no current in its word lines, so
    there word_line_ohm is 0. activity: 0..1, mean input of the other rows, one number or (rows,); in a drain-driven array it is 1
    whatever the inputs are, since cells whose word line is held at 0 V load the lines as driven ones do. Returns (rows, cols) siemens.
    """
    cells = as_conductances("conductances", conductances)
    return cells / (1.0 + own_line(cells, bit_line_ohm=bit_line_ohm, word_line_ohm=word_line_ohm, activity=activity))


def own_line(conductances: npt.ArrayLike, *, bit_line_ohm: float, word_line_ohm: float = 0.0, activity: npt.ArrayLike = 1.0) -> Floats:
    """Relative drop f (rows, cols) of every cell from the cells on its own two lines; arguments as of :func:`effective`."""
    cells = as_conductances("conductances", conductances)
    bit, word = wire("bit_line_ohm", bit_line_ohm, cells), wire("word_line_ohm", word_line_ohm, cells)
    share = as_activity(activity, len(cells))[:, None]
    segments = np.arange(len(cells), 0, -1)[:, None]
    drop = bit * (_from_end(np.cumsum(share * cells, axis=0), 0) + (1.0 - share) * segments * cells)
    return drop + word * np.cumsum(_from_end(cells, 1), axis=1) if word else drop


def mean_factor(conductances: npt.ArrayLike, *, bit_line_ohm: float, word_line_ohm: float = 0.0, activity: npt.ArrayLike = 1.0) -> Floats:
    """Relative drop f (rows, cols) if every cell had the array's mean conductance: f_ij = mean(G)*(b_i*a*r_b + a_j*r_w).

    b_i = sum_{k>=i} k and a_j = sum_{k<=j} (cols - k + 1) count the cells behind each segment. For comparison: the form of CoMN
    (10.1109/TCAD.2024.3358220).
    """
    cells = as_conductances("conductances", conductances)
    bit, word = wire("bit_line_ohm", bit_line_ohm, cells), wire("word_line_ohm", word_line_ohm, cells)
    rows, cols = cells.shape
    behind_bit = _from_end(np.cumsum(as_activity(activity, rows)), 0)[:, None]
    behind_word = np.cumsum(np.arange(cols, 0.0, -1))
    return cells.mean() * (bit * behind_bit + word * behind_word)


def _from_end(values: Floats, axis: int) -> Floats:
    return np.flip(np.cumsum(np.flip(values, axis), axis), axis)
