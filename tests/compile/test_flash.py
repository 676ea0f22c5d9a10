"""Layers on NOR-flash macros: every integer equal to the reference where no code is rounded, cycles as predicted, refusals by name."""

from dataclasses import replace

import numpy as np
import pytest

from rpa.arch.config import ArrayConfig
from rpa.arch.macro import Twin
from rpa.compile.check import first_difference
from rpa.compile.compiled import compile_net
from rpa.compile.errors import CompileError
from rpa.flash.chip import Chip
from rpa.flash.mapping import Encoding
from rpa.flash.mitigate.match import match_outputs
from rpa.flash.network import FlashNet
from rpa.flash.placed import Placement
from rpa.flash.spec import MacroSpec, for_config
from rpa.net.reference import run as reference
from tests.compile.integer_nets import Builder

SMALL = replace(ArrayConfig.preset("small"), imem_words=1 << 15, mem_bytes=1 << 22, nv_adc_bits=16, nv_macros=64)


def assert_equal(net, image, config, place, backend="fast", tokens=True):
    compiled = compile_net(net, config, place={name: Placement(encoding=encoding) for name, encoding in place.items()}, effort=False)
    run = compiled.run({"x": image}, backend)
    expected = reference(net, {"x": image})
    for name, values in expected.items():
        assert (run.features[name] == values).all(), name
    assert run.result.cycles == compiled.report.cycles
    for counter in ("x_reads", "x_writes", "nv_operations", "nv_macs", "o_writes", "ext_read_words"):
        assert run.result.counters[counter] >= compiled.report.total(counter) > 0, counter
    assert first_difference(compiled.mapped.nest, compiled.program) is None
    return compiled, run


@pytest.mark.parametrize("encoding", list(Encoding)[1:])
@pytest.mark.parametrize("bits, weight_bits, signed", [(8, 8, True), (4, 4, False), (8, 4, True), (16, 8, True), (4, 8, False)])
def test_a_convolution_between_two_of_the_array(bits, weight_bits, signed, encoding):
    maker = Builder((6, 7, 3), 8, seed=bits)
    maker.mac("a", [maker.term("x", 9, 3, 8, pad=1)], bits=bits, signed=signed)
    maker.mac("b", [maker.term("a", 11, 3, weight_bits, stride=2, pad=1)], bits=bits, signed=signed)
    maker.mac("c", [maker.term("b", 5, 1, weight_bits)], bits=8, signed=True)
    assert_equal(maker.net("c"), maker.image(), SMALL, {"to_b": encoding})


def test_everything_on_macros():
    maker = Builder((5, 5, 4), 8, seed=3)
    maker.mac("a", [maker.term("x", 8, 3, 8, pad=1)], bits=4)
    maker.mac("b", [maker.term("a", 8, 3, 4, pad=2, dilation=2), maker.term("x", 8, 1, 8)], bits=4)
    maker.mac("c", [maker.term("b", 70, (5, 5), 4)], bits=8, signed=True)
    config = replace(SMALL, nv_rows=128, nv_cols=128, nv_macros=16, p_entries=64)
    compiled, _ = assert_equal(maker.net("c"), maker.image(), config, {f"to_{name}": Encoding.REFERENCE for name in "abc"})
    assert compiled.report.programming > 0
    assert sum(layer.cycles for layer in compiled.report.layers) + compiled.report.programming == compiled.report.cycles


def test_a_narrow_converter_gives_what_the_twin_gives():
    """The machine's codes are those of its macro: with ranges that cut sums off, results differ from the exact ones, alike on both emulators."""
    maker = Builder((4, 4, 4), 4, seed=4, signed=False)
    maker.mac("a", [maker.term("x", 6, 3, 4, pad=1)], bits=8, signed=True)
    config = replace(SMALL, nv_adc_bits=3)
    compiled = compile_net(maker.net("a"), config, place={"to_a": Placement(log2_lsb=2)})
    image = maker.image()
    runs = [compiled.run({"x": image}, backend, Twin(config)) for backend in ("fast", "step")]
    assert (runs[0].outputs["a"] == runs[1].outputs["a"]).all() and runs[0].result.counters == runs[1].result.counters
    assert (runs[0].outputs["a"] != reference(maker.net("a"), {"x": image})["a"]).any()


