"""Weights of a layer as tiles of cell codes: what the compiler writes into macros and what `rpa.flash.network` programs.

The contract (`docs/design.md`, section 15), with `line` = columns of the array:

- A *tile* is what one `nvmac` uses of one macro: word lines = the inputs of one *cut*, in the cut's order; bit lines = lines of `line`
  cells. Output o of the tile is lane o mod line of group g = o div line; group g takes K lines from g*K on:
  plain K = S, line s holds digit s (lowest first, `cell_bits` bits each); differential K = 2S, S lines of the positive parts, then S of the
  negative ones; reference K = S as plain, codes being weight + z, and one more line behind all groups whose lane s holds digit s of z.
- A tile computes out[o] = sum over its inputs of weight[o, i] * x[i] exactly if no code is rounded. Tiles of the same outputs add up in the
  accumulator (row splits); tiles of other outputs go to other accumulators or other results (column splits).
- No correction is left: the reference line takes z * sum(x) away, and zero points of activations are constants that belong to the bias
  (:func:`input_correction`), which `rpa.net.integer` has folded in already.
- An input without products in a tile (elements that fill a word up, channels of other groups) has cells 0, its reference cell included:
  whatever its word line carries changes no sum. It does count as a driven word line where it carries a digit.
- Lanes at or beyond the tile's outputs have cells 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from rpa.flash import check
from rpa.flash.errors import FlashError

WEIGHT_BITS_MAX = 16
"""Most bits of all digits of a weight: n * S of the machine."""


class Encoding(IntEnum):
    """How signed weights become codes of cells; the numbers are those of `nv.encoding`."""

    PLAIN = 0
    DIFFERENTIAL = 1
    REFERENCE = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Tile:
    """One rectangle of cells with the inputs and outputs that it joins."""

    cut: int
    """Index of its cut of the inputs."""
    inputs: npt.NDArray[np.int64] = field(repr=False)
    """(rows,) the layer's input on each word line."""
    outputs: slice
    """The layer's outputs, from a multiple of `line` on."""
    cells: npt.NDArray[np.uint8] = field(repr=False)
    """(rows, lines * line) codes."""
    lines: int
    """Groups * K, and one more with the reference encoding."""

    @property
    def rows(self) -> int:
        return len(self.inputs)

    @property
    def outs(self) -> int:
        """`nv.outs`."""
        return self.outputs.stop - self.outputs.start


