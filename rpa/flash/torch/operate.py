"""A layer's product through a chip, in torch: passes, tiles, noise and conversions, as `rpa.flash.network` computes it with integers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from rpa.flash.chip import Chip
from rpa.flash.mapping import Encoding, Mapping, Tile, tiles
from rpa.flash.pack import Position, pack
from rpa.flash.patterns import Passes
from rpa.flash.spec import MacroSpec
from rpa.flash.static import FRACTION_BITS, variance_bits

LINE = 16
"""Columns of the default array."""


@dataclass
class _Part:
    """A tile as tensors on a device."""

    inputs: torch.Tensor
    outputs: slice
    macro: int
    rows: slice
    columns: slice
    levels: torch.Tensor
    """(digits, rows, bit lines) what each digit adds to a sum; only that of 1 where the others are its multiples."""
    variance: torch.Tensor | None
    """(digits 1..top, rows, bit lines)."""
    lines: int


class Programmed:
    """Weights (M, K), integers, programmed into a chip of their own; products as its converters give them.

    Every error class is that of `rpa.flash.Chip`: all but noise of reads and exact wires of gate-driven arrays in torch, on the weights' device. That
    noise is drawn by torch; where wires are exact, the chip itself is asked. Traps keep the states of the first operations. log2_lsb: a
    conversion's step, None for the finest power of two with which nothing clips.
    """

    def __init__(self, spec: MacroSpec, weights: torch.Tensor, *, weight_bits: int, encoding: Encoding, seed: int = 0,
                 log2_lsb: float | None = None) -> None:
        self.spec, self._device = spec, weights.device
        self.mapping = tiles(weights.detach().round().cpu().numpy().astype(np.int64), cell_bits=spec.cell_bits, rows=spec.rows, cols=spec.cols,
                             line=LINE, encoding=encoding, weight_bits=weight_bits)
        places = pack([(tile.rows, tile.lines) for tile in self.mapping.tiles], rows=spec.rows, lines=spec.cols // LINE)
        self.chip = Chip(spec, macros=1 + max(place.macro for place in places), seed=seed)
        for tile, place in zip(self.mapping.tiles, places, strict=True):
            for row, cells in enumerate(tile.cells, place.row0):
                self.chip.program(place.macro, row, place.line0 * LINE, cells)
        self.log2_lsb = self.finest if log2_lsb is None else log2_lsb
        self._parts = [self._part(tile, place) for tile, place in zip(self.mapping.tiles, places, strict=True)]
        self._generator = torch.Generator(self._device).manual_seed(seed)
        self._tables: dict[tuple[int, float], torch.Tensor] = {}

    def _part(self, tile: Tile, place: Position) -> _Part:
        static = self.chip.static(place.macro)
        rows, columns = slice(place.row0, place.row0 + tile.rows), slice(place.line0 * LINE, (place.line0 + tile.lines) * LINE)
        levels = static.levels[:1 if static.linear else None, rows, columns] / float(1 << FRACTION_BITS)
        variance = None if static.variance is None else static.variance[:, rows, columns] / float(1 << variance_bits(self.spec))
        return _Part(torch.from_numpy(tile.inputs).to(self._device), tile.outputs, place.macro, rows, columns, self._tensor(levels),
                     None if variance is None else self._tensor(variance), tile.lines)

    def _tensor(self, values: npt.ArrayLike) -> torch.Tensor:
        return torch.tensor(np.asarray(values), dtype=torch.float32, device=self._device)

    @property
    def finest(self) -> int:
        """log2_lsb of the finest step with which no sum of exact cells clips."""
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
        if self.spec.ladder:
            return self._asked(digits, part)
        sums = _product(digits, part.levels)
        if part.variance is not None:
            spread = _product(digits, part.variance).clamp_min(0).sqrt()
            sums = sums + spread * torch.randn(sums.shape, generator=self._generator, device=sums.device)
        sums = sums / (1 + self.spec.compression * sums)
        limits = self._table(-1, lambda: self.chip.limits(np.arange(self.spec.rows + 1), self.log2_lsb))[digits.count_nonzero(1)][:, None]
        if self.spec.adc.is_ideal:
            return torch.floor(sums * 2.0**-self.log2_lsb + 0.5).clamp_min(0).minimum(limits)
        return self._searched(sums, limits, part)

    def _searched(self, sums: torch.Tensor, limits: torch.Tensor, part: _Part) -> torch.Tensor:
        """`rpa.flash.converters.search` in torch."""
        thresholds = self._table(part.macro, lambda: self._thresholds(part.macro))[:, part.columns]
        codes, limits = torch.zeros(sums.shape, dtype=torch.long, device=sums.device), limits.long()
        for bit in reversed(range(self.spec.adc.code_bits)):
            trial = codes | 1 << bit
            codes = torch.where((sums >= thresholds.gather(0, trial)) & (limits >> bit > 0), trial, codes)
        return codes.minimum(limits).float()

    def _thresholds(self, macro: int) -> npt.NDArray[np.float64]:
        """(codes, bit lines of the macro) least sum of each code."""
        found = self.chip.thresholds(macro, self.log2_lsb)
        assert found is not None, "only converters that are not ideal are searched"
        return found[np.arange(self.spec.cols) % len(found)].T / float(1 << FRACTION_BITS)

    def _table(self, macro: int, made: Callable[[], npt.ArrayLike]) -> torch.Tensor:
        """What belongs to a macro (-1: to all) at this step."""
        key = macro, self.log2_lsb
        if key not in self._tables:
            self._tables[key] = self._tensor(made())
        return self._tables[key]

    def _asked(self, digits: torch.Tensor, part: _Part) -> torch.Tensor:
        """Codes from the chip, by exact currents."""
        driven = np.zeros((len(digits), self.spec.rows), np.uint8)
        driven[:, part.rows] = digits.cpu().numpy()
        limits = self.chip.limits(np.count_nonzero(driven, axis=1), self.log2_lsb)
        return self._tensor(self.chip.convert(part.macro, driven, part.columns, self.log2_lsb, limits))

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


def _product(digits: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
    """(vectors, bit lines) sums of what cells have at each row's digit; `levels` for the digit 1 alone are multiplied."""
    if len(levels) == 1:
        return digits @ levels[0]
    return sum(((digits == digit).float() @ of_digit for digit, of_digit in enumerate(levels, 1)), start=torch.zeros((), device=digits.device))
