"""A layer's product through a chip, in torch: passes, tiles, noise and conversions, as `rpa.flash.network` computes it with integers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from rpa.flash.chip import Chip
from rpa.flash.mapping import Encoding, Mapping, tiles
from rpa.flash.pack import pack
from rpa.flash.patterns import Passes
from rpa.flash.spec import MacroSpec

LINE = 16
"""Columns of the default array."""


@dataclass
class _Part:
    """A tile as tensors on a device."""

    inputs: torch.Tensor
    outputs: slice
    cells: torch.Tensor
    """(rows, bit lines) what a digit of 1 adds to a sum."""
    variance: torch.Tensor | None
    lines: int


class Programmed:
    """Weights (M, K), integers, programmed into a chip of their own; products as its converters give them.

    Static errors of every class are those of `rpa.flash.Chip`, read noise is drawn by torch. log2_lsb: a conversion's step, None for the finest
    power of two with which nothing clips. Converters are without faults of their own.
    """

    def __init__(self, spec: MacroSpec, weights: torch.Tensor, *, weight_bits: int, encoding: Encoding, seed: int = 0,
                 log2_lsb: float | None = None) -> None:
        self.spec, self._device = spec, weights.device
        self.mapping = tiles(weights.detach().round().cpu().numpy().astype(np.int64), cell_bits=spec.cell_bits, rows=spec.rows, cols=spec.cols,
                             line=LINE, encoding=encoding, weight_bits=weight_bits)
        places = pack([(tile.rows, tile.lines) for tile in self.mapping.tiles], rows=spec.rows, lines=spec.cols // LINE)
        chip = Chip(spec, macros=1 + max(place.macro for place in places), seed=seed)
        for tile, place in zip(self.mapping.tiles, places, strict=True):
            for row, cells in enumerate(tile.cells, place.row0):
                chip.program(place.macro, row, place.line0 * LINE, cells)
        self.log2_lsb = self._finest() if log2_lsb is None else log2_lsb
        self._parts = [self._part(chip, tile, place) for tile, place in zip(self.mapping.tiles, places, strict=True)]
        self._generator = torch.Generator(self._device).manual_seed(seed)

    def _part(self, chip: Chip, tile, place) -> _Part:
        here = slice(place.row0, place.row0 + tile.rows), slice(place.line0 * LINE, (place.line0 + tile.lines) * LINE)
        noisy = not (isinstance(self.spec.errors.read_noise, str) and isinstance(self.spec.errors.shot, str))
        cells = chip.effective_cells(place.macro)[here] / float(1 << chip.fraction_bits)
        variance = torch.tensor(chip.variance_cells(place.macro)[here], dtype=torch.float32, device=self._device) if noisy else None
        return _Part(torch.from_numpy(tile.inputs).to(self._device), tile.outputs, torch.tensor(cells, dtype=torch.float32, device=self._device),
                     variance, tile.lines)

    def _finest(self) -> int:
        most = max(int(tile.cells.astype(np.int64).sum(axis=0).max()) for tile in self.mapping.tiles) * self.spec.dac.top
        codes = (1 << self.spec.adc.code_bits) - 1
        return next(log2 for log2 in range(32) if (most + ((1 << log2) >> 1)) >> log2 <= codes)

    def __call__(self, x: torch.Tensor, *, abits: int, signed: bool) -> torch.Tensor:
        """x (..., K) integers -> (..., M) in float32."""
        values, steps = x.round().long(), Passes(abits, self.spec.dac.bits, signed)
        flat = values.reshape(-1, values.shape[-1])
        total = torch.zeros(len(flat), self.mapping.outputs, device=x.device)
        for part in self._parts:
            seen = flat[:, part.inputs]
            for shift, mask, weight in zip(steps.shifts.tolist(), steps.masks.tolist(), steps.weights.tolist(), strict=True):
                codes = self._convert((seen >> shift & mask).float(), part)
                total[:, part.outputs] += float(weight) * self._combine(codes, part)
        return (total * 2.0**self.log2_lsb).reshape(*values.shape[:-1], -1)

    def _convert(self, digits: torch.Tensor, part: _Part) -> torch.Tensor:
        sums = digits @ part.cells
        if part.variance is not None:
            spread = (digits.square() @ part.variance).clamp_min(0).sqrt()
            sums = sums + spread * torch.randn(sums.shape, generator=self._generator, device=sums.device)
        return torch.floor(sums * 2.0**-self.log2_lsb + 0.5).clamp(0, float((1 << self.spec.adc.code_bits) - 1))

    def _combine(self, codes: torch.Tensor, part: _Part) -> torch.Tensor:
        """`Mapping.combine` in torch."""
        made: Mapping = self.mapping
        lines = codes.reshape(len(codes), part.lines, LINE)
        outs = part.outputs.stop - part.outputs.start
        groups = -(-outs // LINE)
        places = 2.0 ** (made.cell_bits * torch.arange(made.slices, device=codes.device))
        parts = torch.einsum("vgksl,s->vgkl", lines[:, :groups * made.group_lines].reshape(len(codes), groups, -1, made.slices, LINE), places)
        total = parts[:, :, 0] - parts[:, :, 1] if made.encoding == Encoding.DIFFERENTIAL else parts[:, :, 0]
        if made.encoding == Encoding.REFERENCE:
            total = total - (lines[:, -1, :made.slices] @ places)[:, None, None]
        return total.reshape(len(codes), -1)[:, :outs]
