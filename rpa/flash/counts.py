"""What macros did for a layer: everything that energy, time and area are computed from.

Counts are kept per tile as a histogram over the number of driven word lines, so that conversions and bits follow for any converter.
The names are those of the machine's counters (`docs/design.md`, section 15).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rpa.arch.macro import bit_lengths
from rpa.flash.sparsity import lossless_bits, needed_bits
from rpa.flash.spec import MacroSpec

Ints = npt.NDArray[np.int64]


@dataclass(kw_only=True, eq=False)
class TileCounts:
    """One tile, over all images so far."""

    rows: int
    """Word lines that its inputs take, used or not."""
    outs: int
    lines: int
    bit_lines: int
    words: int
    """X bank words of one vector."""
    passes: int
    kernel_lines: int
    """COMBINE visits of one pass: C of section 15."""
    active: Ints = field(repr=False)
    """(rows + 1,) operations by number of driven word lines."""
    bounds: Ints = field(repr=False)
    """(rows + 1, bit lines) largest sum of each bit line by number of driven word lines."""
    vectors: int = 0
    charge: int = 0
    """Sum over all operations and bit lines of digit times cell code, before any conversion: what the array's current is proportional to."""
    digit_sum: int = 0
    """Sum over all operations of the digits on word lines."""

    @property
    def operations(self) -> int:
        return int(self.active.sum())


@dataclass(kw_only=True, eq=False)
class LayerCounts:
    """One layer: its tiles, over all images so far."""

    name: str
    spec: MacroSpec
    log2_lsb: float
    tiles: list[TileCounts]
    products: int = 0
    """Products of a weight and an activation that the layer is made of, on macros."""
    digital_products: int = 0
    """Products of terms that stay in the digital array."""
    outputs: int = 0
    """Numbers that the layer gives."""
    weight_bits: int = 8
    """Container of the weights, of the activations and of the results: what the digital array would compute with."""
    activation_bits: int = 8
    output_bits: int = 8
    images: int = 0

    @property
    def operations(self) -> int:
        return sum(tile.operations for tile in self.tiles)

    @property
    def active(self) -> int:
        """Word lines with a digit, summed over operations."""
        return sum(int(tile.active @ np.arange(len(tile.active))) for tile in self.tiles)

    @property
    def word_lines(self) -> int:
        """Word lines of the tiles, summed over operations."""
        return sum(tile.operations * tile.rows for tile in self.tiles)

    @property
    def conversions(self) -> int:
        """Made by sparsity-aware converters."""
        return self._over_bits(lambda bits: bits > 0)

    @property
    def skipped(self) -> int:
        """Left out by sparsity-aware converters, as no word line was driven."""
        return self._over_bits(lambda bits: bits == 0)

    @property
    def adc_bits(self) -> int:
        """Bits decided by sparsity-aware converters."""
        return self._over_bits(lambda bits: bits)

    @property
    def resolution(self) -> int:
        """Bits of the converter: those of the spec, or what tells all sums of a full macro apart where that is "ideal"."""
        spec = self.spec
        lossless = lossless_bits(spec.rows, dac_bits=spec.dac.bits, cell_bits=spec.cell_bits)
        return lossless if isinstance(spec.adc.bits, str) else spec.adc.bits

    @property
    def adc_bits_lines(self) -> int:
        """Bits decided by converters that also know the cells of each of their bit lines; see `rpa.flash.sparsity.line_bounds`."""
        return sum(int((tile.active @ self._line_bits(tile)).sum()) for tile in self.tiles)

    @property
    def adc_bits_full(self) -> int:
        """Bits decided by converters that always convert with their full resolution."""
        return self.resolution * (self.conversions + self.skipped)

    @property
    def macs(self) -> int:
        """As `nv_macs`: word lines times outputs of each vector, padding included."""
        return sum(tile.vectors * tile.rows * tile.outs for tile in self.tiles)

    @property
    def cells(self) -> int:
        """Cells that the tiles take."""
        return sum(tile.rows * tile.bit_lines for tile in self.tiles)

    @property
    def words(self) -> int:
        """Words read from the X bank."""
        return sum(tile.vectors * tile.words for tile in self.tiles)

    def bits_of(self, active: npt.ArrayLike) -> Ints:
        """Bits that a sparsity-aware converter decides with `active` driven word lines."""
        spec = self.spec
        return needed_bits(active, dac_bits=spec.dac.bits, cell_bits=spec.cell_bits, adc_bits=self.resolution, log2_lsb=self.log2_lsb)

    def _line_bits(self, tile: TileCounts) -> Ints:
        largest = np.floor(tile.bounds / 2.0**self.log2_lsb + 0.5).astype(np.int64)
        return bit_lengths(np.minimum(largest, (1 << self.resolution) - 1))

    def _over_bits(self, value) -> int:
        """Sum over conversions of a function of the bits that they take."""
        return sum(int(tile.active @ np.asarray(value(self.bits_of(np.arange(len(tile.active)))), np.int64)) * tile.bit_lines for tile in self.tiles)
