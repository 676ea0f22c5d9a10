"""Results of a block in parts: the first part is stored while the next one is drained, so what waits for the block waits less."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from rpa.compile.commands import Command

Parts: TypeAlias = Sequence[tuple[Command, tuple[Command, ...]]]
"""Drains with their stores."""


def split_up(parts: Parts, count: int) -> Parts:
    """A single drain with its stores as `count` parts of equally many PE rows; other parts, and rows that do not divide, as they are."""
    if len(parts) > 1 or count == 1:
        return parts
    drain, stores = parts[0]
    rows = drain.registers.get("dr.rows", 1)
    words = drain.registers.get("dr.pitch", 0) * rows // count      # of the O banks, from a part to the next
    if rows % count or any(_rows(store) % count or store.registers.get("st.pitch", 0) * _rows(store) // count != words for store in stores):
        return parts
    return [(_drain(drain, part, rows // count), tuple(_store(store, part, _rows(store) // count) for store in stores)) for part in range(count)]


def _rows(store: Command) -> int:
    return store.registers.get("st.rows", 1)


def _drain(drain: Command, part: int, rows: int) -> Command:
    values = drain.registers
    return replace(drain, registers={**values, "dr.rows": rows, "dr.row0": values.get("dr.row0", 0) + part * rows,
                                     "dr.base": values.get("dr.base", 0) + part * rows * values["dr.pitch"]})


def _store(store: Command, part: int, rows: int) -> Command:
    values = store.registers
    return replace(store, registers={**values, "st.rows": rows, "st.base": values.get("st.base", 0) + part * rows * values["st.pitch"],
                                     "st.addr": values["st.addr"] + part * rows * values["st.rstride"]})
