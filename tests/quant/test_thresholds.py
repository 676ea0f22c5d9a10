"""Clipping ranges against SciPy, onnxruntime's calibration, and exhaustive search."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import rel_entr
from scipy.stats import entropy

from rpa.quant.divergence import EPSILON, divergences
from rpa.quant.errors import QuantError
from rpa.quant.histogram import Histogram
from rpa.quant.thresholds import METHODS, fit


def samples(kind: str, seed: int = 0, count: int = 60_000) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return {"normal": lambda: rng.standard_normal(count), "laplace": lambda: rng.laplace(size=count),
            "tails": lambda: rng.standard_t(3, count), "relu": lambda: np.maximum(rng.standard_normal(count), 0),
            "shifted": lambda: np.exp(rng.standard_normal(count) * 0.5) - 0.7}[kind]().astype(np.float32)


def histogram_of(values: np.ndarray, bins: int = 4096) -> Histogram:
    histogram = Histogram("x", bins)
    histogram.add(values)
    return histogram


def reference_and_quantized(counts, start, stop, levels):
    """P and Q by the definition, bin by bin."""
    counts = np.concatenate([counts, np.zeros(max(0, stop - len(counts)))])
    kept = counts[start:stop].astype(np.float64)
    p, q = kept.copy(), np.zeros_like(kept)
    p[0] += counts[:start].sum()
    p[-1] += counts[stop:].sum()
    for group in range(levels):
        part = slice(group * len(p) // levels, (group + 1) * len(p) // levels)
        filled = p[part] > 0
        q[part][filled] = kept[part].sum() / max(1, filled.sum())
    return p, q


@pytest.mark.parametrize("levels", [2, 16, 128])
@pytest.mark.parametrize("kind", ["normal", "tails", "relu", "shifted"])
def test_divergence_is_scipys(kind, levels):
    counts = histogram_of(samples(kind), 512).counts
    ranges = [(0, 1024), (100, 900), (500, 700), (512, 1024), (512, 900), (300, 1100), (511, 512 + levels)]
    ours = divergences(counts, *np.array(ranges).T, levels)
    for (start, stop), value in zip(ranges, ours, strict=True):
        p, q = reference_and_quantized(counts, start, stop, levels)
        if q[p > 0].min() > 0:
            assert value == pytest.approx(entropy(p, q), rel=1e-9, abs=1e-12)
        p, q = p / p.sum(), np.maximum(q / q.sum(), EPSILON)
        assert value == pytest.approx(rel_entr(p, q).sum(), rel=1e-9, abs=1e-12)


def test_divergence_where_nothing_is_left():
    assert divergences(np.array([5, 0, 0, 0, 3]), [1], [4], 2)[0] == np.inf


@pytest.mark.parametrize("kind", ["normal", "laplace", "tails", "shifted"])
def test_divergence_is_onnxruntimes_where_its_groups_are_equal(kind, monkeypatch):
    """onnxruntime leaves what does not divide evenly to the last group, truncates, and lets Q have mass in empty bins; so: candidates that
    divide, many counts, no empty bins."""
    calibrate = pytest.importorskip("onnxruntime.quantization.calibrate", reason="onnxruntime is the oracle")
    levels, bins = 15, 1001
    values = samples(kind)
    most = float(np.abs(values).max())
    counts, edges = np.histogram(values, bins, range=(-most, most))
    counts = (counts.astype(np.int64) + 1) * 1_000_000
    theirs = []

    def note(p, q):
        theirs.append(entropy(p, q))
        return theirs[-1]

    monkeypatch.setattr(calibrate, "entropy", note)
    collector = calibrate.HistogramCollector("entropy", True, bins, levels, 99.99, "same")
    collector.get_entropy_threshold((counts, edges, values.min(), values.max(), most), levels)
    half = np.arange(levels // 2, bins // 2 + 1)
    even = (2 * half + 1) % levels == 0
    ours = divergences(counts, bins // 2 - half, bins // 2 + half + 1, levels)
    assert len(theirs) == len(half) and even.sum() >= 30
    np.testing.assert_allclose(ours[even], np.array(theirs)[even], rtol=1e-5)


@pytest.mark.parametrize("kind", ["normal", "laplace", "tails"])
def test_threshold_is_near_onnxruntimes(kind, capsys):
    """Its result moves by a third with its own number of bins, so more agreement would mean nothing."""
    calibrate = pytest.importorskip("onnxruntime.quantization.calibrate", reason="onnxruntime is the oracle")
    values = samples(kind, count=200_000)
    collector = calibrate.HistogramCollector("entropy", True, 2048, 128, 99.99, "same")
    collector.collect({"x": [values]})
    theirs = float(collector.compute_collection_result()["x"][1])
    ours = fit(histogram_of(values), 8, method="kl").real_high
    assert 0.7 < ours / theirs < 1.4
    assert ours <= np.abs(values).max() * 1.01


def squared_error(form, values):
    return float(np.square(form.dequantize(form.quantize(values)) - values).mean())


@pytest.mark.parametrize("bits", [8, 4, 3, 2])
@pytest.mark.parametrize("kind", ["normal", "tails", "relu", "shifted"])
def test_mse_beats_every_threshold_tried_by_hand(kind, bits):
    values = samples(kind)
    chosen = fit(histogram_of(values), bits, method="mse")
    others = []
    for most in np.abs(values).max() * np.linspace(0.02, 1, 200):
        low, high = (0, 2**bits - 1) if values.min() >= 0 else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        scale = most / high
        others.append(np.square(np.clip(np.rint(values / scale), low, high) * scale - values).mean())
    assert squared_error(chosen, values) <= min(others) * 1.01


def test_asymmetric_mse_beats_symmetric_on_shifted_data():
    values = samples("shifted")
    for bits in (8, 4, 2):
        one, other = (fit(histogram_of(values), bits, method="mse", asymmetric=asymmetric) for asymmetric in (True, False))
        assert squared_error(one, values) < 0.75 * squared_error(other, values)
        assert one.dequantize(np.array(one.zero_point)) == 0


def test_minmax_and_percentile():
    values = np.concatenate([np.linspace(-1, 1, 100_001), [40.0]])
    assert fit(histogram_of(values), 8, method="minmax").scale == 40 / 127
    percentile = fit(histogram_of(values), 8, method="percentile", percentile=99.9)
    assert percentile.scale * 127 == pytest.approx(np.percentile(np.abs(values), 99.9), abs=2 * 40 / 4096)
    whole = fit(histogram_of(values), 8, method="minmax", asymmetric=True)
    assert (whole.scale, whole.zero_point, whole.signed) == (41 / 255, 6, False)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bits", [16, 8, 4, 2])
def test_binary_point(method, bits):
    values = samples("laplace")
    form = fit(histogram_of(values), bits, method=method, power_of_two=True)
    assert np.log2(form.scale) == round(np.log2(form.scale))
    if method == "mse":
        errors = []
        for exponent in range(-20, 4):
            scale = 2.0**exponent
            kept = np.clip(np.rint(values / scale), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
            errors.append(np.square(kept * scale - values).mean())
        assert squared_error(form, values) <= min(errors) * 1.001
    if method == "minmax":
        assert form.scale / 2 * (2 ** (bits - 1) - 1) < np.abs(values).max() <= form.scale * (2 ** (bits - 1) - 1)


@pytest.mark.parametrize("bits", [8, 4, 3])
@pytest.mark.parametrize("kind", ["normal", "laplace", "tails"])
def test_binary_point_of_least_divergence(kind, bits):
    """Every position by SciPy: no other one has a smaller divergence; a range narrower than one bin a level cannot be judged."""
    histogram = histogram_of(samples(kind))
    form, levels, counts = fit(histogram, bits, method="kl", power_of_two=True), 1 << bits - 1, histogram.magnitudes()
    found = {}
    for exponent in range(-14, 6):
        stop = round(2.0**exponent * (levels - 1) / histogram.width)
        if stop >= levels and 2.0 ** (exponent - 1) * (levels - 1) < np.abs(samples(kind)).max():
            p, q = reference_and_quantized(counts, 0, stop, levels)
            p, q = p / p.sum(), np.maximum(q / q.sum(), EPSILON)
            found[2.0**exponent] = rel_entr(p, q).sum()
    assert len(found) >= 3
    assert found[form.scale] == pytest.approx(min(found.values()), rel=1e-9, abs=1e-12)


def test_sixteen_bits_clip_nothing():
    values = samples("tails")
    for method in ("kl", "minmax"):
        form = fit(histogram_of(values), 16, method=method)
        assert np.abs(form.dequantize(form.quantize(values)) - values).max() <= form.scale / 2 * 1.0001


def test_streaming_equals_one_histogram():
    """Doubling merges bins exactly: the same data in another order give the same counts where the limits meet."""
    rng = np.random.default_rng(3)
    first = np.concatenate([[-1.0], rng.uniform(-1, 1, 999)])
    later = [rng.uniform(-2, 2, 1000), rng.uniform(-7, 7, 1000), np.zeros(10)]
    streamed = Histogram("x", 64)
    for part in (first, *later):
        streamed.add(part)
    values = np.concatenate([first, *later])
    assert (streamed.limit, streamed.total, streamed.zeros) == (8.0, 3010, 10)
    expected, _ = np.histogram(values[values != 0], 128, range=(-8, 8))
    np.testing.assert_array_equal(streamed.counts, expected)
    assert (streamed.low, streamed.high) == (values.min(), values.max())
    assert streamed.mean_square == pytest.approx(np.square(values).mean())


def test_nothing_but_zeros():
    form = fit(histogram_of(np.zeros(100)), 8)
    assert (form.scale, form.zero_point) == (2**-12, 0)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: histogram_of(np.array([1.0, np.nan])), "`x` has values that are not finite (NaN or infinity) in the calibration data; "
                                                    "the network overflows or the data is damaged"),
    (lambda: histogram_of(np.array([-np.inf])), "`x` has values that are not finite (NaN or infinity) in the calibration data; "
                                                "the network overflows or the data is damaged"),
    (lambda: fit(Histogram("x"), 8), "`x`: no calibration data"),
    (lambda: fit(Histogram("x"), 5), "width is 5 bits, must be one of 16, 8, 4, 3, 2"),
    (lambda: fit(Histogram("x"), 8, method="best"), "method is 'best', must be one of kl, mse, percentile, minmax"),
    (lambda: fit(Histogram("x"), 8, percentile=10), "percentile is 10, must be above 50 and at most 100"),
    (lambda: Histogram("x", 3), "histogram of `x`: bins is 3, must be even and at least 2"),
])
def test_faults(call, message):
    with pytest.raises(QuantError) as caught:
        call()
    assert str(caught.value) == message
