"""Weights in cells: an ideal macro and the digital shift-add behind it give the integer product, for any widths."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpa.arch.config import ArrayConfig
from rpa.arch.macro import Twin, limits
from rpa.flash.errors import FlashError
from rpa.flash.mapping import Encoding, input_correction, tiles
from rpa.flash.pack import pack
from rpa.flash.passes import activation_bits
from rpa.flash.patterns import Passes
from rpa.flash.wordlines import boxes, matrix, vectors
from rpa.net.convolve import convolve
from rpa.net.integer import Term

ADC = 18
"""Bits that lose nothing: 1024 * 15 * 15 < 2^18."""


def product_on_twin(weights, x, made, steps, *, cell_bits, dac_bits, rows, cols):
    """sum w*x (vectors, outputs) through program, convert, combine and the passes' weights."""
    config = ArrayConfig(nv_macros=1, nv_rows=rows, nv_cols=cols, nv_cell_bits=cell_bits, nv_dac_bits=dac_bits, cols=made.line, nv_adc_share=1)
    bits = SimpleNamespace(nv_dac_bits=dac_bits, nv_cell_bits=cell_bits, nv_adc_bits=ADC)
    total = np.zeros((len(x), len(weights)), np.int64)
    for tile in made.tiles:
        twin = Twin(config)
        for row, cells in enumerate(tile.cells):
            twin.program(0, row, 0, cells)
        count = len(steps.shifts)
        driven = np.zeros((len(x) * count, rows), np.uint8)
        driven[:, :tile.rows] = steps.digits(x[:, tile.inputs]).reshape(-1, tile.rows)
        codes = twin.convert(0, driven, slice(0, tile.cells.shape[1]), 0, limits(bits, np.count_nonzero(driven, axis=1), 0))
        numbers = made.combine(tile, codes).reshape(len(x), count, -1)
        total[:, tile.outputs] += np.einsum("vpo,p->vo", numbers, steps.weights)
    return total


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_ideal_macros_multiply_exactly(data):
    draw = data.draw
    width, abits = draw(st.sampled_from([2, 3, 4, 5, 6, 7, 8, 16])), draw(st.integers(1, 16))
    signed, encoding = draw(st.booleans()), draw(st.sampled_from(list(Encoding)))
    cell_bits, dac_bits, line = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.sampled_from([4, 16]))
    outputs, inputs = draw(st.integers(1, 40)), draw(st.integers(1, 90))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    low, high = (0, 1 << width) if encoding == Encoding.PLAIN else (-(1 << width - 1), 1 << width - 1)
    weights = rng.integers(low, high, (outputs, inputs))
    x = rng.integers(-(1 << abits - 1), 1 << abits - 1, (3, inputs)) if signed else rng.integers(0, 1 << abits, (3, inputs))
    cols, rows = 8 * 16, 32
    try:
        made = tiles(weights, weight_bits=width, cell_bits=cell_bits, rows=rows, cols=cols, line=line, encoding=encoding)
    except FlashError as error:
        assert "need" in str(error)
        slices = -(-width // cell_bits)
        lines = slices * (1 + (encoding == Encoding.DIFFERENTIAL)) + (encoding == Encoding.REFERENCE)
        assert lines > cols // line or cell_bits * slices > 16 or (encoding == Encoding.REFERENCE and slices > line)
        return
    steps = Passes(abits, dac_bits, signed)
    got = product_on_twin(weights, x, made, steps, cell_bits=cell_bits, dac_bits=dac_bits, rows=rows, cols=cols)
    assert np.array_equal(got, x.astype(np.int64) @ weights.T.astype(np.int64))
    assert len(made.tiles) >= -(-inputs // rows)


def test_cells_by_hand():
    weights = np.array([[5, -3], [-6, 0], [1, 7]])
    plain = tiles(weights + 6, cell_bits=2, rows=8, cols=8, line=4, encoding=Encoding.PLAIN)
    assert plain.slices == 2 and plain.tiles[0].cells.tolist() == [[3, 0, 3, 0, 2, 0, 1, 0], [3, 2, 1, 0, 0, 1, 3, 0]]
    pair = tiles(weights, cell_bits=3, rows=8, cols=8, line=4, encoding=Encoding.DIFFERENTIAL)
    assert pair.slices == 1 and pair.tiles[0].cells.tolist() == [[5, 0, 1, 0, 0, 6, 0, 0], [0, 0, 7, 0, 3, 0, 0, 0]]
    column = tiles(weights, cell_bits=4, rows=8, cols=8, line=4, encoding=Encoding.REFERENCE)
    assert column.reference == 6 and column.tiles[0].cells.tolist() == [[11, 0, 7, 0, 6, 0, 0, 0], [3, 6, 13, 0, 6, 0, 0, 0]]


def test_groups_lie_k_lines_apart():
    weights = np.arange(1, 11)[:, None]
    made = tiles(weights, cell_bits=2, rows=8, cols=48, line=4, encoding=Encoding.DIFFERENTIAL, weight_bits=5)
    cells = made.tiles[0].cells.reshape(-1, 4)
    assert made.group_lines == 4 and made.tiles[0].lines == 12
    assert cells[0].tolist() == [1, 2, 3, 0] and cells[1].tolist() == [0, 0, 0, 1]
    assert cells[4].tolist() == [1, 2, 3, 0] and cells[5].tolist() == [1, 1, 1, 2] and cells[8].tolist() == [1, 2, 0, 0]


def test_padding_has_cells_of_zero_in_the_reference_too():
    present = np.array([[True, False, True]] * 2)
    made = tiles(np.array([[1, 9, -2], [3, 9, 0]]), cell_bits=4, rows=8, cols=8, line=4, encoding=Encoding.REFERENCE, present=present)
    assert made.tiles[0].cells.tolist() == [[3, 5, 0, 0, 2, 0, 0, 0], [0] * 8, [0, 2, 0, 0, 2, 0, 0, 0]]


def test_a_tile_without_products_is_left_out():
    present = np.kron(np.eye(4, dtype=bool), np.ones((4, 8), bool))
    made = tiles(np.ones(present.shape, int), cell_bits=1, rows=8, cols=8, line=4, encoding=Encoding.PLAIN, present=present)
    assert [(tile.outputs.start, tile.outputs.stop, int(tile.inputs[0])) for tile in made.tiles] == [(0, 4, 0), (4, 8, 8), (8, 12, 16), (12, 16, 24)]


def test_input_zero_points_belong_to_the_bias():
    rng = np.random.default_rng(2)
    weights, x = rng.integers(-8, 8, (5, 11)), rng.integers(0, 16, (3, 11))
    assert np.array_equal(x @ weights.T + input_correction(weights, 7), (x - 7) @ weights.T)


@pytest.mark.parametrize("weights, options, message", [
    (np.array([[-1]]), {"encoding": Encoding.PLAIN}, "plain cells hold 0 and above"),
    (np.array([[9]]), {"encoding": Encoding.DIFFERENTIAL, "weight_bits": 3}, "must fit 3 bits"),
    (np.array([[-9]]), {"encoding": Encoding.REFERENCE, "reference": 4}, "must be at least 9"),
    (np.array([[1 << 15]]), {"encoding": Encoding.DIFFERENTIAL, "cell_bits": 1, "cols": 16}, "the macro has 4 lines"),
    (np.array([[0.5]]), {"encoding": Encoding.PLAIN}, "must be integers"),
    (np.array([[1]]), {"encoding": Encoding.PLAIN, "cols": 2}, "has no line of 4"),
    (np.array([[1] * 9]), {"encoding": Encoding.PLAIN, "cuts": [np.arange(9)]}, "must have 1..8"),
    (np.array([[1]]), {"encoding": Encoding.PLAIN, "cell_bits": 5}, "`cell_bits`"),
    (np.array([[1]]), {"encoding": Encoding.PLAIN, "rows": 0}, r"mapping: `rows` is 0, must be an integer 1..1024"),
    (np.array([[1]]), {"encoding": 7}, "mapping: `encoding` is 7, must be one of plain, differential, reference"),
    (np.array([[np.nan]]), {"encoding": Encoding.DIFFERENTIAL}, r"weights are float64 \(1, 1\), must be integers"),
])
def test_weights_that_do_not_fit_are_named(weights, options, message):
    with pytest.raises(FlashError, match=message):
        tiles(weights, **{"cell_bits": 4, "rows": 8, "cols": 16, "line": 4, **options})


def test_passes_cover_every_bit_once():
    for dac_bits in (1, 2, 3, 4):
        for abits in range(1, 17):
            for signed in (False, True):
                steps = Passes(abits, dac_bits, signed)
                low, high = (-(1 << abits - 1), (1 << abits - 1) - 1) if signed else (0, (1 << abits) - 1)
                values = np.unique(np.linspace(low, high, 77).astype(np.int64))
                got = steps.digits(values[:, None])[:, :, 0].astype(np.int64) @ steps.weights
                assert np.array_equal(got, values)
                assert len(steps.shifts) == (-(-(abits - 1) // dac_bits) + 1 if signed else -(-abits // dac_bits))


def test_activation_bits():
    assert [activation_bits(*limits) for limits in ((0, 0), (0, 7), (0, 8), (3, 255), (-1, 0), (-8, 7), (-8, 8), (-9, 1))] == \
        [(1, False), (3, False), (4, False), (8, False), (1, True), (4, True), (5, True), (5, True)]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 40), st.sampled_from([1, 2, 4, 8]), st.sampled_from([8, 32, 128]))
def test_boxes_cut_a_kernel_into_few_parts(height, width, words, elements, rows):
    found = boxes((height, width), words, elements, rows)
    inputs = np.concatenate([box.inputs(width, words, elements) for box in found])
    assert sorted(inputs.tolist()) == list(range(height * width * words * elements))
    assert all(box.count * elements <= rows for box in found)
    assert len(found) < 4 * -(-height * width * words * elements // rows) + 1


def test_boxes_prefer_kernel_rows():
    assert [(len(b.rows), len(b.columns), len(b.words)) for b in boxes((3, 3), 8, 4, 128)] == [(1, 3, 8)] * 3
    assert len(boxes((3, 3), 32, 2, 128)) == 5 and len(boxes((1, 1), 4, 2, 128)) == 1


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_word_lines_of_a_convolution(data):
    draw = data.draw
    groups, per_group, channels = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 5))
    kernel, stride, bits = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.sampled_from([2, 4, 8, 16]))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    term = Term(input="x", weight=rng.integers(-8, 8, (groups * per_group, kernel, 2, channels)), weight_bits=4, stride=(stride, 1),
                pads=(1, 0, 0, 1), groups=groups, dilation=(1, 2))
    x, zero = rng.integers(0, 4, (2, 6, 5, groups * channels)), draw(st.integers(0, 3))
    weights, present = matrix(term, bits)
    assert np.array_equal(vectors(x, term, bits, zero).astype(np.int64) @ weights.T, convolve(x, term, zero))
    assert present.sum() == term.weight.size


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 16), st.integers(1, 8)), min_size=1, max_size=30))
def test_tiles_do_not_overlap(sizes):
    taken = np.zeros((len(sizes), 16, 8), int)
    for (rows, lines), place in zip(sizes, pack(sizes, rows=16, lines=8), strict=True):
        part = taken[place.macro, place.row0:place.row0 + rows, place.line0:place.line0 + lines]
        assert part.shape == (rows, lines)
        part += 1
    assert taken.max() == 1


def test_macros_that_run_out():
    with pytest.raises(FlashError, match="no room for tile 1"):
        pack([(8, 5), (9, 4)], rows=16, lines=8, macros=1)
    with pytest.raises(FlashError, match="tile 0 has 17 word lines"):
        pack([(17, 1)], rows=16, lines=8)
