"""The parts of the demo: tiles cover the picture, filters keep what they are for, the machine gives what NumPy gives."""

from __future__ import annotations

import numpy as np
import pytest

from rpa.arch.config import ArrayConfig
from rpa.demo import layer
from rpa.demo.filters import BANK, INDEX, weights
from rpa.demo.photo import photograph, planes, tiles
from rpa.demo.quantize import best_scale, fit_filter, patch_correlation
from rpa.report.golden import convolve


@pytest.mark.parametrize(("height", "width"), [(62, 38), (63, 39), (248, 228)])
def test_tiles_cover_every_pixel(height, width):
    seen = np.zeros((height, width), dtype=int)
    for tile in tiles(height, width, 64, 40):
        seen[tile.target] += 1
        assert tile.source[0].stop <= height + 2 and tile.source[1].stop <= width + 2
    assert seen.min() == 1


def test_photograph_is_exact_in_eight_bits():
    values = planes(photograph())
    assert values.shape == (250, 230, 16)
    assert best_scale(values, 8) == 1 / 128


def test_filters_that_keep_brightness_sum_to_one():
    sums = weights().sum(axis=(1, 2, 3))
    assert sums[[INDEX["blur red"], INDEX["sharpen green"], INDEX["grey"], INDEX["box"]]] == pytest.approx(1)
    assert sums[[INDEX["sobel x"], INDEX["laplace"]]] == pytest.approx(0, abs=1e-12)
    assert len(BANK) == 16


def test_patch_correlation_is_the_squared_error_of_a_filter():
    rng = np.random.default_rng(3)
    act, error = rng.normal(size=(9, 8, 2)), rng.normal(size=(1, 3, 3, 2))
    squares = np.square(convolve(act, error)[1:-1, 1:-1]).sum()
    assert error.ravel() @ patch_correlation(act) @ error.ravel() == pytest.approx(squares)


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_a_filter_of_small_whole_numbers_is_kept_exactly(bits):
    act = np.random.default_rng(4).normal(size=(12, 12, 1))
    weight = np.array([[0, -1, 0], [-1, 7, -1], [0, -1, 0]])[..., None] / 3
    integers, scale = fit_filter(weight, patch_correlation(act), bits)
    np.testing.assert_allclose(integers * scale, weight, atol=1e-4 if bits == 16 else 1e-12)


def test_a_small_picture_on_the_machine():
    rng = np.random.default_rng(5)
    act = planes(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8))
    weight = weights()[:4]
    program = layer.assemble(ArrayConfig.preset("small"), 8, 8, planes=16, passes=2, width=16)
    measured = layer.measure(program, act, weight, convolve(act, weight)[1:-1, 1:-1])
    assert measured.wrong == 0
    assert measured.relative_error < 0.02
    assert 0 < measured.utilisation <= 1
