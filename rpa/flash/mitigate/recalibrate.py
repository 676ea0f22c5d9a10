"""Recalibration of bit lines: known inputs, and the gain that brings each bit line's codes back to what its weights say.

What drift, temperature and wires have in common within a bit line goes away; differences between its cells stay.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rpa.flash import check
from rpa.flash.chip import Chip
from rpa.flash.errors import FlashError

Floats = npt.NDArray[np.float64]


SIGNIFICANT = 2.0
"""Standard deviations from which on a gain is more than chance."""


@dataclass(frozen=True, kw_only=True)
class Recalibrated:
    """What was measured and set, per bit line."""

    gains: Floats
    """(cols,) factor on the gain that was set before."""
    before: Floats
    """(cols,) root mean square of measured minus expected sums, in units of digit 1 times cell code 1, over the calibration inputs ..."""
    after: Floats
    """(cols,) ... and what these gains leave of it, on the same reads."""
    operations: int
    """Operations that it took."""


def recalibrate(chip: Chip, macro: int, digits: npt.ArrayLike, *, log2_lsb: float | None = None, expected: npt.ArrayLike | None = None,
                least: float = 0.5, most: float = 2.0) -> Recalibrated:
    """Measure a macro's bit lines and set their gains (`Chip.set_trim`).

    digits: (operations, rows) uint8, known inputs, typical of those that are computed. log2_lsb: step of the converter; None: for
    each bit line the finest with which its sums stay below the largest code. expected: (operations, cols) sums; None: the digits times the codes that
    the cells were told, which are not what is meant where they were corrected for wires.
    least, most: limits of the factor, 0.1..1 and 1..10. Bit lines on which nothing was expected or nothing came keep their gain.
    """
    check.number("recalibrate", "least", least, 0.1, 1)
    check.number("recalibrate", "most", most, 1, 10)
    driven = np.asarray(digits)
    if driven.ndim != 2 or not len(driven) or driven.shape[1] != chip.spec.rows:
        raise FlashError(f"recalibrate: `digits` have shape {driven.shape}, must be (operations, {chip.spec.rows}), at least one operation")
    wanted = driven.astype(np.float64) @ chip.targets(macro) if expected is None else np.asarray(expected, np.float64)
    if wanted.shape != (len(driven), chip.spec.cols) or not np.isfinite(wanted).all():
        raise FlashError(f"recalibrate: `expected` has shape {wanted.shape}, must be ({len(driven)}, {chip.spec.cols}) finite sums")
    steps = _finest(chip, wanted.max(axis=0) * most) if log2_lsb is None else np.full(chip.spec.cols, log2_lsb)
    read, active = np.zeros(wanted.shape), np.count_nonzero(driven, axis=1)
    for step in np.unique(steps).tolist():
        lines = steps == step
        read[:, lines] = chip.convert(macro, driven, slice(None), step, chip.limits(active, step))[:, lines] * 2.0**step
    gains = _gains(read, wanted, least, most)
    chip.set_trim(macro, np.clip(chip.trim[macro] * gains, 0.1, 10))
    return Recalibrated(gains=gains, before=_rms(read - wanted), after=_rms(gains * read - wanted), operations=len(driven) * len(np.unique(steps)))


def _gains(read: Floats, wanted: Floats, least: float, most: float) -> Floats:
    """1/a of read = a*wanted + noise, per bit line, where a differs from 1 by more than its own uncertainty explains.

    What is wanted has no noise, so that a is not biased; the least squares of wanted - gain*read would be too small a gain wherever reads are noisy.
    """
    power, common = np.square(wanted).sum(axis=0), (read * wanted).sum(axis=0)
    known = (power > 0) & (common > 0)
    slope = np.where(known, common / np.where(known, power, 1), 1.0)
    spread = np.sqrt(np.square(read - slope * wanted).mean(axis=0) / np.where(known, power, 1))
    return np.where(known & (np.abs(slope - 1) > SIGNIFICANT * spread), np.clip(1 / slope, least, most), 1.0)


def _finest(chip: Chip, most: Floats) -> npt.NDArray[np.int64]:
    """The smallest power of two as the step with which `most` of each bit line does not clip."""
    codes = (1 << chip.spec.adc.code_bits) - 1
    return np.maximum(0, np.ceil(np.log2(np.maximum(most, 1) / codes))).astype(np.int64)


def _rms(values: Floats) -> Floats:
    return np.sqrt(np.mean(np.square(values), axis=0))
