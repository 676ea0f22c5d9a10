"""Ranges of converters from histograms: the best step by trying all, what clips and what is wasted by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rpa.flash.calibrate import Sums, bars, calibrate, collect, lane_weights
from rpa.flash.errors import FlashError
from rpa.flash.mapping import Encoding, tiles
from rpa.flash.network import FlashNet, Placement, with_ideal_converters
from rpa.flash.spec import Adc, Errors, MacroSpec
from rpa.net import reference
from tests.compile.integer_nets import Builder

IDEAL = MacroSpec.preset("ideal")


def net_of(seed=1):
    build = Builder((6, 6, 16), 4, seed=seed, signed=False)
    build.mac("a", [build.term("x", 24, 3, 4, pad=1)], bits=8)
    build.mac("b", [build.term("a", 10, 6, 4)], bits=8, signed=True)
    return build.net("b"), {"x": np.stack([build.image() for _ in range(4)])}


def histogram_of(values, weights=None):
    sums = Sums(count=np.zeros(1), weight=np.zeros(1))
    values = np.asarray(values)[:, None]
    sums.add(values, np.ones(values.shape) if weights is None else np.asarray(weights, float)[:, None])
    return sums


def test_histogram_by_hand():
    sums = histogram_of([0, 3, 3, 9])
    sums.add(np.array([[20, 5]]), np.array([2.0, 0.0]))
    assert sums.count.tolist()[:10] == [1, 0, 0, 2, 0, 0, 0, 0, 0, 1] and sums.count[20] == 1 and sums.count[5] == 0
    assert sums.weight[20] == 4 and sums.largest == 20 and sums.quantile(0.6) == 3
    # 3 bits, step 2: codes 0..7 reach 14.99; 20 clips to 14, 3 becomes 4, 9 becomes 10
    assert sums.clipped(1, 3) == 1 / 5
    assert sums.error(1, 3) == pytest.approx(np.sqrt((0 + 1 + 1 + 1 + 4 * 36) / 8))


@pytest.mark.parametrize("encoding", [Encoding.DIFFERENTIAL, Encoding.REFERENCE])
def test_weights_of_lanes(encoding):
    weights = np.arange(-5, 5)[:, None] * 7
    made = tiles(weights, cell_bits=2, rows=8, cols=128, line=8, encoding=encoding)
    lanes = lane_weights(made, made.tiles[0]).reshape(-1, 8)
    # the weights of an output's lines, times its codes of both signs, are the magnitude
    codes = made.tiles[0].cells.reshape(-1, 8).astype(int)
    if encoding == Encoding.DIFFERENTIAL:
        k = made.group_lines
        assert np.array_equal((lanes * codes)[:k].sum(axis=0)[:8], np.abs(weights[:8, 0]))
        assert not lanes[k:, 2:].any() and lanes[k:, :2].all()
    else:
        places = 4.0 ** np.arange(made.slices)
        assert lanes[-1].tolist() == [*(np.sqrt(10) * places), *[0] * (8 - made.slices)]


def test_chosen_ranges_have_the_least_error_of_results():
    """The range that is chosen from the histogram is the one whose sums of products are nearest to the exact ones."""
    net, images = net_of()
    spec = replace(IDEAL, adc=Adc(bits=6))
    exact = reference.run_many(net, images, wanted=["a"])["a"]
    flash = FlashNet(net, ["to_a"], spec)
    found = calibrate(flash, images)["to_a"]
    errors = {}
    for log2_lsb in range(8):
        got = FlashNet(net, {"to_a": Placement(log2_lsb=log2_lsb)}, spec).run_many(images, wanted=["a"])["a"]
        errors[log2_lsb] = np.square(got - exact).mean()
    assert found.log2_lsb == min(errors, key=errors.get) == flash.ranges["to_a"]
    assert found.free_error <= found.error and 0 <= found.clipped < 0.05
    assert errors[found.log2_lsb] < FlashNet(net, ["to_a"], spec).run_many(images, wanted=["a"])["a"].var()


def test_calibrated_beats_the_range_that_never_clips():
    net, images = net_of(2)
    exact = reference.run_many(net, images)["b"]
    spec = replace(IDEAL, adc=Adc(bits=5))
    flash = FlashNet(net, "all", spec)
    safe = dict(flash.ranges)
    before = np.square(flash.run_many(images)["b"] - exact).mean()
    calibrate(flash, images)
    after = np.square(flash.run_many(images)["b"] - exact).mean()
    assert after < before and all(flash.ranges[name] <= safe[name] for name in safe)


def test_a_free_step_is_at_least_as_good():
    net, images = net_of(6)
    exact = reference.run_many(net, images, wanted=["a"])["a"]
    errors = []
    for free in (False, True):
        flash = FlashNet(net, ["to_a"], replace(IDEAL, adc=Adc(bits=5)))
        found = calibrate(flash, images, free=free)["to_a"]
        assert flash.ranges["to_a"] == (found.free_log2_lsb if free else found.log2_lsb)
        errors.append(np.square(flash.run_many(images, wanted=["a"])["a"] - exact).mean())
    assert found.free_log2_lsb != found.log2_lsb and errors[1] < errors[0]


def test_a_lossless_converter_keeps_the_finest_step():
    net, images = net_of(3)
    flash = FlashNet(net, "all", with_ideal_converters(IDEAL))
    found = calibrate(flash, images)
    assert all(one.log2_lsb == 0 and one.error == 0 and one.clipped == 0 for one in found.values())
    assert np.array_equal(flash.run_many(images)["b"], reference.run_many(net, images)["b"])
    assert all(layer.counts.images == 4 for layer in flash.layers.values())


def test_sums_are_those_of_the_chip():
    """Stuck cells raise what bit lines carry, and the histogram sees it."""
    net, images = net_of(4)
    ideal = collect(FlashNet(net, ["to_a"], with_ideal_converters(IDEAL)), images)["to_a"]
    stuck = replace(with_ideal_converters(IDEAL), errors=Errors(stuck_on=0.2))
    raised = collect(FlashNet(net, ["to_a"], stuck), images)["to_a"]
    values = np.arange(max(len(ideal.count), len(raised.count)))

    def mean(sums):
        return sums.count @ values[:len(sums.count)] / sums.count.sum()

    assert mean(raised) > 1.2 * mean(ideal) and ideal.count.sum() == raised.count.sum()


def test_what_clips_is_shown():
    net, images = net_of(5)
    found = calibrate(FlashNet(net, ["to_a"], replace(IDEAL, adc=Adc(bits=4))), images)["to_a"]
    text = bars(found)
    assert len(text) == 16 and sum(float(line.split("%")[0].split()[-1]) for line in text) == pytest.approx(100, abs=0.01)
    assert ("clips" in text[-1]) == (found.clipped > 0) and found.row()["clipped [%]"] == 100 * found.clipped


def test_an_observer_is_not_replaced():
    net, images = net_of()
    flash = FlashNet(net, "all", IDEAL)
    flash.observer = print
    with pytest.raises(FlashError, match="has an observer already"):
        calibrate(flash, images)
