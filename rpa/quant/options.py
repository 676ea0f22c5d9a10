"""What a user can choose beside widths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from isa.errors import did_you_mean
from isa.table import ROUNDINGS as MODES
from rpa.quant.errors import QuantError
from rpa.quant.thresholds import METHODS, PERCENTILE
from rpa.quant.weights import ROUNDINGS

SHORTCUTS = ("auto", "joint", "separate")


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a network is quantized. Raises QuantError for a value that does not exist."""

    method: str = "mse"
    """How activations are clipped: kl, mse, percentile or minmax."""
    percentile: float = PERCENTILE
    asymmetric: bool = False
    """Activations with negative values get a zero point."""
    asymmetric_weights: bool = False
    """Weights get a zero point, and as differences from it the container that holds them; at 16 bits, where there is none, they stay symmetric."""
    per_channel: bool = True
    """A scale for each output channel instead of one for all weights of a layer."""
    power_of_two: bool = False
    """All scales are powers of two: fixed-width numbers with a binary point."""
    weight_rounding: str = "nearest"
    """nearest, stochastic as published, or compensated: slower, and the best at 4 bits and below."""
    rounding: str = "half_even"
    """How the array rounds when it requantizes: a name in `isa.table.ROUNDINGS`."""
    bias_correction: bool = True
    """Take the mean error of rounded weights out of the bias."""
    shortcuts: str = "auto"
    """Convolutions added to another one: `joint` in its accumulator, `separate` with a stored result of their own, or by error."""
    acc_bits: int = 48
    """Of the machine."""
    seed: int = 0
    """Of stochastic rounding."""

    @classmethod
    def of(cls, choices: Mapping[str, object]) -> Options:
        """Options from names and values. QuantError for a name that does not exist."""
        names = tuple(cls.__dataclass_fields__)
        for name in choices:
            if name not in names:
                raise QuantError(f"there is no choice `{name}`; {did_you_mean(name, names) or 'there are ' + ', '.join(names)}")
        return cls(**choices)  # type: ignore[arg-type] # the values are checked by __post_init__

    def asymmetric_at(self, weight_bits: int) -> bool:
        """Whether weights of this width get a zero point."""
        return self.asymmetric_weights and weight_bits < 16

    def __post_init__(self) -> None:
        for name, allowed in (("method", METHODS), ("weight_rounding", ROUNDINGS), ("rounding", tuple(mode.name for mode in MODES)),
                              ("shortcuts", SHORTCUTS)):
            value = getattr(self, name)
            if value not in allowed:
                hint = did_you_mean(str(value), allowed)
                raise QuantError(f"{name} is {value!r}, must be one of {', '.join(allowed)}" + (f"; {hint}" if hint else ""))
        if self.acc_bits not in (32, 40, 48):
            raise QuantError(f"acc_bits is {self.acc_bits!r}, must be 32, 40 or 48")
