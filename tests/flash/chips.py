"""Chips for tests: one class of errors on at a time, cells programmed to what a test needs."""

from dataclasses import replace

import numpy as np

from rpa.flash.chip import Chip
from rpa.flash.spec import Errors, MacroSpec


def chip_of(cells: np.ndarray, errors: Errors | None = None, *, seed: int = 1, **fields) -> Chip:
    """A chip of one macro (or as many as `cells` (macros, rows, cols) has) that was told `cells`."""
    cells = np.asarray(cells, np.uint8)
    cells = cells if cells.ndim == 3 else cells[None]
    spec = replace(MacroSpec(rows=cells.shape[1], cols=cells.shape[2]), errors=errors or Errors(), **fields)
    chip = Chip(spec, macros=len(cells), seed=seed)
    for macro, rows in enumerate(cells):
        for row, codes in enumerate(rows):
            chip.program(macro, row, 0, codes)
    return chip


def codes_of(chip: Chip) -> np.ndarray:
    """What cells of macro 0 are, in cell codes, as effective cells say it."""
    return chip.effective_cells(0) / (1 << chip.fraction_bits)


def flat(code: int, rows: int = 200, cols: int = 200) -> np.ndarray:
    return np.full((rows, cols), code, np.uint8)
