"""The golden models themselves, against plain Python, exact fractions and SciPy."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from scipy.signal import correlate

from rpa.report import golden

RNG = np.random.default_rng(7)


@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (3, 2), (5, 1), (7, 1)])
def test_convolution_against_scipy(kernel, stride):
    act, weight = RNG.integers(-128, 128, (8, 8, 3)), RNG.integers(-128, 128, (2, kernel, kernel, 3))
    padded = np.pad(act, ((kernel // 2,) * 2, (kernel // 2,) * 2, (0, 0)))
    expected = np.stack([correlate(padded, w, mode="valid", method="direct")[::stride, ::stride, 0] for w in weight], axis=-1)
    np.testing.assert_array_equal(golden.convolve(act, weight, stride), expected)


def test_depthwise_against_scipy():
    act, weight = RNG.integers(-128, 128, (6, 5, 4)), RNG.integers(-128, 128, (3, 3, 4))
    expected = np.stack([correlate(act[..., c], weight[..., c], mode="same", method="direct") for c in range(4)], axis=-1)
    np.testing.assert_array_equal(golden.convolve_depthwise(act, weight), expected)


def test_windows_by_hand():
    act = np.arange(16).reshape(4, 4, 1)
    assert golden.windows(act, 2)[..., 0].tolist() == [[[0, 1, 4, 5], [2, 3, 6, 7]], [[8, 9, 12, 13], [10, 11, 14, 15]]]


def exact(product: int, shift: int, rounding: str) -> int:
    value = Fraction(product, 1 << shift)
    if rounding == "floor":
        return floor(value)
    if rounding == "half_up":
        return floor(value + Fraction(1, 2))
    if rounding == "half_even":
        return round(value)
    high = floor(Fraction(product, 1 << 31) + Fraction(1, 2))   # gemmlowp's nudge sends the ties of the high multiply up
    rest = Fraction(high, 1 << (shift - 31))                    # and those of the division away from zero
    return int(abs(rest) + Fraction(1, 2)) * (1 if rest > 0 else -1)


@pytest.mark.parametrize("rounding", ["half_up", "half_even", "floor", "gemmlowp"])
def test_rounding_against_fractions(rounding):
    acc = np.concatenate([RNG.integers(-1 << 31, 1 << 31, 300), np.arange(-40, 40), [-1 << 31, (1 << 31) - 1]])
    for multiplier, shift in ((1 << 30, 31), (1 << 30, 33), (1 << 30, 36), ((1 << 31) - 1, 40), (1234567891, 62)):
        got = golden.requantize(acc[:, None], np.array([[0, multiplier, shift]]), (-(1 << 40), 1 << 40), rounding=rounding)
        assert got[:, 0].tolist() == [exact(int(v) * multiplier, shift, rounding) for v in acc]


def test_stochastic_rounding_rises_with_the_draw():
    acc, scale = np.full((4, 1), 5), np.array([[0, 1 << 30, 32]])
    draws = np.array([[0], [(3 << 30) - 1], [3 << 30], [(1 << 32) - 1]])
    assert golden.requantize(acc, scale, (-9, 9), rounding="stochastic", draws=draws)[:, 0].tolist() == [1, 1, 2, 2]


def test_prescale_by_hand():
    assert golden.prescale(np.array([5, -5, 1 << 40]), bias=1, pre=2).tolist() == [2, -1, (1 << 31) - 1]


def test_lfsr_by_hand():
    seed = golden.SEED_STEP ^ 1
    assert golden.lfsr_draws(seed, 1, 3)[:, 0].tolist() == [1, 0xA3000000, 0x51800000]
    assert golden.lfsr_draws(golden.SEED_STEP, 1, 1)[0, 0] == 1


def test_cells_of_differential_weights_by_hand():
    weight = np.array([[[5, -8]], [[0, 7]]])                    # two outputs of two word lines: 5 and -8, 0 and 7
    cells = golden.differential_cells(weight, 2, (1, 2, 8))
    assert cells.tolist() == [[[1, 0, 1, 0, 0, 0, 0, 0],        # 5 = 1 + 1 * 4; lines: low and high digit, of positive and of negative
                               [0, 3, 0, 1, 0, 0, 2, 0]]]       # 7 = 3 + 1 * 4, -8 = -(0 + 2 * 4)
    with pytest.raises(ValueError, match="a weight needs more than 1 cells of 2 bits"):
        golden.differential_cells(weight, 2, (1, 2, 4))


def test_wrap_by_hand():
    assert golden.wrap(np.array([7, 8, -9, 255, 256]), 4).tolist() == [7, -8, 7, -1, 0]
