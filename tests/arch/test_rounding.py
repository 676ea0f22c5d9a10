"""Rounding and requantization against exact rationals and Python integers of any size."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest

from rpa.arch.errors import NumericsError
from rpa.arch.jit import HAVE_NUMBA, plain
from rpa.arch.numerics import quantize_multiplier, requantize
from rpa.arch.rounding import FLOOR, GEMMLOWP, HALF_EVEN, HALF_UP, STOCHASTIC, gemmlowp_divide, round_shift, shift_is_legal

SEED = 20261121


def half_up(value: Fraction) -> int:
    return floor(value + Fraction(1, 2))


def half_away(value: Fraction) -> int:
    return half_up(value) if value >= 0 else -half_up(-value)


ORACLES = {"half_up": half_up, "half_even": round, "floor": floor}
CODES = {"half_up": HALF_UP, "half_even": HALF_EVEN, "floor": FLOOR}


def planted_products(shift: int, rng: np.random.Generator, count: int = 40) -> list[int]:
    """Products around ties and whole numbers of ``2^shift``, both signs, and the extremes."""
    limit, half = (1 << 62) - 1, 1 << (shift - 1)
    products = [0, 1, -1, limit, -limit]
    for _ in range(count):
        tie = int(rng.integers(-(limit >> shift), (limit >> shift) + 1)) * (1 << shift) + half
        products += [tie - 1, tie, tie + 1, tie - half, tie - half - 1, int(rng.integers(-limit, limit))]
    return [max(-limit, min(limit, product)) for product in products]


def implementations(function):
    """The plain function on Python integers, the same on an array, and the compiled one."""
    twin = plain(function)
    yield lambda products, *rest: [int(twin(product, *rest)) for product in products]
    yield lambda products, *rest: [int(value) for value in twin(np.array(products, np.int64), *rest)]
    if HAVE_NUMBA:
        yield lambda products, *rest: [int(function(product, *rest)) for product in products]


@pytest.mark.parametrize("mode", ORACLES)
def test_every_shift_against_rationals(mode):
    rng = np.random.default_rng(SEED)
    for shift in range(1, 63):
        products = planted_products(shift, rng)
        expected = [ORACLES[mode](Fraction(product, 1 << shift)) for product in products]
        for function in implementations(round_shift):
            assert function(products, shift, CODES[mode], 0) == expected, f"shift {shift}"


def published_gemmlowp(v: int, m: int, exponent: int) -> int:
    """Literal transcription of SaturatingRoundingDoublingHighMul and RoundingDivideByPOT of gemmlowp's fixedpoint.h."""
    assert -(1 << 31) <= v < 1 << 31
    ab_64 = v * m
    nudge = (1 << 30) if ab_64 >= 0 else 1 - (1 << 30)
    dividend = ab_64 + nudge
    high = abs(dividend) // (1 << 31) * (1 if dividend >= 0 else -1)  # C division truncates
    mask = (1 << exponent) - 1
    remainder = high & mask
    threshold = (mask >> 1) + (1 if high < 0 else 0)
    return (high >> exponent) + (1 if remainder > threshold else 0)


def test_gemmlowp_against_the_published_algorithm():
    rng = np.random.default_rng(SEED)
    for shift in range(31, 63):
        values = [0, 1, -1, (1 << 31) - 1, -(1 << 31)] + [int(x) for x in rng.integers(-(1 << 31), 1 << 31, 40)]
        factors = [0, 1, 1 << 30, (1 << 31) - 1] + [int(x) for x in rng.integers(1 << 30, 1 << 31, 12)]
        pairs = [(v, m) for v in values for m in factors]
        # products whose high half ends in a tie of the second division
        pairs += [((2 * k + 1) << max(shift - 32, 0), 1 << 30) for k in range(-9, 9) if abs(2 * k + 1) << max(shift - 32, 0) < 1 << 31]
        expected = [published_gemmlowp(v, m, shift - 31) for v, m in pairs]
        products = [v * m for v, m in pairs]
        for function in implementations(gemmlowp_divide):
            assert function(products, shift) == expected, f"shift {shift}"


def test_gemmlowp_ties_by_hand():
    # the high multiply takes ties up (1.5 -> 2, -1.5 -> -1, -0.5 -> 0), the division takes them away from zero (-2.5 -> -3)
    for v, shift, expected in ((3, 31, 2), (-3, 31, -1), (1, 31, 1), (-1, 31, 0), (10, 32, 3), (-10, 32, -3), (-6, 32, -2)):
        assert plain(gemmlowp_divide)(v << 30, shift) == expected