@pytest.mark.parametrize("backend", ["fast", "step"])
def test_a_chip_with_errors_gives_the_integers_of_the_network_model(backend):
    """The same cells in the same places: what `rpa.flash.network` computes for many images is what the machine computes for one."""
    maker = Builder((5, 6, 4), 8, seed=6)
    maker.mac("a", [maker.term("x", 12, 3, 8, pad=1)], bits=4)
    maker.mac("b", [maker.term("a", 8, 3, 4, pad=1)], bits=8, signed=True)
    net, image = maker.net("b"), maker.image()
    config = replace(SMALL, nv_adc_bits=6, nv_rows=64, nv_cols=64)
    spec = for_config(config, MacroSpec.preset("sonos40"))
    spec = replace(spec, errors=spec.errors.without("read_noise").without("telegraph").without("shot"))
    place = {"to_a": Placement(log2_lsb=3, terms=(0,)), "to_b": Placement(log2_lsb=2, terms=(0,))}
    model = FlashNet(net, place, spec, line=config.cols, macros=config.nv_macros, seed=7)
    expected = model.run({"x": image})
    run = compile_net(net, config, place=place).run({"x": image}, backend, Chip(spec, macros=config.nv_macros, seed=7))
    assert all((run.features[name] == expected[name]).all() for name in "ab")
    assert (run.features["b"] != reference(net, {"x": image})["b"]).any()


def test_what_was_matched_to_a_chip_runs_on_the_machine_with_it():
    """Biases and multipliers that make up for a chip's errors are data of a program: the network is compiled with them."""
    maker = Builder((5, 6, 4), 8, seed=6)
    maker.mac("a", [maker.term("x", 12, 3, 8, pad=1)], bits=4)
    maker.mac("b", [maker.term("a", 8, 3, 4, pad=1)], bits=8, signed=True)
    net, images = maker.net("b"), {"x": np.stack([maker.image() for _ in range(5)])}
    config = replace(SMALL, nv_adc_bits=12, nv_rows=64, nv_cols=64)
    spec = for_config(config, MacroSpec.preset("sonos40"))
    spec = replace(spec, errors=replace(spec.errors.without("read_noise"), stuck_off=0.01, stuck_on=0.01))
    place = {name: Placement(log2_lsb=0, terms=(0,)) for name in ("to_a", "to_b")}
    model = FlashNet(net, place, spec, line=config.cols, macros=config.nv_macros, seed=7)
    plain = model.run({"x": images["x"][0]})
    match_outputs(model, images)
    expected = model.run({"x": images["x"][0]})
    run = compile_net(model.net, config, place=place).run({"x": images["x"][0]}, "fast", Chip(spec, macros=config.nv_macros, seed=7))
    assert all((run.features[name] == expected[name]).all() for name in "ab")
    assert (plain["b"] != expected["b"]).any()


def test_refusals_name_every_node():
    maker = Builder((4, 4, 4), 8, seed=5)
    maker.mac("a", [maker.term("x", 4, 3, 8, pad=1)], bits=8)
    net = maker.net("a")
    with pytest.raises(CompileError, match=r"`net` has no sum of products called `to_b`"):
        compile_net(net, SMALL, place={"to_b": Placement()})
    with pytest.raises(CompileError, match=r"this machine has no NOR-flash macros \(`nv_macros` is 0\)"):
        compile_net(net, ArrayConfig.preset("default"), place={"to_a": Placement()})
    with pytest.raises(CompileError, match=r"do not fit 1 macros: no room for tile"):
        compile_net(net, replace(SMALL, nv_macros=1, nv_rows=8, nv_cols=16), place={"to_a": Placement()})
    with pytest.raises(CompileError, match=r"`to_a`: the step of a conversion is 2\^0.5, on the machine it must be a whole power, 2\^0..2\^15"):
        compile_net(net, SMALL, place={"to_a": Placement(log2_lsb=0.5)})
