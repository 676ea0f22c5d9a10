"""Compiled integer networks give the integers of the reference, on every backend, in the cycles and accesses that were predicted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from isa.table import COUNTERS
from rpa.arch.config import ArrayConfig
from rpa.compile.commands import leaves_of
from rpa.compile.compiled import CompiledNet, compile_net
from rpa.compile.errors import CompileError
from rpa.net import reference
from rpa.net.integer import IntNet
from tests.compile.integer_nets import Builder

WIDTHS = [(16, 16), (8, 8), (4, 4), (2, 2), (8, 4), (4, 8), (16, 2), (2, 16)]
DEFAULT, SMALL = ArrayConfig.preset("default"), ArrayConfig.preset("small")


def check(net: IntNet, image: np.ndarray, config: ArrayConfig, backends: tuple[str, ...] = ("fast",)) -> CompiledNet:
    compiled = compile_net(net, config, effort=False)
    expected = reference.run(net, {"x": image})
    for backend in backends:
        run = compiled.run({"x": image}, backend)
        for name, values in run.features.items():
            assert np.array_equal(values, expected[name]), f"{name} on `{backend}`"
        assert run.result.cycles == compiled.report.cycles
        assert run.result.backend_detail is None
    return compiled


def convolution(shape, channels, kernel, act_bits, weight_bits, seed=0, **options) -> tuple[IntNet, np.ndarray]:
    builder = Builder(shape, act_bits, seed=seed)
    builder.mac("y", [builder.term("x", channels, kernel, weight_bits, **options)], bits=act_bits)
    return builder.net("y"), builder.image()


def block(act_bits: int, weight_bits: int, alpha_bits: int) -> tuple[IntNet, np.ndarray]:
    """Two residual blocks, the second with a strided shortcut of its own, and a classifier."""
    builder = Builder((16, 16, 16), act_bits)
    builder.mac("a", [builder.term("x", 16, 3, weight_bits, pad=1)], bits=act_bits)
    builder.mac("b", [builder.term("a", 16, 3, weight_bits, pad=1), builder.term("x", 16, 1, alpha_bits, groups=16)], bits=act_bits)
    builder.mac("c", [builder.term("b", 32, 3, weight_bits, pad=1, stride=2)], bits=act_bits)
    builder.mac("d", [builder.term("c", 32, 3, weight_bits, pad=1), builder.term("b", 32, 1, weight_bits, stride=2)], bits=act_bits)
    builder.mac("e", [builder.term("d", 10, 8, weight_bits)], bits=act_bits)
    return builder.net("e"), builder.image()


@pytest.mark.parametrize(("act_bits", "weight_bits"), WIDTHS)
def test_residual_blocks(act_bits, weight_bits):
    check(*block(act_bits, weight_bits, 8), DEFAULT)


@pytest.mark.parametrize(("shape", "channels", "kernel", "options"), [
    ((9, 11, 3), 20, 3, {"pad": 1}), ((8, 8, 16), 16, 1, {}), ((15, 15, 5), 7, 3, {"stride": 2, "pad": 1}), ((13, 13, 24), 33, 5, {"pad": 2}),
    ((24, 24, 3), 16, 7, {"stride": 2, "pad": 3}), ((35, 35, 3), 8, 11, {"stride": 4, "pad": 2}), ((12, 12, 16), 16, 1, {"stride": 2}),
    ((10, 10, 8), 16, 3, {"pad": 2, "dilation": 2}), ((8, 8, 32), 32, 3, {"pad": 1, "groups": 2}), ((7, 9, 16), 16, (1, 5), {}),
    ((1, 1, 40), 50, 1, {}), ((6, 6, 48), 12, 6, {}), ((20, 3, 4), 16, (5, 3), {"stride": 3}), ((16, 40, 8), 16, 3, {"pad": 1}),
], ids=str)
@pytest.mark.parametrize("bits", [16, 8, 2])
def test_shapes_of_convolutions(shape, channels, kernel, options, bits):
    check(*convolution(shape, channels, kernel, bits, bits, **options), DEFAULT)


@pytest.mark.parametrize(("act_bits", "weight_bits"), [(16, 16), (8, 8), (4, 8), (8, 4)])
def test_on_a_small_array_stepped_too(act_bits, weight_bits):
    check(*convolution((9, 10, 6), 10, 3, act_bits, weight_bits, pad=1), SMALL, ("fast", "step"))


def test_zero_points_pad_the_image():
    builder = Builder((9, 9, 8), 8)
    builder.features["x"] = replace(builder.features["x"], zero_point=-17)
    builder.mac("a", [builder.term("x", 16, 3, 8, pad=1)], bits=8, signed=True, zero_point=5)
    builder.mac("b", [builder.term("a", 16, 3, 8, pad=1)], bits=8, signed=True)
    check(builder.net("b"), builder.image(), DEFAULT)


@pytest.mark.parametrize("rounding", ["half_up", "half_even", "floor"])
def test_roundings(rounding):
    builder = Builder((6, 6, 16), 8)
    builder.mac("y", [builder.term("x", 16, 3, 8)], bits=8, rounding=rounding)
    check(builder.net("y"), builder.image(), DEFAULT)


def test_weights_that_do_not_stay_in_the_banks():
    check(*convolution((7, 7, 256), 64, 3, 16, 16, pad=1), DEFAULT)


def test_accounts_equal_the_counters():
    """The closed forms of accesses, traffic and MACs are those of the run."""
    net, image = block(8, 8, 16)
    compiled = compile_net(net, DEFAULT, effort=False)
    counters = compiled.run({"x": image}).result.counters
    report = compiled.report
    counted = {counter.name for counter in COUNTERS if counter.unit in ("words", "MAC", "elements")} - {"rq_saturations"}
    assert {name: report.total(name) for name in counted} == {name: counters[name] for name in counted}
    assert sum(layer.cycles for layer in report.layers) == counters["cycles"]


def test_a_layer_of_many_chunks_stays_a_loop():
    """128 loads of weights: written out, each stage would take about thirty instructions."""
    compiled = compile_net(convolution((7, 7, 256), 256, 3, 16, 16, pad=1)[0], effort=False)
    commands = sum(1 for _ in leaves_of(compiled.mapped.issued))
    assert compiled.mapped.choices[0].plan.shape.weight_loads == 128
    assert len(compiled.program.code) < commands


def test_trying_neighbours_together_saves_cycles():
    net, image = block(8, 8, 8)
    alone, together = compile_net(net, DEFAULT, effort=False), compile_net(net, DEFAULT)
    assert together.report.cycles <= alone.report.cycles
    assert np.array_equal(together.run({"x": image}).outputs["e"], reference.run(net, {"x": image})["e"])


def test_a_machine_that_is_too_small_says_what_is_missing():
    net, _ = convolution((8, 8, 64), 16, 11, 16, 16, pad=5)
    with pytest.raises(CompileError, match=r"`to_y`: no tile of this layer fits the banks \(half of a_depth 64 and of w_depth 64\)"):
        compile_net(net, replace(DEFAULT, a_depth=64, w_depth=64))


def test_elements_that_the_columns_cannot_store_are_refused():
    net, _ = convolution((8, 8, 8), 16, 3, 2, 2)
    with pytest.raises(CompileError, match="each of 2 has 2-bit elements: 4 columns store at least 4-bit ones:\n    `x`, `y`"):
        compile_net(net, SMALL)
