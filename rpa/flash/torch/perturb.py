"""Integer weights as cells would hold them: an error drawn for every cell, strictly after quantization."""

from __future__ import annotations

import torch
from torch import nn

from rpa.flash import check
from rpa.flash.errors import FlashError
from rpa.flash.mapping import Encoding
from rpa.flash.spec import MacroSpec
from rpa.flash.torch.statistics import cell_statistics


class Perturb(nn.Module):
    """Adds to integer weights (M, ...) what the errors of their cells amount to, times `strength`; gradients pass unchanged.

    weight_bits: 2..8, weights are -2^(bits-1) .. 2^(bits-1)-1. encoding: DIFFERENTIAL or REFERENCE (whose reference cells are shared by all
    outputs). seed: of the draws; every call draws anew.
    """

    mean: torch.Tensor
    sigma: torch.Tensor
    read_variance: torch.Tensor

    def __init__(self, spec: MacroSpec, *, weight_bits: int, encoding: Encoding = Encoding.DIFFERENTIAL, seed: int = 0) -> None:
        super().__init__()
        check.integer("Perturb", "weight_bits", weight_bits, 2, 8)
        if encoding == Encoding.PLAIN:
            raise FlashError("Perturb: weights have signs, plain cells have none: use the encoding differential or reference")
        self.encoding, self.cell_bits, self.top = encoding, spec.cell_bits, spec.top
        magnitude_bits = weight_bits - 1 if encoding == Encoding.DIFFERENTIAL else weight_bits
        self.slices = -(-max(1, magnitude_bits) // spec.cell_bits)
        self.zero = 1 << weight_bits - 1
        self.strength = 1.0
        found = cell_statistics(spec)
        self.stuck_off, self.stuck_on = found.stuck_off, found.stuck_on
        for name in ("mean", "sigma", "read_variance"):
            self.register_buffer(name, torch.tensor(getattr(found, name), dtype=torch.float32), persistent=False)
        self._seed = seed
        self._generators: dict[torch.device, torch.Generator] = {}

    def forward(self, weights: torch.Tensor) -> torch.Tensor:
        return weights + self.strength * self.errors(weights.detach())

    @torch.no_grad()
    def errors(self, weights: torch.Tensor) -> torch.Tensor:
        """What is wrong with each weight, in weight steps."""
        if self.encoding == Encoding.DIFFERENTIAL:
            return self._cells(weights.clamp_min(0)) - self._cells((-weights).clamp_min(0))
        shared = self._cells(torch.full_like(weights[:1], self.zero))
        return self._cells(weights + self.zero) - shared

    def read_sigma(self, weights: torch.Tensor) -> torch.Tensor:
        """Standard deviation of one read of each weight's cells at full drive, in weight steps."""
        if self.encoding == Encoding.DIFFERENTIAL:
            return (self._variance(weights.clamp_min(0)) + self._variance((-weights).clamp_min(0))).sqrt()
        return (self._variance(weights + self.zero) + self._variance(torch.full_like(weights[:1], self.zero))).sqrt()

    def digits(self, codes: torch.Tensor) -> list[torch.Tensor]:
        """Codes of the cells that make up such integers, lowest place first."""
        # A code above what the cells hold (the -2^(bits-1) of a differential pair) fills them.
        whole = codes.round().long().clamp(0, (1 << self.cell_bits * self.slices) - 1)
        return [whole >> self.cell_bits * place & self.top for place in range(self.slices)]

    def _cells(self, codes: torch.Tensor) -> torch.Tensor:
        """Sum over digits of what each cell is off its code."""
        total = torch.zeros_like(codes)
        for place, digit in enumerate(self.digits(codes)):
            held = self.mean[digit] + self.sigma[digit] * self._normal(codes)
            if self.stuck_off or self.stuck_on:
                drawn = torch.rand(codes.shape, generator=self.generator(codes.device), device=codes.device)
                held = torch.where(drawn < self.stuck_off, 0.0, torch.where(drawn > 1 - self.stuck_on, float(self.top), held))
            total += (held - digit) * float(1 << self.cell_bits * place)
        return total

    def _variance(self, codes: torch.Tensor) -> torch.Tensor:
        return sum((self.read_variance[digit] * float(1 << 2 * self.cell_bits * place) for place, digit in enumerate(self.digits(codes))),
                   start=torch.zeros_like(codes))

    def _normal(self, like: torch.Tensor) -> torch.Tensor:
        return torch.randn(like.shape, generator=self.generator(like.device), device=like.device)

    def generator(self, device: torch.device) -> torch.Generator:
        """The draws on a device, seeded once."""
        if device not in self._generators:
            self._generators[device] = torch.Generator(device).manual_seed(self._seed)
        return self._generators[device]
