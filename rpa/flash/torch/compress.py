"""What compression in the sense circuits, I / (1 + c I), takes from a layer's sums while it trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from rpa.flash.patterns import Passes

Product = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@torch.no_grad()
def lost(product: Product, x: torch.Tensor, lines: Sequence[tuple[int, torch.Tensor]], passes: Passes, *, per_unit: float,
         tiles: int) -> torch.Tensor:
    """By how much sums (N, M, ...) become smaller, in integers; negative where the lines that are subtracted lose more.

    product: of digits and cell codes, as the layer joins them. x: integers, as word lines see them. lines: what a line counts, and its cell codes
    (M, ...). per_unit: c, per digit 1 times cell code 1. tiles: among which a sum is divided; they are taken to have equal parts.
    """
    total: torch.Tensor | None = None
    for shift, mask, weight in zip(passes.shifts.tolist(), passes.masks.tolist(), passes.weights.tolist(), strict=True):
        digits = (x >> shift & mask).float()
        for value, codes in lines:
            current = product(digits, codes) / tiles
            part = value * weight * tiles * current * (1 - 1 / (1 + per_unit * current))
            total = part if total is None else total + part
    assert total is not None
    return total
