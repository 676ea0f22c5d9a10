"""`make demo`: prints a table and writes pictures to build/demo/."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from rpa.arch.config import ArrayConfig
from rpa.demo import pictures
from rpa.demo.filters import INDEX, weights
from rpa.demo.layer import Measured, assemble, measure, rtl_difference
from rpa.demo.photo import PLANES, photograph, planes
from rpa.demo.quantize import quantize_layer
from rpa.report.golden import convolve
from rpa.report.tables import Row, print_rows, to_csv

WIDTHS = ((16, 16), (8, 8), (4, 4), (2, 2), (16, 4), (8, 4), (8, 2))
"""(act_bits, weight_bits)."""
TILE = {"passes": 4, "width": 40}
"""Tiles of 64 x 40 pixels fill the banks of 16 x 16 PEs at 16 bits."""
RTL_PRESET = "small"
RTL_TILE = {"passes": 2, "width": 16}
RTL_CORNER = (60, 40)
"""Upper left pixel of the tile that also runs in RTL: at the eye."""
RTL_FILTERS = slice(INDEX["sharpen red"], INDEX["sharpen red"] + 4)


def main() -> int:
    """Run the demo; exit code 1 if any result is not what NumPy says, or RTL and emulator differ."""
    options = _options()
    folder = Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    photo = photograph()
    act, weight = planes(photo), weights()
    reference = convolve(act, weight)[1:-1, 1:-1]
    config = ArrayConfig.preset("default")
    print(f"A photograph of {photo.shape[1]} x {photo.shape[0]} pixels through {len(weight)} filters of 3x3 on {config.rows} x {config.cols} PEs, "
          f"tile by tile, memory to memory.\n{PLANES} input planes are multiplied; three carry the photograph.", flush=True)
    measured = [measure(assemble(config, *widths, planes=PLANES, **TILE), act, weight, reference) for widths in WIDTHS]
    differences = {row.label: _rtl(row, act, weight) for row in measured} if options.rtl else {}
    rows = [_row(row, measured[0], differences) for row in measured]
    print_rows(rows)
    (folder / "table.csv").write_text(to_csv(rows))
    _draw(measured, photo, folder)
    print(f"Pictures are in {folder}/ ({time.monotonic() - start:.0f} s in all).")
    for label, difference in differences.items():
        if difference is not None:
            print(f"error: {label} in RTL: {difference}", file=sys.stderr)
    return int(any(row.wrong for row in measured) or any(differences.values()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m rpa.demo", description=__doc__)
    parser.add_argument("-o", "--output", default="build/demo", help="folder for the table and the pictures (default: %(default)s)")
    parser.add_argument("--no-rtl", dest="rtl", action="store_false", help="leave out the tile in RTL")
    return parser.parse_args()


def _rtl(row: Measured, act: np.ndarray, weight: np.ndarray) -> str | None:
    """Compare one tile and four filters on both emulators and in RTL, on a machine of 4 x 4 PEs, whose simulator is soon built."""
    _progress(f"{row.label} in RTL, every cycle compared ...")
    program = assemble(ArrayConfig.preset(RTL_PRESET), row.act_bits, row.weight_bits, planes=PLANES, **RTL_TILE)
    difference = rtl_difference(program, quantize_layer(act, weight[RTL_FILTERS], program), RTL_CORNER)
    _progress("")
    return difference


def _progress(text: str) -> None:
    """Show what is going on in one line, if somebody is watching."""
    if sys.stderr.isatty():
        print(f"\r{text:60}\r", end="", file=sys.stderr, flush=True)


def _row(row: Measured, base: Measured, differences: dict[str, str | None]) -> Row:
    return {"weights_activations": row.label, "cycles": row.cycles, "utilisation_percent": round(100 * row.utilisation, 1),
            "speedup": round(base.cycles / row.cycles, 2), "bank_accesses_words": row.bank_accesses, "external_bytes": row.external_bytes,
            "relative_error_percent": float(f"{100 * row.relative_error:.3g}"), "numpy_equal": row.wrong == 0,
            "rtl_equal": differences[row.label] is None if row.label in differences else None}


def _draw(measured: list[Measured], photo: np.ndarray, folder: Path) -> None:
    for row in measured:
        pictures.draw_width(row, photo, folder / f"{row.label}.png")
    pictures.draw_overview(measured, folder / "widths.png")
    pictures.draw_bars(measured, folder / "bars.png")


if __name__ == "__main__":
    sys.exit(main())
