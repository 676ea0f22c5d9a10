"""Ranges of converters for layers in torch: the step that does the least harm to what a layer computes, on typical images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from rpa.flash.errors import FlashError
from rpa.flash.torch.modules import FlashLayer

VECTORS = 2000
"""Vectors of a layer that are looked at."""


@dataclass(frozen=True, kw_only=True)
class ChosenRange:
    """What :func:`calibrate` found for one layer."""

    log2_lsb: int
    never_clips: int
    """The finest step with which no sum can clip."""
    error: float
    """Root mean square error of the layer's sums, as part of the root of their mean square."""
    error_never_clipping: float


@torch.no_grad()
def calibrate(model: nn.Module, images: torch.Tensor) -> dict[str, ChosenRange]:
    """Choose and set the conversions' step of every layer on macros, each behind the layers before it as they then are; returns them by name.

    The error is that of the chip in evaluation, so its cells' errors are in it. Raises FlashError where no layer is on macros.
    """
    layers = {name: module for name, module in model.named_modules() if isinstance(module, FlashLayer)}
    if not layers:
        raise FlashError(f"calibrate: {type(model).__name__} has no layer on macros inside; `convert` makes them")
    found: dict[str, ChosenRange] = {}
    hooks = [layer.register_forward_pre_hook(lambda layer, inputs, name=name: found.__setitem__(name, _choose(layer, inputs[0])))
             for name, layer in layers.items()]
    training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        model(images)
    finally:
        for hook in hooks:
            hook.remove()
        for module, was in training.items():
            module.training = was
    return found


def _choose(layer: FlashLayer, x: torch.Tensor) -> ChosenRange:
    vectors = layer.integer_vectors(x).flatten(0, -2)
    vectors = vectors[::max(1, len(vectors) // VECTORS)]
    step = layer.layer.step()
    chip, exact = layer.programmed(step), vectors.double() @ layer.layer.integers(step).flatten(1).double().T
    errors = {}
    for log2_lsb in range(chip.finest + 1):
        chip.log2_lsb = log2_lsb
        got = chip(vectors, abits=layer.activation.bits, signed=layer.activation.low < 0)
        errors[log2_lsb] = float((got - exact).square().mean().sqrt() / exact.square().mean().sqrt().clamp_min(1e-12))
    best = min(errors, key=lambda log2_lsb: (errors[log2_lsb], log2_lsb))
    layer.log2_lsb = best
    return ChosenRange(log2_lsb=best, never_clips=chip.finest, error=errors[best], error_never_clipping=errors[chip.finest])
