"""The packed dot unit against NumPy int64: exhaustive below 16 bits, random and corners at 16."""

import numpy as np
import pytest

from hdl.dot import Dot
from tests.hdl.compiled import Compiled

CORNERS = (0, 1, 2, 0x7FFF, 0x8000, 0x8001, 0xFFFF, 0x5555, 0xAAAA, 0x00FF, 0xFF00, 0x8080)


@pytest.fixture(scope="module")
def dot(tmp_path_factory):
    """Columns in: x, y, {y_signed, x_signed}, width. Columns out: total, p16, p8, p4 packed 9 bits each, p2 packed 5 each, mul."""
    def build(m, inputs):
        m.submodules.dot = unit = Dot()
        x, y, signs, width = inputs
        m.d.comb += [unit.x.eq(x), unit.y.eq(y), unit.x_signed.eq(signs[0]), unit.y_signed.eq(signs[1]), unit.width.eq(width >> 1)]
        out = unit.out
        return [out.total, out.p16, out.p8, out.p4.as_value(), out.p2.as_value(), unit.low_halves()]
    return Compiled(tmp_path_factory.mktemp("dot"), 4, build)


def lanes(words: np.ndarray, width: int, is_signed: bool) -> np.ndarray:
    """Lanes of uint16 words as int64 (words, lanes)."""
    shifts = np.arange(0, 16, width)
    values = (words.astype(np.int64)[:, None] >> shifts) & ((1 << width) - 1)
    return values - (values >> (width - 1) << width) if is_signed else values


def field(column: np.ndarray, bits: int, index: int = 0) -> np.ndarray:
    """Signed field ``index`` of ``bits`` bits in a uint64 column."""
    raw = (column >> np.uint64(bits * index)).astype(np.int64) & ((1 << bits) - 1)
    return raw - (raw >> (bits - 1) << bits)


def check(dot, x: np.ndarray, y: np.ndarray, width: int) -> None:
    """Compare every output that is valid at ``width``, in all four combinations of signs."""
    for signs in range(4):
        columns = np.broadcast_arrays(x, y, signs, width)
        out = dot(np.stack(columns, axis=1).astype(np.uint64))
        product = lanes(x, width, bool(signs & 1)) * lanes(y, width, bool(signs & 2))
        np.testing.assert_array_equal(out[:, 0].astype(np.int64), product.sum(axis=1), f"sum at {width} bits, signs {signs}")
        low = ((product & ((1 << width) - 1)) << np.arange(0, 16, width)).sum(axis=1)
        np.testing.assert_array_equal(out[:, 5].astype(np.int64), low, f"mul at {width} bits, signs {signs}")
        for lane in range(16 // width):
            got = {16: lambda k: out[:, 1].astype(np.int64), 8: lambda k: out[:, 1 + k].astype(np.int64),
                   4: lambda k: field(out[:, 3], 9, k), 2: lambda k: field(out[:, 4], 5, k)}[width](lane)
            np.testing.assert_array_equal(got, product[:, lane], f"lane {lane} at {width} bits, signs {signs}")


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
