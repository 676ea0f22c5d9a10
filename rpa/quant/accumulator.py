"""The scale of an accumulator, channel by channel: shared by all parts of a block, exact for those that are not rounded.

A candidate scale gives every part its integers; the candidate with the least noise wins. The noise of a part is the sum over its weights of
E[x^2] * (weight - quantized weight)^2, what its output would be off by if inputs were independent of each other. With an exact part of factor f
and input scale s only the scales f * s / alpha with integer alpha are candidates: its integers are then alpha times its pattern.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from rpa.quant.blocks import Part
from rpa.quant.weights import full_range, rounding_noise

RATIOS = np.array([1.0, 0.95, 0.9, 0.875, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45, 0.4, 0.35, 0.3])
"""Scales that are tried, relative to the one that clips no weight."""
CLIPPING_BITS = 4
"""Widest weights that it can help to clip."""
TOLERANCE = 1.3
"""A narrower container for alpha is taken when noise, with that of the stored output, grows by no more than this."""
BIAS_STEPS = 2.0**28
"""A bias is at most so many steps of its accumulator: what a channel of tiny weights and a large bias is limited by."""
ALPHA_LIMITS = (3, 15, 255, 65535)
"""The largest alpha, unsigned, that containers of 2, 4, 8 and 16 bits hold."""


SAMPLED = 1024
"""Weights of a channel that are looked at, at most, when its scale is chosen."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Summand:
    """A part with what quantization must know of it."""

    part: Part
    scale: float
    """Of its input."""
    mean_square: np.ndarray
    """E[x^2] of each input channel, (C,)."""
    bits: int
    """Of its weights; means nothing for an exact part."""
    asymmetric: bool = False

    def sample(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights and E[x^2] of their inputs, float64 (M, K) each, K at most `SAMPLED`: evenly picked, importance grown to stand for the rest."""
        m, _, _, c = self.part.weight.shape
        rows = self.part.weight.reshape(m, -1)
        count = rows.shape[1]
        picked = np.linspace(0, count - 1, min(count, SAMPLED)).astype(np.int64)
        group = np.arange(m) // (m // self.part.groups)
        squares = self.mean_square[group[:, None] * c + picked % c]
        return rows[:, picked].astype(np.float64), np.maximum(squares, 1e-12) * (count / len(picked))


@dataclass(frozen=True, kw_only=True, eq=False)
class AccumulatorScale:
    """What was chosen."""

    scale: np.ndarray = field(repr=False)
    """float64 (M,)."""
    noise: np.ndarray = field(repr=False)
    """Of each channel, in squares of the output's unit; (M,)."""


def choose_scale(summands: Sequence[Summand], bias: np.ndarray, output_step: float, *, per_channel: bool = True,
                 power_of_two: bool = False) -> AccumulatorScale:
    """The accumulator's scale for each output channel. ``output_step``: scale of the stored output, whose rounding is noise too."""
    search = _Search(summands, bias, output_step, per_channel)
    if not search.exact:
        return _least(search.free_candidates(power_of_two), search.noise)
    found = []
    for limit in ALPHA_LIMITS:
        alphas = search.alphas(limit, power_of_two) if search.free else [np.full(len(bias), search.common_alpha(limit, power_of_two))]
        found.append(_least([search.coarsest / alpha for alpha in alphas], search.noise))
    floor = output_step**2 / 12
    best = min(float((choice.noise + floor).sum()) for choice in found)
    return next(choice for choice in found if float((choice.noise + floor).sum()) <= best * TOLERANCE)


def _least(candidates: Sequence[np.ndarray], noise_of: Callable[[np.ndarray], np.ndarray]) -> AccumulatorScale:
    """The candidate of least noise in each channel; the first of several."""
    noises = np.stack([noise_of(scale) for scale in candidates])
    best = noises.argmin(axis=0)[None]
    return AccumulatorScale(scale=np.take_along_axis(np.stack(candidates), best, axis=0)[0], noise=np.take_along_axis(noises, best, axis=0)[0])


class _Search:
    """Candidates and their noise."""

    def __init__(self, summands: Sequence[Summand], bias: np.ndarray, output_step: float, per_channel: bool) -> None:
        self.free = [one for one in summands if not one.part.exact]
        self.exact = [one for one in summands if one.part.exact]
        self.per_channel = per_channel
        channels = len(bias)
        whole = np.abs(bias) / BIAS_STEPS
        for one in self.free:
            whole = np.maximum(whole, one.scale * full_range(one.part.weight, one.bits, one.asymmetric))
        if not per_channel:
            whole = np.full(channels, whole.max())
        self.whole = np.where(whole > 0, whole, output_step / 256)
        """The scale that clips nothing."""
        self.narrow = bool(self.free) and min(one.bits for one in self.free) <= CLIPPING_BITS
        self.samples = [(one, *one.sample()) for one in self.free]
        self.coarsest = max((one.part.factor * one.scale for one in self.exact), default=0.0)

    def noise(self, scale: np.ndarray) -> np.ndarray:
        """Of each channel with accumulator scales (M,)."""
        total = np.zeros(len(scale))
        for one, weight, importance in self.samples:
            total += rounding_noise(weight, importance, scale / one.scale, one.bits, one.asymmetric)
        for one in self.exact:
            total += _ratio_error(one, scale)
        return total if self.per_channel else np.full(len(scale), total.sum())

    def free_candidates(self, power_of_two: bool) -> list[np.ndarray]:
        """Scales to try where no part is exact."""
        if power_of_two:
            step = self.free[0].scale
            above = step * 2.0 ** np.ceil(np.log2(self.whole / step) - 1e-12)
            return [above / (1 << halving) for halving in range(3 if self.narrow else 2)]
        return [self.whole * ratio for ratio in (RATIOS if self.narrow else RATIOS[:1])]

    def alphas(self, limit: int, power_of_two: bool) -> list[np.ndarray]:
        """Integers to try for the coarsest exact part beside free parts, each (M,), within 1..limit."""
        wanted = self.coarsest / self.whole
        if power_of_two:
            exponents = np.floor(np.log2(np.maximum(wanted, 1)))
            return [np.clip(2.0 ** (exponents + more), 1, 2 ** int(np.log2(limit))) for more in (0, 1, 2)]
        return [np.clip(alpha, 1, limit) for alpha in (np.floor(wanted * (1 + 1e-9)), *(np.rint(wanted / ratio) for ratio in RATIOS))]

    def common_alpha(self, limit: int, power_of_two: bool) -> int:
        """The integer of the coarsest exact part, of 1..limit, with which the others are nearest to integers; the smallest of equals."""
        tried = 2 ** np.arange(int(np.log2(limit)) + 1) if power_of_two else np.arange(1, limit + 1)
        error = sum(_ratio_error(one, self.coarsest / tried) for one in self.exact)
        return int(tried[int(np.argmin(error))])


def _ratio_error(one: Summand, scale: np.ndarray) -> np.ndarray:
    """Noise of an exact part for each accumulator scale, where its integer is not exactly what it should be."""
    wanted = one.part.factor * one.scale / scale
    integer = np.maximum(np.rint(wanted), 1)
    error = np.where(np.abs(wanted - integer) < 1e-9 * integer, 0, (wanted - integer) * scale / one.scale)
    return error**2 * one.part.weight[0].size * one.mean_square.mean()
