"""Layers on macros without the machine: ideal ones give the reference, errors do not depend on batches, counts are the machine's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpa.arch.config import ArrayConfig
from rpa.arch.macro import Twin, limits
from rpa.flash.activity import activity, by_arrays
from rpa.flash.chip import Chip
from rpa.flash.errors import FlashError
from rpa.flash.mapping import Encoding
from rpa.flash.network import FlashNet, Placement, joins_channels, with_ideal_converters
from rpa.flash.patterns import Passes
from rpa.flash.spec import Adc, Dac, Errors, MacroSpec
from rpa.net import reference
from tests.compile.integer_nets import Builder

LOSSLESS = with_ideal_converters(MacroSpec.preset("ideal"))


def small_net(seed=0, *, bits=4, signed=True, channels=5):
    """A convolution, one with a residual term, a fully connected layer."""
    build = Builder((7, 6, 6), bits, seed=seed, signed=signed)
    build.mac("a", [build.term("x", channels, 3, 4, pad=1)], bits=4, zero_point=0)
    build.mac("b", [build.term("a", channels, 3, 4, pad=1), build.term("a", channels, 1, 4, groups=channels)], bits=8, zero_point=3)
    build.mac("c", [build.term("b", 11, (7, 6), 8)], bits=8, signed=True)
    return build.net("c"), build


def images_of(build, count=3):
    return {"x": np.stack([build.image() for _ in range(count)])}


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_ideal_macros_give_the_reference(data):
    draw = data.draw
    bits, dac, cell = draw(st.sampled_from([2, 4, 8, 16])), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    net, build = small_net(draw(st.integers(0, 1 << 20)), bits=bits, signed=draw(st.booleans()),
                           channels=draw(st.sampled_from([1, 4, 6])))
    encoding = draw(st.sampled_from([Encoding.DIFFERENTIAL, Encoding.REFERENCE]))
    spec = replace(LOSSLESS, rows=draw(st.sampled_from([16, 64, 128])), cols=256, cell_bits=cell, dac=Dac(bits=dac))
    flash = FlashNet(net, {node.name: Placement(encoding=encoding, log2_lsb=0) for node in net.nodes}, spec, line=8)
    images = images_of(build)
    expected = reference.run_many(net, images, wanted=net.features)
    for name, values in flash.run_many(images, wanted=net.features).items():
        assert np.array_equal(values, expected[name]), name
    one = flash.run({"x": images["x"][1]})
    assert all(np.array_equal(one[name], expected[name][1]) for name in net.features)


def test_the_exact_twin_gives_the_reference():
    net, build = small_net(5)
    config = ArrayConfig(nv_macros=16, nv_adc_bits=16)
    spec = replace(MacroSpec.preset("ideal"), adc=Adc(bits=16))
    flash = FlashNet(net, "all", spec, chip=Twin(config), macros=16)
    images = images_of(build, 2)
    assert flash.ranges == {"to_a": 0, "to_b": 0, "to_c": 0}
    assert np.array_equal(flash.run_many(images)["c"], reference.run_many(net, images)["c"])


def test_terms_of_one_channel_stay_digital():
    net, build = small_net(6)
    flash = FlashNet(net, "all", LOSSLESS)
    assert [joins_channels(term) for term in net.nodes[1].terms] == [True, False]
    assert [term.index for term in flash.layers["to_b"].terms] == [0]
    flash.run_many(images_of(build, 2))
    counts = flash.counts["to_b"]
    assert counts.products == 2 * 7 * 6 * 5 * 5 * 9 and counts.digital_products == 2 * 7 * 6 * 5
    both = FlashNet(net, {"to_b": Placement(terms=(0, 1))}, LOSSLESS)
    images = images_of(build, 2)
    assert np.array_equal(both.run_many(images)["c"], reference.run_many(net, images)["c"])
    assert [term.index for term in both.layers["to_b"].terms] == [0, 1] and list(both.layers) == ["to_b"]


@pytest.mark.parametrize("groups", [2, 4])
def test_groups_of_channels_on_macros(groups):
    build = Builder((5, 5, 32), 4, seed=groups, signed=False)
    build.mac("a", [build.term("x", 24, 3, 4, pad=1, groups=groups)], bits=8)
    net, images = build.net("a"), images_of(build, 2)
    flash = FlashNet(net, "all", replace(LOSSLESS, rows=16), line=8)
    assert np.array_equal(flash.run_many(images)["a"], reference.run_many(net, images)["a"])
    # 16 word lines are half a pixel: tiles hold the lines of outputs that have products with it
    assert max(tile.tile.outs for tile in flash.layers["to_a"].tiles) <= 16


def test_coarse_codes_change_results():
    """The converter's resolution has an effect: a fault of published models is that it has none."""
    net, build = small_net(7)
    images = images_of(build, 8)
    exact = reference.run_many(net, images)["c"].astype(float)
    errors = []
    for bits in (11, 8, 6, 5):
        spec = replace(MacroSpec.preset("ideal"), adc=Adc(bits=bits))
        errors.append(np.abs(FlashNet(net, "all", spec).run_many(images)["c"] - exact).mean())
    assert errors[0] == 0 < errors[1] < errors[2] < errors[3]


