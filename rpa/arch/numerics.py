"""Numbers of the machine, the only definition: packing, saturation, rounding, requantization, LFSR.

The scalar cores are in `rounding`, `packing` and `lfsr`; here they are put together and validated for arrays.
Source of the scheme: Jacob et al., CVPR 2018, section 2.2; gemmlowp's fixed-point routines for `gemmlowp`.
"""

from __future__ import annotations

from math import frexp, isfinite

import numpy as np

from isa.table import ROUNDINGS
from rpa.arch.errors import NumericsError
from rpa.arch.jit import HAVE_NUMBA, plain
from rpa.arch.lfsr import LFSR_PERIOD, LFSR_RESET, lfsr_jump, lfsr_next, lfsr_seed, lfsr_sequence
from rpa.arch.packing import check_elements, element_range, pack, pack_params, unpack, unpack_params
from rpa.arch.rounding import (
    BIAS_BITS,
    GEMMLOWP_SHIFT_MIN,
    MULTIPLIER_MAX,
    SHIFT_MAX,
    SHIFT_MIN,
    STOCHASTIC,
    round_shift,
    saturate,
    saturate32,
    sign_extend,
    unsaturated_value,
)

__all__ = ["BIAS_BITS", "GEMMLOWP_SHIFT_MIN", "HAVE_NUMBA", "LFSR_PERIOD", "LFSR_RESET", "MULTIPLIER_MAX", "SHIFT_MAX", "SHIFT_MIN",
           "check_elements", "element_range", "lfsr_jump", "lfsr_next", "lfsr_seed", "lfsr_sequence", "pack", "pack_params",
           "quantize_multiplier", "requantize", "rounding_code", "saturate", "sign_extend", "unpack", "unpack_params"]

_PRE_MAX = 31
_unsaturated_value, _saturate32, _round_shift, _saturate = map(plain, (unsaturated_value, saturate32, round_shift, saturate))


def rounding_code(rounding: int | str) -> int:
    """Number of a rounding mode given by name or number. NumericsError if there is none."""
    for mode in ROUNDINGS:
        if rounding in (mode.name, mode.code):
            return mode.code
    raise NumericsError(f"rounding is {rounding!r}, must be one of {', '.join(mode.name for mode in ROUNDINGS)}")


def _int64(name: str, values, low: int, high: int) -> np.ndarray:
    array = np.asarray(values)
    if not np.issubdtype(array.dtype, np.integer):
        raise NumericsError(f"{name} has type {array.dtype}, must be an integer type")
    if array.size and (int(array.min()) < low or int(array.max()) > high):
        worst = int(array.min()) if int(array.min()) < low else int(array.max())
        raise NumericsError(f"{name} is {worst}, must be {low}..{high}")
    return array.astype(np.int64)


def requantize(acc, multiplier, shift, zero_point=0, *, low: int = -32768, high: int = 32767, rounding: int | str = "half_up",
               bias=0, pre: int = 0, acc_bits: int = 48, lfsr=0, saturations: bool = False):
    """Scale accumulators down as the drain does.

    v = saturate32((acc + bias, modulo 2^acc_bits, + 2^(pre-1)) >> pre); q = v * multiplier / 2^shift rounded as
    ``rounding`` says, + zero_point, then min(max(q, low), high).

    acc: integers (..., M). multiplier: 0..2^31-1, shift: 1..62 (gemmlowp 31..62), bias: signed 48 bits; each () or (M,).
    zero_point, low, high: signed 17 bits. pre: 0..31. acc_bits: 1..48. lfsr: state per element, for stochastic rounding.
    Returns int64 of acc's shape; with ``saturations`` also a bool array, true where saturation or the limits changed it.
    Raises NumericsError if an operand is out of range.
    """
    mode = rounding_code(rounding)
    if not 1 <= acc_bits <= 48:
        raise NumericsError(f"acc_bits is {acc_bits}, must be 1..48")
    if not 0 <= pre <= _PRE_MAX:
        raise NumericsError(f"pre is {pre}, must be 0..{_PRE_MAX}")
    acc = _int64("acc", acc, -(1 << 62), (1 << 62) - 1)
    factor = _int64("multiplier", multiplier, 0, MULTIPLIER_MAX)
    lowest = GEMMLOWP_SHIFT_MIN if mode == rounding_code("gemmlowp") else SHIFT_MIN
    shift = _int64("shift", shift, lowest, SHIFT_MAX)
    bias = _int64("bias", bias, *element_range(BIAS_BITS, True))
    zero_point = _int64("zero_point", zero_point, *element_range(17, True))
    for name, limit in (("low", low), ("high", high)):
        _int64(name, limit, *element_range(17, True))
    noise = _int64("lfsr", lfsr, 0, (1 << 32) - 1) if mode == STOCHASTIC else np.int64(0)

    exact = _unsaturated_value(acc, bias, pre, acc_bits)
    value = _saturate32(exact)
    scaled = _round_shift(value * factor, shift, mode, noise) + zero_point
    result = _saturate(scaled, low, high)
    return (result, (exact != value) | (scaled != result)) if saturations else result


def quantize_multiplier(real: float) -> tuple[int, int]:
    """Return (multiplier, shift) with real = multiplier * 2^-shift as nearly as 31 bits allow.

    real: 0 or positive, at most 2^30 (1 - 2^-32). multiplier is in 2^30..2^31-1 where real >= 2^-32, smaller below; shift
    is 1..62, and at least 31 (what gemmlowp needs) for real < 1. Raises NumericsError otherwise.
    """
    if not isfinite(real) or real < 0:
        raise NumericsError(f"multiplier is {real!r}, must be finite and not negative")
    if real == 0:
        return 0, GEMMLOWP_SHIFT_MIN
    mantissa, exponent = frexp(real)
    shift = 31 - exponent
    multiplier = round(mantissa * (1 << 31))
    if multiplier > MULTIPLIER_MAX:
        multiplier, shift = multiplier >> 1, shift - 1
    if shift > SHIFT_MAX:
        multiplier, shift = round(real * 2.0**SHIFT_MAX), SHIFT_MAX
    if shift < SHIFT_MIN:
        raise NumericsError(f"multiplier is {real!r}, must be below 2^30")
    return multiplier, shift
