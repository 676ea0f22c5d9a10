"""A model's convolutions and matrix products become macros."""

from __future__ import annotations

from collections.abc import Collection
from copy import deepcopy
from typing import Any

import torch
from torch import nn

from rpa.flash import check
from rpa.flash.errors import FlashError
from rpa.flash.mapping import Encoding
from rpa.flash.spec import MacroSpec
from rpa.flash.torch.modules import FlashConv2d, FlashLayer, FlashLinear


def convert(model: nn.Module, macro: MacroSpec, *, example: torch.Tensor | None = None, weight_bits: int = 4, activation_bits: int = 4,
            encoding: Encoding = Encoding.DIFFERENTIAL, layers: Collection[str] | None = None, seed: int = 0) -> nn.Module:
    """A copy of `model` whose `Conv2d` and `Linear` layers compute on macros; train it with :class:`Progressive`, evaluate it on one chip.

    example: a batch of typical inputs, which the activations' first steps are chosen from; activations that are never negative are
    unsigned. None: each layer takes the first batch that reaches it. layers: names of modules, else every one that fits: a Conv2d of several groups,
    with padding of other values than 0 or more on one side than on the other stays. Raises FlashError for names that are no such layer, bits outside
    2..8, and weights and examples that are not finite.
    """
    _check(model, macro, weight_bits, activation_bits, encoding, seed)
    wanted = _wanted(model, layers)
    result = deepcopy(model)
    for number, name in enumerate(wanted):
        old = result.get_submodule(name)
        new = _macro(name, old, macro, weight_bits, activation_bits, encoding, seed + number)
        new.to(new.layer.weight.device).train(old.training)
        if not name:
            result = new
        else:
            parent, _, child = name.rpartition(".")
            setattr(result.get_submodule(parent), child, new)
    if example is not None:
        for name, values in _inputs(model, example, wanted).items():
            layer = result.get_submodule(name)
            assert isinstance(layer, FlashLayer)
            layer.fit(values)
    return result


def _check(model: nn.Module, macro: MacroSpec, weight_bits: int, activation_bits: int, encoding: Encoding, seed: int) -> None:
    check.instance("convert", "model", model, nn.Module, or_ideal=False)
    check.instance("convert", "macro", macro, MacroSpec, or_ideal=False)
    for name, bits in (("weight_bits", weight_bits), ("activation_bits", activation_bits)):
        check.integer("convert", name, bits, 2, 8)
    check.instance("convert", "encoding", encoding, Encoding, or_ideal=False)
    check.integer("convert", "seed", seed, 0, (1 << 63) - 1)


def _padding(conv: nn.Conv2d) -> tuple[int, ...] | None:
    """Zeros on either side of height and width; None where the sides differ, or what is put there is not 0."""
    if conv.padding_mode != "zeros":
        return None
    if not isinstance(conv.padding, str):
        return conv.padding
    if conv.padding == "valid":
        return (0, 0)
    both = [space * (length - 1) for space, length in zip(conv.dilation, conv.kernel_size, strict=True)]
    return None if any(each % 2 for each in both) else tuple(each // 2 for each in both)


def _fits(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1 and _padding(module) is not None)


def _wanted(model: nn.Module, layers: Collection[str] | None) -> list[str]:
    possible = [name for name, module in model.named_modules() if _fits(module)]
    if not possible:
        raise FlashError(f"convert: {type(model).__name__} has no Conv2d of one group and no Linear inside")
    for name in layers or ():
        if name not in possible:
            raise FlashError(f"convert: `{name}` is no Conv2d of one group and no Linear; there are {', '.join(possible)}")
    return possible if layers is None else [name for name in possible if name in layers]


@torch.no_grad()
def _inputs(model: nn.Module, example: torch.Tensor, names: Collection[str]) -> dict[str, torch.Tensor]:
    """What comes into each layer."""
    check.instance("convert", "example", example, torch.Tensor, or_ideal=False)
    seen: dict[str, torch.Tensor] = {}
    hooks = [model.get_submodule(name).register_forward_pre_hook(lambda _, inputs, name=name: seen.__setitem__(name, inputs[0])) for name in names]
    training = model.training
    model.eval()
    try:
        model(example)
    except RuntimeError as error:
        raise FlashError(f"convert: the model does not take the example, {example.dtype} {tuple(example.shape)}: {error}") from None
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    missing = [name for name in names if name not in seen]
    if missing:
        raise FlashError(f"convert: the example never reaches {', '.join(missing)}")
    return seen


def _macro(name: str, old: nn.Module, spec: MacroSpec, weight_bits: int, activation_bits: int, encoding: Encoding, seed: int) -> FlashLayer:
    common: dict[str, Any] = {"weight_bits": weight_bits, "activation_bits": activation_bits, "encoding": encoding, "seed": seed}
    assert isinstance(old, (nn.Linear, nn.Conv2d))
    wrong = int((~torch.isfinite(old.weight)).sum())
    if wrong:
        raise FlashError(f"convert: `{name or type(old).__name__}` has {wrong} of {old.weight.numel()} weights that are not finite numbers")
    if isinstance(old, nn.Linear):
        return FlashLinear(old.weight, old.bias, spec, **common)
    padding = _padding(old)
    assert padding is not None
    return FlashConv2d(old.weight, old.bias, spec, stride=old.stride, padding=padding, dilation=old.dilation, **common)