@pytest.mark.parametrize("errors", [Errors.all().only("programming", "stuck_on"), Errors.all().only("programming", "read_noise")])
def test_results_do_not_depend_on_batches(errors):
    net, build = small_net(8)
    images, spec = images_of(build, 6), replace(MacroSpec.preset("sonos40"), errors=errors)
    whole = FlashNet(net, "all", spec, seed=3).run_many(images)["c"]
    parts = FlashNet(net, "all", spec, seed=3)
    got = np.concatenate([parts.run_many({"x": images["x"][start:start + 2]})["c"] for start in (0, 2, 4)])
    assert np.array_equal(got, whole)
    assert not np.array_equal(FlashNet(net, "all", spec, seed=4).run_many(images)["c"], whole)
    parts.reset()
    assert np.array_equal(parts.run_many(images)["c"], whole)


class Counting(Twin):
    """Counts as `docs/design.md`, section 15 says, from what the macro is asked."""

    def __init__(self, config):
        super().__init__(config)
        self.config, self.seen = config, {"operations": 0, "active": 0, "conversions": 0, "skipped": 0, "adc_bits": 0}

    def convert(self, macro, digits, columns, log2_lsb, asked):
        active = np.count_nonzero(digits, axis=1)
        wanted = limits(self.config, active, log2_lsb)
        assert np.array_equal(asked, wanted)
        lines, bits = columns.stop - columns.start, np.log2(wanted + 1).astype(int)
        for name, value in (("operations", len(digits)), ("active", active.sum()), ("conversions", lines * (bits > 0).sum()),
                            ("skipped", lines * (bits == 0).sum()), ("adc_bits", lines * bits.sum())):
            self.seen[name] += int(value)
        return super().convert(macro, digits, columns, log2_lsb, asked)


