"""Repair and remapping around defects: against brute force, scipy's assignment, and a network's exact results."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from rpa.arch.config import ArrayConfig
from rpa.arch.jit import plain
from rpa.arch.macro import Twin
from rpa.flash.chip import Chip
from rpa.flash.errors import FlashError
from rpa.flash.mapping import Encoding
from rpa.flash.mitigate import assignment
from rpa.flash.mitigate.remap import remap, remap_network
from rpa.flash.mitigate.repair import HEALTHY, repaired, said
from rpa.flash.network import FlashNet, Placement, with_ideal_converters
from rpa.flash.spec import Errors, MacroSpec
from rpa.net import reference
from tests.compile.integer_nets import Builder

LOSSLESS = with_ideal_converters(MacroSpec.preset("ideal"))


@pytest.mark.parametrize("size", [1, 2, 7, 60])
@pytest.mark.parametrize("steps", [3, 1 << 30])
def test_assignment_is_as_good_as_scipys(size, steps):
    """With three different costs there are many equally good ones."""
    cost = np.random.default_rng(size).integers(0, steps, (size, size)).astype(float)
    found = assignment.assign(cost)
    assert sorted(found) == list(range(size))
    assert cost[found, np.arange(size)].sum() == cost[linear_sum_assignment(cost)].sum()
    uncompiled = np.empty(size, np.int64)
    plain(assignment._fill)(cost, uncompiled)
    assert np.array_equal(found, uncompiled)


@pytest.mark.parametrize(("differential", "parts"), [(True, 2), (True, 4), (False, 1), (False, 2)])
def test_repair_is_the_best_there_is(differential, parts):
    """Every pattern of stuck 2-bit cells, every value and some out of reach, against every code that healthy cells can take."""
    kind = {"cell_bits": 2, "differential": differential}
    codes = np.array(list(product(range(4), repeat=parts)))
    reach = said(codes, **kind)
    values = np.arange(reach.min() - 2, reach.max() + 3)
    for stuck in np.array(list(product(range(HEALTHY, 4), repeat=parts))):
        cells, missed = repaired(values, stuck, **kind)
        possible = ((stuck == HEALTHY) | (codes == stuck)).all(axis=1)
        assert ((stuck == HEALTHY) | (cells == stuck)).all() and cells.min() >= 0 and cells.max() <= 3
        assert np.array_equal(values - said(cells, **kind), missed)
        assert np.array_equal(np.abs(missed), np.abs(values[:, None] - reach[possible]).min(axis=1))


def test_repair_by_hand():
    """A positive cell stuck on: 15 - 12 says 3; stuck off it cannot say 3, but -3."""
    assert repaired(3, [15, HEALTHY], cell_bits=4, differential=True)[0].tolist() == [15, 12]
    cells, missed = repaired([3, -3], [0, HEALTHY], cell_bits=4, differential=True)
    assert (cells.tolist(), missed.tolist()) == ([[0, 0], [0, 3]], [3, 0])


def defects(shape, part, seed=0):
    drawn = np.random.default_rng(seed).random(shape)
    return np.where(drawn < part, 0, np.where(drawn > 1 - part, 15, HEALTHY))


@pytest.mark.parametrize("moved", [{"rows": True}, {"rows": False, "outputs": True}, {"outputs": True}])
def test_remapping_lowers_the_error_of_weights(moved):
    values = np.random.default_rng(1).integers(-15, 16, (32, 24))
    stuck = defects((32, 24, 2), 0.02)
    order = remap(values, stuck, cell_bits=4, differential=True, **moved)
    placed = values[order.rows][:, order.outputs]

    def error(weights):
        return np.square(repaired(weights, stuck, cell_bits=4, differential=True)[1]).sum()

    assert (order.before, order.after) == (error(values), error(placed))
    assert order.after < 0.5 * order.before
    assert sorted(order.rows) == list(range(32)) and sorted(order.outputs) == list(range(24))
    rng = np.random.default_rng(2)
    others = (rng.permutation(32) if moved.get("rows", True) else np.arange(32) for _ in range(50))
    assert all(error(values[rows][:, order.outputs]) >= order.after for rows in others)


def small_net(seed=0):
    build = Builder((6, 6, 8), 4, seed=seed)
    build.mac("a", [build.term("x", 20, 3, 4, pad=1)], bits=8)
    build.mac("b", [build.term("a", 10, 6, 8)], bits=8, signed=True)
    return build.net("b"), {"x": np.stack([build.image() for _ in range(3)])}


@pytest.mark.parametrize("encoding", [Encoding.DIFFERENTIAL, Encoding.REFERENCE])
@pytest.mark.parametrize("cell_bits", [2, 4])
def test_a_remapped_network_without_defects_is_exact(encoding, cell_bits):
    net, images = small_net()
    flash = FlashNet(net, {node.name: Placement(encoding=encoding, log2_lsb=0) for node in net.nodes}, replace(LOSSLESS, cell_bits=cell_bits))
    before = [tile.tile.inputs.copy() for layer in flash.layers.values() for tile in layer.tiles]
    for layer in flash.layers.values():
        for tile in layer.tiles:  # any order of the word lines must do
            order = np.random.default_rng(0).permutation(tile.tile.rows)
            tile.tile = replace(tile.tile, inputs=tile.tile.inputs[order], cells=tile.tile.cells[order])
    assert all(each.damage == each.repaired == each.remapped == 0 for each in remap_network(flash))
    assert any((each != tile.tile.inputs).any() for each, tile in zip(before, (t for y in flash.layers.values() for t in y.tiles), strict=True))
    assert np.array_equal(flash.run_many(images)["b"], reference.run_many(net, images)["b"])


def test_defects_that_remapping_hides_wholly():
    """Few enough defects find weights that they do not hurt: the network is exact again, which mere repair does not reach."""
    net, images = small_net(3)
    spec = replace(LOSSLESS, errors=Errors(stuck_off=0.002, stuck_on=0.002))
    exact = reference.run_many(net, images)["b"]
    placement = {node.name: Placement(log2_lsb=0) for node in net.nodes}
    damaged = FlashNet(net, placement, spec, seed=4)
    assert not np.array_equal(damaged.run_many(images)["b"], exact)
    assert sum(each.repaired for each in remap_network(damaged, rows=False)) > 0
    assert not np.array_equal(damaged.run_many(images)["b"], exact)
    remapped = FlashNet(net, placement, spec, seed=4)
    done = remap_network(remapped)
    assert sum(each.damage for each in done) > 0 and sum(each.stuck for each in done) > 0
    assert sum(each.remapped for each in done) == 0
    assert np.array_equal(remapped.run_many(images)["b"], exact)


def test_many_defects_hurt_less():
    net, images = small_net(5)
    spec = replace(LOSSLESS, errors=Errors(stuck_off=0.01, stuck_on=0.01))
    exact = reference.run_many(net, images)["b"].astype(float)
    left = []
    for work in (lambda net: None, lambda net: remap_network(net, rows=False), remap_network):
        flash = FlashNet(net, {node.name: Placement(log2_lsb=0) for node in net.nodes}, spec, seed=6)
        work(flash)
        left.append(np.square(flash.run_many(images)["b"] - exact).mean())
    assert left[0] > 4 * left[1] and left[1] > left[2]


def test_bad_input_is_refused():
    with pytest.raises(FlashError, match=r"^repair: `stuck` has 3 cells for a weight and codes -1\.\.-1, must have an even number and -1\.\.15$"):
        repaired(1, [HEALTHY] * 3, cell_bits=4, differential=True)
    with pytest.raises(FlashError, match=r"^repair: `stuck` has 1 cells for a weight and codes -1\.\.4, must have any number and -1\.\.3$"):
        repaired(1, [4], cell_bits=2, differential=False)
    with pytest.raises(FlashError, match=r"^remap: values have shape \(2, 2\) and stuck codes \(2, 3, 2\), must be \(rows, outputs\) and "):
        remap(np.zeros((2, 2), int), np.zeros((2, 3, 2), int), cell_bits=4, differential=True)
    net, _ = small_net()
    with pytest.raises(FlashError, match=r"^remap: the network runs on a Twin, must be on a Chip, whose defects are known$"):
        remap_network(FlashNet(net, "all", MacroSpec.preset("ideal"), chip=Twin(ArrayConfig(nv_macros=16)), macros=16))


def test_macros_of_a_chip_keep_their_defects():
    net, _ = small_net()
    flash = FlashNet(net, "all", replace(LOSSLESS, errors=Errors(stuck_on=0.01)))
    assert isinstance(flash.chip, Chip)
    before = flash.chip.defects(0)[1]
    remap_network(flash)
    assert np.array_equal(before, flash.chip.defects(0)[1])
