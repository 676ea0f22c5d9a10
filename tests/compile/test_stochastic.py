"""Stochastic rounding on the array: the reference, told what a program draws, gives every integer; draws by hand where that can be done."""

from __future__ import annotations

import numpy as np
import pytest

from rpa.arch.config import ArrayConfig
from rpa.compile.check import first_difference
from rpa.compile.compiled import CompiledNet, compile_net
from rpa.compile.front import compile_model
from rpa.net import reference
from rpa.net.convolve import convolve
from rpa.net.errors import NetError
from rpa.net.integer import Feature, IntNet, Mac, MaxPool, Product, Term
from tests.quant.floats import Builder


def feature(name: str, shape, bits: int, low: int | None = None) -> Feature:
    return Feature(name=name, shape=shape, bits=bits, signed=True, low=-(1 << bits - 1) if low is None else low, high=(1 << bits - 1) - 1)


def mac(name: str, term: Term, channels: int, shift: int) -> Mac:
    ones = np.ones(channels, np.int64)
    return Mac(name=name, terms=(term,), bias=3 * ones, multiplier=5 * ones, shift=shift * ones, output=name, rounding="stochastic")


def network(bits: int = 8, out_bits: int = 8) -> IntNet:
    """Convolution, depthwise convolution, pooling, sum over the image, product: every kernel that requantizes."""
    rng = np.random.default_rng(bits)
    def weights(*shape):
        return rng.integers(-(1 << bits - 1), 1 << bits - 1, shape)

    size, small = (9, 11, 20), (4, 5, 20)
    features = [feature("x", (9, 11, 6), bits), feature("conv", size, bits), feature("deep", size, bits), feature("pool", small, bits),
                feature("product", small, bits), feature("sum", (1, 1, 20), bits), feature("out", (1, 1, 7), out_bits)]
    nodes = (
        mac("conv", Term(input="x", weight=weights(20, 3, 3, 6), weight_bits=bits, pads=(1, 1, 1, 1)), 20, bits + 5),
        mac("deep", Term(input="conv", weight=weights(20, 3, 3, 1), weight_bits=bits, pads=(1, 1, 1, 1), groups=20), 20, bits + 3),
        MaxPool(name="pool", input="deep", output="pool", kernel=(2, 2), stride=(2, 2)),
        Product(name="product", inputs=("pool", "pool"), output="product", multiplier=3, shift=bits + 1, rounding="stochastic"),
        mac("sum", Term(input="product", weight=np.ones((20, 4, 5, 1), np.int64), weight_bits=2, groups=20), 20, 6),
        mac("out", Term(input="sum", weight=weights(7, 1, 1, 20), weight_bits=bits), 7, bits + 2))
    return IntNet(name="net", features={one.name: one for one in features}, inputs=("x",), outputs=("out",), nodes=nodes)


def image(net: IntNet, seed: int = 1) -> dict[str, np.ndarray]:
    one = net.features["x"]
    return {"x": np.random.default_rng(seed).integers(one.low, one.high + 1, one.shape)}


def differing(compiled: CompiledNet, states, backend: str = "fast") -> list[str]:
    inputs = image(compiled.net)
    run, expected = compiled.run(inputs, backend), reference.run(compiled.net, inputs, states=states)
    assert run.result.cycles == compiled.report.cycles
    return [name for name, values in run.features.items() if not np.array_equal(values, expected[name])]


@pytest.mark.parametrize(("bits", "out_bits", "preset"), [(8, 8, "default"), (4, 16, "default"), (16, 16, "default"), (8, 16, "small")])
def test_the_array_computes_the_reference(bits, out_bits, preset):
    compiled = compile_net(network(bits, out_bits), ArrayConfig.preset(preset), effort=False, seed=77)
    assert first_difference(compiled.mapped.nest, compiled.program) is None
    assert all(states.min() > 0 for states in compiled.states.values()), "every element was drawn"
    assert differing(compiled, compiled.states) == []
    assert "conv" in differing(compiled, reference.random_states(compiled.net, 1)), "other draws round otherwise"


def test_the_stepping_emulator_agrees():
    compiled = compile_net(network(), ArrayConfig.preset("small"), effort=False, seed=5)
    assert differing(compiled, compiled.states, "step") == []


def test_seeds():
    first, again, other = (compile_net(network(), effort=False, seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(first.states[name], again.states[name]) for name in first.states)
    assert all(not np.array_equal(first.states[name], other.states[name]) for name in first.states)


def galois(state: int) -> int:
    return state >> 1 ^ (0xA3000000 if state & 1 else 0)


def test_draws_of_one_block_by_hand():
    """One row of three pixels and two channels, drained pixel by pixel: column c begins at seed ^ 0x9E3779B9 * (c + 1) and moves on once a pixel."""
    one = Mac(name="y", terms=(Term(input="x", weight=np.ones((2, 1, 1, 2), np.int64), weight_bits=8),), bias=np.zeros(2, np.int64),
              multiplier=np.full(2, 1), shift=np.full(2, 2), output="y", rounding="stochastic")
    shape = (1, 3, 2)
    net = IntNet(name="one", features={"x": feature("x", shape, 8), "y": feature("y", shape, 8)}, inputs=("x",), outputs=("y",), nodes=(one,))
    compiled = compile_net(net, effort=False, seed=9)
    expected = np.zeros(shape, np.int64)
    for channel in range(2):
        state = 9 ^ 0x9E3779B9 * (channel + 1) % (1 << 32)
        for pixel in range(3):
            expected[0, pixel, channel] = state
            state = galois(state)
    np.testing.assert_array_equal(compiled.states["y"], expected)
    x = np.array([[[1, 2], [-3, 4], [5, 6]]])
    total = x.sum(axis=2, keepdims=True)
    np.testing.assert_array_equal(compiled.run({"x": x}).outputs["y"], (total + (expected >> 30)) >> 2)


def test_from_a_float_network():
    """Through the front door; the seed is the quantizer's, and the mean error over seeds is near zero, as that of one run is not."""
    net = Builder((4, 12, 12), 3)
    net.conv(net.conv("x", 16), 8, clip=None)
    images = net.images(4)
    model = compile_model(net.graph(net.nodes[-1].outputs[0]), images, widths="4", effort=False, rounding="stochastic", seed=11)
    assert {node.rounding for node in model.net.nodes} == {"stochastic"}
    inputs = model.integers(images[0])
    run, expected = model.compiled.run(inputs), reference.run(model.net, inputs, states=model.compiled.states)
    assert all(np.array_equal(values, expected[name]) for name, values in run.features.items())
    draws = [reference.run(model.net, inputs, states=reference.random_states(model.net, seed))[model.net.nodes[0].output] for seed in range(64)]
    exact = simulated(model, inputs)
    inside = (exact > 0.5) & (exact < 14.5)
    assert abs((np.mean(draws, axis=0) - exact)[inside]).mean() < 0.06      # of one draw it is about 1/4 to 1/3
    assert abs((draws[0] - exact)[inside]).mean() > 0.2


def simulated(model, inputs) -> np.ndarray:
    """The first node's result before rounding, in steps of its output: its sum times multiplier / 2^shift."""
    node = model.net.nodes[0]
    total = convolve(inputs["x"][None], node.terms[0], model.net.features["x"].zero_point)[0] + node.bias
    return total * (node.multiplier / 2.0 ** (node.shift + node.pre))


def test_without_states_the_reference_refuses():
    net = network()
    with pytest.raises(NetError, match=r"`conv`: rounding is stochastic.*give `states`"):
        reference.run(net, image(net))
