"""Outputs of layers matched to those of the exact network: one gain and one offset for each output channel, in its requantization.

Whatever errors do to a whole channel, as drift, temperature and wires do, and stuck cells on inputs whose mean is not zero, shows in mean and
spread of its sums over calibration images. Bias and multiplier bring both back: they are digital, are there already, and cost nothing in
operation. It is the adaptation of batch-norm statistics of Joshi et al., Nature Communications 11, 2473 (2020), 10.1038/s41467-020-16108-9,
for networks whose batch norm is folded.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rpa.flash.errors import FlashError
from rpa.flash.network import FlashNet
from rpa.net import reference
from rpa.net.convolve import convolve
from rpa.net.integer import IntNet, Mac, Node

Floats = npt.NDArray[np.float64]
LEAST, MOST = 0.5, 2.0
"""Limits of gains: beyond them a channel is broken, not changed."""
LARGEST_MULTIPLIER = (1 << 31) - 1


@dataclass(frozen=True, kw_only=True)
class Matched:
    """What was set for one layer, per output channel."""

    gain: Floats
    """Factor of the multiplier."""
    offset: npt.NDArray[np.int64]
    """What the bias has more, in units of the accumulator."""


def match_outputs(flash: FlashNet, images: Mapping[str, np.ndarray]) -> dict[str, Matched]:
    """Give every layer on macros the mean and the spread of the exact network's sums on these images; counts and image numbers start anew.

    images: by name of the input, (N, H, W, C) integers. Layers are matched one after the other, each with inputs from layers before it as they are
    matched then. The exact network is that of `flash.net` now: a second call would take the first one's for exact. FlashError.
    """
    if not flash.layers:
        raise FlashError("match: no layer of the network is on macros")
    exact = _statistics(flash.net, set(flash.layers), images)
    found: dict[str, Matched] = {}

    def evaluate(net: IntNet, node: Node, inputs: Mapping[str, np.ndarray]) -> npt.NDArray[np.int64]:
        if not isinstance(node, Mac) or node.name not in exact:
            return reference.evaluate(net, node, inputs)
        total = flash.accumulate(node, inputs)
        found[node.name], matched = _match(node, exact[node.name], _mean_and_spread(node, total))
        flash.set_requantization(node.name, matched.bias, matched.multiplier)
        return reference.requantized(matched, total, net.features[node.output], bias=matched.bias, pre=matched.pre)

    reference.run_many(flash.net, images, evaluator=evaluate, at_once=True)
    flash.reset()
    return found


def _statistics(net: IntNet, names: Collection[str], images: Mapping[str, np.ndarray]) -> dict[str, tuple[Floats, Floats]]:
    """Mean and spread of the exact sums of layers, by name."""
    found: dict[str, tuple[Floats, Floats]] = {}

    def evaluate(net: IntNet, node: Node, inputs: Mapping[str, np.ndarray]) -> npt.NDArray[np.int64]:
        if not isinstance(node, Mac) or node.name not in names:
            return reference.evaluate(net, node, inputs)
        total = np.sum([convolve(inputs[term.input], term, net.features[term.input].zero_point) for term in node.terms], axis=0)
        found[node.name] = _mean_and_spread(node, total)
        return reference.requantized(node, total, net.features[node.output], bias=node.bias, pre=node.pre)

    reference.run_many(net, images, evaluator=evaluate, at_once=True)
    return found


def _mean_and_spread(node: Mac, total: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Of sums (N, P, Q, M) with their bias: (M,) each."""
    flat = total.reshape(-1, total.shape[-1])
    return flat.mean(axis=0) + node.bias, flat.std(axis=0)


def _match(node: Mac, exact: tuple[Floats, Floats], came: tuple[Floats, Floats]) -> tuple[Matched, Mac]:
    """gain * (sum + offset) has the exact mean and spread. Channels that do not vary keep their gain, and so do those without a multiplier."""
    varies = (came[1] > 0) & (exact[1] > 0) & (node.multiplier > 0)
    wished = np.where(varies, np.clip(exact[1] / np.where(varies, came[1], 1), LEAST, MOST), 1.0)
    multiplier = np.minimum(np.rint(node.multiplier * wished), LARGEST_MULTIPLIER).astype(np.int64)
    gain = np.where(varies, multiplier / np.maximum(node.multiplier, 1), 1.0)
    offset = np.rint(exact[0] / gain - came[0]).astype(np.int64)
    return Matched(gain=gain, offset=offset), replace(node, bias=node.bias + offset, multiplier=multiplier)