@pytest.mark.parametrize("dac, log2_lsb", [(1, 0), (2, 3)])
def test_counts_are_those_of_the_machine(dac, log2_lsb):
    net, build = small_net(9, signed=False)
    config = ArrayConfig(nv_macros=8, nv_adc_bits=8, nv_dac_bits=dac)
    spec = replace(MacroSpec.preset("ideal"), dac=Dac(bits=dac))
    counting = Counting(config)
    flash = FlashNet(net, {"to_b": Placement(log2_lsb=log2_lsb)}, spec, chip=counting, macros=8)
    images = images_of(build, 2)
    images["x"][0] = 0
    flash.run_many(images)
    counts = flash.counts["to_b"]
    assert {name: getattr(counts, name) for name in counting.seen} == counting.seen
    # by hand: 5 channels of 4 bits fill 2 words, 8 word lines a pixel, 72 in all; 7 x 6 vectors
    assert counts.macs == 2 * 42 * 72 * 5 and counts.operations == 2 * 42 * (4 // dac) and counts.cells == 72 * 32
    assert counts.words == 2 * 42 * 18


@pytest.mark.parametrize("dac", [1, 3])
@pytest.mark.parametrize("abits, signed, kind", [(8, False, np.uint8), (5, True, np.int16), (16, True, np.int32), (16, False, np.int32)])
def test_activity_of_word_lines(abits, signed, kind, dac):
    rng = np.random.default_rng(abits)
    low, high = (-(1 << abits - 1), 1 << abits - 1) if signed else (0, 1 << abits)
    x, passes = (rng.integers(low, high, (30, 17)) * (rng.random((30, 17)) < 0.4)).astype(kind), Passes(abits, dac, signed)
    digits = passes.digits(x)
    for count in (activity, by_arrays):
        operations, sums = count(x, passes)
        assert np.array_equal(operations, np.bincount((digits > 0).sum(axis=2).ravel(), minlength=18))
        assert np.array_equal(sums, digits.sum(axis=(0, 1)))


def test_charge_is_the_sum_of_all_sums():
    net, build = small_net(10, signed=False)
    flash = FlashNet(net, {"to_a": Placement(log2_lsb=0)}, replace(LOSSLESS, dac=Dac(bits=2)))
    seen = []

    def observe(layer, term, tile, x):
        seen.append(int((term.passes.digits(x).astype(np.int64) @ tile.tile.cells).sum()))

    flash.observer = observe
    flash.run_many(images_of(build, 2))
    assert seen and sum(seen) == sum(tile.charge for tile in flash.counts["to_a"].tiles)


def test_tiles_of_one_layer_can_share_a_macro():
    net, _ = small_net(11)
    flash = FlashNet(net, "all", LOSSLESS)
    places = [(tile.place.macro, tile.place.row0, tile.place.line0) for layer in flash.layers.values() for tile in layer.tiles]
    assert len(set(places)) == len(places) > flash.macros


@pytest.mark.parametrize("placement, message", [
    (["to_z"], "no sum of products called `to_z`"),
    ({"to_a": Placement(terms=(2,))}, "`to_a`: term 2 does not exist"),
    ({"to_a": Placement(encoding=Encoding.PLAIN)}, "`to_a`: mapping: weights reach -8"),
    ({"to_a": "flash"}, r"placement: `to_a` is 'flash', must be Placement\(...\)"), (3, 'placement: 3, must be "all", names of layers'),
])
def test_what_cannot_be_placed_is_named(placement, message):
    with pytest.raises(FlashError, match=message):
        FlashNet(small_net()[0], placement, LOSSLESS)


@pytest.mark.parametrize("options, message", [
    ({"net": None}, r"FlashNet: `net` is None, must be IntNet\(...\)"),
    ({"spec": "sonos40"}, r"FlashNet: `spec` is 'sonos40', must be MacroSpec\(...\)"),
    ({"line": 0}, "FlashNet: `line` is 0, must be an integer 1..1024")])
def test_no_network_no_macro_no_line(options, message):
    with pytest.raises(FlashError, match=message):
        FlashNet(**{"net": small_net()[0], **options})


@pytest.mark.parametrize("options, message", [({"log2_lsb": 30}, "`log2_lsb` is 30"), ({"weight_bits": 0}, "`weight_bits` is 0"),
                                              ({"encoding": 7}, "`encoding` is 7"), ({"log2_lsb": float("nan")}, "`log2_lsb` is nan")])
def test_placements_without_sense(options, message):
    with pytest.raises(FlashError, match=message):
        Placement(**options)


def test_a_chip_of_ones_own():
    net, build = small_net(12)
    chip = Chip(MacroSpec.preset("sonos40"), macros=8, seed=5)
    images = images_of(build, 2)
    assert np.array_equal(FlashNet(net, chip=chip).run_many(images)["c"], FlashNet(net, "all", chip.spec, macros=8, seed=5).run_many(images)["c"])
    with pytest.raises(FlashError, match="`spec` is not that of `chip`"):
        FlashNet(net, "all", LOSSLESS, chip=chip)
    with pytest.raises(FlashError, match="do not fit 1 macros"):
        FlashNet(net, chip=Chip(chip.spec))
    twin = FlashNet(net, {"to_a": Placement(log2_lsb=0.5)}, replace(MacroSpec.preset("ideal"), adc=Adc(bits=16)), chip=Twin(ArrayConfig(nv_macros=1)))
    with pytest.raises(FlashError, match=r"`to_a`: log2_lsb is 0.5, must be a whole number"):
        twin.run_many(images)


def test_macros_and_ranges_that_do_not_fit():
    net = small_net()[0]
    with pytest.raises(FlashError, match="do not fit 1 macros"):
        FlashNet(net, "all", LOSSLESS, macros=1)
    with pytest.raises(FlashError, match="`log2_lsb` is 30"):
        FlashNet(net, "all", LOSSLESS).set_ranges({"to_a": 30})
    with pytest.raises(FlashError, match="`x` is not on macros"):
        FlashNet(net, "all", LOSSLESS).set_ranges({"x": 0})
