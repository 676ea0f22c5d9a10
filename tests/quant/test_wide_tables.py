"""HardSwish, HardSigmoid and LeakyRelu at 16 bits, where there is no table; factors of products in containers that depthwise layers widened."""

from __future__ import annotations

import numpy as np
import pytest

from rpa.compile.compiled import compile_net
from rpa.net import reference
from rpa.net.integer import Lookup, Mac, Product
from rpa.quant import Calibrated
from tests.quant.floats import Builder, evaluate

FUNCTIONS = {"HardSwish": {}, "HardSigmoid": {"alpha": 0.15, "beta": 0.4}, "LeakyRelu": {"alpha": 0.1}}


def function_net(op: str) -> Builder:
    net = Builder((4, 9, 9), 5)
    net.conv(net.scalar(op, net.conv("x", 8, clip=None), **FUNCTIONS[op]), 6, 1, clip=None)
    return net


def excited_net() -> Builder:
    """Squeeze and excitation behind a depthwise layer, which must lie in wider containers than 4 bits."""
    net = Builder((4, 12, 12), 6)
    x = net.conv(net.conv("x", 16), 16, 5, groups=16)
    gate = net.scalar("HardSigmoid", net.conv(net.global_average(x), 16, 1, clip=None), alpha=0.2, beta=0.5)
    net.conv(net.conv(net.times(x, gate), 16, 5, groups=16), 8, 1)
    return net


def through_the_array(net: Builder, widths: str):
    """The integer network, and for four images its outputs in float64 and in real numbers; one image goes through the array."""
    graph, images = net.graph(net.nodes[-1].outputs[0]), net.images(4)
    quantized = Calibrated(graph, images).quantize(widths)
    inputs = quantized.to_integers(images)
    expected = reference.run_many(quantized.net, inputs, wanted=list(quantized.net.features))
    run = compile_net(quantized.net, effort=False).run({name: values[0] for name, values in inputs.items()})
    assert [name for name, values in run.features.items() if not np.array_equal(values, expected[name][0])] == []
    name = graph.outputs[0]
    return quantized.net, evaluate(graph, {"x": images})[name], quantized.to_real({name: expected[name]})[name]


@pytest.mark.parametrize(("op", "kinds"), [("HardSwish", [Mac, Mac, Product, Mac]), ("HardSigmoid", [Mac, Mac, Mac]),
                                           ("LeakyRelu", [Mac, Mac, Mac, Mac])])
def test_sixteen_bits_need_no_table(op, kinds):
    net, floats, reals = through_the_array(function_net(op), "16")
    assert [type(node) for node in net.nodes] == kinds
    assert np.linalg.norm(reals - floats) < 1e-3 * np.linalg.norm(floats)


@pytest.mark.parametrize("op", FUNCTIONS)
def test_eight_bits_are_a_table(op):
    net, floats, reals = through_the_array(function_net(op), "8")
    assert [type(node) for node in net.nodes] == [Mac, Lookup, Mac]
    assert np.linalg.norm(reals - floats) < 0.05 * np.linalg.norm(floats)


@pytest.mark.parametrize("widths", ["16", "8", "4", "w4a8"])
def test_factors_of_a_product_lie_in_equal_containers(widths):
    net, _, _ = through_the_array(excited_net(), widths)
    product = next(node for node in net.nodes if isinstance(node, Product))
    a, b, result = (net.features[name].bits for name in (*product.inputs, product.output))
    assert a == b >= result


def swish_net(ends: bool) -> Builder:
    """x * sigmoid(x) as networks of others have it: only a table computes a Sigmoid. ends: it is what the network gives."""
    net = Builder((4, 9, 9), 7)
    x = net.conv("x", 8, clip=None)
    x = net.times(x, net.scalar("Sigmoid", x))
    if not ends:
        net.conv(x, 6, 1, clip=None)
    return net


@pytest.mark.parametrize("widths", ["16", "8", "w4a8"])
@pytest.mark.parametrize("ends", [True, False], ids=["at the end", "inside"])
def test_what_only_a_table_computes_has_eight_bits(widths, ends):
    net, floats, reals = through_the_array(swish_net(ends), widths)
    assert [net.features[node.output].bits for node in net.nodes if isinstance(node, Lookup | Product)] == [8, 8]
    assert np.linalg.norm(reals - floats) < (0.15 if widths == "w4a8" else 0.05) * np.linalg.norm(floats)
