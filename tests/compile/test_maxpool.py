"""The max pooling kernel against maxima of windows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rpa.arch.packing import element_range
from rpa.compile import maxpool
from rpa.compile.banks import Banks
from rpa.compile.errors import CompileError
from rpa.compile.layout import place
from rpa.net.integer import Feature, IntNet, Mac, MaxPool, Term, output_size
from tests.compile import kernels


def network(shape, bits, kernel, stride, pads=(0, 0, 0, 0), *, signed=True, zero_point=None) -> IntNet:
    low, high = element_range(bits, signed)
    zero_point = low if zero_point is None else zero_point
    size = (output_size(shape[0], kernel, stride, pads[0], pads[2]), output_size(shape[1], kernel, stride, pads[1], pads[3]))
    common = {"bits": bits, "signed": signed, "low": low, "high": high, "zero_point": zero_point}
    features = {"x": Feature(name="x", shape=shape, **common), "y": Feature(name="y", shape=(*size, shape[2]), **common)}
    node = MaxPool(name="pool", input="x", output="y", kernel=(kernel, kernel), stride=(stride, stride), pads=pads)
    return IntNet(name="net", features=features, inputs=("x",), outputs=("y",), nodes=(node,))


def expected(net: IntNet, values: np.ndarray) -> np.ndarray:
    node, (height, width, _) = net.nodes[0], net.features["y"].shape
    (top, left, bottom, right), (sy, sx), (ky, kx) = node.pads, node.stride, node.kernel
    padded = np.pad(values.astype(np.int64), ((top, bottom), (left, right), (0, 0)), constant_values=-(1 << 40))
    return np.array([[padded[y * sy:y * sy + ky, x * sx:x * sx + kx].max(axis=(0, 1)) for x in range(width)] for y in range(height)])


def check(net: IntNet, preset: str, backends=("fast",)):
    layout = place(net, kernels.machine(preset))
    node = net.nodes[0]
    nest = maxpool.MaxPooling(node, maxpool.choose(node, layout)[0], layout, Banks(layout.config)).nest()
    values = kernels.random_values(net.features["x"])
    results = [kernels.run([nest], layout, {"x": values}, backend) for backend in backends]
    for result in results:
        np.testing.assert_array_equal(kernels.read_feature(layout.features["y"], result.outcome.memory), expected(net, values))
        assert result.cycles == results[0].cycles
    return results[0]


@pytest.mark.parametrize("preset", ["tiny", "small", "default"])
@pytest.mark.parametrize("bits", [16, 8, 4, 2])
def test_widths(bits, preset):
    if bits * kernels.machine(preset).cols >= 16:
        check(network((8, 10, 37), bits, 2, 2, signed=bits != 4), preset, kernels.BACKENDS if preset == "small" else ("fast",))


@pytest.mark.parametrize(("kernel", "stride", "pads"), [
    (3, 1, (1, 1, 1, 1)), (3, 2, (1, 1, 1, 1)), (3, 2, (0, 0, 1, 1)), (3, 3, (0, 0, 0, 0)), (2, 1, (0, 0, 0, 0)), (3, 2, (0, 0, 0, 0))])
def test_windows(kernel, stride, pads):
    check(network((19, 21, 40), 8, kernel, stride, pads), "default")
    check(network((11, 38, 3), 16, kernel, stride, pads, signed=False), "small")


def test_a_border_below_the_zero_point():
    """Only pooling looks at it, so it holds the least value."""
    check(network((7, 9, 16), 8, 3, 2, (1, 1, 1, 1), zero_point=0), "default")
    check(network((6, 6, 16), 4, 3, 2, (0, 0, 1, 1), zero_point=0), "small")


def test_a_border_that_a_convolution_needs_too_is_refused():
    net = network((6, 6, 16), 8, 3, 2, (1, 1, 1, 1), zero_point=0)
    term = Term(input="x", weight=np.ones((16, 3, 3, 16), np.int64), weight_bits=8, pads=(1, 1, 1, 1))
    one = np.ones(16, np.int64)
    node = Mac(name="conv", terms=(term,), bias=0 * one, multiplier=one, shift=one, output="z")
    both = replace(net, features={**net.features, "z": replace(net.features["x"], name="z")}, outputs=("y", "z"), nodes=(*net.nodes, node))
    with pytest.raises(CompileError, match=r"`pool`: a convolution pads `x` too.*zero point 0.*least value -128"):
        maxpool.choose(both.nodes[0], place(both, kernels.machine("default")))
