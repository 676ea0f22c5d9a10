"""A convolution on NOR-flash macros: output pixels one after the other, all outputs of a pixel at once; and programming the cells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from isa.table import ACC_INDEX_COUNT
from rpa.arch.config import ArrayConfig
from rpa.arch.macro import CELLS_IN_A_WORD
from rpa.arch.numerics import rounding_code
from rpa.compile.banks import Banks
from rpa.compile.commands import Command, Load, Nest, Results, Stage
from rpa.compile.cost import Cost
from rpa.compile.flash_plan import FlashLayer, OutputWindow, Site
from rpa.compile.layout import Layout, Placed, align
from rpa.compile.loads import largest_unit, load_params, params_of
from rpa.compile.tiling import origins
from rpa.compile.words import region
from rpa.flash.wordlines import WORD_BITS

_CELL_CONTAINER = WORD_BITS // CELLS_IN_A_WORD


@dataclass(frozen=True)
class FlashPlan:
    """Where a layer's cells are, and what running it costs."""

    layer: FlashLayer
    cost: Cost


class FlashConvolution:
    """Stages of a node on macros. A stage is one box of a term's kernel for a few output pixels of a row; a block ends with their results."""

    def __init__(self, layer: FlashLayer, layout: Layout, banks: Banks) -> None:
        self.layer, self.node, self.layout, self.banks, self.config = layer, layer.node, layout, banks, layout.config
        self.output = layout.features[layer.node.output]

    def nest(self) -> Nest:
        height, width, _ = self.output.feature.shape
        items = []
        for window in self.layer.windows:
            pixels = self._pixels(window, width)
            params, entry = self._parameters(window)
            starts = origins(width, pixels, -(-width // pixels))
            rows = []
            for y in range(height):
                rows.append(Nest("", [self._block(window, pixels, entry, params if (y, x) == (0, starts[0]) else (), y, x) for x in starts]))
            items.append(Nest("", rows))
        sources = " + ".join(f"{'x'.join(map(str, self.layout.features[term.input].feature.shape))} w {'x'.join(map(str, term.weight.shape[1:3]))}"
                             for term in self.node.terms)
        return Nest(f"{self.node.name}: {sources} -> {'x'.join(map(str, self.output.feature.shape))} on macros", items)

    def _pixels(self, window: OutputWindow, width: int) -> int:
        """Output pixels in flight: as many as have accumulators and a place for what they read in half the X bank."""
        pixels = min(ACC_INDEX_COUNT // window.groups, width)
        while pixels > 1 and any(self._strip(site, pixels).words > self.banks.x_words for site in window.sites):
            pixels -= 1
        return pixels

    def _strip(self, site: Site, pixels: int) -> _Strip:
        return strip(self.layout.features[self.node.terms[site.term].input], self.node.terms[site.term], site, pixels, self.config)

    def _parameters(self, window: OutputWindow) -> tuple[tuple[Command, ...], int]:
        entry = self.banks.next_p()
        entries = params_of(self.node, window.first_group * self.config.cols, window.groups, self.config.cols)
        return (load_params(self.layout, entries, entry)[0],), entry

    def _block(self, window: OutputWindow, pixels: int, entry: int, params: tuple[Command, ...], y: int, x: int) -> Nest:
        bank, o_base = self.banks.next_block()
        stages = []
        for number, boxed in enumerate(_by_box(window.sites)):
            base = self.banks.next_x()
            placed, term = self.layout.features[self.node.terms[boxed[0].term].input], self.node.terms[boxed[0].term]
            piece = self._strip(boxed[0], pixels)
            load = piece.load(placed, y * term.stride[0] - term.pads[0], x * term.stride[1] - term.pads[1], base, self.config)
            macs = tuple(self._mac(site, piece, pixels, base, bank) for site in boxed)
            stages.append(Stage(params if number == 0 else (), (load,), macs))
        last = stages.pop()
        return Nest("", (*stages, Stage(last.constants, last.loads, last.runs, self._results(window, pixels, entry, bank, o_base, y, x))))

    def _mac(self, site: Site, piece: _Strip, pixels: int, base: int, bank: int) -> Command:
        term = self.node.terms[site.term]
        source = self.layout.features[term.input].feature
        return Command(f"nvmac {bank}", {
            "nv.macro": site.place.macro, "nv.row0": site.place.row0, "nv.rows": site.tile.rows, "nv.line0": site.place.line0,
            "nv.outs": site.tile.outs, "nv.slices": site.slices, "nv.encoding": int(site.encoding), "nv.ebits": source.bits,
            "nv.abits": site.act_bits, "nv.asigned": int(site.act_signed), "nv.range": self.layer.log2_lsb, "nv.keep": int(site.keep),
            "nv.xbase": base,
            "nv.k0": piece.pixel_words, "nv.xk0": 1, "nv.k1": len(site.box.columns), "nv.xk1": term.dilation[1] * piece.pixel_words,
            "nv.k2": len(site.box.rows), "nv.xk2": piece.pitch, "nv.n0": pixels, "nv.xv0": term.stride[1] * piece.pixel_words, "nv.cv0": 1,
            "nv.cg": wrapped(pixels)})

    def _results(self, window: OutputWindow, pixels: int, entry: int, bank: int, o_base: int, y: int, x: int) -> Results:
        node, feature = self.node, self.output.feature
        pitch = -(-pixels * feature.bits // WORD_BITS)
        parts = []
        for group in range(window.groups):
            drain = Command(f"drain {bank}", {
                "dr.nv": 1, "dr.acc0": group * pixels, "dr.accs": pixels, "dr.base": o_base + group * pitch, "dr.param": entry + group,
                "dr.pre": node.pre, "dr.round": rounding_code(node.rounding), "dr.zp": feature.zero_point, "dr.lo": feature.low,
                "dr.hi": feature.high, "dr.bits": feature.bits})
            parts.append((drain, (self._store(window.first_group + group, o_base + group * pitch, pixels, y, x),)))
        channels = (window.first_group * self.config.cols, (window.first_group + window.groups) * self.config.cols)
        writes = region(self.output, (y, y + 1), (x, x + pixels), channels)
        return Results(*parts[0], writes, tuple(parts[1:]))

    def _store(self, group: int, base: int, pixels: int, y: int, x: int) -> Command:
        output, bits = self.output, self.output.feature.bits
        words = self.config.cols * bits // WORD_BITS
        unit = largest_unit(self.config, words, output.pixel_words, output.offset_words(y, x, group * words))
        return Command("st", {"st.addr": output.at(y, x, group * words), "st.xs": pixels, "st.ws": words // unit, "st.unit": unit, "st.base": base,
                              "st.bits": bits, "st.xstride": 2 * output.pixel_words, "st.wstride": 2 * unit})


def wrapped(step: int) -> int:
    """An accumulator step modulo 16 as its register takes it, -16..15."""
    return step if step < ACC_INDEX_COUNT else step - ACC_INDEX_COUNT


def _by_box(sites: Iterable[Site]) -> list[list[Site]]:
    """Sites that read the same words, together, in order."""
    found: dict[tuple[int, object], list[Site]] = {}
    for site in sites:
        found.setdefault((site.term, site.box), []).append(site)
    return list(found.values())


@dataclass(frozen=True)
class _Strip:
    """What a box of a kernel reads for some neighbouring output pixels, as it lies in the X bank: rows of pixels of `pixel_words` words."""

    rows: range
    """Kernel rows."""
    row_step: int
    """Rows of the feature from one to the next."""
    first_pixel: int
    """Columns of the feature from the window's left edge."""
    pixels: int
    first_word: int
    pixel_words: int
    pitch: int

    @property
    def words(self) -> int:
        return len(self.rows) * self.pitch

    def load(self, placed: Placed, top: int, left: int, base: int, config: ArrayConfig) -> Load:
        """Commands for a window whose upper left corner is (top, left) of the image."""
        y, x = top + self.rows[0] * self.row_step, left + self.first_pixel
        rows = (y, y + (len(self.rows) - 1) * self.row_step + 1)
        bits = placed.feature.bits
        channels = (self.first_word * WORD_BITS // bits, (self.first_word + self.pixel_words) * WORD_BITS // bits)
        return Load(tuple(self._commands(placed, y, x, base, config)), region(placed, rows, (x, x + self.pixels), channels))

    def _commands(self, placed: Placed, y: int, x: int, base: int, config: ArrayConfig) -> Iterator[Command]:
        start, count = placed.at(y, x, self.first_word), len(self.rows)
        common = {"ld.rows": count, "ld.wlen": count, "ld.sstride": 2 * placed.row_words * self.row_step, "ld.pitch": self.pitch}
        if self.pixel_words == placed.pixel_words:
            words = self.pixels * self.pixel_words
            unit = largest_unit(config, words, self.pitch, start // 2)
            yield Command("ld x, mem", {**common, "ld.addr": start, "ld.unit": unit, "ld.units": words // unit, "ld.sstep": 2 * unit,
                                        "ld.base": base, "ld.dstep": unit})
            return
        unit = largest_unit(config, self.pixel_words, self.pitch, placed.pixel_words, start // 2)
        for word in range(0, self.pixel_words, unit):
            yield Command("ld x, mem", {**common, "ld.addr": start + 2 * word, "ld.unit": unit, "ld.units": self.pixels,
                                        "ld.sstep": 2 * placed.pixel_words, "ld.base": base + word, "ld.dstep": self.pixel_words})


def strip(placed: Placed, term, site: Site, pixels: int, config: ArrayConfig) -> _Strip:
    """The words of a site's box for `pixels` output pixels."""
    box = site.box
    reach = (pixels - 1) * term.stride[1] + (len(box.columns) - 1) * term.dilation[1] + 1
    return _Strip(box.rows, term.dilation[0], box.columns[0] * term.dilation[1], reach, box.words[0], len(box.words),
                  align(reach * len(box.words), config.bus_words))


def programming(layers: Iterable[FlashLayer], layout: Layout, banks: Banks) -> Nest:
    """Program every cell of the layers: tiles of cells from the data image through the X bank. Nothing else runs meanwhile."""
    items = [Nest(f"program {layer.node.name}", [stage for site in layer.sites for stage in _program(site, layout, banks)]) for layer in layers]
    taken, given = Command("sync ld", wait=("nv",)), Command("sync nv", signal=("ld",))
    return Nest("program the macros", [*items, Nest("until the last cell is programmed", (taken, taken, given, given))])


def _program(site: Site, layout: Layout, banks: Banks) -> Iterator[Stage]:
    config = layout.config
    words = cell_words(site.tile.cells, config.bus_words)
    rows, pitch = words.shape
    address = layout.constant(words)
    most = banks.x_words // pitch
    for first in range(0, rows, most):
        base, count = banks.next_x(), min(most, rows - first)
        unit = largest_unit(config, pitch)
        load = Command("ld x, mem", {"ld.addr": address + 2 * first * pitch, "ld.rows": count, "ld.wlen": count, "ld.unit": unit,
                                     "ld.units": pitch // unit, "ld.sstride": 2 * pitch, "ld.sstep": 2 * unit, "ld.base": base, "ld.pitch": pitch,
                                     "ld.dstep": unit})
        program = Command("nvprog", {"nv.macro": site.place.macro, "nv.row0": site.place.row0 + first, "nv.rows": count,
                                     "nv.line0": site.place.line0, "nv.k0": site.tile.cells.shape[1] // CELLS_IN_A_WORD, "nv.xbase": base,
                                     "nv.xv0": pitch})
        yield Stage((load,), (), (program,))


def cell_words(cells: np.ndarray, unit: int) -> np.ndarray:
    """Cell codes (rows, bit lines) as words uint16 (rows, words), four a word, rows padded to whole units."""
    rows, count = cells.shape
    padded = np.zeros((rows, align(count, CELLS_IN_A_WORD * unit)), np.uint16)
    padded[:, :count] = cells
    parts = padded.reshape(rows, -1, CELLS_IN_A_WORD)
    return np.bitwise_or.reduce(parts << (_CELL_CONTAINER * np.arange(CELLS_IN_A_WORD, dtype=np.uint16)), axis=2).astype(np.uint16)
