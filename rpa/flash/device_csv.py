"""A device from a table of measurements.

The first line names the columns, each with its unit (A, mA, uA, nA or pA); then one line per current, rising. Lines that begin with # are comments.

    current [nA], programming 0 d [nA], programming 5 d [nA], read [nA], drift 1 d [nA], drift 5 d [nA]
    0,            0,                    0,                    0,         0,              0
    100,          8.6,                  13.2,                 4.7,       1.7,            4.1

`current`, `read` and `programming 0 d` must be there. The first and the last current are those of the smallest and the largest code. Programming
and read are standard deviations, drift is the mean change; ages are in days, and drift is 0 at 0 days.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

from rpa.flash.device import Device
from rpa.flash.errors import FlashError
from rpa.flash.laws import Table

UNITS = {"A": 1.0, "mA": 1e-3, "uA": 1e-6, "nA": 1e-9, "pA": 1e-12}
SIZE_LIMIT = 1 << 20
"""Bytes of the largest table that is read."""
LARGEST_AMP = 1e-3
"""No memory cell carries more when it is read: a table that says so has another unit than it says. No source."""
_HEADER = re.compile(r"(current|read|(?:programming|drift) (\d+(?:\.\d+)?) d) \[([^\]]*)\]")
_EXAMPLE = '"current [nA]", "read [nA]", "programming 0 d [nA]" or "drift 5 d [nA]"'

Columns = dict[str, tuple[float, ...]]


def read_device(path: Path) -> Device:
    """The device of a table. FlashError with file and line for whatever is wrong with it."""
    columns = _columns(path, _lines(path))
    currents, last = columns["current"], columns["current"][-1]
    programming, drift = _by_age(columns, "programming"), _by_age(columns, "drift")
    flat = (0.0,) * len(currents)
    return Device(name=path.stem, source=f"table {path.name}", min_amp=currents[0], max_amp=last,
                  programming=Table(days=tuple(programming), currents=currents, values=tuple(programming.values())),
                  read=Table(days=(0.0,), currents=currents, values=(columns["read"],)),
                  drift=Table(days=(0.0, *drift), currents=currents, values=(flat, *drift.values())))


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """(line number, fields) of every line that is not empty and no comment."""
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise FlashError(f"{path}: {path.stat().st_size} bytes, a table of a device has at most {SIZE_LIMIT}")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise FlashError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise FlashError(f"{path}: byte {error.start} is not UTF-8 text") from None
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip() and not line.lstrip().startswith("#")]
    if len(lines) < 3:
        raise FlashError(f"{path}: {len(lines)} lines, must be a line of names and at least two of numbers")
    return [(number, [field.strip() for field in line.split(",")]) for number, line in lines]


def _columns(path: Path, lines: list[tuple[int, list[str]]]) -> Columns:
    """Values by name (with the age where there is one), in ampere."""
    line, header = lines[0]
    names, scales = [], []
    for name in header:
        match = _HEADER.fullmatch(name)
        if match is None:
            raise FlashError(f"{path}:{line}: column `{name}` is unknown, must be like {_EXAMPLE}")
        if match[3] not in UNITS:
            raise FlashError(f"{path}:{line}: column `{name}` is in `{match[3]}`, must be in one of {', '.join(UNITS)}")
        if match[1].startswith("drift") and not float(match[2]):
            raise FlashError(f"{path}:{line}: column `{match[1]}`: drift is 0 at 0 days, leave it out")
        key = match[1] if match[2] is None else f"{match[1].split()[0]} {float(match[2]):g} d"
        if key in names:
            raise FlashError(f"{path}:{line}: column `{match[1]}` is there twice")
        names.append(key)
        scales.append(UNITS[match[3]])
    for needed in ("current", "read", "programming 0 d"):
        if needed not in names:
            raise FlashError(f"{path}:{line}: no column `{needed}`; there are {', '.join(names)}")
    rows = [_row(path, number, fields, names, scales) for number, fields in lines[1:]]
    place = names.index("current")
    for before, after, (number, _) in zip(rows, rows[1:], lines[2:], strict=False):
        if after[place] <= before[place]:
            raise FlashError(f"{path}:{number}: current {after[place]:g} A is not above the {before[place]:g} A of the line before")
    for (number, _), row in zip(lines[1:], rows, strict=True):
        _plausible(f"{path}:{number}", dict(zip(names, row, strict=True)), rows[-1][place])
    return dict(zip(names, zip(*rows, strict=True), strict=True))


def _plausible(where: str, row: dict[str, float], largest: float) -> None:
    """Refuse what no cell does: then a column has another unit than its name says."""
    current = row["current"]
    if current > LARGEST_AMP:
        raise FlashError(f"{where}: `current` is {current:g} A, a cell carries at most {LARGEST_AMP:g} A; is the unit right?")
    for name, value in row.items():
        if abs(value) > largest:
            raise FlashError(f"{where}: `{name}` is {value:g} A, more than the largest current of the table, {largest:g} A; is the unit right?")
        if name.startswith("drift") and current + value < -0.01 * largest:
            raise FlashError(f"{where}: `{name}` is {value:g} A, a cell of {current:g} A cannot lose more than that; is the unit right?")


def _row(path: Path, line: int, fields: list[str], names: list[str], scales: list[float]) -> list[float]:
    if len(fields) != len(names):
        raise FlashError(f"{path}:{line}: {len(fields)} fields, must be {len(names)}: {', '.join(names)}")
    row = []
    for field, name, scale in zip(fields, names, scales, strict=True):
        try:
            value = float(field)
        except ValueError:
            raise FlashError(f"{path}:{line}: `{name}` is {f'`{field}`' if field else 'empty'}, must be a number") from None
        if not math.isfinite(value) or (value < 0 and not name.startswith("drift")):
            raise FlashError(f"{path}:{line}: `{name}` is {field}, must be a finite number{'' if name.startswith('drift') else ', at least 0'}")
        row.append(value * scale)
    return row


def _by_age(columns: Columns, kind: str) -> dict[float, tuple[float, ...]]:
    """Age in days -> values, by rising age."""
    return dict(sorted((float(name.split()[1]), values) for name, values in columns.items() if name.startswith(kind)))
