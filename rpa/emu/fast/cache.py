"""A least-recently-used cache bounded by the weight of what it holds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class WeightedCache(Generic[T]):
    """Keeps results of ``build`` while their weights sum to at most ``limit`` (the newest is kept whatever it weighs)."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._entries: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()
        self._weight = 0

    def get(self, key: Hashable, build: Callable[[], T], weigh: Callable[[T], int]) -> T:
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
            return entry[0]
        value = build()
        weight = weigh(value)
        self._entries[key] = value, weight
        self._weight += weight
        while self._weight > self.limit and len(self._entries) > 1:
            self._weight -= self._entries.popitem(last=False)[1][1]
        return value
