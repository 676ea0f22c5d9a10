"""Compensated rounding: its cost against nearest rounding and against trying everything; moments against patches cut one by one."""

from __future__ import annotations

from itertools import product

import numpy as np

from rpa.quant import Calibrated, Options
from rpa.quant.compensate import compensated, factors_of, patch_moments
from rpa.quant.fuse import fuse
from tests.quant.floats import Builder, residual_net


def moments_of(rng, size, samples=400):
    """Of inputs that depend on each other and have a mean."""
    x = rng.standard_normal((samples, size)) @ rng.standard_normal((size, size)) + rng.uniform(0, 2, size)
    return x.T @ x / samples


def cost(error, moments):
    return np.einsum("mk,kl,ml->m", error, moments, error)


def limits(count, low=-2, high=1):
    return np.full(count, low), np.full(count, high)


def test_cost_is_below_nearest_and_near_the_least():
    rng = np.random.default_rng(0)
    size, filters = 6, 40
    moments = moments_of(rng, size)
    weights = rng.uniform(-2, 1, (filters, size))
    ours = compensated(weights, np.ones(filters), *limits(filters), factors_of(moments[None]))
    nearest = np.clip(np.rint(weights), -2, 1)
    every = np.array(list(product(range(-2, 2), repeat=size)), float)
    least = np.array([cost(every - weight, moments).min() for weight in weights])
    mine, theirs = cost(ours - weights, moments), cost(nearest - weights, moments)
    assert ours.min() >= -2 and ours.max() <= 1
    assert (mine >= least - 1e-9).all()
    assert mine.sum() < 0.6 * theirs.sum() and mine.sum() < 3 * least.sum()


def test_independent_inputs_are_rounded_to_nearest():
    rng = np.random.default_rng(1)
    weights = rng.uniform(-3, 3, (8, 10))
    steps = rng.uniform(0.5, 2, 8)
    ours = compensated(weights, steps, *limits(8, -8, 7), factors_of(np.diag(rng.uniform(1, 2, 10))[None]))
    np.testing.assert_array_equal(ours, np.rint(weights / steps[:, None]))


def test_groups_are_rounded_apart():
    rng = np.random.default_rng(2)
    weights, moments = rng.uniform(-2, 1, (6, 5)), np.stack([moments_of(rng, 5) for _ in range(3)])
    together = compensated(weights, np.ones(6), *limits(6), factors_of(moments))
    for group in range(3):
        rows = slice(2 * group, 2 * group + 2)
        alone = compensated(weights[rows], np.ones(2), *limits(2), factors_of(moments[group][None]))
        np.testing.assert_array_equal(together[rows], alone)


def test_inputs_that_are_always_zero():
    weights = np.array([[0.4, 1.6, -3.0]])
    assert compensated(weights, np.ones(1), *limits(1), factors_of(np.zeros((1, 3, 3)))).tolist() == [[0, 1, -2]]


def test_moments_are_those_of_the_patches():
    net = Builder((4, 9, 9))
    net.conv("x", 6, stride=2, groups=2, dilation=2)
    graph, images = net.graph("conv0.out"), net.images(3)
    (moments,) = patch_moments(graph, fuse(graph), {"x": images}).values()
    wide = np.pad(images.astype(np.float64), ((0, 0), (0, 0), (2, 2), (2, 2)))
    cut = [wide[:, :, y:y + 5:2, x:x + 5:2] for y in range(0, 9, 2) for x in range(0, 9, 2)]          # (N, C, 3, 3) for each position
    patches = np.stack([np.concatenate([patch[:, group:group + 2].transpose(0, 2, 3, 1).reshape(3, 18) for patch in cut]) for group in (0, 2)])
    np.testing.assert_allclose(moments, patches.transpose(0, 2, 1) @ patches / patches.shape[1], rtol=1e-5)


def test_networks_get_nearer_to_float():
    net = residual_net()
    # neighbouring pixels of photographs are alike; of white noise, compensation would learn nothing
    graph = net.graph(net.nodes[-1].outputs[0])
    images, others = (net.images(64).cumsum(axis=2).cumsum(axis=3) / 6 for _ in range(2))
    calibrated = Calibrated(graph, images)
    errors = {rounding: calibrated.quantize("w3a8", Options(weight_rounding=rounding)).compare(others).relative_error_integer
              for rounding in ("nearest", "compensated")}
    assert errors["compensated"] < 0.85 * errors["nearest"]
