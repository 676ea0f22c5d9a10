"""The packed dot unit against NumPy int64: exhaustive below 16 bits, random and corners at 16."""

import numpy as np
import pytest
from amaranth.hdl import Array, Mux

from hdl.dot import Dot
from tests.hdl.compiled import Compiled

CORNERS = (0, 1, 2, 0x7FFF, 0x8000, 0x8001, 0xFFFF, 0x5555, 0xAAAA, 0x00FF, 0xFF00, 0x8080)


def _log2(width):
    return Mux(width[4], 4, Mux(width[3], 3, Mux(width[2], 2, 1)))


@pytest.fixture(scope="module")
def dot(tmp_path_factory):
    """Columns in: x, y, {places, shift, y_signed, x_signed}, width. Columns out: low halves, high halves, sum, right shift."""
    def build(m, inputs):
        m.submodules.dot = unit = Dot()
        x, y, how, width = inputs
        m.d.comb += [unit.x.eq(x), unit.y.eq(y), unit.x_signed.eq(how[0]), unit.y_signed.eq(how[1]), unit.shift.eq(how[2]),
                     unit.places.eq(how[3:]), unit.width.eq(width >> 1)]
        chosen = [Array(halves[k] for k in range(4))[_log2(width) - 1] for halves in (unit.low, unit.high)]
        return [*chosen, unit.total, unit.right]
    return Compiled(tmp_path_factory.mktemp("dot"), 4, build)


def lanes(words: np.ndarray, width: int, is_signed: bool) -> np.ndarray:
    """Lanes of uint16 words as int64 (words, lanes)."""
    shifts = np.arange(0, 16, width)
    values = (words.astype(np.int64)[:, None] >> shifts) & ((1 << width) - 1)
    return values - (values >> (width - 1) << width) if is_signed else values


def check(dot, x: np.ndarray, y: np.ndarray, width: int) -> None:
    """Compare both halves of every lane product, and the sum, in all four combinations of signs."""
    places = np.arange(0, 16, width)
    for signs in range(4):
        columns = np.broadcast_arrays(x, y, signs, width)
        out = dot(np.stack(columns, axis=1).astype(np.uint64)).astype(np.int64)
        product = lanes(x, width, bool(signs & 1)) * lanes(y, width, bool(signs & 2))
        for column, half in enumerate(("low", "high")):
            expected = ((product >> column * width & ((1 << width) - 1)) << places).sum(axis=1)
            np.testing.assert_array_equal(out[:, column], expected, f"{half} halves at {width} bits, signs {signs}")
        if width < 16:
            np.testing.assert_array_equal(out[:, 2], product.sum(axis=1), f"sum at {width} bits, signs {signs}")


@pytest.mark.rtl
def test_every_pair_of_8_bit_operands_in_both_lanes(dot):
    pairs = np.arange(1 << 16)
    x, y = pairs & 0xFF, pairs >> 8
    # The other lane runs through all pairs in another order, so that the sum sees mixed ones.
    other = (pairs * 40503) & 0xFFFF
    check(dot, x | (other & 0xFF) << 8, y | (other >> 8) << 8, 8)


@pytest.mark.rtl
def test_every_pair_of_4_bit_operands_against_every_pair_in_the_next_lane(dot):
    pairs = np.arange(1 << 16)
    x, y = pairs & 0xFF, pairs >> 8
    rng = np.random.default_rng(4)
    for shift in (0, 8):
        noise_x, noise_y = (rng.integers(0, 256, 1 << 16) << (8 - shift) for _ in range(2))
        check(dot, x << shift | noise_x, y << shift | noise_y, 4)


@pytest.mark.rtl
def test_every_quadruple_of_2_bit_lanes(dot):
    pairs = np.arange(1 << 16)
    x, y = pairs & 0xFF, pairs >> 8
    rng = np.random.default_rng(2)
    for shift in (0, 8):
        noise_x, noise_y = (rng.integers(0, 256, 1 << 16) << (8 - shift) for _ in range(2))
        check(dot, x << shift | noise_x, y << shift | noise_y, 2)


@pytest.mark.rtl
def test_16_bit_corners_and_random_words(dot):
    rng = np.random.default_rng(16)
    corner_x, corner_y = np.meshgrid(CORNERS, CORNERS)
    x = np.concatenate([corner_x.ravel(), rng.integers(0, 1 << 16, 50_000)])
    y = np.concatenate([corner_y.ravel(), rng.integers(0, 1 << 16, 50_000)])
    check(dot, x, y, 16)


@pytest.mark.rtl
def test_a_power_of_two_shifts_the_word(dot):
    words = np.concatenate([np.array(CORNERS), np.random.default_rng(1).integers(0, 1 << 16, 500)])
    for is_signed in (0, 1):
        values = lanes(words, 16, bool(is_signed))[:, 0]
        for places in range(16):
            columns = np.broadcast_arrays(words, 0xABCD, is_signed | 4 | places << 3, 16)
            out = dot(np.stack(columns, axis=1).astype(np.uint64)).astype(np.int64)
            np.testing.assert_array_equal(out[:, 0] | out[:, 1] << 16, (values << places) & 0xFFFF_FFFF)
            np.testing.assert_array_equal(out[:, 3], values >> (15 - places) & 0xFFFF)
