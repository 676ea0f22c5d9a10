"""Random numbers by counter: their law, and that nothing but key, counter and line decides them."""

import numpy as np
import pytest
from scipy import stats

from rpa.arch.jit import HAVE_NUMBA, jit, plain
from rpa.flash import noise
from rpa.flash.errors import FlashError

KEY = noise.key(1, "test")


@jit
def _compiled(key, counters, lines):
    """Numbers as the compiled kernels draw them, one by one."""
    out = np.empty((len(counters), lines), np.float32)
    for i in range(len(counters)):
        hashed = noise.counter_hash(key, counters[i])
        for line in range(lines):
            low = np.uint32(np.uint32(hashed & np.uint64(0xFFFFFFFF)) + np.uint32(line) * noise.GOLDEN32)
            out[i, line] = noise.gaussian(noise.hashed_line(np.uint32(hashed >> np.uint64(32)), low))
    return out


def test_they_are_standard_normal():
    drawn = noise.normals(KEY, np.arange(4000)[:, None], np.arange(500)).ravel().astype(np.float64)
    assert abs(drawn.mean()) < 4 / np.sqrt(drawn.size)
    assert drawn.var() == pytest.approx(1, abs=4 * np.sqrt(2 / drawn.size))
    assert stats.kurtosis(drawn) == pytest.approx(0, abs=4 * np.sqrt(24 / drawn.size) + 0.002)
    assert stats.kstest(drawn[:200_000], "norm").pvalue > 1e-3
    for at in (-3, -1, 2):
        assert (drawn < at).mean() == pytest.approx(stats.norm.cdf(at), abs=5e-4)


def test_words_are_uniform_in_every_bit():
    words = noise.words(KEY, np.arange(2000)[:, None], np.arange(200)).ravel()
    for bit in range(32):
        assert ((words >> bit) & 1).mean() == pytest.approx(0.5, abs=5 * 0.5 / np.sqrt(words.size))
    assert stats.kstest(noise.uniforms(KEY, np.arange(300)[:, None], np.arange(300)).ravel(), "uniform").pvalue > 1e-3


@pytest.mark.parametrize("axis", ["operation", "line", "key"])
def test_neighbours_are_independent(axis):
    counters, lines = np.arange(1000)[:, None], np.arange(200)
    one = noise.normals(KEY, counters, lines).astype(np.float64)
    key = noise.key(2, "test") if axis == "key" else KEY
    other = noise.normals(key, counters + (axis == "operation"), lines + (axis == "line")).astype(np.float64)
    for power in (1, 2):
        assert abs(np.corrcoef((one**power).ravel(), (other**power).ravel())[0, 1]) < 5 / np.sqrt(one.size)


def test_keys_differ_by_seed_and_by_name():
    keys = {int(noise.key(seed, name, macro)) for seed in (0, 1, noise.SEED_LIMIT) for name in ("read", "programming") for macro in (0, 1)}
    assert len(keys) == 12


@pytest.mark.parametrize("seed", [-1, 1 << 64, 1.0, "1"])
def test_a_seed_is_64_bits(seed):
    with pytest.raises(FlashError) as error:
        noise.key(seed)
    assert str(error.value) == f"Chip: `seed` is {seed!r}, must be an integer 0..2^64 - 1"


@pytest.mark.skipif(not HAVE_NUMBA, reason="without numba there is one path")
def test_compiled_and_plain_give_the_same_bits():
    counters = np.array([0, 1, 77, 1 << 40, (1 << 63) - 1], np.uint64)
    assert np.array_equal(_compiled(KEY, counters, 300), noise.normals(KEY, counters[:, None], np.arange(300)))


def test_the_sum_of_bytes_by_hand():
    """Word 0x01020304: its bytes, those of its product with the odd number, 1020 less, and the cubic."""
    word = 0x01020304
    other = word * 0x9E3779B1 % 2**32
    other ^= other >> 15
    total = sum(value >> shift & 255 for value in (word, other) for shift in (0, 8, 16, 24)) - 1020
    expected = total * (0.004681941794279669 + 8.158837130653254e-10 * total**2)
    assert plain(noise.gaussian)(np.array([word], np.uint32))[0] == pytest.approx(expected, rel=1e-6)
