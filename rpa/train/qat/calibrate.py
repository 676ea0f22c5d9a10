"""First scales: those with the least squared error on a few images, and on the weights."""

from __future__ import annotations

import torch

from rpa.train.qat.fake import ActivationQuantizer, Layer
from rpa.train.qat.network import QatNetwork
from rpa.train.settings import TrainingError

SHARES = torch.linspace(0.1, 1.0, 46)
"""Clipping thresholds that are tried, as shares of the largest magnitude."""
SAMPLES = 200_000
"""Values of a tensor that are looked at."""


@torch.no_grad()
def calibrate(network: QatNetwork, images: torch.Tensor) -> None:
    """Set every scale and zero point that is learned. Raises TrainingError if there are no images."""
    if not len(images):
        raise TrainingError("calibration needs at least one image")
    network.eval()
    with network.in_float():
        values = network.tensors(images)
    for name in network.plan.points:
        quantizer = network.point(name)
        if quantizer.scale.requires_grad:
            _fit(quantizer, _sample(values[name]))
    for name in network.net.weights:
        fit_weights(network.layer(name))


def _sample(values: torch.Tensor) -> torch.Tensor:
    flat = values.flatten()
    return flat[::max(1, len(flat) // SAMPLES)]


def _fit(quantizer: ActivationQuantizer, values: torch.Tensor) -> None:
    least, most = float(values.min().clamp_max(0)), float(values.max().clamp_min(0))
    if quantizer.kind == "symmetric":
        span, levels = max(-least, most), float(quantizer.high)
    else:
        span, levels = most - min(least, 0.0), float(quantizer.high)
    best = torch.inf
    for share in SHARES.tolist():
        scale = torch.tensor(max(span * share / levels, 1e-6))
        zero = torch.round(-least * share / scale).clamp(quantizer.low, quantizer.high) if quantizer.kind == "asymmetric" else torch.zeros(())
        rounded = torch.round(values / scale + zero).clamp_(quantizer.low, quantizer.high)
        error = float(((rounded - zero) * scale - values).square().mean())
        if error < best:
            best = error
            quantizer.scale.fill_(scale)
            quantizer.zero.fill_(zero)


def fit_weights(layer: Layer) -> None:
    """Per channel. A channel of zeros gets the scale 1e-6."""
    flat = layer.weight.flatten(1)
    largest = flat.abs().amax(1).clamp_min(1e-6 * layer.high)
    best = torch.full_like(largest, torch.inf)
    for share in SHARES.tolist():
        scale = largest * share / layer.high
        rounded = torch.round(flat / scale[:, None]).clamp_(layer.low, layer.high)
        error = (rounded * scale[:, None] - flat).square().sum(1)
        better = error < best
        layer.scale.copy_(torch.where(better, scale, layer.scale))
        best = torch.where(better, error, best)
