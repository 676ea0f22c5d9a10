"""Energy, time and area: constants against the published table, one layer by hand, and the faults of published models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rpa.arch.config import ArrayConfig
from rpa.compile.compiled import compile_net
from rpa.flash.constants import CONSTANTS, Technology, adc_area_um2, adc_energy_pj
from rpa.flash.energy import Timing, area_um2, cycles, digital_energy, macro_energy, product_energy, report, saved
from rpa.flash.errors import FlashError
from rpa.flash.network import FlashNet, Placement
from rpa.flash.spec import Adc, Dac, Errors, MacroSpec, Wires, for_config
from rpa.net import reference
from rpa.net.integer import Feature, IntNet, Mac, Term
from tests.compile.integer_nets import Builder

PUBLISHED = {28: ((0.72, 1750), (0.83, 1830), (1.33, 2110), (2.57, 2570)), 40: ((1.40, 3060), (1.62, 3190), (2.60, 3680), (5.03, 4470)),
             55: ((2.56, 5010), (2.95, 5230), (4.74, 6030), (9.15, 7340)), 65: ((3.50, 6500), (4.03, 6780), (6.49, 7820), (12.5, 9520))}
TECHNOLOGY = Technology(nm=45)
IDEAL = MacroSpec.preset("ideal")


def one_product(x, weight=5, *, bits=4, spec=IDEAL, low=0, high=None):
    """A layer of one input channel, one output, one pixel, after it has run."""
    features = {"x": Feature(name="x", shape=(1, 1, 1), bits=bits, signed=False, low=low, high=(1 << bits) - 1 if high is None else high),
                "y": Feature(name="y", shape=(1, 1, 1), bits=8, signed=True, low=-128, high=127)}
    term = Term(input="x", weight=np.full((1, 1, 1, 1), weight), weight_bits=4)
    node = Mac(name="mac", terms=(term,), bias=np.zeros(1, np.int64), multiplier=np.ones(1, np.int64), shift=np.ones(1, np.int64), output="y")
    flash = FlashNet(IntNet(name="one", features=features, inputs=("x",), outputs=("y",), nodes=(node,)), {"mac": Placement(log2_lsb=0)}, spec)
    flash.run_many({"x": np.full((1, 1, 1, 1), x)})
    return flash


@pytest.mark.parametrize("nm", PUBLISHED)
def test_converters_follow_the_published_fit(nm):
    for bits, (energy, area) in zip((4, 6, 8, 10), PUBLISHED[nm], strict=True):
        assert adc_energy_pj(bits, nm) == pytest.approx(energy, rel=0.006)
        assert adc_area_um2(bits, nm) == pytest.approx(area, rel=0.003)


def test_more_bits_never_cost_less():
    energies = [adc_energy_pj(bits, 40) for bits in range(1, 17)]
    assert energies == sorted(energies)


def test_every_constant_says_unit_and_source():
    rows = Technology().rows()
    assert len(rows) == len(CONSTANTS) + 1 and all(row["unit"] and row["source"] for row in rows)
    changed = Technology(nm=65).changed(driver=0.01)
    assert changed.energy("driver") == 0.01 and changed.constants["driver"].source == "user"
    assert Technology(nm=90).energy("add32") == pytest.approx(0.2)
    with pytest.raises(FlashError, match="no constant `volt`"):
        Technology().changed(volt=1)


def test_one_layer_by_hand():
    """x = 11 = 1011b on a cell of code 5: three driven operations of four, on 32 bit lines (one line of each sign)."""
    counts = one_product(11).counts["mac"]
    assert (counts.operations, counts.active, counts.conversions, counts.skipped) == (4, 3, 96, 32)
    # one driven word line can give at most 15: 4 bits
    assert counts.adc_bits == 96 * 4 and counts.adc_bits_full == 128 * 8
    energy = macro_energy(counts, TECHNOLOGY)
    assert energy.drivers == pytest.approx(3 * 0.0039)
    assert energy.array == pytest.approx(3 * 5 * 1.6e-6 / 15 * 0.1 * 10e-9 * 1e12)
    assert energy.adc == pytest.approx(adc_energy_pj(8, 45) * 96 * 4 / 8)
    assert energy.digital == pytest.approx(128 * 0.15 + 3.1 + 0.1)
    assert energy.buffers == pytest.approx(2.5 * 1.5)
    full = macro_energy(counts, TECHNOLOGY, aware=False)
    assert full.adc == pytest.approx(adc_energy_pj(8, 45) * 128) and full.array == energy.array
    assert energy.total == pytest.approx(energy.drivers + energy.array + energy.adc + energy.digital + energy.buffers)


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_bits_of_inputs_are_counted_once(bits):
    """A fault of published models: energy times the bits of inputs although each bit's pass was counted. The same 1011b in a wider number drives
    the same word lines and cells."""
    narrow, wide = (macro_energy(one_product(11, bits=each).counts["mac"], TECHNOLOGY) for each in (4, bits))
    assert wide.drivers == narrow.drivers and wide.array == narrow.array and wide.adc == narrow.adc * 1.0
    dense = macro_energy(one_product((1 << bits) - 1, bits=bits).counts["mac"], TECHNOLOGY)
    assert dense.array == pytest.approx(narrow.array * bits / 3)


def test_a_digit_of_several_bits_carries_as_much():
    """Full drive is the largest digit: 1111b takes a quarter of the charge as one digit of 15/15 at full drive."""
    serial = macro_energy(one_product(15).counts["mac"], TECHNOLOGY)
    digit = macro_energy(one_product(15, spec=replace(IDEAL, dac=Dac(bits=4))).counts["mac"], TECHNOLOGY)
    assert digit.array == pytest.approx(serial.array / 4) and digit.drivers == pytest.approx(serial.drivers / 4 * 8)


def test_leakage_is_in_the_array():
    leaky = replace(IDEAL, errors=Errors(leakage="device"))
    device = leaky.device
    energy = macro_energy(one_product(1, 0, spec=leaky).counts["mac"], TECHNOLOGY)
    assert energy.array == pytest.approx(32 * device.min_amp * 0.1 * 10e-9 * 1e12)
    assert macro_energy(one_product(1, 0).counts["mac"], TECHNOLOGY).array == 0


def test_cycles_are_those_of_section_15():
    spec = replace(IDEAL, adc=Adc(bits=8, share=8), dac=Dac(bits=2))
    build = Builder((5, 5, 6), 4, seed=1, signed=False)
    build.mac("y", [build.term("x", 20, 3, 4)], bits=8)
    flash = FlashNet(build.net("y"), "all", spec, line=16)
    flash.run_many({"x": build.image()[None]})
    # 9 vectors; kw = 9 pixels of 2 words; 2 passes; 2 groups of 2 lines on 16 converters; 8 vectors to a command
    start = 1 + (1 + 4 * 16 // 16 * 9) + 4
    assert cycles(flash.counts["to_y"]) == 9 * (18 + 1 + 2 * start) + 2 * 2
    assert cycles(flash.counts["to_y"], Timing(settle=5, adc_cycles=3)) == 9 * (18 + 1 + 2 * (1 + 5 + 12 + 4)) + 4
    ramp = replace(spec, adc=Adc(bits=4, kind="ramp"))
    assert Timing().conversion(FlashNet(build.net("y"), "all", ramp).counts["to_y"]) == 16


def test_area_by_hand():
    spec = replace(IDEAL, rows=64, cols=128, adc=Adc(bits=8, share=4))
    area = area_um2(spec, Technology(nm=55), 3, 8)
    assert area["cells"] == pytest.approx(3 * 64 * 128 * 0.33) and area["ADC"] == pytest.approx(3 * 32 * 6030, rel=0.001)
    assert area["drivers"] == pytest.approx(3 * 64 * 0.166 * (55 / 32) ** 2)


def test_the_digital_array_pays_for_width():
    assert product_energy(TECHNOLOGY, 8, 8) == pytest.approx(0.2 + 0.15 + 2.5 * (8 / 16 + 8 / 16) / 16)
    assert product_energy(TECHNOLOGY, 4, 4) == pytest.approx(0.05 + 0.15 + 2.5 * (4 / 16 + 4 / 16) / 16)
    counts = one_product(3).counts["mac"]
    assert digital_energy(counts, TECHNOLOGY) == pytest.approx(product_energy(TECHNOLOGY, 4, 4) + 3.2 + 1.25)


def test_reports_add_up_and_are_per_image():
    build = Builder((6, 6, 8), 4, seed=2, signed=False)
    build.mac("a", [build.term("x", 16, 3, 4, pad=1)], bits=4)
    build.mac("b", [build.term("a", 10, 6, 4)], bits=8, signed=True)
    image = build.image()
    once, thrice = FlashNet(build.net("b")), FlashNet(build.net("b"))
    once.run_many({"x": image[None]})
    thrice.run_many({"x": np.stack([image] * 3)})
    a, b = report(once), report(thrice)
    assert a.energy.total == pytest.approx(b.energy.total) and a.energy.total < a.full.total
    rows = a.rows()
    assert [row["layer"] for row in rows] == ["to_a", "to_b", "all"]
    for name in ("energy [nJ]", "adc [nJ]", "array instead [nJ]", "cycles"):
        assert rows[2][name] == pytest.approx(rows[0][name] + rows[1][name])
    assert all(row["ADC saved [%]"] == pytest.approx(100 * (1 - row["adc [nJ]"] / row["adc before [nJ]"])) for row in rows)
    assert rows[2]["adc before [nJ]"] > rows[2]["adc [nJ]"] > 0
    assert saved(4, 1) == 75 and saved(0, 0) == 0


def test_converters_that_are_not_aware_of_sparsity():
    """They convert everything with all bits, and save nothing."""
    build = Builder((6, 6, 8), 4, seed=2, signed=False)
    build.mac("a", [build.term("x", 16, 3, 4, pad=1)], bits=8, signed=True)
    net, image = build.net("a"), build.image()
    image[:3] = 0
    aware, plain = (FlashNet(net, "all", replace(IDEAL, adc=replace(IDEAL.adc, sparsity_aware=sparse))) for sparse in (True, False))
    for flash in (aware, plain):
        flash.run_many({"x": image[None]})
    (one, *_), (other, *_) = report(aware).rows(), report(plain).rows()
    assert one["skipped [%]"] > 0 and one["ADC saved [%]"] > 0
    assert other["skipped [%]"] == other["ADC saved [%]"] == 0 and other["adc [nJ]"] == one["adc before [nJ]"] == other["adc before [nJ]"]
    assert other["conversions"] * (1 - one["skipped [%]"] / 100) == pytest.approx(one["conversions"])


def test_wires_do_not_skip_fully_connected_layers():
    """A fault of published models: only convolutions see the voltage that wires lose."""
    build = Builder((8, 8, 8), 4, seed=3, signed=False)
    build.mac("fc", [build.term("x", 12, 8, 4)], bits=8, signed=True)
    build.mac("fc2", [build.term("fc", 12, 1, 4)], bits=8, signed=True)
    net, images = build.net("fc2"), {"x": np.stack([build.image() for _ in range(4)])}
    exact = reference.run_many(net, images, wanted=["fc", "fc2"])
    for drop in ("factor", "exact"):
        wired = replace(IDEAL, adc=Adc(bits=12), errors=Errors(ir_drop=drop), wires=Wires(bit_line_ohm=20.0))
        for name in ("fc", "fc2"):
            flash = FlashNet(net, [f"to_{name}"], wired)
            assert not np.array_equal(flash.run_many(images, wanted=[name])[name], exact[name])
        same = FlashNet(net, "all", replace(wired, errors=Errors()))
        assert np.array_equal(same.run_many(images)["fc2"], exact["fc2"])


def test_counts_and_cycles_are_those_of_the_machine():
    """A compiled network on the emulator counts the same operations; its cycles differ by those between commands, which depend on tiles of images."""
    build = Builder((4, 4, 6), 8, seed=6)
    build.mac("a", [build.term("x", 12, 3, 8, pad=1)], bits=4)
    build.mac("b", [build.term("a", 20, 4, 4)], bits=8, signed=True)
    net, image = build.net("b"), {"x": build.image()}
    config = replace(ArrayConfig.preset("small"), imem_words=1 << 15, mem_bytes=1 << 22, nv_macros=64)
    place = {"to_a": Placement(log2_lsb=3), "to_b": Placement(log2_lsb=2)}
    counters = compile_net(net, config, place=place).run(image, "fast").result.counters
    flash = FlashNet(net, place, for_config(config, IDEAL), line=config.cols)
    flash.run(image)
    counts = flash.counts.values()
    for name in ("operations", "active", "conversions", "skipped", "adc_bits", "macs"):
        assert sum(getattr(one, name) for one in counts) == counters[f"nv_{name}"], name
    timing = Timing(settle=config.nv_settle, adc_cycles=config.nv_adc_cycles)
    placed = [tile for layer in flash.layers.values() for tile in layer.tiles]
    programming = sum(tile.tile.rows * (tile.counts.bit_lines // 4 + 1 + config.nv_prog_cycles) for tile in placed)
    assert sum(cycles(one, timing, line=config.cols) for one in counts) + programming == pytest.approx(counters["nv_run"], rel=0.005)
