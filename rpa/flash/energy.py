"""Energy, time and area of layers on macros, from counts times constants, and the energy of the same layers in the digital array.

Energy of one layer:

- drivers: every word line with a digit, once per operation;
- array: read voltage * integration time * the current of all bit lines, which is proportional to the sum of digit times cell code over the
  operations as they were. The bits of an activation are in that sum already, one pass each, and are counted nowhere else;
- ADC: conversions. A successive-approximation converter that decides k of its b bits is taken to need k/b of the energy of a full
  conversion (no source; what the sampling capacitors take for the first bit is thereby spread evenly);
- digital: each code shifted and added into an accumulator of 48 bits, requantization, and terms that stay in the digital array;
- buffers: words read from the X bank, results written.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from rpa.flash import check
from rpa.flash.constants import ACC_BITS, Technology
from rpa.flash.counts import LayerCounts, TileCounts
from rpa.flash.network import FlashNet
from rpa.flash.spec import MacroSpec

ACCUMULATORS = 16
"""NV accumulators per column and bank: what one `nvmac` fills at most."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """Picojoule by where they go."""

    drivers: float = 0.0
    array: float = 0.0
    adc: float = 0.0
    digital: float = 0.0
    buffers: float = 0.0

    @property
    def total(self) -> float:
        return sum(getattr(self, each.name) for each in fields(self))

    def __add__(self, other: Split) -> Split:
        return Split(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)})

    def __mul__(self, factor: float) -> Split:
        return Split(**{each.name: getattr(self, each.name) * factor for each in fields(self)})


def macro_energy(counts: LayerCounts, technology: Technology, *, aware: bool | None = None) -> Split:
    """Energy of everything in `counts`. aware: whether converters are aware of sparsity; None: as the spec says."""
    spec = counts.spec
    full_conversion = technology.adc_pj(counts.resolution)
    bits = counts.adc_bits if (spec.adc.sparsity_aware if aware is None else aware) else counts.adc_bits_full
    return Split(drivers=counts.active * technology.energy("driver") * 2.0 ** (spec.dac.bits - 1),
                 array=_coulomb(counts, technology) * spec.read_volt * 1e12,
                 adc=full_conversion * bits / counts.resolution,
                 digital=(counts.conversions + counts.skipped) * _accumulate(technology) + counts.outputs * _requantize(technology)
                 + counts.digital_products * product_energy(technology, counts.weight_bits, counts.activation_bits),
                 buffers=(counts.words + counts.outputs * counts.output_bits / 16) * technology.energy("sram16"))


def digital_energy(counts: LayerCounts, technology: Technology, *, rows: int = 16, cols: int = 16) -> float:
    """Picojoule of the same products in a digital array of rows x cols PEs."""
    products = counts.products + counts.digital_products
    return (products * product_energy(technology, counts.weight_bits, counts.activation_bits, rows=rows, cols=cols)
            + counts.outputs * (_requantize(technology) + technology.energy("sram16") * counts.output_bits / 16))


def product_energy(technology: Technology, weight_bits: int, activation_bits: int, *, rows: int = 16, cols: int = 16) -> float:
    """Picojoule of one multiplication and addition in a PE. Bits are those of the containers; a word of activations is read once for `cols`
    PEs, a word of weights once for `rows`."""
    for name, value in (("weight_bits", weight_bits), ("activation_bits", activation_bits)):
        check.integer("product_energy", name, value, 1, 16)
    operands = technology.energy("sram16") * (activation_bits / cols + weight_bits / rows) / 16
    return technology.energy("multiply8") * weight_bits * activation_bits / 64 + _accumulate(technology) + operands


def _accumulate(technology: Technology) -> float:
    return technology.energy("add32") * ACC_BITS / 32


def _requantize(technology: Technology) -> float:
    return technology.energy("multiply32") + technology.energy("add32")


def _coulomb(counts: LayerCounts, technology: Technology) -> float:
    """Charge of all bit lines: a digit D on a code c carries D / (largest digit) * (least current + c * step)."""
    spec, seconds = counts.spec, technology.constants["integration"].value * 1e-9
    amp = sum(tile.charge * spec.step_amp + tile.digit_sum * tile.bit_lines * spec.min_amp for tile in counts.tiles) / spec.dac.top
    return amp * seconds


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Cycles of a macro, as in `ArrayConfig`. Raises FlashError for values outside the machine's."""

    settle: int = 1
    """`nv_settle`."""
    adc_cycles: int | None = None
    """`nv_adc_cycles`; None: b + 1 of successive approximation, 2^b of a ramp."""

    def __post_init__(self) -> None:
        check.integer("Timing", "settle", self.settle, 1, 255)
        if self.adc_cycles is not None:
            check.integer("Timing", "adc_cycles", self.adc_cycles, 1, 1 << 16)

    def conversion(self, counts: LayerCounts) -> int:
        """Cycles of one conversion."""
        if self.adc_cycles is not None:
            return self.adc_cycles
        return counts.resolution + 1 if counts.spec.adc.kind == "sar" else 1 << counts.resolution


