"""Outputs matched in the requantization: what it does to errors of a whole channel, and that the network that it leaves is an ordinary one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rpa.flash.errors import FlashError
from rpa.flash.mitigate.match import match_outputs
from rpa.flash.network import FlashNet
from rpa.flash.parts import Programming
from rpa.flash.spec import Errors
from rpa.net import reference
from rpa.net.convolve import convolve
from tests.flash.test_mitigate_network import LOSSLESS, error, placed, small_net


def sums(net, flash, name, images):
    """(exact, chip) sums (pixels, channels) of a layer whose input is `x`, biases included."""
    node = next(node for node in net.nodes if node.name == name)
    now = next(node for node in flash.net.nodes if node.name == name)
    exact = convolve(images["x"], node.terms[0], net.features["x"].zero_point) + node.bias
    return tuple(each.reshape(-1, each.shape[-1]).astype(float) for each in (exact, flash.accumulate(now, images) + now.bias))


def test_an_exact_chip_needs_nothing():
    net, images = small_net()
    flash = placed(LOSSLESS, net)
    done = match_outputs(flash, images)
    assert list(done) == ["to_a", "to_b"]
    assert all((one.gain == 1).all() and not one.offset.any() for one in done.values())
    assert all((new.bias == old.bias).all() and (new.multiplier == old.multiplier).all() for new, old in zip(flash.net.nodes, net.nodes, strict=True))


def test_a_common_gain_is_undone():
    """40 K are 2 % by the law of ratio reading: the first layer's multipliers shrink by as much."""
    net, images = small_net()
    flash = placed(replace(LOSSLESS, errors=Errors(temperature_kelvin=340.0)), net)
    done = match_outputs(flash, images)
    np.testing.assert_allclose(done["to_a"].gain, 1 / 1.02, rtol=6e-3)  # sums are rounded to whole codes
    np.testing.assert_allclose(done["to_a"].gain.mean(), 1 / 1.02, rtol=1.5e-3)


def test_mean_and_spread_are_the_exact_ones():
    """Programming errors and stuck cells: by hand, from the sums of the layer itself."""
    net, images = small_net()
    spec = replace(LOSSLESS, errors=Errors(programming=Programming(), stuck_off=0.02, stuck_on=0.02))
    flash = placed(spec, net, seed=4)
    exact, before = sums(net, flash, "to_a", images)
    gain = match_outputs(flash, images)["to_a"].gain
    _, after = sums(net, flash, "to_a", images)
    spread = exact.std(axis=0)
    assert (np.abs(before.mean(axis=0) - exact.mean(axis=0)) > 0.1 * spread).any()
    assert (np.abs(gain * after.mean(axis=0) - exact.mean(axis=0)) <= 0.5 * gain + 1e-6).all()
    np.testing.assert_allclose(gain * after.std(axis=0), spread, rtol=1e-6)


def test_it_helps_on_images_that_it_has_not_seen():
    net, images = small_net()
    spec = replace(LOSSLESS, errors=Errors(stuck_off=0.05, stuck_on=0.05))
    unseen = {"x": np.random.default_rng(8).permuted(images["x"], axis=0)[:, ::-1].copy()}
    flash = placed(spec, net, seed=1)
    exact = reference.run_many(net, unseen)["b"].astype(float)
    before = error(flash, unseen)
    match_outputs(flash, images)
    flash.reset()
    assert np.square(flash.run_many(unseen)["b"] - exact).mean() < 0.7 * before


def test_a_channel_that_does_not_vary_keeps_its_gain():
    net, images = small_net()
    flash = placed(replace(LOSSLESS, errors=Errors(temperature_kelvin=340.0)), net)
    still = {"x": np.zeros_like(images["x"][:1])}
    done = match_outputs(flash, still)
    assert np.isfinite(done["to_a"].gain).all() and (done["to_a"].gain[np.ptp(sums(net, flash, "to_a", still)[1], axis=0) == 0] == 1).all()


def test_without_layers_on_macros():
    net, images = small_net()
    with pytest.raises(FlashError, match=r"^match: no layer of the network is on macros$"):
        match_outputs(FlashNet(net, {}, LOSSLESS), images)
