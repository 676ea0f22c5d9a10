"""Scalar cores of the drain: sign extension, saturation, rounding, requantization, one definition for everything.

Each function is written without branches on data, so that the same source works on Python integers, on int64 arrays (any
shapes that broadcast) and, compiled, on machine integers. Nothing here exceeds 63 bits and a sign: |v*M| < 2^62, and the
largest rounding addend is 2^62 - 1.
"""

from __future__ import annotations

from isa.table import ROUNDINGS
from rpa.arch.jit import jit

_MODE = {rounding.name: rounding.code for rounding in ROUNDINGS}
HALF_UP = _MODE["half_up"]
HALF_EVEN = _MODE["half_even"]
FLOOR = _MODE["floor"]
GEMMLOWP = _MODE["gemmlowp"]
STOCHASTIC = _MODE["stochastic"]

SHIFT_MIN, SHIFT_MAX = 1, 62
GEMMLOWP_SHIFT_MIN = 31
MULTIPLIER_MAX = (1 << 31) - 1
BIAS_BITS = 48
_INT32_MIN, _INT32_MAX = -(1 << 31), (1 << 31) - 1


@jit
def sign_extend(value, bits):
    """The low ``bits`` (1..63) bits of ``value`` as a signed number."""
    half = 1 << (bits - 1)
    return ((value & ((1 << bits) - 1)) ^ half) - half


@jit
def saturate(value, low, high):
    """``min(max(value, low), high)``."""
    raised = value + (low - value) * (value < low)
    return raised + (high - raised) * (raised > high)


@jit
def shift_is_legal(shift, rounding):
    """True if ``shift`` is one that the drain takes in this rounding mode (else RQ_SHIFT)."""
    return (shift >= SHIFT_MIN + (GEMMLOWP_SHIFT_MIN - SHIFT_MIN) * (rounding == GEMMLOWP)) & (shift <= SHIFT_MAX)


@jit
def gemmlowp_divide(product, shift):
    """``product / 2^shift``, ``shift`` 31..62, in gemmlowp's two steps, each to nearest.

    First the saturating rounding doubling high multiply, ties up (its saturation cannot occur: the multiplier is never
    -2^31), then the rounding divide by a power of two, ties away from zero.
    """
    nudged = product + ((1 << 30) - ((1 << 31) - 1) * (product < 0))
    high = (nudged >> 31) + ((nudged < 0) & ((nudged & ((1 << 31) - 1)) != 0))
    mask = (1 << (shift - 31)) - 1
    return (high >> (shift - 31)) + ((high & mask) > ((mask >> 1) + (high < 0)))


@jit
def stochastic_addend(lfsr, shift):
    """The top ``shift`` bits of a 32-bit LFSR value read as a fraction: 0 <= addend < 2^shift."""
    spare = 32 - shift
    return (lfsr >> (spare * (spare > 0))) << (-spare * (spare < 0))


@jit
def round_shift(product, shift, rounding, lfsr):
    """``product / 2^shift`` rounded as mode ``rounding`` (a number of `isa.table.ROUNDINGS`) says.

    product: |product| < 2^62. shift: 1..62, gemmlowp 31..62. lfsr: 0..2^32-1, used by stochastic alone.
    """
    if rounding == HALF_UP:
        return (product + (1 << (shift - 1))) >> shift
    if rounding == HALF_EVEN:
        quotient = product >> shift
        rest = product - (quotient << shift)
        half = 1 << (shift - 1)
        return quotient + ((rest > half) | ((rest == half) & ((quotient & 1) == 1)))
    if rounding == GEMMLOWP:
        return gemmlowp_divide(product, shift)
    if rounding == STOCHASTIC:
        return (product + stochastic_addend(lfsr, shift)) >> shift
    return product >> shift


@jit
def unsaturated_value(acc, bias, pre, acc_bits):
    """The accumulator with its bias, shifted right by ``pre`` (0..31) with ties up, before saturation to 32 bits.

    The sum is modulo 2^acc_bits (a lane's width where accumulators are split), as a signed number; the rounding
    addend does not wrap.
    """
    return (sign_extend(acc + bias, acc_bits) + ((1 << pre) >> 1)) >> pre


@jit
def saturate32(value):
    """``value`` saturated to signed 32 bits."""
    return saturate(value, _INT32_MIN, _INT32_MAX)
