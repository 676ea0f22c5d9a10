"""Tables of what patterns of digits add to bit lines, made once for each state of a macro and kept."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from rpa.arch.jit import VECTOR
from rpa.flash.patterns import fill_table, rows_in_group
from rpa.flash.static import Static

if TYPE_CHECKING:
    from rpa.flash.chip import Chip

KEPT_BYTES = 256 << 20
"""Tables of one chip that are kept."""
_EMPTY = np.zeros(0, np.int32)


@dataclass(frozen=True)
class Tables:
    """Flat int32 tables (groups, patterns, lines); lines are filled up to a multiple of VECTOR."""

    version: tuple[int, int]
    sums: npt.NDArray[np.int32]
    variance: npt.NDArray[np.int32]
    """Empty where reads have no noise."""
    patterns: int
    lines: int


_LOCK = Lock()
_KEPT: WeakKeyDictionary[Chip, dict[tuple[int, int, int, int, int], Tables]] = WeakKeyDictionary()


def tables_of(chip: Chip, macro: int, static: Static, block: int, rows: range, lines: range) -> Tables:
    """Tables of some rows and lines of a macro in one state of its traps."""
    place, version = (macro, rows.start, rows.stop, lines.start, lines.stop), (chip.versions[macro], block)
    with _LOCK:
        kept = _KEPT.setdefault(chip, {})
        found = kept.get(place)
    if found is not None and found.version == version:
        return found
    made = _made(chip.spec.dac.bits, static, rows, lines, version)
    with _LOCK:
        kept.pop(place, None)
        while kept and sum(each.sums.nbytes + each.variance.nbytes for each in kept.values()) > KEPT_BYTES:
            kept.pop(next(iter(kept)))
        kept[place] = made
    return made


def _made(dac_bits: int, static: Static, rows: range, lines: range, version: tuple[int, int]) -> Tables:
    in_group = rows_in_group(dac_bits)
    patterns, width = 1 << dac_bits * in_group, -(-len(lines) // VECTOR) * VECTOR
    flat = []
    for levels in (static.levels, static.variance):
        if levels is None:
            flat.append(_EMPTY)
            continue
        here = np.zeros((len(levels), len(rows), width), np.int32)
        here[:, :, :len(lines)] = levels[:, rows.start:rows.stop, lines.start:lines.stop]
        table = np.empty((-(-len(rows) // in_group), patterns, width), np.int32)
        fill_table(here, dac_bits, in_group, table)
        flat.append(table.reshape(-1))
    return Tables(version, flat[0], flat[1], patterns, width)
