"""A model's convolutions and matrix products become macros."""

from __future__ import annotations

from collections.abc import Collection
from copy import deepcopy
from typing import Any

import torch
from torch import nn

from rpa.flash.errors import FlashError
from rpa.flash.mapping import Encoding
from rpa.flash.spec import MacroSpec
from rpa.flash.torch.modules import FlashConv2d, FlashLayer, FlashLinear
from rpa.train.qat.calibrate import SHARES


def convert(model: nn.Module, macro: MacroSpec, *, example: torch.Tensor, weight_bits: int = 4, activation_bits: int = 4,
            encoding: Encoding = Encoding.DIFFERENTIAL, layers: Collection[str] | None = None, seed: int = 0) -> nn.Module:
    """A copy of `model` whose `Conv2d` and `Linear` layers compute on macros; train it with :class:`Progressive`, evaluate it on one chip.

    example: a batch of typical inputs, which the activations' first steps are chosen from; activations that are never negative are
    unsigned. layers: names of modules, else every one that fits (a Conv2d of several groups stays). Raises FlashError for names that are no such
    layer and bits outside 2..8.
    """
    for name, bits in (("weight_bits", weight_bits), ("activation_bits", activation_bits)):
        if not 2 <= bits <= 8:
            raise FlashError(f"convert: `{name}` is {bits}, must be 2..8")
    wanted = _wanted(model, layers)
    seen = _inputs(model, example, wanted)
    result = deepcopy(model)
    for number, name in enumerate(wanted):
        parent, _, child = name.rpartition(".")
        old = result.get_submodule(name)
        new = _macro(old, macro, seen[name], weight_bits, activation_bits, encoding, seed + number)
        setattr(result.get_submodule(parent), child, new.to(new.layer.weight.device))
    return result


def _fits(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1 and module.padding_mode == "zeros"
                                             and not isinstance(module.padding, str))


def _wanted(model: nn.Module, layers: Collection[str] | None) -> list[str]:
    possible = [name for name, module in model.named_modules() if name and _fits(module)]
    if not possible:
        raise FlashError(f"convert: {type(model).__name__} has no Conv2d of one group and no Linear inside")
    for name in layers or ():
        if name not in possible:
            raise FlashError(f"convert: `{name}` is no Conv2d of one group and no Linear; there are {', '.join(possible)}")
    return possible if layers is None else [name for name in possible if name in layers]


@torch.no_grad()
def _inputs(model: nn.Module, example: torch.Tensor, names: Collection[str]) -> dict[str, torch.Tensor]:
    """What comes into each layer."""
    seen: dict[str, torch.Tensor] = {}
    hooks = [model.get_submodule(name).register_forward_pre_hook(lambda _, inputs, name=name: seen.__setitem__(name, inputs[0])) for name in names]
    training = model.training
    model.eval()
    try:
        model(example)
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    missing = [name for name in names if name not in seen]
    if missing:
        raise FlashError(f"convert: the example never reaches {', '.join(missing)}")
    if not all(torch.isfinite(values).all() for values in seen.values()):
        raise FlashError("convert: the example gives values that are not finite")
    return seen


def _macro(old: nn.Module, spec: MacroSpec, seen: torch.Tensor, weight_bits: int, activation_bits: int, encoding: Encoding, seed: int) -> FlashLayer:
    common: dict[str, Any] = {"weight_bits": weight_bits, "activation_bits": activation_bits, "signed": bool((seen < 0).any()),
                              "encoding": encoding, "seed": seed}
    if isinstance(old, nn.Linear):
        new: FlashLayer = FlashLinear(old.weight, old.bias, spec, **common)
    else:
        assert isinstance(old, nn.Conv2d) and not isinstance(old.padding, str)
        sizes = {"stride": old.stride, "padding": old.padding, "dilation": old.dilation}
        new = FlashConv2d(old.weight, old.bias, spec, **sizes, **common)
    _fit(new, seen)
    return new


@torch.no_grad()
def _fit(layer: FlashLayer, values: torch.Tensor) -> None:
    """The activations' step with the least squared error."""
    quantizer = layer.activation
    largest = float(values.abs().max().clamp_min(1e-6))
    best = float("inf")
    for share in SHARES.tolist():
        scale = largest * share / quantizer.high
        error = float((torch.round(values / scale).clamp(quantizer.low, quantizer.high) * scale - values).square().mean())
        if error < best:
            best = error
            quantizer.scale.fill_(scale)
