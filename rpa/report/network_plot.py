"""One picture of a measured network: bars for each choice of widths."""

from __future__ import annotations

from io import BytesIO

from rpa.report.networks import Measured, NetRow

PANELS = (("speedup", "speed-up [x]"), ("utilisation_percent", "utilisation [%]"), ("bank_words", "bank accesses [words]"),
          ("external_bytes", "external memory [bytes]"), ("weight_bytes", "weights [bytes]"))
COLOUR = "#3b6ea5"


def picture(measured: Measured) -> bytes:
    """A PNG of six panels: time, utilisation, accesses, traffic, size, and accuracy (or error, where nothing is labelled)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    accurate = any(row.accuracy_percent is not None for row in measured.rows)
    last = ("accuracy_percent", f"accuracy [%], {measured.images} images") if accurate else ("relative_error_percent", "relative error [%]")
    figure = Figure(figsize=(11, 6), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (key, title) in zip(figure.subplots(2, 3).flat, (*PANELS, last), strict=True):
        _bars(axes, measured.rows, key, title)
    figure.suptitle(f"{measured.network}: {measured.machine}; compared with 16 bits on the same array, mapped by the same policy")
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def _bars(axes, rows: tuple[NetRow, ...], key: str, title: str) -> None:
    values = [row.to_dict()[key] for row in rows]
    bars = axes.bar([row.widths for row in rows], [value or 0 for value in values], color=COLOUR)
    axes.bar_label(bars, labels=["-" if value is None else f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" for value in values],
                   fontsize=8)
    axes.set_title(title, fontsize=10)
    axes.margins(y=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("widths [bits]", fontsize=8)
