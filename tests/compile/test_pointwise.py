"""Lookups and products against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from rpa.arch.numerics import requantize
from rpa.arch.packing import element_range
from rpa.compile import pointwise
from rpa.compile.banks import Banks
from rpa.compile.errors import CompileError
from rpa.compile.layout import place
from rpa.compile.pointwise_table import pieces_of
from rpa.net.integer import Feature, IntNet, Lookup, Product
from tests.compile import kernels

FUNCTIONS = {
    "leaky_relu": lambda x: np.where(x < 0, 0.1 * x, x),
    "hard_swish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
}


def lookup(shape, bits, function, *, signed=True, out_bits=None) -> IntNet:
    """The function on -4..4, its results over the whole output range."""
    out_bits = out_bits or bits
    (low, high), (out_low, out_high) = element_range(bits, signed), element_range(out_bits, signed)
    real = FUNCTIONS[function](np.linspace(-4, 4, high - low + 1))
    table = np.round((real - real.min()) / (real.max() - real.min()) * (out_high - out_low)).astype(np.int64) + out_low
    features = {"x": Feature(name="x", shape=shape, bits=bits, signed=signed, low=low, high=high),
                "y": Feature(name="y", shape=shape, bits=out_bits, signed=signed, low=out_low, high=out_high)}
    node = Lookup(name="act", input="x", output="y", table=table)
    return IntNet(name="net", features=features, inputs=("x",), outputs=("y",), nodes=(node,))


def check_lookup(net: IntNet, preset: str, backends=("fast",)):
    layout, node = place(net, kernels.machine(preset)), net.nodes[0]
    nest = pointwise.Table(node, pointwise.choose_lookup(node, layout)[0], layout, Banks(layout.config)).nest()
    values = kernels.random_values(net.features["x"])
    for backend in backends:
        result = kernels.run([nest], layout, {"x": values}, backend)
        np.testing.assert_array_equal(kernels.read_feature(layout.features["y"], result.outcome.memory), node.table[values - net.features["x"].low])
    return result


@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions(function):
    check_lookup(lookup((5, 6, 40), 8, function), "default")
    check_lookup(lookup((5, 6, 40), 4, function, signed=False), "default")


@pytest.mark.parametrize("bits", [8, 4, 2])
def test_lookup_on_both_emulators(bits):
    check_lookup(lookup((3, 5, 21), bits, "hard_sigmoid"), "default", kernels.BACKENDS)
    if bits >= 4:
        check_lookup(lookup((6, 3, 9), bits, "leaky_relu", signed=False), "small", kernels.BACKENDS)


def test_narrower_results():
    check_lookup(lookup((4, 17, 64), 8, "hard_swish", out_bits=4), "default")


def test_any_table():
    rng = np.random.default_rng(3)
    for bits, signed in ((8, True), (8, False), (4, True), (2, False)):
        low, high = element_range(bits, signed)
        table = rng.integers(low, high + 1, high - low + 1)
        pieces = pieces_of(table, low, bits)
        x = np.arange(low, high + 1)[:, None]
        assert ((pieces.slope * np.clip(x, pieces.low, pieces.high)).sum(axis=1) + pieces.constant == table).all()
        assert pieces.slope.min() >= -(1 << (bits - 1)) and pieces.slope.max() < 1 << (bits - 1)


def test_constant_table():
    net = lookup((2, 3, 16), 8, "tanh")
    node = Lookup(name="act", input="x", output="y", table=np.full(256, -7))
    check_lookup(IntNet(name="net", features=net.features, inputs=("x",), outputs=("y",), nodes=(node,)), "default")


def test_wide_tables_are_refused():
    net = lookup((2, 2, 4), 8, "tanh")
    wide = {**net.features, "x": Feature(name="x", shape=(2, 2, 4), bits=16, signed=True, low=-8, high=7)}
    net = IntNet(name="net", features=wide, inputs=("x",), outputs=("y",), nodes=(Lookup(name="act", input="x", output="y", table=np.arange(16)),))
    with pytest.raises(CompileError, match=r"`act`: a table from 16 to 8 bits"):
        pointwise.choose_lookup(net.nodes[0], place(net, kernels.machine("default")))


def product(shape, bits, *, whole=False, signs=(True, True), zero_points=(0, 0), out_bits=None, rounding="half_even") -> IntNet:
    features = {}
    for name, size, sign, zero in zip("ab", (shape, shape if whole else (1, 1, shape[2])), signs, zero_points, strict=True):
        low, high = element_range(bits, sign)
        features[name] = Feature(name=name, shape=size, bits=bits, signed=sign, low=low, high=high, zero_point=zero)
    low, high = element_range(out_bits or bits, True)
    features["y"] = Feature(name="y", shape=shape, bits=out_bits or bits, signed=True, low=low, high=high, zero_point=1)
    node = Product(name="mul", inputs=("a", "b"), output="y", multiplier=0x60000000, shift=30 + 2 * bits - (out_bits or bits), rounding=rounding)
    return IntNet(name="net", features=features, inputs=("a", "b"), outputs=("y",), nodes=(node,))


def check_product(net: IntNet, preset: str, backends=("fast",)):
    layout, node, output = place(net, kernels.machine(preset)), net.nodes[0], net.features["y"]
    nest = pointwise.Multiply(node, pointwise.choose_product(node, layout)[0], layout, Banks(layout.config)).nest()
    inputs = {name: kernels.random_values(net.features[name], seed) for seed, name in enumerate("ab")}
    a, b = (inputs[name] - net.features[name].zero_point for name in "ab")
    wanted = requantize(a * b, node.multiplier, node.shift, output.zero_point, low=output.low, high=output.high, rounding=node.rounding)
    for backend in backends:
        result = kernels.run([nest], layout, inputs, backend)
        np.testing.assert_array_equal(kernels.read_feature(layout.features["y"], result.outcome.memory), wanted)
    return result


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("bits", [16, 8, 4, 2])
def test_product(bits, whole):
    check_product(product((5, 18, 50), bits, whole=whole), "default", kernels.BACKENDS)
    if bits >= 4:
        check_product(product((6, 5, 9), bits, whole=whole), "small")


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize(("signs", "zero_points"), [
    ((True, True), (-128, 127)), ((False, True), (200, -128)), ((True, False), (0, 3)), ((False, False), (255, 0))])
def test_product_with_zero_points(signs, zero_points, whole):
    check_product(product((4, 6, 40), 8, whole=whole, signs=signs, zero_points=zero_points), "default")


def test_product_of_vectors_and_narrower_result():
    check_product(product((1, 1, 100), 8, whole=True, zero_points=(3, -4)), "default")
    check_product(product((4, 4, 64), 8, out_bits=4), "default")
    check_product(product((4, 4, 16), 16, zero_points=(-32768, 1000)), "default")


def test_product_of_two_widths_is_refused():
    net = product((2, 2, 8), 8, out_bits=16)
    with pytest.raises(CompileError, match=r"`mul`: a product of 8 and 8 bits with 16 bits"):
        pointwise.choose_product(net.nodes[0], place(net, kernels.machine("default")))
