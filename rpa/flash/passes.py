"""How many bits activations need on word lines; what passes they then take is :class:`rpa.flash.patterns.Passes` (`docs/design.md`, section 15)."""

from __future__ import annotations

from rpa.flash.errors import FlashError


def activation_bits(low: int, high: int) -> tuple[int, bool]:
    """(abits, signed) of the narrowest activations that hold low..high, both included; signed only where low is below 0."""
    if low > high:
        raise FlashError(f"activations: low is {low}, must be at most high, which is {high}")
    if low >= 0:
        return max(1, high.bit_length()), False
    return max((-low - 1).bit_length(), high.bit_length() if high >= 0 else 0) + 1, True
