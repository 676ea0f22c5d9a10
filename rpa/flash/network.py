"""`FlashNet`: an integer network with some of its layers on macros, for many images at once and without the machine.

Its integers are those of the machine with the same chip, as long as no noise changes from read to read; with ideal macros and conversions that
lose nothing they are those of `rpa.net.reference`.

**Which terms.** A `Mac` is a sum of terms in one accumulator. Terms that join channels (convolutions, fully connected layers) go to macros;
terms with one input channel per output among several (depthwise convolutions, residual connections, average pooling) would leave nearly all
cells of a tile unused and stay digital, where they are exact and added to the same accumulator. `Placement.terms` says otherwise, and a node
placed by name that has only such terms goes to macros whole.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from rpa.arch.macro import Macro
from rpa.flash import check, kernels
from rpa.flash.chip import Chip
from rpa.flash.counts import LayerCounts
from rpa.flash.errors import FlashError
from rpa.flash.placed import ALL, LOG2_LIMITS, PlacedLayer, PlacedTerm, PlacedTile, Placement, Wanted, count_operations, joins_channels, place_layers
from rpa.flash.sparsity import needed_bits
from rpa.flash.spec import MacroSpec
from rpa.flash.wordlines import vectors
from rpa.net import reference
from rpa.net.convolve import convolve
from rpa.net.integer import IntNet, Mac, Node, Term

__all__ = ["ALL", "FlashNet", "Placement", "joins_channels", "with_ideal_converters"]

DIGIT_BYTES = 64 << 20
"""Images are taken so many at once that digits and codes of a tile stay below this, unless one image alone does not."""
Observer = Callable[[PlacedLayer, PlacedTerm, PlacedTile, npt.NDArray[np.integer]], None]
"""Called before operations, with the activations (vectors, word lines of the tile)."""


class FlashNet:
    """An integer network with layers on macros.

    placement: "all", names of nodes, or a placement for each name. spec: the macros. line: columns of the machine's array. chip: macros that
    are there already, a `Chip` or such as `rpa.arch.macro.Twin` (they are programmed here); else a `Chip` of this spec and seed with as many
    macros as needed, or `macros` of them. Raises FlashError for names that are no Mac of the net, and for layers that do not fit.
    """

    def __init__(self, net: IntNet, placement: Wanted = ALL, spec: MacroSpec | None = None, *, line: int = 16, chip: Macro | None = None,
                 macros: int | None = None, seed: int = 0) -> None:
        check.instance("FlashNet", "net", net, IntNet, or_ideal=False)
        check.integer("FlashNet", "line", line, 1, 1024)
        self.net, self.line = net, line
        self.spec = _spec(spec, chip)
        self.observer: Observer | None = None
        self.layers, self._per_image = place_layers(net, placement, self.spec, line=line, macros=chip.macros if isinstance(chip, Chip) else macros)
        self.chip: Macro = chip if chip is not None else Chip(self.spec, macros=self.macros, seed=seed)
        for layer in self.layers.values():
            for tile in layer.tiles:
                for row, cells in enumerate(tile.tile.cells, tile.place.row0):
                    self.chip.program(tile.place.macro, row, tile.columns.start, cells)

    @property
    def macros(self) -> int:
        """How many macros there are."""
        return len(self._per_image)

    @property
    def counts(self) -> dict[str, LayerCounts]:
        """What the macros have done since the start, or since :meth:`reset`, by layer."""
        return {name: layer.counts for name, layer in self.layers.items()}

    @property
    def ranges(self) -> dict[str, float]:
        """log2_lsb of each layer."""
        return {name: layer.log2_lsb for name, layer in self.layers.items()}

    def reset(self) -> None:
        """Counts back to 0; the next image is the first again, and so is its noise."""
        for layer in self.layers.values():
            counts = layer.counts
            counts.images = counts.products = counts.digital_products = counts.outputs = 0
            for tile in counts.tiles:
                tile.vectors = tile.charge = tile.digit_sum = 0
                tile.active[:] = 0

    def set_ranges(self, ranges: Mapping[str, float]) -> None:
        """Another log2_lsb for some layers."""
        for name, log2_lsb in ranges.items():
            if name not in self.layers:
                raise FlashError(f"`{name}` is not on macros; these layers are: {', '.join(self.layers)}")
            check.number(f"`{name}`", "log2_lsb", log2_lsb, *LOG2_LIMITS)
            self.layers[name].log2_lsb = self.layers[name].counts.log2_lsb = log2_lsb

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Every feature (H, W, C) of one image, as `rpa.net.reference.run`."""
        batch = {name: np.asarray(values)[None] for name, values in inputs.items()}
        return {name: values[0] for name, values in self.run_many(batch, wanted=tuple(self.net.features)).items()}

    def run_many(self, inputs: Mapping[str, np.ndarray], *, wanted: Collection[str] | None = None) -> dict[str, np.ndarray]:
        """Features in `wanted` (else the outputs) of images (N, H, W, C), as `rpa.net.reference.run_many`."""
        return reference.run_many(self.net, inputs, wanted=wanted, evaluator=self._evaluate)

    def set_requantization(self, name: str, bias: npt.NDArray[np.int64], multiplier: npt.NDArray[np.int64]) -> None:
        """Another bias and multiplier (M,) for a layer, both digital: `net` is then a network that differs in them, and can be compiled."""
        self.net = replace(self.net, nodes=tuple(
            replace(node, bias=bias, multiplier=multiplier) if isinstance(node, Mac) and node.name == name else node for node in self.net.nodes))

    def accumulate(self, node: Mac, inputs: Mapping[str, np.ndarray]) -> npt.NDArray[np.int64]:
        """Sums (N, P, Q, M) of a placed node before its bias, for inputs (N, H, W, C) by name: terms on macros, and those that stay digital."""
        layer, shape = self.layers[node.name], self.net.features[node.output].shape
        images = len(inputs[node.terms[0].input])
        total = np.zeros((images, *shape), np.int64)
        placed = {term.index: term for term in layer.terms}
        for index, term in enumerate(node.terms):
            x = inputs[term.input]
            if index in placed:
                total += self._product(layer, placed[index], x)
                layer.counts.products += images * _products(term, shape)
            else:
                total += convolve(x, term, self.net.features[term.input].zero_point)
                layer.counts.digital_products += images * _products(term, shape)
        layer.counts.images += images
        layer.counts.outputs += total.size
        return total

    def _evaluate(self, net: IntNet, node: Node, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        if not isinstance(node, Mac) or node.name not in self.layers:
            return reference.evaluate(net, node, inputs)
        return reference.requantized(node, self.accumulate(node, inputs), net.features[node.output], bias=node.bias, pre=node.pre)

    def _product(self, layer: PlacedLayer, term: PlacedTerm, x: np.ndarray) -> np.ndarray:
        """A term's sums (N, P, Q, M) for x (N, H, W, C), through macros."""
        parts = []
        widest = max((self.spec.rows + 8 * tile.counts.bit_lines for tile in term.tiles), default=1)
        step = max(1, DIGIT_BYTES // (term.operations * widest))
        for start in range(0, len(x), step):
            seen = vectors(x[start:start + step], term.term, term.bits, term.zero_point, signed=term.passes.signed)
            total = np.zeros((*seen.shape[:3], len(term.term.weight)), np.int64)
            for tile in term.tiles:
                codes = self._operate(layer, term, tile, seen.reshape(-1, seen.shape[3])[:, tile.inputs], layer.counts.images + start)
                total[..., tile.tile.outputs] += term.tiling.combine(tile.tile, codes).reshape(*seen.shape[:3], -1)
            parts.append(total)
        total = np.concatenate(parts)
        return total << int(layer.log2_lsb) if _whole(layer.log2_lsb) else np.rint(total * 2.0**layer.log2_lsb).astype(np.int64)

    def _operate(self, layer: PlacedLayer, term: PlacedTerm, tile: PlacedTile, x: npt.NDArray[np.integer], image: int) -> npt.NDArray[np.int64]:
        """Codes (vectors, bit lines of the tile) added up over passes, for x (vectors, word lines of the tile) from image number `image` on."""
        count_operations(tile, term.passes, x)
        if self.observer is not None:
            self.observer(layer, term, tile, x)
        macro = tile.place.macro
        if isinstance(self.chip, Chip):
            vector = np.arange(len(x))
            first = (image + vector // term.positions) * self._per_image[macro] + tile.first + vector % term.positions * term.passes.shifts.size
            return kernels.mac(self.chip, macro, x, abits=term.passes.abits, signed=term.passes.signed, columns=tile.columns,
                               log2_lsb=layer.log2_lsb, row0=tile.place.row0, first=first)
        if not _whole(layer.log2_lsb):
            raise FlashError(f"`{layer.node.name}`: log2_lsb is {layer.log2_lsb}, must be a whole number, 0 or more: only a `Chip` has other steps")
        driven = np.zeros((len(x) * term.passes.shifts.size, self.spec.rows), np.uint8)
        driven[:, tile.rows] = term.passes.digits(x).reshape(-1, x.shape[1])
        spec, active = self.spec, np.count_nonzero(driven, axis=1)
        bits = needed_bits(active, dac_bits=spec.dac.bits, cell_bits=spec.cell_bits, adc_bits=spec.adc.code_bits, log2_lsb=layer.log2_lsb)
        codes = self.chip.convert(macro, driven, tile.columns, int(layer.log2_lsb), (1 << bits) - 1)
        return np.einsum("vpl,p->vl", codes.reshape(len(x), term.passes.shifts.size, -1), term.passes.weights)


def _spec(spec: MacroSpec | None, chip: Macro | None) -> MacroSpec:
    """The macros' spec; a chip has its own."""
    if spec is not None:
        check.instance("FlashNet", "spec", spec, MacroSpec, or_ideal=False)
    if isinstance(chip, Chip):
        if spec is not None and spec != chip.spec:
            raise FlashError("FlashNet: `spec` is not that of `chip`; leave it out, or give a chip of this spec")
        return chip.spec
    return MacroSpec.preset("ideal") if spec is None else spec


def _whole(log2_lsb: float) -> bool:
    return log2_lsb >= 0 and float(log2_lsb).is_integer()


def _products(term: Term, shape: tuple[int, int, int]) -> int:
    """Products of one image: outputs times weights of one of them."""
    return shape[0] * shape[1] * term.weight.size


def with_ideal_converters(spec: MacroSpec) -> MacroSpec:
    """The same macros with conversions that lose nothing."""
    return replace(spec, adc=replace(spec.adc, bits="ideal", inl_lsb="ideal", dnl_lsb="ideal", offset_lsb="ideal", gain_error="ideal"))
