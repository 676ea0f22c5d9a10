"""Fake quantization with learned step sizes (Esser et al., LSQ, ICLR 2020; the zero point as in Bhalgat et al., LSQ+, 2020)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

LEAST_SCALE = 1e-8


class FakeQuantize(torch.autograd.Function):
    """x -> (clamp(round(x / scale + zero_point), low, high) - zero_point) * scale, ties to even; gradients to x, scale and zero point.

    The gradient passes the rounding unchanged where nothing was clamped. That of the scale is divided by sqrt(values * largest integer), as LSQ
    proposes; values are those of one image (scale of shape ()) or of one channel (M, 1, ...). A zero point of None is 0.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, scale: torch.Tensor, zero_point: torch.Tensor | None, low: int, high: int) -> torch.Tensor:
        steps = x.float() / scale
        if zero_point is not None:
            steps += zero_point
        rounded = torch.round(steps).clamp_(low, high)
        ctx.save_for_backward(steps, rounded, scale, zero_point)
        ctx.largest = max(high, -low)
        return rounded * scale if zero_point is None else (rounded - zero_point) * scale

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (gradient,) = gradients
        steps, rounded, scale, zero_point = ctx.saved_tensors
        error = rounded - steps
        inside = error.abs() <= 0.5
        to_x = gradient * inside
        others = [axis for axis in range(steps.ndim) if scale.ndim == 0 or scale.shape[axis] == 1]
        values = steps[0].numel() if scale.ndim == 0 else steps.numel() // scale.numel()
        share = 1 / math.sqrt(values * ctx.largest)
        clamped = rounded if zero_point is None else rounded - zero_point
        to_scale = torch.where(inside, error, clamped).mul_(gradient).sum(others).reshape(scale.shape) * share
        to_zero = None
        if zero_point is not None:
            to_zero = ((to_x - gradient) * scale).sum(others).reshape(zero_point.shape) * share
        return to_x, to_scale, to_zero, None, None


class ActivationQuantizer(nn.Module):
    """One scale, and for asymmetric tensors a zero point, for a whole tensor. Values low..high of ``bits``.

    ``kind``: `unsigned` (0 .. 2^bits-1, zero point 0), `symmetric` (-2^(bits-1) .. 2^(bits-1)-1, zero point 0) or `asymmetric` (unsigned values, any
    zero point among them). A ``fixed`` scale is not learned.
    """

    def __init__(self, bits: int, kind: str, fixed: float | None = None) -> None:
        super().__init__()
        self.bits, self.kind = bits, kind
        self.low: int = -(2 ** (bits - 1)) if kind == "symmetric" else 0
        self.high: int = self.low + 2**bits - 1
        self.scale = nn.Parameter(torch.tensor(fixed or 1.0), requires_grad=fixed is None)
        self.zero = nn.Parameter(torch.tensor(0.0), requires_grad=kind == "asymmetric")
        self.enabled = True

    def step(self) -> torch.Tensor:
        """The scale, positive."""
        return self.scale.abs().clamp_min(LEAST_SCALE)

    def zero_point(self) -> torch.Tensor:
        """The zero point, an integer within low..high; its gradient is that of the parameter."""
        rounded = self.zero.round().clamp(self.low, self.high)
        return self.zero + (rounded - self.zero).detach()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.enabled:
            return x
        return FakeQuantize.apply(x, self.step(), self.zero_point() if self.kind == "asymmetric" else None, self.low, self.high)


class Layer(nn.Module):
    """Weights and bias of a convolution or a matrix product, with one scale an output channel; symmetric, -2^(bits-1) .. 2^(bits-1)-1."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, bits: int) -> None:
        super().__init__()
        self.bits = bits
        self.low: int = -(2 ** (bits - 1))
        self.high: int = -self.low - 1
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)
        self.scale = nn.Parameter(torch.ones(len(weight)))
        self.enabled = True
        self.errors: nn.Module | None = None
        """While training: from the integers that weights are rounded to, to those that a memory with errors gives back."""

    def step(self) -> torch.Tensor:
        """Scales (M,), positive."""
        return self.scale.abs().clamp_min(LEAST_SCALE)

    def quantized(self, step: torch.Tensor) -> torch.Tensor:
        """The weights as multiples of ``step`` (M,)."""
        if not self.enabled:
            return self.weight
        shape = (-1, *[1] * (self.weight.ndim - 1))
        rounded = FakeQuantize.apply(self.weight, step.reshape(shape), None, self.low, self.high)
        if self.errors is None or not self.training:
            return rounded
        integers = torch.round(rounded.detach() / step.detach().reshape(shape))
        return rounded + (self.errors(integers) - integers) * step.detach().reshape(shape)

    def rounded_bias(self, unit: torch.Tensor) -> torch.Tensor:
        """The bias as multiples of the accumulator's ``unit`` (M,): at a few bits that is no small rounding. Its gradient is that of the bias."""
        if not self.enabled:
            return self.bias
        return self.bias + (torch.round(self.bias / unit) * unit - self.bias).detach()

    def integers(self, step: torch.Tensor) -> torch.Tensor:
        """int8, what `quantized` is ``step`` times of."""
        shape = (-1, *[1] * (self.weight.ndim - 1))
        return torch.round(self.weight.detach() / step.detach().reshape(shape)).clamp(self.low, self.high).to(torch.int8)
