"""Concatenation against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from rpa.arch.packing import element_range
from rpa.compile import concat
from rpa.compile.banks import Banks
from rpa.compile.errors import CompileError
from rpa.compile.layout import place
from rpa.net.integer import Concat, Feature, IntNet
from tests.compile import kernels


def network(size, channels, bits, *, signed=True) -> IntNet:
    low, high = element_range(bits, signed)
    names = [f"x{index}" for index in range(len(channels))]
    features = {name: Feature(name=name, shape=(*size, count), bits=bits, signed=signed, low=low, high=high)
                for name, count in zip((*names, "y"), (*channels, sum(channels)), strict=True)}
    return IntNet(name="net", features=features, inputs=tuple(names), outputs=("y",), nodes=(Concat(name="cat", inputs=tuple(names), output="y"),))


def check(net: IntNet, preset: str, backends=("fast",)):
    layout, node = place(net, kernels.machine(preset)), net.nodes[0]
    nest = concat.Concatenation(node, concat.choose(node, layout)[0], layout, Banks(layout.config)).nest()
    inputs = {name: kernels.random_values(net.features[name], seed) for seed, name in enumerate(net.inputs)}
    for backend in backends:
        result = kernels.run([nest], layout, inputs, backend)
        wanted = np.concatenate(list(inputs.values()), axis=2)
        np.testing.assert_array_equal(kernels.read_feature(layout.features["y"], result.outcome.memory), wanted)


@pytest.mark.parametrize("bits", [16, 8, 4, 2])
def test_widths(bits):
    check(network((5, 19), (8, 24, 13), bits, signed=bits != 8), "default", kernels.BACKENDS)
    if bits >= 4:
        check(network((7, 6), (8, 16, 5), bits), "small")


def test_tiny():
    check(network((5, 3), (2, 6), 8), "tiny")
    check(network((3, 5), (1, 3, 2), 16), "tiny")


def test_inputs_within_words_are_refused():
    net = network((4, 4), (3, 5), 8)
    with pytest.raises(CompileError, match=r"`cat`: `x0` has 3 channels.*multiple of 2"):
        concat.choose(net.nodes[0], place(net, kernels.machine("default")))