@pytest.mark.parametrize("shift", range(1, 63))
def test_stochastic_is_the_floor_of_the_sum(shift):
    rng = np.random.default_rng(SEED + shift)
    for product in planted_products(shift, rng, 5):
        for lfsr in (1, (1 << 32) - 1, int(rng.integers(1, 1 << 32))):
            fraction = Fraction(lfsr, 1 << 32)  # the LFSR as a fraction of one, cut to `shift` bits
            addend = floor(fraction * (1 << shift))
            expected = floor(Fraction(product + addend, 1 << shift))
            for function in implementations(round_shift):
                assert function([product], shift, STOCHASTIC, lfsr) == [expected]


def test_legal_shifts():
    legal = {mode: [shift for shift in range(128) if shift_is_legal(shift, mode)] for mode in (HALF_UP, GEMMLOWP, STOCHASTIC)}
    assert legal == {HALF_UP: list(range(1, 63)), GEMMLOWP: list(range(31, 63)), STOCHASTIC: list(range(1, 63))}


def plain_requantize(acc, factor, shift, zero_point, low, high, mode, bias, pre, acc_bits):
    """The contract in rationals and big integers, one element."""
    total = (acc + bias) % (1 << acc_bits)
    total -= (1 << acc_bits) if total >> (acc_bits - 1) else 0
    exact = half_up(Fraction(total, 1 << pre))
    v = max(-(1 << 31), min((1 << 31) - 1, exact))
    divide = (lambda p: published_gemmlowp(v, factor, shift - 31)) if mode == "gemmlowp" else (
        lambda p: ORACLES[mode](Fraction(p, 1 << shift)))
    scaled = divide(v * factor) + zero_point
    q = min(max(scaled, low), high)
    return q, exact != v or scaled != q


@pytest.mark.parametrize("mode", [*ORACLES, "gemmlowp"])
@pytest.mark.parametrize("acc_bits", [6, 32, 40, 48])
def test_requantize_against_plain_integers(mode, acc_bits):
    rng = np.random.default_rng(SEED)
    for _ in range(150):
        count, pre = 9, int(rng.integers(0, 32))
        acc = rng.integers(-(1 << (acc_bits - 1)), 1 << (acc_bits - 1), count)
        factor = rng.integers(0, 1 << 31, count)
        shift = rng.integers(31 if mode == "gemmlowp" else 1, 63, count)
        bias = rng.integers(-(1 << 47), 1 << 47, count)
        zero_point, low, high = int(rng.integers(-128, 128)), int(rng.integers(-65536, 0)), int(rng.integers(0, 65536))
        got, changed = requantize(acc, factor, shift, zero_point, low=low, high=high, rounding=mode, bias=bias, pre=pre,
                                  acc_bits=acc_bits, saturations=True)
        expected = [plain_requantize(int(acc[i]), int(factor[i]), int(shift[i]), zero_point, low, high, mode, int(bias[i]), pre, acc_bits)
                    for i in range(count)]
        assert list(zip(got.tolist(), changed.tolist(), strict=True)) == expected


def test_requantize_clamp_takes_the_upper_limit_last():
    assert requantize(np.array([0]), 0, 1, low=5, high=-5).tolist() == [-5]


@pytest.mark.parametrize(("arguments", "message"), [
    ({"shift": 0}, "shift is 0, must be 1..62"),
    ({"shift": 30, "rounding": "gemmlowp"}, "shift is 30, must be 31..62"),
    ({"multiplier": 1 << 31}, "multiplier is 2147483648, must be 0..2147483647"),
    ({"pre": 32}, "pre is 32, must be 0..31"),
    ({"rounding": "up"}, "rounding is 'up', must be one of half_up, half_even, floor, gemmlowp, stochastic"),
    ({"acc": np.array([1.0])}, "acc has type float64, must be an integer type"),
])
def test_requantize_refuses(arguments, message):
    with pytest.raises(NumericsError) as caught:
        requantize(**({"acc": np.array([1]), "multiplier": 1, "shift": 1} | arguments))
    assert str(caught.value) == message


def test_quantize_multiplier_is_nearest():
    rng = np.random.default_rng(SEED)
    reals = [1.0, 0.5, 0.25, 0.75, 1 - 2.0**-53, 3.0, 1e-9, 2.0**-32, 2.0**-33, 2.0**29.5, *rng.uniform(0, 2, 200), *10.0 ** rng.uniform(-12, 8, 200)]
    for real in map(float, reals):
        factor, shift = quantize_multiplier(real)
        assert 0 <= factor < 1 << 31 and 1 <= shift <= 62
        assert abs(Fraction(real) - Fraction(factor, 1 << shift)) <= Fraction(1, 1 << (shift + 1)) * (2 if factor == 1 << 30 else 1)
        if real >= 2.0**-32:
            assert factor >= 1 << 30


def test_quantize_multiplier_limits():
    assert quantize_multiplier(0.0) == (0, 31)
    for real in (-1.0, float("nan"), float("inf"), 2.0**30):
        with pytest.raises(NumericsError):
            quantize_multiplier(real)
