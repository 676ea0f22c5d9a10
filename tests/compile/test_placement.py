"""Choosing layers for NOR-flash macros: by name, by latency, by energy, within a loss; each choice against its own figures."""

import re
from dataclasses import replace

import numpy as np
import pytest

from rpa.arch.config import ArrayConfig
from rpa.compile.compiled import compile_net
from rpa.compile.errors import CompileError
from rpa.compile.front import compile_model
from rpa.compile.placement import resolve, wish
from rpa.flash.network import FlashNet
from rpa.flash.spec import MacroSpec, for_config
from rpa.net.reference import run_many
from tests.compile.integer_nets import Builder

CONFIG = replace(ArrayConfig.preset("hybrid"), imem_words=1 << 15)


def network():
    """A convolution, which an array computes faster, and a layer with many weights for one vector, which it must load."""
    maker = Builder((4, 4, 8), 4, seed=1, signed=False)
    maker.mac("a", [maker.term("x", 16, 3, 4, pad=1)], bits=4)
    maker.mac("b", [maker.term("a", 112, (4, 4), 4)], bits=8, signed=True)
    return maker.net("b"), {"x": np.stack([maker.image() for _ in range(3)])}


def test_names_and_prefixes():
    net, images = network()
    for items, expected in ((["to_a=flash"], ["to_a"]), (["all=flash"], ["to_a", "to_b"]), (["all=flash", "to_b=array"], ["to_a"])):
        assert list(resolve(wish(items), net, CONFIG, images)[0]) == expected


def test_latency_chooses_by_the_cycles_of_both():
    net, images = network()
    placements, verdicts = resolve(wish(["auto=latency"]), net, CONFIG, images)
    assert {one.layer: one.on_flash for one in verdicts} == {one.layer: one.flash < one.array for one in verdicts}
    assert list(placements) == ["to_b"]
    both = compile_net(net, CONFIG, place=placements), compile_net(net, CONFIG)
    assert both[0].report.working < both[1].report.cycles


def test_energy_chooses_the_lower_figure():
    net, images = network()
    _, verdicts = resolve(wish(["auto=energy"]), net, CONFIG, images)
    assert [one.on_flash for one in verdicts] == [one.flash < one.array for one in verdicts] and all(one.unit == "nJ" for one in verdicts)


@pytest.mark.parametrize("loss", [0.0, 0.05, 10.0])
def test_accuracy_keeps_within_the_loss(loss):
    net, images = network()
    macro = MacroSpec.preset("sonos40")
    placements, verdicts = resolve(wish(["auto=accuracy"], macro=macro, loss=loss), net, CONFIG, images)
    assert set(placements) == {one.layer for one in verdicts if one.on_flash}
    assert len(placements) == {0.0: 0, 10.0: 2}.get(loss, len(placements))
    if placements:
        got = FlashNet(net, placements, for_config(CONFIG, macro), line=CONFIG.cols, macros=CONFIG.nv_macros).run_many(images)["b"]
        exact = run_many(net, images)["b"].astype(float)
        assert np.sqrt(((got - exact) ** 2).sum() / ((exact - net.features["b"].zero_point) ** 2).sum()) <= loss + 1e-9


@pytest.mark.parametrize("place", [wish(["to_b=flash"]), ["to_b=flash"], "to_b=flash"])
def test_the_front_door_calibrates_ranges(place):
    net, _ = network()
    model = compile_model(net, config=CONFIG, place=place)
    assert model.verdicts == () and [choice.kernel for choice in model.compiled.mapped.choices][1] == "flash"


def test_the_front_door_without_a_wish():
    net, _ = network()
    assert all(choice.kernel != "flash" for choice in compile_model(net, config=CONFIG, place=[]).compiled.mapped.choices)
    with pytest.raises(CompileError, match="placement `3`, must be NAME=flash"):
        compile_model(net, config=CONFIG, place=[3])


@pytest.mark.parametrize("items, message", [
    (["to_a"], "placement `to_a`, must be NAME=flash, NAME=array, all=flash, or once auto=latency|energy|accuracy"),
    (["auto=speed"], "placement `auto=speed`, must be NAME=flash"), (["auto=energy", "auto=latency"], "placement `auto=latency`, must be"),
    (["to_a=flash", "to_a=array"], "placement `to_a=array`, must be"),
    (["to_c=flash"], "`net` has no layer with weights called `to_c`; there are to_a, to_b"),
])
def test_bad_wishes(items, message):
    with pytest.raises(CompileError, match=re.escape(message)):
        resolve(wish(items), network()[0], CONFIG, None)


def test_a_choice_by_energy_needs_images():
    with pytest.raises(CompileError, match="placing by energy needs typical images: give calibration images"):
        resolve(wish(["auto=energy"]), network()[0], CONFIG, None)
