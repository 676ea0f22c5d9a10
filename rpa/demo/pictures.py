"""Pictures of the demo: what the filters give at each width, all widths side by side, and bars of what each width costs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rpa.demo.filters import INDEX
from rpa.demo.layer import Measured

COLOURS = ("red", "green", "blue")
MIXED, EQUAL = "#d08a2e", "#2f6f9f"
EDGE_GAIN = 3.0
"""Edges are faint: what is shown is this many times as bright."""


def _colour(output: np.ndarray, name: str) -> np.ndarray:
    """Three colour results, mid grey at 0, as an RGB picture."""
    return np.clip(np.stack([output[..., INDEX[f"{name} {colour}"]] for colour in COLOURS], axis=-1) / 2 + 0.5, 0, 1)


def _signed(output: np.ndarray, name: str, gain: float = 1.0) -> np.ndarray:
    return np.clip(output[..., INDEX[name]] * gain / 2 + 0.5, 0, 1)


def _edges(output: np.ndarray) -> np.ndarray:
    """Length of the gradient, dark on white."""
    return 1 - np.clip(np.hypot(output[..., INDEX["sobel x"]], output[..., INDEX["sobel y"]]) * EDGE_GAIN / 2, 0, 1)


VIEWS = {
    "blur": lambda output: _colour(output, "blur"),
    "sharpen": lambda output: _colour(output, "sharpen"),
    "edges (Sobel)": _edges,
    "emboss": lambda output: _signed(output, "emboss"),
    "red - green": lambda output: _signed(output, "red - green", 1.5),
}
SMALL_DPI = 72
OVERVIEW = ("blur", "sharpen", "edges (Sobel)")


def _percent(measured: Measured) -> str:
    return f"{100 * measured.relative_error:.2g} %"


def _pyplot() -> Any:
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams.update({"font.size": 10, "font.family": "DejaVu Sans", "axes.spines.top": False, "axes.spines.right": False})
    import matplotlib.pyplot as plt

    return plt


def _show(axes: Any, picture: np.ndarray) -> None:
    axes.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def draw_width(measured: Measured, photo: np.ndarray, path: Path) -> None:
    """The photograph and five results at one pair of widths."""
    plt = _pyplot()
    figure, axes = plt.subplots(1, 1 + len(VIEWS), figsize=(15, 3.5), layout="constrained")
    _show(axes[0], photo)
    axes[0].set_title("photograph")
    for panel, (name, view) in zip(axes[1:], VIEWS.items(), strict=True):
        _show(panel, view(measured.output))
        panel.set_title(name)
    figure.suptitle(f"{measured.act_bits}-bit activations, {measured.weight_bits}-bit weights: {measured.cycles:,} cycles, "
                    f"relative error {_percent(measured)}", fontweight="bold")
    figure.savefig(path, dpi=100)
    plt.close(figure)


def draw_overview(rows: Sequence[Measured], path: Path) -> None:
    """Three results (down) at every pair of widths (across), with a palette, as README shows it (docs/widths.png)."""
    from PIL import Image

    plt = _pyplot()
    figure, axes = plt.subplots(len(OVERVIEW), len(rows), figsize=(1.75 * len(rows), 6.1), layout="constrained")
    for column, measured in enumerate(rows):
        for line, name in enumerate(OVERVIEW):
            _show(axes[line, column], VIEWS[name](measured.output))
        speed = rows[0].cycles / measured.cycles
        axes[0, column].set_title(f"{measured.label}\n{speed:.2f}x speed\nerror {_percent(measured)}", fontsize=10)
    for line, name in enumerate(OVERVIEW):
        axes[line, 0].set_ylabel(name)
    figure.savefig(path, dpi=SMALL_DPI)
    plt.close(figure)
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(256)
    small.save(path, optimize=True)


def draw_bars(rows: Sequence[Measured], path: Path) -> None:
    """Speed-up, utilisation, bank accesses, external traffic and error, a bar per pair of widths."""
    plt = _pyplot()
    base = rows[0]
    panels = (
        ("speed-up against 16 bit", [base.cycles / row.cycles for row in rows], "{:.2f}x"),
        ("utilisation, % of MAC slots", [100 * row.utilisation for row in rows], "{:.1f}"),
        ("bank accesses, million words", [row.bank_accesses / 1e6 for row in rows], "{:.2f}"),
        ("external memory, million bytes", [row.external_bytes / 1e6 for row in rows], "{:.2f}"),
        ("relative error, %", [100 * row.relative_error for row in rows], "{:.2g}"),
    )
    figure, axes = plt.subplots(1, len(panels), figsize=(18, 3.8), layout="constrained")
    colours = [EQUAL if row.act_bits == row.weight_bits else MIXED for row in rows]
    for panel, (title, values, form) in zip(axes, panels, strict=True):
        bars = panel.bar([row.label for row in rows], values, color=colours)
        panel.bar_label(bars, [form.format(value) for value in values], fontsize=8, padding=2)
        panel.set_title(title, fontsize=11)
        panel.tick_params(axis="x", rotation=60)
        panel.margins(y=0.12)
    axes[-1].set_yscale("log")
    figure.suptitle("3x3 convolution of the photograph, 16 planes to 16 filters, 16 x 16 PEs, memory to memory"
                    " (WnAm: n-bit weights, m-bit activations; orange: mixed)", fontweight="bold")
    figure.savefig(path, dpi=100)
    plt.close(figure)
