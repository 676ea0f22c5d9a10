"""The depthwise kernel against sums computed by loops over taps."""

from __future__ import annotations

import numpy as np
import pytest

from rpa.arch.numerics import requantize
from rpa.arch.packing import element_range
from rpa.compile import depthwise
from rpa.compile.banks import Banks
from rpa.compile.conv import Convolution
from rpa.compile.errors import CompileError
from rpa.compile.layout import place
from rpa.compile.mapping import choose
from rpa.compile.reduction import Reduction
from rpa.net.integer import Feature, IntNet, Mac, Term, output_size
from tests.compile import kernels


def network(shape, bits, *, signed=True, weight_bits=None, weight_signed=True, out_bits=None, out_signed=True, stride=1, pads=(1, 1, 1, 1),
            zero_point=0, rounding="half_even", pre=0, seed=0) -> IntNet:
    """One depthwise layer with random weights; results fill their range."""
    rng = np.random.default_rng(seed)
    height, width, channels = shape
    weight_bits, out_bits = weight_bits or bits, out_bits or bits
    low, high = element_range(bits, signed)
    size = (output_size(height, 3, stride, pads[0], pads[2]), output_size(width, 3, stride, pads[1], pads[3]))
    (out_low, out_high), (least, most) = element_range(out_bits, out_signed), element_range(weight_bits, weight_signed)
    weight = rng.integers(least, most + 1, (channels, 3, 3, 1))
    scale = 9 * (high - low) * (most - least) / 4 / (1 << out_bits)
    shift = 31 + int(np.log2(max(scale, 1)))
    features = {
        "x": Feature(name="x", shape=shape, bits=bits, signed=signed, low=low, high=high, zero_point=zero_point),
        "y": Feature(name="y", shape=(*size, channels), bits=out_bits, signed=out_signed, low=out_low, high=out_high)}
    term = Term(input="x", weight=weight, weight_bits=weight_bits, weight_signed=weight_signed, stride=(stride, stride), pads=pads, groups=channels)
    span = min(1000, 1 << (bits + weight_bits - 1))
    node = Mac(name="dw", terms=(term,), bias=rng.integers(-span, span, channels), multiplier=rng.integers(1 << 30, 1 << 31, channels),
               shift=rng.integers(shift - pre, shift + 2 - pre, channels), output="y", rounding=rounding, pre=pre)
    return IntNet(name="net", features=features, inputs=("x",), outputs=("y",), nodes=(node,))


def values_of(net: IntNet, seed=1) -> np.ndarray:
    feature = net.features["x"]
    return np.random.default_rng(seed).integers(feature.low, feature.high + 1, feature.shape)


def expected(net: IntNet, values: np.ndarray) -> np.ndarray:
    """Shift and add, tap by tap."""
    node, source, output = net.nodes[0], net.features["x"], net.features["y"]
    term, (height, width, _) = node.terms[0], output.shape
    (sy, sx), (top, left, bottom, right) = term.stride, term.pads
    padded = np.pad(values.astype(np.int64), ((top, bottom), (left, right), (0, 0)), constant_values=source.zero_point)
    total = np.zeros(output.shape, np.int64)
    for ky in range(3):
        for kx in range(3):
            total += padded[ky:ky + sy * height:sy, kx:kx + sx * width:sx][:height, :width] * term.weight[:, ky, kx, 0]
    return requantize(total, node.multiplier, node.shift, output.zero_point, low=output.low, high=output.high, rounding=node.rounding,
                      bias=node.bias, pre=node.pre)


def check(net: IntNet, preset: str, backends=("fast",), option=0):
    layout = place(net, kernels.machine(preset))
    plans = depthwise.choose(net.nodes[0], layout)
    nest = depthwise.Depthwise(net.nodes[0], plans[min(option, len(plans) - 1)], layout, Banks(layout.config)).nest()
    values = values_of(net)
    results = [kernels.run([nest], layout, {"x": values}, backend) for backend in backends]
    placed = layout.features["y"]
    for result in results:
        np.testing.assert_array_equal(kernels.read_feature(placed, result.outcome.memory), expected(net, values))
        assert (kernels.border_of(placed, result.outcome.memory) == placed.fill_word).all()
        assert result.cycles == results[0].cycles
    return results[0]


@pytest.mark.parametrize("preset", ["small", "default"])
@pytest.mark.parametrize("bits", [16, 8, 4])
def test_widths(bits, preset):
    check(network((9, 11, 21), bits, pre=8 if bits == 16 else 0), preset, kernels.BACKENDS)


@pytest.mark.parametrize("bits", [16, 8])
@pytest.mark.parametrize("pads", [(1, 1, 1, 1), (0, 0, 1, 1)])
def test_stride_2(bits, pads):
    check(network((12, 14, 33), bits, stride=2, pads=pads, pre=8 if bits == 16 else 0), "default", kernels.BACKENDS)
    check(network((7, 9, 5), bits, stride=2, pads=pads), "small")


@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (2, 1, 0, 2)])
def test_pads_and_zero_point(pads):
    check(network((17, 15, 24), 8, pads=pads, zero_point=-37), "default")
    check(network((6, 5, 24), 8, pads=pads, signed=False, zero_point=11), "default")


@pytest.mark.parametrize("options", [
    {"weight_bits": 4}, {"weight_signed": False}, {"out_bits": 4}, {"out_bits": 2}, {"signed": False, "out_signed": False},
    {"rounding": "gemmlowp"}, {"rounding": "floor", "pre": 3}], ids=str)
def test_mixed(options):
    check(network((8, 8, 40), 8, **options), "default")


@pytest.mark.parametrize("option", range(6))
@pytest.mark.parametrize("stride", [1, 2])
def test_every_plan(stride, option):
    """Chunks of rows, loaded whole or one by one, and groups with their own parameters."""
    check(network((20, 33, 72), 16, stride=stride, pre=8), "default", option=3 * option)


@pytest.mark.parametrize(("options", "reason"), [
    ({"bits": 2}, "6 bits of an accumulator"), ({"bits": 8, "weight_bits": 16}, "wider than activations"), ({"bits": 8, "out_bits": 16}, "wider")])
def test_refused_by_name(options, reason):
    net = network((6, 6, 16), **options)
    with pytest.raises(CompileError, match=f"`dw`.*{reason}"):
        depthwise.choose(net.nodes[0], place(net, kernels.machine("default")))


def test_cost_is_the_runs():
    net = network((24, 24, 32), 8)
    layout = place(net, kernels.machine("default"))
    plan = depthwise.choose(net.nodes[0], layout)[0]
    assert check(net, "default").cycles == pytest.approx(plan.cost.cycles, rel=0.02)


@pytest.mark.parametrize(("shape", "least"), [((12, 12, 64), 3.0), ((24, 24, 32), 2.8), ((25, 5, 64), 2.8)])
def test_faster_than_broadcast(shape, least):
    """Layers of MobileNetV1-0.25 and DS-CNN at 16 bits, alone. Loads are the limit here, and most of the array's work there."""
    net = network(shape, 16, pre=8)
    layout = place(net, kernels.machine("default"))
    node = net.nodes[0]
    reductions = tuple(Reduction(term, layout.features["x"], layout.config.cols) for term in node.terms)
    broadcast = choose(reductions, layout.features["y"], layout.config, node.name, 0, 1)[0]
    slow = kernels.run([Convolution(node, broadcast, layout, Banks(layout.config)).nest()], layout, {"x": values_of(net)})
    assert slow.cycles > least * check(net, "default").cycles
