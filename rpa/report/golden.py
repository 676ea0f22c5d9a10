"""Golden models of the kernels in NumPy, by naive methods that share no code with the emulators.

Tensors are (..., channels) with the channel innermost, as in external memory. With int64 operands everything is exact; the sums
also take float64, for the real-valued reference of a quantized layer.
"""

from __future__ import annotations

import numpy as np

LFSR_TAPS = (31, 29, 25, 24)
"""Exponents minus one of x^32 + x^30 + x^26 + x^25 + 1: the bits that a one leaving at the right end toggles."""
SEED_STEP = 0x9E3779B9


def convolve(act: np.ndarray, weight: np.ndarray, stride: int = 1) -> np.ndarray:
    """Same-padded convolution: act (H, W, C), weight (N, K, K, C) with K odd; returns (H/stride, W/stride, N)."""
    height, width, _ = act.shape
    filters, kernel = weight.shape[:2]
    padded = _pad(act, kernel // 2)
    out = np.zeros((height // stride, width // stride, filters), dtype=act.dtype)
    for ky in range(kernel):
        for kx in range(kernel):
            out += padded[ky:ky + height:stride, kx:kx + width:stride] @ weight[:, ky, kx].T
    return out


def convolve_depthwise(act: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Same-padded depthwise convolution: act (H, W, C), weight (K, K, C); returns (H, W, C)."""
    height, width, _ = act.shape
    kernel = weight.shape[0]
    padded = _pad(act, kernel // 2)
    return sum(padded[ky:ky + height, kx:kx + width] * weight[ky, kx]
               for ky in range(kernel) for kx in range(kernel))


def differential_cells(weight: np.ndarray, cell_bits: int, shape: tuple[int, ...]) -> np.ndarray:
    """Cells of weights (N, ...) in NOR-flash macros, ``shape`` = (tiles, word lines, lines * N): a line for every digit of the positive
    weights, lowest first, then of the negative ones; a word line for every weight of an output."""
    outputs = len(weight)
    slices = shape[2] // outputs // 2
    lines = []
    for part in (np.maximum(weight, 0), np.maximum(-weight, 0)):
        for _ in range(slices):
            lines.append(part.reshape(outputs, -1).T % (1 << cell_bits))
            part = part // (1 << cell_bits)
        if part.any():
            raise ValueError(f"a weight needs more than {slices} cells of {cell_bits} bits")
    return np.concatenate(lines, axis=1).reshape(shape)


def windows(act: np.ndarray, size: int) -> np.ndarray:
    """Non-overlapping size x size windows of act (H, W, C) as (H/size, W/size, size*size, C)."""
    height, width, channels = act.shape
    blocks = act.reshape(height // size, size, width // size, size, channels)
    return blocks.transpose(0, 2, 1, 3, 4).reshape(height // size, width // size, size * size, channels)


def _pad(act: np.ndarray, margin: int) -> np.ndarray:
    return np.pad(act, ((margin, margin), (margin, margin), (0, 0)))


def wrap(values: np.ndarray, bits: int) -> np.ndarray:
    """Keep the low ``bits`` bits as a signed number."""
    half = 1 << (bits - 1)
    return (values.astype(np.int64) + half) % (2 * half) - half


def signed_limits(bits: int) -> tuple[int, int]:
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def prescale(acc: np.ndarray, bias: np.ndarray | int = 0, pre: int = 0) -> np.ndarray:
    """(acc + bias) >> pre, rounded half up, saturated to 32 bits; int64."""
    total = acc.astype(np.int64) + bias
    if pre:
        total = (total + (1 << (pre - 1))) >> pre
    return np.clip(total, -(1 << 31), (1 << 31) - 1)


def requantize(acc: np.ndarray, scale: np.ndarray, limits: tuple[int, int], *, rounding: str = "half_up", pre: int = 0,
               zero_point: int = 0, draws: np.ndarray | None = None) -> np.ndarray:
    """Accumulators (..., M) through requantization with ``scale`` (M, 3) of bias, multiplier, shift.

    ``draws``: 32-bit random numbers in the shape of ``acc``, for rounding `stochastic`. Returns int64 within ``limits``.
    """
    bias, multiplier, shift = np.asarray(scale, dtype=np.int64).T
    product = prescale(acc, bias, pre) * multiplier
    if rounding == "gemmlowp":
        quotient = _gemmlowp(product, shift)
    elif rounding == "stochastic" and draws is not None:
        quotient = _stochastic(product, shift, draws)
    else:
        quotient = _divide(product, shift, rounding)
    return np.clip(quotient + zero_point, *limits)


def _divide(product: np.ndarray, shift: np.ndarray, rounding: str) -> np.ndarray:
    floor = product >> shift
    twice_rest = 2 * (product - (floor << shift)) - (np.int64(1) << shift)
    if rounding == "floor":
        return floor
    if rounding == "half_up":
        return floor + (twice_rest >= 0)
    if rounding == "half_even":
        return floor + ((twice_rest > 0) | ((twice_rest == 0) & (floor % 2 == 1)))
    raise ValueError(f"no rounding mode `{rounding}`")


def _gemmlowp(product: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """SaturatingRoundingDoublingHighMul and RoundingDivideByPOT of gemmlowp's fixedpoint.h, on whole arrays."""
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    high = np.sign(nudged) * (np.abs(nudged) >> 31)
    exponent = shift - 31
    mask = (np.int64(1) << exponent) - 1
    threshold = (mask >> 1) + (high < 0)
    return (high >> exponent) + ((high & mask) > threshold)


def _stochastic(product: np.ndarray, shift: np.ndarray, draws: np.ndarray) -> np.ndarray:
    shifts = np.broadcast_to(shift, product.shape)
    quotients = [_stochastic_one(int(p), int(s), int(u)) for p, s, u in zip(product.flat, shifts.flat, draws.flat, strict=True)]
    return np.array(quotients, dtype=np.int64).reshape(product.shape)


def _stochastic_one(product: int, shift: int, draw: int) -> int:
    """floor(product / 2^shift + draw / 2^32) as far as the fraction of the draw is representable: in plain integers."""
    return (product + draw * (1 << shift) // (1 << 32)) // (1 << shift)


def lfsr_draws(seed: int, cols: int, count: int) -> np.ndarray:
    """The first ``count`` states of every column's generator after `seed`: int64 (count, cols)."""
    draws = np.zeros((count, cols), dtype=np.int64)
    for col in range(cols):
        state = (seed ^ (SEED_STEP * (col + 1))) % (1 << 32) or 1
        for index in range(count):
            draws[index, col] = state
            state = _lfsr_next(state)
    return draws


def _lfsr_next(state: int) -> int:
    """One step of the Galois register, bit by bit."""
    bits = [state >> k & 1 for k in range(32)]
    shifted = [*bits[1:], 0]
    if bits[0]:
        for tap in LFSR_TAPS:
            shifted[tap] ^= 1
    return sum(bit << k for k, bit in enumerate(shifted))
