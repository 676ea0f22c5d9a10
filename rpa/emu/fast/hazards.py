"""Which words a command touches and when; whether two commands overlap so that the order of single cycles shows.

Commands are carried out whole, in the order of their start cycles. That is exact if every access of the earlier one comes
before every conflicting access of the later one. The check is conservative: where it fails, the program is stepped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rpa.emu.fast.errors import NeedStepping


@dataclass(slots=True, eq=False)
class Access:
    """One command's use of one store in cycles first..last, addresses low..high (both inclusive)."""

    store: str
    """a, w, p, o, mem, or acc0, acc1 (then addresses are 0: a bank counts as a whole)."""
    write: bool
    first: int
    last: int
    low: int = 0
    high: int = 0
    addresses: Callable[[], np.ndarray] | None = None
    """The exact addresses; asked for only when the ranges overlap."""


class Hazards:
    """Remembers accesses as long as something that starts later can meet them."""

    def __init__(self) -> None:
        self._recent: dict[str, list[tuple[int, Access]]] = {}

    def add(self, engine: int, start: int, accesses: tuple[Access, ...]) -> None:
        """Check a command that starts in cycle ``start`` against earlier ones; raises NeedStepping for a race."""
        for access in accesses:
            kept = [entry for entry in self._recent.get(access.store, ()) if entry[1].last > start]
            for other, earlier in kept:
                if other != engine and (access.write or earlier.write) and earlier.last >= access.first and _meet(earlier, access):
                    raise NeedStepping(f"two engines use the same words of `{access.store}` in cycles {access.first}..{earlier.last}")
            kept.append((engine, access))
            self._recent[access.store] = kept


def _meet(x: Access, y: Access) -> bool:
    if x.high < y.low or y.high < x.low:
        return False
    if x.addresses is None or y.addresses is None:
        return True
    low, high = max(x.low, y.low), min(x.high, y.high)
    marks = np.zeros(high - low + 1, dtype=bool)
    mine, theirs = x.addresses(), y.addresses()
    marks[mine[(mine >= low) & (mine <= high)] - low] = True
    return bool(marks[theirs[(theirs >= low) & (theirs <= high)] - low].any())
