"""Mixed widths against trying every assignment."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from rpa.quant import Calibrated, Options, QuantError, Width, WidthTable, parse_table
from rpa.quant.mixed import Sensitivity, choose_widths, hull, lanes_cost, readers_together
from rpa.quant.report import compare
from tests.quant.floats import Builder

WIDTHS = [Width(8, 8), Width(4, 4), Width(2, 2)]


def small_net() -> Builder:
    net = Builder((3, 8, 8), 5)
    net.gemm(net.conv(net.conv("x", 6), 4, stride=2), 4)
    return net


def test_hull_is_optimal_for_its_own_error():
    """No assignment of the 3^5 has both less cost and no more error than one on the path."""
    rng = np.random.default_rng(0)
    layers = list("abcde")
    for _ in range(10):
        table = {}
        for layer in layers:
            error, scale = 0.0, rng.uniform(1, 5)
            for width in WIDTHS:
                table[layer, width] = Sensitivity(layer=layer, width=width, error=error, cost=scale * width.act_bits)
                error += rng.uniform(0, 1)
        every = [(sum(table[one].cost for one in zip(layers, chosen, strict=True)), sum(table[one].error for one in zip(layers, chosen, strict=True)))
                 for chosen in product(WIDTHS, repeat=5)]
        path = hull(table, layers, WIDTHS)
        costs = [sum(table[one].cost for one in step.items()) for step in path]
        assert costs == sorted(costs, reverse=True) and costs[-1] == min(cost for cost, _ in every)
        for cost, step in zip(costs, path, strict=True):
            error = sum(table[one].error for one in step.items())
            assert not any(other < cost - 1e-9 and wrong <= error + 1e-9 for other, wrong in every)


def test_cheapest_of_all_assignments_within_the_budget():
    net = small_net()
    graph = net.graph("gemm0.out")
    images = net.images(16)
    calibrated = Calibrated(graph, images)
    options = Options(method="mse")
    cost = lanes_cost(graph)
    layers = calibrated.layers
    assert [cost(layer, Width(16, 16)) for layer in layers] == [8 * 8 * 6 * 27, 4 * 4 * 4 * 54, 4 * 64]
    every = []
    for chosen in product(WIDTHS, repeat=3):
        table = WidthTable(WIDTHS[0], dict(zip(layers, chosen, strict=True)))
        found = compare(graph, calibrated.convert(table, options), {"x": images})
        every.append((sum(map(cost, layers, chosen)), found.relative_error_integer))
    for budget in np.quantile([error for _, error in every], [0.3, 0.7]):
        mixed = choose_widths(calibrated, WIDTHS, max_relative_error=budget, images=images, options=options)
        assert mixed.comparison.relative_error_integer <= budget
        assert mixed.cost == sum(cost(layer, mixed.table[layer]) for layer in layers) < mixed.widest_cost
        assert mixed.cost <= 1.1 * min(cost for cost, error in every if error <= budget)
        again = calibrated.quantize(parse_table(mixed.table.to_toml()), options)
        assert again.compare(images).relative_error_integer == mixed.comparison.relative_error_integer


def test_readers_of_a_tensor_have_one_width():
    """A convolution and the shortcut beside it: the tensor is stored once."""
    net = Builder((3, 8, 8), 4)
    x = net.conv("x", 6)
    x = net.plus(net.conv(net.conv(x, 8, stride=2), 8, clip=None), net.conv(x, 8, 1, stride=2, clip=None))
    net.gemm(x, 4)
    calibrated = Calibrated(net.graph("gemm0.out"), net.images(16))
    together = readers_together(calibrated, calibrated.layers)
    assert together == {"conv0": ["conv0"], "conv1": ["conv1", "conv3"], "conv2": ["conv2"], "gemm0": ["gemm0"]}
    mixed = choose_widths(calibrated, WIDTHS, max_relative_error=0.5)
    assert mixed.table["conv1"] == mixed.table["conv3"] != WIDTHS[0]
    assert {row.layer for row in mixed.sensitivities} == {"conv0", "conv1", "conv2", "gemm0"}


def test_accuracy_budget():
    net = small_net()
    graph, images = net.graph("gemm0.out"), net.images(64)
    calibrated = Calibrated(graph, images)
    labels = np.random.default_rng(0).integers(0, 4, 64)
    mixed = choose_widths(calibrated, WIDTHS, max_accuracy_loss=0.05, images=images, labels=labels)
    assert mixed.comparison.accuracy_float - mixed.comparison.accuracy_integer <= 0.05
    assert mixed.to_dict()["comparison"]["images"] == 64


def test_faults():
    net = small_net()
    calibrated = Calibrated(net.graph("gemm0.out"), net.images(4))
    for arguments, message in (
            ({}, "give at least one width, and a budget: max_relative_error or max_accuracy_loss"),
            ({"max_accuracy_loss": 0.1}, "max_accuracy_loss needs images and labels to measure it on"),
            ({"max_relative_error": 1e-9}, "all layers at 8 already have a relative error of ")):
        with pytest.raises(QuantError) as caught:
            choose_widths(calibrated, WIDTHS, **arguments)
        assert str(caught.value).startswith(message)
