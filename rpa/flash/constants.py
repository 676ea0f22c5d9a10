"""Constants of energy and area, each with unit and source, and the fit of converters. What has no source says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import ceil, exp, log

from rpa.flash import check
from rpa.flash.errors import FlashError

ADC_SOURCE = "best published converters, Murmann survey as fitted by Andrulis et al., arXiv 2404.06553"
ISAAC = "ISAAC, ISCA 2016, table 1 (4 mW and 0.00017 mm2 for 8 x 128 drivers, 32 nm)"
HOROWITZ = "Horowitz, ISSCC 2014, 45 nm, 0.9 V"


@dataclass(frozen=True, kw_only=True)
class Constant:
    """A number that energy or area is computed from."""

    value: float
    unit: str
    nm: int | None
    """Technology that it is for; it is scaled to another one. None: the same in all."""
    source: str


CONSTANTS: Mapping[str, Constant] = {
    "driver": Constant(value=0.0039, unit="pJ per driven word line and operation, 1 bit; x 2^(bits-1)", nm=None, source=ISAAC + ", through MNSIM"),
    "integration": Constant(value=10, unit="ns that a cell conducts in an operation", nm=None,
                            source="10 ns operations at 55 nm: IEDM 2021 (abstract)"),
    "adc_rate": Constant(value=1e7, unit="samples/s of one converter", nm=None, source="choice, where the fit is given"),
    "add32": Constant(value=0.1, unit="pJ per addition of 32 bits, proportional to bits", nm=45, source=HOROWITZ),
    "multiply32": Constant(value=3.1, unit="pJ per product of 32 x 32 bits", nm=45, source=HOROWITZ),
    "multiply8": Constant(value=0.2, unit="pJ per product of 8 x 8 bits, proportional to both widths", nm=45, source=HOROWITZ),
    "sram16": Constant(value=2.5, unit="pJ per 16-bit word of an 8 KiB memory (10 pJ for 64 bits)", nm=45, source=HOROWITZ),
    "digital_scaling": Constant(value=1, unit="power of the feature size that digital energy follows", nm=None,
                                source="no source: capacitance proportional to length, the same voltage"),
    "cell_area": Constant(value=0.33, unit="um2 per cell; with the square of the feature size", nm=55,
                          source="Guo et al., arXiv 1611.03379 (abstract)"),
    "driver_area": Constant(value=0.166, unit="um2 per 1-bit driver; x 2^(bits-1), with the square of the feature size", nm=32, source=ISAAC),
}
ACC_BITS = 48


@dataclass(frozen=True, kw_only=True)
class Technology:
    """Where constants are taken at. Raises FlashError for a size outside 7..250 nm and a constant that does not exist."""

    nm: int = 40
    """Feature size of converters and logic."""
    constants: Mapping[str, Constant] = field(default_factory=lambda: CONSTANTS)

    def __post_init__(self) -> None:
        check.integer("Technology", "nm", self.nm, 7, 250)
        if set(self.constants) != set(CONSTANTS):
            wrong = sorted(set(self.constants) ^ set(CONSTANTS))
            raise FlashError(f"Technology: `constants` differ in {', '.join(wrong)}, must be {', '.join(CONSTANTS)}; use `changed`")

    def changed(self, **values: float) -> Technology:
        """Other values for some constants, said to be the user's."""
        for name, value in values.items():
            if name not in self.constants:
                raise FlashError(f"Technology: no constant `{name}`; there are {', '.join(self.constants)}")
            check.number("Technology", name, value, 0, 1e18)
        return replace(self, constants={**self.constants, **{name: replace(self.constants[name], value=value, nm=None, source="user")
                                                             for name, value in values.items()}})

    def energy(self, name: str) -> float:
        """pJ of a constant at this size."""
        one = self.constants[name]
        return one.value if one.nm is None else one.value * (self.nm / one.nm) ** self.constants["digital_scaling"].value

    def area(self, name: str) -> float:
        """um2 of a constant at this size."""
        one = self.constants[name]
        return one.value if one.nm is None else one.value * (self.nm / one.nm) ** 2

    def adc_pj(self, bits: int) -> float:
        """pJ of one full conversion of `bits` bits."""
        return adc_energy_pj(bits, self.nm, self.constants["adc_rate"].value)

    def adc_um2(self, bits: int) -> float:
        """um2 of one converter."""
        return adc_area_um2(bits, self.nm, self.constants["adc_rate"].value)

    def rows(self) -> list[dict[str, object]]:
        """The table that is printed with every result."""
        fit: dict[str, object] = {"constant": "ADC energy, area", "value": "fit", "unit": "pJ, um2 by bits, size, rate", "source": ADC_SOURCE}
        return [*({"constant": name, "value": one.value, "unit": one.unit + ("" if one.nm is None else f", {one.nm} nm"), "source": one.source}
                  for name, one in self.constants.items()), fit]


def adc_energy_pj(bits: int, nm: float, rate: float = 1e7) -> float:
    """pJ of one conversion; bits 1..24, nm of the technology, rate in samples/s."""
    check.integer("adc_energy_pj", "bits", bits, 1, 24)
    # The fit starts at 4 bits: below, ln(bits) goes to 0 and it says that fewer bits cost more.
    known = max(bits, 4)
    figure = min(213.8 - 2.872 * log(rate), 128.3 + 3.2205 * ceil(known))
    signal = 6.02 * known + 1.76
    full = 0.5 * 10 ** ((signal - figure) / 10) * exp(26.05 + 1.880 * log(nm) - 2.829 * log(known) - 1.470)
    return full * bits / known


def adc_area_um2(bits: int, nm: float, rate: float = 1e7) -> float:
    """um2 of one converter."""
    return exp(1.346 + 0.9933 * log(nm) + 0.1807 * log(rate) + 0.2991 * log(adc_energy_pj(bits, nm, rate)))


