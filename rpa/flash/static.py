"""What does not change from one operation to the next, folded into integers.

The unit of sums is a digit of 1 times a cell code of 1. A cell's contribution to a sum, for each digit, is an integer in units of
2^-FRACTION_BITS of it: sums are then exact in any order. The variance of a cell's noise is an integer in 2^-variance_bits square units.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from rpa.flash.cells import drive_currents, noise_variance
from rpa.flash.errors import FlashError
from rpa.flash.ir import factor, transfer
from rpa.flash.spec import MacroSpec

Floats = npt.NDArray[np.float64]
FRACTION_BITS = 12
"""Rounding a cell to 2^-12 of a code adds less than 1e-4 codes of error: far below every error of a cell."""
FLOAT32_EXACT = 1 << 24
"""Integers up to here, and their sums up to here, are exact in float32."""


@dataclass(frozen=True)
class Static:
    """The integers of one macro in one state of its traps."""

    levels: npt.NDArray[np.int32]
    """(digits 1..top, rows, cols): what a cell adds to its bit line's sum."""
    linear: bool
    """Whether the levels of digit D are D times those of digit 1."""
    variance: npt.NDArray[np.int32] | None
    """(digits 1..top, rows, cols), or None where reads have no noise."""
    currents: Floats
    """(rows, cols) ampere at full drive, wires included where they are static."""

    @cached_property
    def most(self) -> npt.NDArray[np.int64]:
        """(cols,) the largest sum that digits can give."""
        return self.levels.max(axis=0).sum(axis=0, dtype=np.int64)


def fold(spec: MacroSpec, currents: Floats, drivers: Floats, trim: Floats) -> Static:
    """currents: (rows, cols) ampere at full drive. drivers: (digits, rows), gain of each digit. trim: (cols,), gain of bit lines."""
    currents = wired(spec, currents)
    amp = drive_currents(spec, currents)
    gain = drivers[:, :, None] * trim * (spec.dac.top / spec.step_amp)
    levels = np.rint(amp * gain * (1 << FRACTION_BITS))
    linear = spec.dac.bits == 1 or all(isinstance(each, str) for each in (spec.dac.inl_lsb, spec.dac.dnl_lsb, spec.errors.nonlinearity))
    if linear:
        levels = levels[0] * np.arange(1, spec.dac.top + 1)[:, None, None]
    noisy = not (isinstance(spec.errors.read_noise, str) and isinstance(spec.errors.shot, str))
    return Static(levels.astype(np.int32), linear, _variance(spec, amp, gain) if noisy else None, currents)


def variance_bits(spec: MacroSpec) -> int:
    """Fraction bits of variances, even: large digits carry more noise."""
    return 18 - 2 * spec.dac.bits


def _variance(spec: MacroSpec, amp: Floats, gain: Floats) -> npt.NDArray[np.int32]:
    """Variance of each cell's noise at each digit. FlashError where sums of it could leave 31 bits."""
    one = 1 << variance_bits(spec)
    variance = np.rint(noise_variance(spec, amp) * np.square(gain) * one)
    most = (1 << 31) // spec.rows - 1
    if variance.max() > most:
        raise FlashError(f"MacroSpec: the noise of one read of a cell is {np.sqrt(variance.max() / one) / spec.dac.top:.3g} cell codes, "
                         f"must be at most {np.sqrt(most / one) / spec.dac.top:.3g}: lower the device's read noise, or its scale")
    return variance.astype(np.int32)


def wired(spec: MacroSpec, currents: Floats) -> Floats:
    """Currents at full drive as seen at the ends of the wires, as far as that is static."""
    if spec.errors.ir_drop == "ideal" or isinstance(spec.wires, str) or spec.ladder:
        return currents
    wires = spec.wires
    conductances = currents / wires.read_volt
    # Resistors whose word line is held at 0 V load the bit lines as driven ones do.
    word, activity = (wires.word_line_ohm, 1.0) if wires.drive == "drain" else (0.0, wires.activity)
    if spec.errors.ir_drop == "factor":
        seen = factor.effective(conductances, bit_line_ohm=wires.bit_line_ohm, word_line_ohm=word, activity=activity)
    else:
        seen = transfer.matrix(conductances, bit_line_ohm=wires.bit_line_ohm, word_line_ohm=word).T
    return seen * wires.read_volt


def columns_product(levels: npt.NDArray[np.int32], linear: bool, digits: npt.NDArray[np.uint8], columns: slice) -> npt.NDArray[np.int64]:
    """Exact sums (operations, lines) of what cells add for digits (operations, rows)."""
    here = levels[:, :, columns]
    bound = int(here.max(axis=0).sum(axis=0, dtype=np.int64).max(initial=0))
    kind: type[np.floating] = np.float32 if bound < FLOAT32_EXACT else np.float64
    if linear:
        return (digits.astype(kind) @ here[0].astype(kind)).astype(np.int64)
    total = np.zeros((len(digits), here.shape[2]), np.int64)
    for digit, of_digit in enumerate(here, 1):
        total += ((digits == digit).astype(kind) @ of_digit.astype(kind)).astype(np.int64)
    return total
