"""Mitigation of whole networks: what each step does to the errors that it is for, tiles that share bit lines included."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rpa.arch.config import ArrayConfig
from rpa.arch.macro import Twin
from rpa.flash.errors import FlashError
from rpa.flash.mitigate import network as mitigate
from rpa.flash.network import FlashNet, Placement, with_ideal_converters
from rpa.flash.parts import Programming, ReadNoise
from rpa.flash.spec import Errors, MacroSpec, Wires
from rpa.net import reference
from tests.compile.integer_nets import Builder

LOSSLESS = with_ideal_converters(MacroSpec.preset("ideal"))
THICK = Wires(bit_line_ohm=20.0)
"""Wires that take 4 % of the current in macros as small as these."""


def small_net():
    """Two layers of 72 and 48 word lines: in macros of 128 their tiles lie above each other."""
    build = Builder((6, 6, 8), 4, seed=2, signed=False)
    build.mac("a", [build.term("x", 12, 3, 4, pad=1)], bits=4)
    build.mac("b", [build.term("a", 12, (2, 2), 4, stride=2)], bits=8, signed=True)
    return build.net("b"), {"x": np.stack([build.image() for _ in range(6)])}


def placed(spec, net, seed=0):
    return FlashNet(net, {node.name: Placement(log2_lsb=0) for node in net.nodes}, spec, seed=seed)


def error(flash, images):
    flash.reset()
    exact = reference.run_many(flash.net, images)["b"].astype(float)
    return np.square(flash.run_many(images)["b"] - exact).mean()


def test_tiles_of_this_net_share_bit_lines():
    net, _ = small_net()
    places = [tile.place for layer in placed(LOSSLESS, net).layers.values() for tile in layer.tiles]
    assert [place.macro for place in places] == [0, 0] and len({place.row0 for place in places}) == 2


@pytest.mark.parametrize("ir_drop", ["factor", "exact"])
@pytest.mark.parametrize("drive", ["gate", "drain"])
def test_wires_act_on_every_kind_of_layer(ir_drop, drive):
    """A convolution and a fully connected layer: a fault of published models is that wires spare the latter."""
    build = Builder((4, 4, 8), 4, seed=3, signed=False)
    build.mac("a", [build.term("x", 8, 3, 4, pad=1)], bits=8, signed=True)
    build.mac("c", [build.term("x", 10, 4, 4)], bits=8, signed=True)
    net, images = build.net("c"), {"x": np.stack([build.image() for _ in range(4)])}
    spec = replace(LOSSLESS, wires=Wires(bit_line_ohm=20.0, word_line_ohm=20.0, drive=drive), errors=Errors(ir_drop=ir_drop))
    found, exact = placed(spec, net).run_many(images, wanted=net.features), reference.run_many(net, images, wanted=net.features)
    assert all((found[name] != exact[name]).any() for name in ("a", "c"))


@pytest.mark.parametrize("cell_bits", [3, 4])
def test_correction_for_wires(cell_bits):
    """Weights of -8..7 leave half of a 4-bit cell's range free; digits of 3 bits use all of it, and the array must be scaled down."""
    net, images = small_net()
    flash = placed(replace(LOSSLESS, cell_bits=cell_bits, wires=Wires(bit_line_ohm=2.0), errors=Errors(ir_drop="exact")), net)
    before = error(flash, images)
    gains = mitigate.correct(flash, mitigate.measure_activity(flash, images))
    assert list(gains) == [0] and (1.0 < gains[0] < 1.2 if cell_bits == 3 else gains[0] == 1.0)
    np.testing.assert_allclose(flash.chip.trim[0], gains[0])
    assert error(flash, images) < 0.25 * before


def test_measured_activity_is_that_of_the_digits():
    net, images = small_net()
    flash = placed(LOSSLESS, net)
    found = mitigate.measure_activity(flash, images)
    tile = flash.layers["to_b"].tiles[0]
    x = reference.run_many(net, images, wanted=["a"])["a"]  # 2x2 patches of stride 2 see each value once
    bits = (x.astype(int)[..., None] >> np.arange(4)) & 1
    per_input = (bits @ [1, 4, 16, 64] / 85).reshape(6, 3, 2, 3, 2, 12).mean(axis=(0, 1, 3)).reshape(-1)
    used = tile.tile.inputs
    np.testing.assert_allclose(np.sort(found[id(tile)]), np.sort(per_input[used]), atol=1e-12)
    assert flash.counts["to_a"].images == 0 and flash.observer is None


def test_rewriting_finds_all_cells_with_weights():
    net, images = small_net()
    flash = placed(replace(LOSSLESS, errors=Errors(programming=Programming())), net)
    before = error(flash, images)
    done = mitigate.rewrite(flash, tolerance=0.05, attempts=100)[0]
    assert done.accepted.all()
    assert error(flash, images) < 0.2 * before
    tiles = [tile for layer in flash.layers.values() for tile in layer.tiles]
    used = np.zeros_like(done.accepted)
    for tile in tiles:
        used[tile.rows, tile.columns] = True
    assert np.abs(done.errors[used]).max() <= 0.05 and not done.attempts[~used].any()


def test_recalibration_after_correction_and_heat():
    """A common gain of -2.5 % goes away, and the correction for wires stays what it was."""
    net, images = small_net()
    spec = replace(LOSSLESS, wires=Wires(bit_line_ohm=2.0), errors=Errors(ir_drop="exact", temperature_kelvin=250.0))
    flash = placed(spec, net)
    mitigate.correct(flash)
    before = error(flash, images)
    done = mitigate.recalibrate_all(flash)[0]
    assert done.operations >= 2 * 64
    gains = done.gains[done.gains != 1]
    np.testing.assert_allclose(gains, 1 / (1 - 0.025), rtol=0.01)
    assert error(flash, images) < 0.1 * before


def test_all_steps_together():
    net, images = small_net()
    errors = Errors(programming=Programming(), read_noise=ReadNoise(), stuck_off=0.01, stuck_on=0.01, ir_drop="exact", drift_days=0.0)
    spec = replace(LOSSLESS, wires=THICK, errors=errors)
    left = []
    for mitigated in (False, True):
        flash = placed(spec, net, seed=5)
        if mitigated:
            done = mitigate.remap(flash)
            assert sum(each.remapped for each in done) < 0.05 * sum(each.damage for each in done)
            mitigate.correct(flash, mitigate.measure_activity(flash, images))
            mitigate.rewrite(flash, tolerance=0.1)
        flash.chip.age(5.0)
        if mitigated:
            mitigate.recalibrate_all(flash)
        left.append(error(flash, images))
    assert left[1] < 0.1 * left[0]


def test_bad_input_is_refused():
    net, _ = small_net()
    with pytest.raises(FlashError, match=r"^correct: the macros' wires are ideal or drain-driven, must be gate-driven: correct\.apply does "):
        mitigate.correct(placed(replace(LOSSLESS, wires=Wires(drive="drain")), net))
    with pytest.raises(FlashError, match=r"^recalibrate: `vectors` is 0, must be an integer 1\.\.65536$"):
        mitigate.recalibrate_all(placed(LOSSLESS, net), vectors=0)
    with pytest.raises(FlashError, match=r"^the network runs on a Twin, must be on a Chip to be mitigated$"):
        mitigate.rewrite(FlashNet(net, "all", MacroSpec.preset("ideal"), chip=Twin(ArrayConfig(nv_macros=2)), macros=2), tolerance=0.1)
