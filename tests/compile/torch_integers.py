"""Integer networks by torch: convolutions and pools are torch's in float64, exact below 2^53, the rest is on its int64.

Nothing of `rpa.net.reference` is in it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from rpa.net.integer import Concat, IntNet, Lookup, Mac, MaxPool, Product

EXACT = 1 << 53


def run(net: IntNet, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every feature as int64 (H, W, C), for inputs (H, W, C); rounding half to even alone."""
    known = {name: torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)[None])).to(torch.int64) for name, values in inputs.items()}
    for node in net.nodes:
        known[node.output] = _evaluate(net, node, known)
    return {name: values[0].numpy().transpose(1, 2, 0) for name, values in known.items()}


def _evaluate(net: IntNet, node, known: dict[str, torch.Tensor]) -> torch.Tensor:
    output = net.features[node.output]
    if isinstance(node, Mac):
        total = sum(_products(known[term.input], term, net.features[term.input].zero_point) for term in node.terms)
        return _rounded(total + _channels(node.bias), _channels(node.multiplier), _channels(node.shift), node, output, node.pre)
    if isinstance(node, Product):
        a, b = (known[name] - net.features[name].zero_point for name in node.inputs)
        return _rounded(a * b, torch.tensor(int(node.multiplier)), torch.tensor(int(node.shift)), node, output, 0)
    if isinstance(node, MaxPool):
        return functional.max_pool2d(_padded(known[node.input], node.pads, -float("inf")), node.kernel, node.stride).to(torch.int64)
    if isinstance(node, Lookup):
        return torch.from_numpy(np.asarray(node.table, np.int64))[known[node.input] - net.features[node.input].low]
    assert isinstance(node, Concat)
    return torch.cat([known[name] for name in node.inputs], 1)


def _channels(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(values, np.int64).reshape(-1, 1, 1))


def _padded(x: torch.Tensor, pads: tuple[int, ...], value: float) -> torch.Tensor:
    top, left, bottom, right = pads
    return functional.pad(x.to(torch.float64), (left, right, top, bottom), value=value)


def _products(x: torch.Tensor, term, zero_point: int) -> torch.Tensor:
    """Sums of products; what stands around the image is a real 0."""
    weight = torch.from_numpy(np.ascontiguousarray(np.asarray(term.weight, np.float64).transpose(0, 3, 1, 2)))
    image = _padded(x, term.pads, zero_point)
    assert weight.abs().flatten(1).sum(1).max() * image.abs().max() < EXACT
    return functional.conv2d(image, weight, stride=term.stride, dilation=term.dilation, groups=term.groups).to(torch.int64)


def _rounded(total: torch.Tensor, multiplier: torch.Tensor, shift: torch.Tensor, node, output, pre: int) -> torch.Tensor:
    """48-bit accumulators as the output's integers."""
    assert node.rounding == "half_even" and total.abs().max() < 1 << 47 and 1 <= int(shift.min()) <= int(shift.max()) <= 62
    if pre:
        total = (total + (1 << pre - 1)) >> pre
    product = total.clamp(-(1 << 31), (1 << 31) - 1) * multiplier
    floor = product >> shift
    twice = 2 * (product - (floor << shift)) - (torch.ones_like(shift) << shift)       # distance from the middle
    up = (twice > 0) | ((twice == 0) & (floor % 2 != 0))
    return (floor + up + output.zero_point).clamp(output.low, output.high)