def cycles(counts: LayerCounts, timing: Timing | None = None, *, line: int = 16) -> int:
    """Cycles of NV for everything in `counts` (`docs/design.md`, section 15): vectors one after the other, two cycles between commands.

    The time does not depend on data: sparsity saves energy, not cycles. line: columns of the array.
    """
    timing = timing or Timing()
    return sum(_tile_cycles(tile, counts, timing, line) for tile in counts.tiles)


def vector_cycles(tile: TileCounts, counts: LayerCounts, timing: Timing) -> int:
    """V: cycles of one vector."""
    converters = max(1, counts.spec.cols // counts.spec.adc.share)
    macro = timing.settle + -(-tile.bit_lines // converters) * timing.conversion(counts)
    return tile.words + 1 + tile.passes * (1 + macro + tile.kernel_lines)


def _tile_cycles(tile: TileCounts, counts: LayerCounts, timing: Timing, line: int) -> int:
    at_once = max(1, ACCUMULATORS // -(-tile.outs // line))
    return tile.vectors * vector_cycles(tile, counts, timing) + 2 * -(-tile.vectors // at_once)


def area_um2(spec: MacroSpec, technology: Technology, macros: int, resolution: int) -> dict[str, float]:
    """Square micrometres of cells, converters and drivers; control, accumulators and buffers have no source and are left out."""
    converters = max(1, spec.cols // spec.adc.share)
    return {"cells": macros * spec.rows * spec.cols * technology.area("cell_area"),
            "ADC": macros * converters * technology.adc_um2(resolution),
            "drivers": macros * spec.rows * technology.area("driver_area") * 2.0 ** (spec.dac.bits - 1)}


@dataclass(frozen=True, kw_only=True)
class LayerReport:
    """One layer, per image."""

    layer: str
    energy: Split
    """With converters as the spec says: aware of sparsity or not."""
    full: Split
    """With converters that always convert with all bits."""
    digital_pj: float
    """The layer in the digital array."""
    cycles: float
    counts: LayerCounts = field(repr=False)

    def row(self) -> dict[str, Any]:
        """For tables."""
        made, skipped = self.counts.conversions, self.counts.skipped
        if not self.counts.spec.adc.sparsity_aware:
            made, skipped = made + skipped, 0
        parts = {f"{each.name} [nJ]": getattr(self.energy, each.name) / 1e3 for each in fields(Split)}
        return {"layer": self.layer, "cycles": self.cycles, **parts, "energy [nJ]": self.energy.total / 1e3,
                "array instead [nJ]": self.digital_pj / 1e3, "conversions": made / self.counts.images,
                "skipped [%]": 100 * skipped / max(1, made + skipped), "adc before [nJ]": self.full.adc / 1e3,
                "ADC saved [%]": saved(self.full.adc, self.energy.adc),
                "rows driven [%]": 100 * self.counts.active / max(1, self.counts.word_lines)}


def saved(before: float, after: float) -> float:
    """Per cent of `before` that `after` is less."""
    return 100 * (1 - after / before) if before else 0.0


@dataclass(frozen=True, kw_only=True)
class Report:
    """A network on macros, per image, and what it was computed with."""

    layers: tuple[LayerReport, ...]
    area: dict[str, float]
    technology: Technology

    @property
    def energy(self) -> Split:
        return sum((one.energy for one in self.layers), Split())

    @property
    def full(self) -> Split:
        return sum((one.full for one in self.layers), Split())

    def rows(self) -> list[dict[str, Any]]:
        """One row a layer, and their sum."""
        rows = [one.row() for one in self.layers]
        whole = dict.fromkeys(rows[0]) if rows else {}
        sums = {name: sum(row[name] for row in rows) for name in whole if name in ("cycles", "conversions") or name.endswith("[nJ]")}
        return [*rows, {**whole, **sums, "layer": "all", "ADC saved [%]": saved(self.full.adc, self.energy.adc)}]


def report(flash: FlashNet, technology: Technology | None = None, timing: Timing | None = None) -> Report:
    """Energy, cycles and area of what `flash` has run, per image. Layers that have seen no image are left out."""
    technology = technology or Technology()
    layers = tuple(_layer(one, technology, timing, flash.line) for one in flash.counts.values() if one.images)
    resolution = max((one.counts.resolution for one in layers), default=1)
    return Report(layers=layers, area=area_um2(flash.spec, technology, flash.macros, resolution), technology=technology)


def _layer(counts: LayerCounts, technology: Technology, timing: Timing | None, line: int) -> LayerReport:
    each = 1 / counts.images
    return LayerReport(layer=counts.name, energy=macro_energy(counts, technology) * each,
                       full=macro_energy(counts, technology, aware=False) * each, digital_pj=digital_energy(counts, technology) * each,
                       cycles=cycles(counts, timing, line=line) * each, counts=counts)
