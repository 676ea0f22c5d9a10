"""Activations as digits on word lines: one operation of a macro carries a few bits of every activation (`docs/design.md`, section 15)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rpa.flash import check
from rpa.flash.errors import FlashError

ABITS_MAX = 16


class Pass(NamedTuple):
    """One operation of a vector: the digit is (activation >> shift) & mask, and its code counts `weight` times."""

    shift: int
    mask: int
    weight: int


def passes(abits: int, signed: bool, dac_bits: int) -> tuple[Pass, ...]:
    """The operations of activations of `abits` bits (1..16), lowest digit first; signed ones end with the sign bit, whose weight is negative.

    dac_bits: bits of a digit, 1..4. FlashError for other numbers.
    """
    check.integer("passes", "abits", abits, 1, ABITS_MAX)
    check.integer("passes", "dac_bits", dac_bits, 1, 4)
    value_bits = abits - 1 if signed else abits
    steps = [Pass(low, (1 << min(dac_bits, value_bits - low)) - 1, 1 << low) for low in range(0, value_bits, dac_bits)]
    if signed:
        steps.append(Pass(abits - 1, 1, -(1 << (abits - 1))))
    return tuple(steps)


def activation_bits(low: int, high: int) -> tuple[int, bool]:
    """(abits, signed) of the narrowest activations that hold low..high, both included; signed only where low is below 0."""
    if low > high:
        raise FlashError(f"activations: low is {low}, must be at most high, which is {high}")
    if low >= 0:
        return max(1, high.bit_length()), False
    return max((-low - 1).bit_length(), high.bit_length() if high >= 0 else 0) + 1, True


def digits(values: npt.NDArray[np.integer], steps: tuple[Pass, ...]) -> npt.NDArray[np.uint8]:
    """Digits (..., passes, word lines) of activations (..., word lines), integers of two's complement within the passes' bits."""
    result = np.empty((*values.shape[:-1], len(steps), values.shape[-1]), np.uint8)
    for index, (shift, mask, _) in enumerate(steps):
        np.copyto(result[..., index, :], (values >> shift) & mask, casting="unsafe")
    return result
