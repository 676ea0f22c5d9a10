"""The front door: reports, bad input, and networks trained on real data."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rpa.net import reference
from rpa.quant import Calibrated, Options, QuantError, quantize
from rpa.quant.report import compare
from tests.quant.floats import Builder, evaluate, residual_net


@pytest.fixture(scope="module")
def case():
    net = residual_net()
    return net.graph(net.nodes[-1].outputs[0]), net.images(16), net.images(16)


def test_report(case):
    graph, images, others = case
    quantized = quantize(graph, images, "8", method="mse")
    report = json.loads(json.dumps(quantized.report.to_dict()))
    assert [layer["name"] for layer in report["layers"]] == [node.name for node in quantized.net.nodes]
    first = report["layers"][0]
    assert [first[key] for key in ("kind", "act_bits", "weight_containers", "weight_bytes", "output")] == ["Mac", [8], [8], 216, "conv0.out"]
    count = 8 * 27 + 2 * 8 * 72 + 16 * 72 + 16 * 144 + 16 * 8 + 10 * 16
    assert (report["float_weight_bytes"], report["weight_bytes"]) == (4 * count, count)
    labels = np.arange(16) % 10
    found = quantized.compare(others, labels)
    expected = evaluate(graph, {"x": others})[graph.outputs[0]]
    assert found.accuracy_float == (expected.reshape(16, -1).argmax(axis=1) == labels).mean()
    assert found.relative_error_integer == found.relative_error_fake < 0.05 and found.largest_difference == 0


def test_signal_to_noise_is_measured_against_float(case):
    graph, images, _ = case
    quantized = quantize(graph, images, "8", method="mse")
    values = reference.run_many(quantized.net, quantized.to_integers(images), wanted=["add0.out"])
    real = quantized.to_real(values)["add0.out"]
    expected = evaluate(graph, {"x": images})["add0.out"]
    layer = next(layer for layer in quantized.report.layers if layer.output == "add0.out")
    assert layer.sqnr_db == pytest.approx(10 * np.log10(np.square(expected).sum() / np.square(expected - real).sum()), abs=1e-3)


def test_same_input_same_integers(case):
    graph, images, _ = case
    first, second = (quantize(graph, images, "w3a4", weight_rounding="stochastic") for _ in range(2))
    for one, other in zip(first.net.nodes, second.net.nodes, strict=True):
        assert all((a.weight == b.weight).all() for a, b in zip(getattr(one, "terms", ()), getattr(other, "terms", ()), strict=True))


NAN = np.full((2, 3, 12, 12), np.nan)
FAULTS = [
    (np.zeros((0, 3, 12, 12)), {}, "calibration data of `x` are empty, shape (0, 3, 12, 12); at least one image is needed"),
    (np.zeros((2, 3, 11, 12)), {}, "calibration data of `x` have shape (2, 3, 11, 12), must be (N, 3, 12, 12)"),
    (np.zeros(5), {}, "calibration data of `x` have shape (5,), must be (N, 3, 12, 12)"),
    (np.ones((2, 3, 12, 12)), {}, "calibration data of `x` are constant (1); scales cannot be chosen from them"),
    (NAN, {}, "calibration data of `x` have 864 values that are NaN or infinite"),
    (np.array([["a"]]), {}, "calibration data of `x` have type <U1, must be real numbers"),
    ({"y": NAN}, {}, "calibration data are for y, `net` takes x"),
    (None, {"widths": "5"}, "act_bits is 5, must be one of 16, 8, 4, 3, 2"),
    (None, {"method": "KL"}, "method is 'KL', must be one of kl, mse, percentile, minmax; did you mean `kl`?"),
    (None, {"metod": "kl"}, "there is no choice `metod`; did you mean `method`?"),
    (None, {"rounding": "up"}, "rounding is 'up', must be one of half_up, half_even, floor, gemmlowp, stochastic"),
    (None, {"acc_bits": 20}, "acc_bits is 20, must be 32, 40 or 48"),
]


@pytest.mark.parametrize(("images", "choices", "message"), FAULTS)
def test_faults(case, images, choices, message):
    graph, good, _ = case
    with pytest.raises(QuantError) as caught:
        quantize(graph, good if images is None else images, **choices)
    assert str(caught.value).split("; did you")[0] == message.split("; did you")[0]


def test_calibration_that_overflows(case):
    graph, images, _ = case
    with pytest.raises(QuantError, match="has values that are not finite"):
        quantize(graph, images / np.abs(images).max() * np.float32(3e38))


def test_labels_that_are_none(case):
    graph, images, _ = case
    quantized = quantize(graph, images)
    with pytest.raises(QuantError) as caught:
        quantized.compare(images, np.full(16, 10))
    assert str(caught.value) == "labels are int64 (16,), must be 16 integers 0..9"


def test_dead_channels_and_dead_layers():
    """All-zero weights, with and without a bias, and a layer whose output is always 0."""
    net = Builder((3, 8, 8))
    x = net.conv("x", 4)
    net.gemm(net.conv(x, 4), 3)
    net.initializers["w0"][1:3] = 0
    net.initializers["b0"][1] = 0
    net.initializers["w1"][:] = 0
    net.initializers["b1"][:] = -1
    graph, images = net.graph("gemm0.out"), net.images(8)
    for widths in ("16", "8", "2"):
        quantized = quantize(graph, images, widths)
        assert quantized.compare(images).relative_error_integer < 1e-2


def trained(name: str, dataset: str, count: int):
    from rpa import data
    from rpa.data import DataError
    from rpa.models import build, find
    from rpa.net.onnx_import import load_onnx

    network = find(name)
    if not network.trained:
        pytest.skip(f"{name} has no trained weights yet")
    try:
        images = data.load(dataset)
    except DataError as error:
        pytest.skip(str(error))
    shape = (-1, *network.input_shape[1:], network.input_shape[0])
    test = images.test.images[:count].reshape(shape)
    graph = load_onnx(build(name, weights="trained"))
    calibrated = Calibrated(graph, network.to_input(images.train.images[:128].reshape(shape)))
    return calibrated, network.to_input(test), images.test.labels[:count].astype(np.int64)


@pytest.mark.parametrize(("name", "dataset", "count", "losses"), [("lenet5", "mnist", 500, {"8": 0.005, "4": 0.01, "w4a3": 0.02}),
                                                                  ("resnet8", "cifar10", 200, {"8": 0.01})])
def test_trained_networks_keep_their_accuracy(name, dataset, count, losses):
    """At 8 bits within half a per cent of float (one of 200 images of ResNet-8)."""
    calibrated, test, labels = trained(name, dataset, count)
    for widths, loss in losses.items():
        found = calibrated.convert(widths, Options(weight_rounding="compensated"))
        found = compare(calibrated.graph, found, {calibrated.graph.inputs[0]: test}, labels)
        assert found.accuracy_float - found.accuracy_integer <= loss, widths
        assert found.accuracy_integer == found.accuracy_fake
        # outputs have 16 bits, of which a 31-bit multiplier can miss the last
        assert found.largest_difference <= 1
