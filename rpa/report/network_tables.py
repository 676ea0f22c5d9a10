"""A measured network as tables with units, as plain data, and beside what was published."""

from __future__ import annotations

from typing import Any

from rpa.report.networks import Measured, NetRow
from rpa.report.tables import Row

HEADERS = {
    "widths": "widths\n[bits]", "cycles": "cycles\n", "speedup": "speed-up\n[x]", "utilisation_percent": "in use\n[%]",
    "ex_wait_percent": "wait\n[%]", "ex_idle_percent": "idle\n[%]", "bank_words": "banks\n[words]",
    "bank_change_percent": "change\n[%]", "bank_change_no_reuse_percent": "no reuse\n[%]", "external_bytes": "external\n[bytes]",
    "external_change_percent": "change\n[%] ", "weight_bytes": "weights\n[bytes]", "weight_change_percent": "change\n[%]  ",
    "accuracy_percent": "correct\n[%]", "relative_error_percent": "error\n[%]", "integer_equal": "integers\nequal"}
"""Key of a row -> what stands above its column."""
UNITS = {key: "%" if key.endswith("_percent") else text.partition("[")[2].partition("]")[0] for key, text in HEADERS.items()} | {
    "ex_run_percent": "%", "cycles": "cycles", "integer_equal": "yes/no"}
LEGEND = ("in use: utilisation, cycles that the MACs take if every lane of every PE works, of all. wait, idle: cycles in which the array's next\n"
          "command waits, and in which it has none. change: against 16 bits; no reuse: against 16 bits where every step reads both operands.\n"
          "integers equal: every feature that the array stored is that of the integer reference.")
PUBLISHED_NOTE = "The published figures are for other networks and arrays, each against that design's own baseline."


def table_rows(measured: Measured) -> list[Row]:
    """One row for each choice of widths, under headers with units."""
    return [{header: _three_digits(row.to_dict()[key]) for key, header in HEADERS.items()} for row in measured.rows]


def _three_digits(value: Any) -> Any:
    return float(f"{value:.3g}") if isinstance(value, float) else value


def published_rows(measured: Measured) -> list[Row]:
    """Figures published for arrays of this kind, and the same figure here."""
    return [{"figure": figure, "published": published, measured.network: here} for figure, published, here in (
        ("speed-up at three widths", "1.012x, 1.273x, 1.556x", _each(measured, "speedup", "{:.3f}x")),
        ("time, most saved", "-35.7 %", _time(measured)),
        ("bank accesses, most saved", "-56.2 %, later -69.4 %", _least(measured, "bank_change_percent")),
        ("relative error", "< 1 %", _each(measured, "relative_error_percent", "{:.3g} %")),
        ("model size, and accuracy lost for it", "50 % for 2 %", _size(measured)),
        ("utilisation", "94.1 %", _each(measured, "utilisation_percent", "{:.1f} %")))]


def _each(measured: Measured, key: str, form: str) -> str:
    found = [(row.widths, row.to_dict()[key]) for row in measured.rows]
    return ", ".join(f"{form.format(value)} at {widths}" for widths, value in found if value is not None) or "-"


def _least(measured: Measured, key: str) -> str:
    found = [(row.to_dict()[key], row.widths) for row in measured.rows if row.to_dict()[key] is not None]
    return "{:+.1f} % at {}".format(*min(found)) if found else "-"


def _time(measured: Measured) -> str:
    found = [(row.speedup, row.widths) for row in measured.rows if row.speedup is not None]
    return f"{100 / max(found)[0] - 100:+.1f} % at {max(found)[1]}" if found else "-"


def _size(measured: Measured) -> str:
    return ", ".join(_size_of(row, measured.accuracy_float_percent) for row in measured.rows if row.weight_change_percent) or "-"


def _size_of(row: NetRow, before: float | None) -> str:
    """Size in percent of 16 bits, and points of accuracy lost against float."""
    assert row.weight_change_percent is not None
    lost = "" if before is None or row.accuracy_percent is None else f" for {before - row.accuracy_percent:.1f} %"
    return f"{100 + row.weight_change_percent:.0f} %{lost} at {row.widths}"


def facts(measured: Measured) -> list[str]:
    """Lines that belong under the table."""
    accurate = any(row.accuracy_percent is not None for row in measured.rows)
    what = "accuracy and error" if accurate else "error"
    in_float = "" if measured.accuracy_float_percent is None else f"; in float {measured.accuracy_float_percent:.2f} % are right"
    return [f"baseline: {measured.baseline}", f"{what}: {measured.images} images{in_float}", *measured.notes]


def plain(measured: Measured) -> dict[str, Any]:
    """For JSON."""
    return {"network": measured.network, "baseline": measured.baseline, "images": measured.images,
            "accuracy_float_percent": measured.accuracy_float_percent, "notes": list(measured.notes), "units": UNITS,
            "rows": [row.to_dict() for row in measured.rows], "published": published_rows(measured)}
