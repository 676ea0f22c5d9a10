"""Global average pooling against sums over the image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rpa.arch.numerics import quantize_multiplier, requantize
from rpa.arch.packing import element_range
from rpa.compile import globalpool
from rpa.compile.banks import Banks
from rpa.compile.compiled import compile_net
from rpa.compile.errors import CompileError
from rpa.compile.layout import place
from rpa.net import reference
from rpa.net.integer import Feature, IntNet, Mac, Term
from tests.compile import kernels


def network(shape, bits, *, signed=True, out_bits=None, out_signed=True, weight=1, rounding="half_even", bias=5) -> IntNet:
    height, width, channels = shape
    (low, high), (out_low, out_high) = element_range(bits, signed), element_range(out_bits or bits, out_signed)
    features = {"x": Feature(name="x", shape=shape, bits=bits, signed=signed, low=low, high=high),
                "y": Feature(name="y", shape=(1, 1, channels), bits=out_bits or bits, signed=out_signed, low=out_low, high=out_high, zero_point=1)}
    term = Term(input="x", weight=np.full((channels, height, width, 1), weight), weight_bits=bits, groups=channels)
    multiplier, shift = quantize_multiplier(2.0 ** ((out_bits or bits) - bits) / (height * width * weight))
    node = Mac(name="pool", terms=(term,), bias=np.full(channels, bias), multiplier=np.full(channels, multiplier),
               shift=np.full(channels, shift), output="y", rounding=rounding)
    return IntNet(name="net", features=features, inputs=("x",), outputs=("y",), nodes=(node,))


def check(net: IntNet, preset: str, backends=("fast",), option=0):
    layout, node, output = place(net, kernels.machine(preset)), net.nodes[0], net.features["y"]
    plans = globalpool.choose(node, layout)
    nest = globalpool.GlobalPool(node, plans[min(option, len(plans) - 1)], layout, Banks(layout.config)).nest()
    values = kernels.random_values(net.features["x"])
    total = values.sum(axis=(0, 1), keepdims=True) * int(node.terms[0].weight.flat[0])
    wanted = requantize(total, node.multiplier, node.shift, output.zero_point, low=output.low, high=output.high, rounding=node.rounding,
                        bias=node.bias)
    results = [kernels.run([nest], layout, {"x": values}, backend) for backend in backends]
    for result in results:
        np.testing.assert_array_equal(kernels.read_feature(layout.features["y"], result.outcome.memory), wanted)
    return results[0]


@pytest.mark.parametrize("preset", ["tiny", "small", "default"])
@pytest.mark.parametrize("bits", [16, 8, 4])
def test_widths(bits, preset):
    if bits * kernels.machine(preset).cols >= 16:
        check(network((5, 7, 45), bits, signed=bits != 8), preset, kernels.BACKENDS)


@pytest.mark.parametrize("options", [{"out_bits": 16}, {"out_bits": 4}, {"weight": 3}, {"out_signed": False}, {"rounding": "gemmlowp"}], ids=str)
def test_options(options):
    check(network((4, 4, 72), 8, **options), "default")


@pytest.mark.parametrize("option", range(0, 30, 4))
def test_every_plan(option):
    check(network((7, 7, 300), 16), "default", option=option)


def test_loads_are_the_limit():
    """4096 words at 8 a cycle take 512 cycles; what one row of a convolution would need is 4096 steps."""
    result = check(network((8, 8, 64), 16), "default")
    assert result.cycles < 900


def test_refused_by_name():
    net = network((4, 4, 20), 8)
    node, layout = net.nodes[0], place(net, kernels.machine("default"))
    uneven = replace(node, bias=np.arange(20))
    with pytest.raises(CompileError, match=r"`pool`.*different weights or parameters"):
        globalpool.choose(uneven, layout)
    with pytest.raises(CompileError, match=r"`pool`.*accumulator's lane"):
        globalpool.choose(replace(node, bias=np.full(20, 1 << 30)), layout)


def test_an_image_too_large_for_a_convolution():
    """The broadcast form would need all pixels in its weights' banks at once; this kernel takes the image in parts."""
    net = network((12, 96, 8), 8)
    compiled, image = compile_net(net, effort=False), {"x": kernels.random_values(net.features["x"])}
    assert [choice.kernel for choice in compiled.mapped.choices] == ["global pool"]
    np.testing.assert_array_equal(compiled.run(image).outputs["y"], reference.run(net, image)["y"])
