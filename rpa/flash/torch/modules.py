"""Layers that compute on macros: in training with errors drawn anew for every batch, in evaluation through one chip."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from rpa.flash.errors import FlashError
from rpa.flash.mapping import Encoding
from rpa.flash.patterns import Passes
from rpa.flash.spec import MacroSpec
from rpa.flash.torch.compress import lost
from rpa.flash.torch.operate import Programmed
from rpa.flash.torch.perturb import Perturb
from rpa.train.qat.calibrate import SHARES, fit_weights
from rpa.train.qat.fake import ActivationQuantizer, Layer


class FlashLayer(nn.Module):
    """What convolution and matrix product share. Weights and activations are quantized with learned steps (straight-through), then errors are added.

    In training: every cell's error is drawn anew for each batch, sense circuits compress currents, reads are noisy, and conversions add their
    rounding as noise; wires, traps, unequal digits and faults of converters are left to evaluation. In evaluation: the weights as they are now,
    programmed into one chip (`chip_seed`), and its conversions. The first batch gives the activations' first step, and whether they have signs,
    unless :meth:`fit` has been called.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, spec: MacroSpec, *, weight_bits: int, activation_bits: int,
                 encoding: Encoding, seed: int) -> None:
        super().__init__()
        self.spec, self.encoding, self.chip_seed = spec, encoding, seed
        self.activation, self.fitted = ActivationQuantizer(activation_bits, "unsigned"), False
        self.layer = Layer(weight.detach().clone(), torch.zeros(len(weight)) if bias is None else bias.detach().clone(), weight_bits)
        with torch.no_grad():
            fit_weights(self.layer)
        self.perturb = Perturb(spec, weight_bits=weight_bits, encoding=encoding, seed=seed)
        self.log2_lsb: float | None = None
        """Step of conversions as a power of two of (digit 1 times cell code 1), as :func:`rpa.flash.torch.calibrate` sets it; None: nothing clips."""
        self._programmed: tuple[tuple[int, ...], Programmed] | None = None

    @torch.no_grad()
    def fit(self, values: torch.Tensor) -> None:
        """Activations like these: the step with the least squared error, unsigned where none of them is negative."""
        _finite("an input", values)
        self._set_signed(bool((values < 0).any()))
        quantizer = self.activation
        largest, best = float(values.abs().max().clamp_min(1e-6)), float("inf")
        for share in SHARES.tolist():
            scale = largest * share / quantizer.high
            error = float((torch.round(values / scale).clamp(quantizer.low, quantizer.high) * scale - values).square().mean())
            if error < best:
                best = error
                quantizer.scale.fill_(scale)
        self.fitted = True

    def _set_signed(self, signed: bool) -> None:
        bits = self.activation.bits
        self.activation.kind, self.activation.low = ("symmetric", -(1 << bits - 1)) if signed else ("unsigned", 0)
        self.activation.high = self.activation.low + (1 << bits) - 1

    def get_extra_state(self) -> dict[str, Any]:
        """What belongs to a state beside parameters."""
        return {"fitted": self.fitted, "signed": self.activation.low < 0, "log2_lsb": self.log2_lsb}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.fitted, self.log2_lsb = state["fitted"], state["log2_lsb"]
        self._set_signed(state["signed"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self._look_at(x)
        quantized, step = self.activation(x), self.layer.step()
        if self.training:
            return self._noisy(quantized, self.layer.quantized(step), step)
        return self._exact(quantized, step)

    def _noisy(self, x: torch.Tensor, weight: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        shape = (-1, *[1] * (weight.ndim - 1))
        steps = step.detach().reshape(shape)
        integers, unit = weight.detach() / steps, self.activation.step()
        wrong = self.perturb.strength * self.perturb.errors(integers)
        out = self.product(x, weight + wrong * steps, self.layer.rounded_bias(unit * step))
        noise = self._read_and_convert(x.detach(), integers, steps, out)
        if self.spec.compression:
            noise = noise - self._compressed(x.detach(), integers) * (unit * step).detach().reshape(self.channels(out))
        return out + self.perturb.strength * noise

    @torch.no_grad()
    def _compressed(self, x: torch.Tensor, integers: torch.Tensor) -> torch.Tensor:
        """What compression takes from the sums of weights (M, ...)."""
        if self.encoding == Encoding.DIFFERENTIAL:
            added, taken = integers.clamp_min(0), (-integers).clamp_min(0)
        else:
            added, taken = integers + self.perturb.zero, torch.full_like(integers, self.perturb.zero)
        lines = [(sign << self.perturb.cell_bits * place, codes.float())
                 for sign, cells in ((1, added), (-1, taken)) for place, codes in enumerate(self.perturb.digits(cells))]
        passes = Passes(self.activation.bits, self.spec.dac.bits, self.activation.low < 0)
        return lost(lambda digits, codes: self.product(digits, codes, None), torch.round(x / self.activation.step()).long(), lines, passes,
                    per_unit=self.spec.compression, tiles=self._tiles())

    @torch.no_grad()
    def _read_and_convert(self, x: torch.Tensor, integers: torch.Tensor, steps: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        """Noise of reads, whose variances add up over cells and passes, and of rounding in converters, uniform in a step."""
        unit = self.activation.step().detach()
        bits = self.activation.bits
        # A bit is set in about half of the passes, so the squares of its weights, 4^p, add up to about a third of x^2.
        variance = self.product((x / unit).square() / 3, self.perturb.read_sigma(integers).square(), None)
        converters = sum(4.0**p for p in range(0, bits, self.spec.dac.bits)) * self._columns() * 4.0**self._log2_lsb(integers) / 12
        spread = (variance.clamp_min(0) + converters).sqrt() * (unit * steps.reshape(self.channels(out)))
        return spread * torch.randn(out.shape, generator=self.perturb.generator(out.device), device=out.device)

    def _columns(self) -> float:
        """Conversions of an output, each by the square of its digit's place, in all tiles of its inputs."""
        places = sum(16.0 ** (self.perturb.cell_bits * place / 2) for place in range(self.perturb.slices))
        return 2 * places * self._tiles()

    def _tiles(self) -> int:
        """Tiles that the inputs of an output take."""
        return -(-self.layer.weight[0].numel() // self.spec.rows)

    def _log2_lsb(self, integers: torch.Tensor) -> float:
        """The step of a conversion: as set, or about the finest with which no sum of a bit line clips."""
        if self.log2_lsb is not None:
            return self.log2_lsb
        rows = min(self.spec.rows, integers[0].numel())
        largest = float(integers.abs().mean()) * rows * self.spec.dac.top + 1
        return max(0.0, torch.tensor(largest).log2().ceil().item() - self.spec.adc.code_bits)

    @torch.no_grad()
    def integer_vectors(self, x: torch.Tensor) -> torch.Tensor:
        """(..., K) integers that word lines see for an input of the layer."""
        self._look_at(x)
        return self.vectors(torch.round(self.activation(x) / self.activation.step()))

    def _look_at(self, x: torch.Tensor) -> None:
        if not self.training:
            _finite("an input", x)
        if not self.fitted:
            self.fit(x.detach())

    @torch.no_grad()
    def _exact(self, x: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        unit = self.activation.step()
        sums = self.programmed(step)(self.vectors(torch.round(x / unit)), abits=self.activation.bits, signed=self.activation.low < 0)
        return self.folded(sums * unit * step + self.layer.rounded_bias(unit * step), x)

    def programmed(self, step: torch.Tensor) -> Programmed:
        """The chip with the weights as they are now, in steps (M,); its conversions as `log2_lsb` says."""
        version = (self.layer.weight._version, self.layer.scale._version, self.chip_seed)
        if self._programmed is None or self._programmed[0] != version:
            _finite("the weights", self.layer.weight)
            self._programmed = version, Programmed(self.spec, self.layer.integers(step).flatten(1), weight_bits=self.layer.bits,
                                                   encoding=self.encoding, seed=self.chip_seed)
        found = self._programmed[1]
        found.log2_lsb = found.finest if self.log2_lsb is None else self.log2_lsb
        return found

    def product(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """The layer's product in real numbers."""
        raise NotImplementedError

    def vectors(self, x: torch.Tensor) -> torch.Tensor:
        """Activations as (..., K), what word lines see."""
        raise NotImplementedError

    def folded(self, sums: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """(..., M) as the layer's output."""
        raise NotImplementedError

    @staticmethod
    def channels(out: torch.Tensor) -> tuple[int, ...]:
        """Shape in which one number per channel meets the output."""
        return (1, -1, *[1] * (out.ndim - 2))


class FlashLinear(FlashLayer):
    """`torch.nn.Linear` on macros."""

    def product(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        return F.linear(x, weight, bias)

    def vectors(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def folded(self, sums: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return sums


class FlashConv2d(FlashLayer):
    """`torch.nn.Conv2d` on macros; one group."""

    def __init__(self, *args: Any, stride: tuple[int, ...], padding: tuple[int, ...], dilation: tuple[int, ...], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stride, self.padding, self.dilation = stride, padding, dilation

    def product(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        return F.conv2d(x, weight, bias, self.stride, self.padding, self.dilation)

    def vectors(self, x: torch.Tensor) -> torch.Tensor:
        kernel = tuple(self.layer.weight.shape[2:])
        return F.unfold(x, kernel, self.dilation, self.padding, self.stride).transpose(1, 2)

    def folded(self, sums: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        sizes = [(length + 2 * pad - space * (kernel - 1) - 1) // stride + 1 for length, pad, space, kernel, stride in
                 zip(x.shape[2:], self.padding, self.dilation, self.layer.weight.shape[2:], self.stride, strict=True)]
        return sums.transpose(1, 2).reshape(len(x), -1, *sizes)


def _finite(what: str, values: torch.Tensor) -> None:
    if not torch.isfinite(values).all():
        raise FlashError(f"{what} of a layer on macros has {int((~torch.isfinite(values)).sum())} of {values.numel()} values that are not finite "
                         "numbers: cells and digits have no code for them")