@dataclass(frozen=True, kw_only=True, eq=False)
class Mapping:
    """A layer's weights (outputs, inputs) as tiles."""

    encoding: Encoding
    cell_bits: int
    slices: int
    """S, digits of a weight: `nv.slices`."""
    line: int
    reference: int
    """z, the constant code of the reference encoding; else 0."""
    outputs: int
    inputs: int
    tiles: tuple[Tile, ...] = field(repr=False)

    @property
    def group_lines(self) -> int:
        """K, lines of one group of outputs."""
        return lines_per_group(self.encoding, self.slices)

    @property
    def cells(self) -> int:
        """Cells of all tiles, used or not."""
        return sum(tile.cells.size for tile in self.tiles)

    def combine(self, tile: Tile, codes: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        """Codes (..., lines * line) of a tile's bit lines as numbers (..., outs): digits shifted and added, negative or reference taken away."""
        lines = np.asarray(codes, np.int64).reshape(*codes.shape[:-1], tile.lines, self.line)
        groups = -(-tile.outs // self.line)
        places = 1 << self.cell_bits * np.arange(self.slices)
        grouped = lines[..., :groups * self.group_lines, :].reshape(*lines.shape[:-2], groups, -1, self.slices, self.line)
        parts = np.einsum("...gksl,s->...gkl", grouped, places)
        total = parts[..., 0, :] - parts[..., 1, :] if self.encoding == Encoding.DIFFERENTIAL else parts[..., 0, :]
        if self.encoding == Encoding.REFERENCE:
            total = total - (lines[..., -1, :self.slices] @ places)[..., None, None]
        return total.reshape(*total.shape[:-2], -1)[..., :tile.outs]


def lines_per_group(encoding: Encoding, slices: int) -> int:
    """K: lines that one group of outputs takes."""
    return 2 * slices if encoding == Encoding.DIFFERENTIAL else slices


def input_correction(weights: npt.NDArray[np.integer], input_zero_point: int) -> npt.NDArray[np.int64]:
    """What turns sum w*q_x into sum w*(q_x - z_x): constants (outputs,) for the bias."""
    return -input_zero_point * np.asarray(weights, np.int64).sum(axis=1)


def tiles(weights: npt.NDArray[np.integer], *, cell_bits: int, rows: int, cols: int, line: int, encoding: Encoding, weight_bits: int | None = None,
          reference: int | None = None, cuts: Sequence[npt.NDArray[np.integer]] | None = None,
          present: npt.NDArray[np.bool_] | None = None) -> Mapping:
    """Cut a layer's weights into tiles of at most `rows` x `cols` cells.

    weights: (outputs, inputs) integers that multiply the stored activations. line: columns of the array; a macro has cols div line lines.
    weight_bits: width that the digits are made for, 1..16; else what these weights need. reference: the constant code z of that encoding,
    else the smallest that makes every code positive. cuts: inputs of each row split, in the order of the word lines, at most `rows` each;
    else runs of equal length. present: (outputs, inputs), False where a weight is no weight (another group, padding); else all are.
    Raises FlashError for weights that do not fit the encoding, the bits or the macro.
    """
    weights, present = _checked(weights, present)
    if encoding not in list(Encoding):
        raise FlashError(f"mapping: `encoding` is {encoding!r}, must be one of {', '.join(each.name.lower() for each in Encoding)}")
    encoding = Encoding(encoding)
    check.integer("mapping", "cell_bits", cell_bits, 1, 4)
    check.integer("mapping", "rows", rows, 1, 1024)
    if line < 1 or cols < line:
        raise FlashError(f"mapping: a macro of {cols} bit lines has no line of {line}; it needs at least as many bit lines as the array has columns")
    offset = _reference(weights, encoding, reference)
    slices = -(-_code_bits(weights, encoding, offset, weight_bits) // cell_bits)
    per_group, extra = lines_per_group(encoding, slices), int(encoding == Encoding.REFERENCE)
    groups = (cols // line - extra) // per_group
    if cell_bits * slices > WEIGHT_BITS_MAX or extra * slices > line or groups < 1:
        raise FlashError(f"mapping: weights of {slices} digits of {cell_bits} bits ({encoding.name.lower()}) need {per_group + extra} lines of "
                         f"{line} bit lines, at most {WEIGHT_BITS_MAX} bits and {line} digits; the macro has {cols // line} lines: "
                         f"use wider cells or narrower weights")
    made = Mapping(encoding=encoding, cell_bits=cell_bits, slices=slices, line=line, reference=offset, outputs=weights.shape[0],
                   inputs=weights.shape[1], tiles=())
    found = []
    for index, cut in enumerate(_cuts(weights.shape[1], rows) if cuts is None else cuts):
        if not 0 < len(cut) <= rows:
            raise FlashError(f"mapping: cut {index} has {len(cut)} inputs, must have 1..{rows}, the word lines of a macro")
        found += _column_tiles(made, weights, present, index, np.asarray(cut, np.int64), groups * line)
    return Mapping(encoding=encoding, cell_bits=cell_bits, slices=slices, line=line, reference=offset, outputs=weights.shape[0],
                   inputs=weights.shape[1], tiles=tuple(found))


def _checked(weights: npt.NDArray[np.integer], present: npt.NDArray[np.bool_] | None) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    weights = np.asarray(weights)
    if weights.ndim != 2 or not weights.size or not np.issubdtype(weights.dtype, np.integer):
        raise FlashError(f"mapping: weights are {weights.dtype} {weights.shape}, must be integers (outputs, inputs), at least one of each")
    if present is None:
        present = np.ones(weights.shape, bool)
    if present.shape != weights.shape or present.dtype != bool:
        raise FlashError(f"mapping: `present` is {present.dtype} {present.shape}, must be bool {weights.shape} as the weights")
    return np.where(present, weights, 0).astype(np.int64), present


def _reference(weights: npt.NDArray[np.int64], encoding: Encoding, wanted: int | None) -> int:
    least = max(0, -int(weights.min()))
    if encoding != Encoding.REFERENCE:
        if wanted:
            raise FlashError(f"mapping: `reference` is {wanted}, and the encoding {encoding.name.lower()} has no reference; leave it out")
        if encoding == Encoding.PLAIN and least:
            raise FlashError(f"mapping: weights reach {-least}, plain cells hold 0 and above: use the encoding differential or reference")
        return 0
    if wanted is not None and wanted < least:
        raise FlashError(f"mapping: `reference` is {wanted}, must be at least {least}: weights reach {-least}, and codes are weight + reference")
    return least if wanted is None else wanted


def _code_bits(weights: npt.NDArray[np.int64], encoding: Encoding, offset: int, wanted: int | None) -> int:
    """Bits of the codes; with `wanted` those of any weights of that width, if these fit."""
    codes = np.abs(weights) if encoding == Encoding.DIFFERENTIAL else weights + offset
    needed = max(1, int(codes.max()).bit_length())
    if wanted is None:
        return needed
    check.integer("mapping", "weight_bits", wanted, 1, WEIGHT_BITS_MAX)
    # A symmetric weight has no -2^(W-1), and a magnitude of W - 1 bits.
    allowed = wanted - 1 if encoding == Encoding.DIFFERENTIAL and wanted > 1 and needed < wanted else wanted
    if needed > allowed:
        raise FlashError(f"mapping: weights {weights.min()}..{weights.max()} need codes of {needed} bits ({encoding.name.lower()}), "
                         f"must fit {wanted} bits")
    return allowed


def _cuts(inputs: int, rows: int) -> list[npt.NDArray[np.int64]]:
    return list(np.array_split(np.arange(inputs), -(-inputs // rows)))


def _column_tiles(made: Mapping, weights: npt.NDArray[np.int64], present: npt.NDArray[np.bool_], index: int, cut: npt.NDArray[np.int64],
                  width: int) -> list[Tile]:
    """Tiles of one cut: outputs that have products in it, `width` of them at a time."""
    live = present[:, cut]
    outs = np.flatnonzero(live.any(axis=1))
    if not len(outs):
        return []
    found = []
    for start in range(outs[0] // made.line * made.line, outs[-1] + 1, width):
        outputs = slice(start, min(start + width, int(outs[-1]) + 1))
        if live[outputs].any():
            cells = _cells(made, weights[outputs][:, cut].T, np.logical_or.reduce(live[outputs]))
            found.append(Tile(cut=index, inputs=cut, outputs=outputs, cells=cells, lines=cells.shape[1] // made.line))
    return found


def _cells(made: Mapping, weights: npt.NDArray[np.int64], used: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Cell codes (rows, lines * line) of weights (rows, outs); used: (rows,), False for word lines without products."""
    if made.encoding == Encoding.DIFFERENTIAL:
        signs = np.stack([np.maximum(weights, 0), np.maximum(-weights, 0)])
    else:
        signs = np.where(used[:, None], weights + made.reference, 0)[None]
    rows, outs = weights.shape
    groups, extra = -(-outs // made.line), int(made.encoding == Encoding.REFERENCE)
    lines = np.zeros((rows, groups * made.group_lines + extra, made.line), np.uint8)
    shifts, mask = made.cell_bits * np.arange(made.slices), (1 << made.cell_bits) - 1
    padded = np.zeros((len(signs), rows, groups * made.line), np.int64)
    padded[:, :, :outs] = signs
    split = padded.reshape(len(signs), 1, rows, groups, made.line) >> shifts[None, :, None, None, None] & mask
    lines[:, :groups * made.group_lines] = split.transpose(2, 3, 0, 1, 4).reshape(rows, -1, made.line)
    if extra:
        lines[:, -1, :made.slices] = np.where(used[:, None], made.reference >> shifts & mask, 0)
    return lines.reshape(rows, -1)
