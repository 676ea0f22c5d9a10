"""Mean and variance of a tensor's values, carried through a network so that random weights keep them in range."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Moments:
    """Of the values of one tensor, over positions, channels and inputs; taken as normally distributed."""

    mean: float = 0.0
    variance: float = 1.0

    @property
    def square(self) -> float:
        """Mean of the squares."""
        return self.mean**2 + self.variance

    def rectified(self) -> Moments:
        """Of max(x, 0)."""
        deviation = math.sqrt(self.variance)
        ratio = self.mean / deviation
        above = (1 + math.erf(ratio / math.sqrt(2))) / 2
        density = math.exp(-ratio**2 / 2) / math.sqrt(2 * math.pi)
        mean = self.mean * above + deviation * density
        return Moments(mean, self.square * above + self.mean * deviation * density - mean**2)

    def __add__(self, other: Moments) -> Moments:
        """Of the sum of two tensors that do not depend on each other."""
        return Moments(self.mean + other.mean, self.variance + other.variance)
