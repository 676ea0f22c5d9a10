"""Values that depend on loops: a constant plus a step for each enclosing loop's index."""

from __future__ import annotations

from typing import NamedTuple


class Affine(NamedTuple):
    """``base + sum(step * index of loop)``; loops are numbers, each at most once, outermost first, no step is 0."""

    base: int
    steps: tuple[tuple[int, int], ...] = ()

    def at(self, loop: int, index: int) -> Affine:
        """The value when ``loop`` has this index."""
        step = self.step(loop)
        return self if not step else Affine(self.base + step * index, tuple(pair for pair in self.steps if pair[0] != loop))

    def shifted(self, loop: int, turns: int) -> Affine:
        """The value ``turns`` iterations later, still as a function of the index."""
        return Affine(self.base + self.step(loop) * turns, self.steps)

    def step(self, loop: int) -> int:
        return next((step for number, step in self.steps if number == loop), 0)
