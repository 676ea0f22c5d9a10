"""Progressive noise injection: training begins without errors and ends with all of them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from rpa.flash import check
from rpa.flash.torch.perturb import Perturb


@dataclass(frozen=True, kw_only=True)
class Progressive:
    """Strength of errors over training: 0 up to `begin`, rising in a straight line, `full` from `end` on. Begin and end are parts of training."""

    begin: float = 0.0
    end: float = 0.6
    full: float = 1.0

    def __post_init__(self) -> None:
        check.number("Progressive", "begin", self.begin, 0, 1)
        check.number("Progressive", "end", self.end, self.begin, 1)
        check.number("Progressive", "full", self.full, 0, 10)

    def at(self, done: float) -> float:
        """Strength when a part `done` of training, 0..1, is over."""
        if done >= self.end:
            return self.full
        return self.full * max(0.0, done - self.begin) / (self.end - self.begin)

    def set(self, module: nn.Module, done: float) -> float:
        """Give every macro inside a module its strength, and return it."""
        strength = self.at(done)
        for each in module.modules():
            if isinstance(each, Perturb):
                each.strength = strength
        return strength
