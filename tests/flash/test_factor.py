"""The cheap factor against its definition written as loops, and against exact currents."""

from __future__ import annotations

import numpy as np
import pytest

from rpa.flash.errors import FlashError
from rpa.flash.ir import factor, ladder, transfer


def random_cells(rows, cols, seed=0):
    return np.random.default_rng(seed).uniform(0, 16e-6, (rows, cols))


def drop_of_cell(cells, row, column, bit, word, activity):
    """Sum over the wire segments that the cell's current passes of what flows in each, by Kirchhoff's current law."""
    rows, cols = cells.shape
    seen = [1.0 if each == row else np.broadcast_to(activity, rows)[each] for each in range(rows)]
    down = sum(bit * sum(seen[above] * cells[above, column] for above in range(k + 1)) for k in range(row, rows))
    along = sum(word * sum(cells[row, right] for right in range(k, cols)) for k in range(column + 1))
    return down + along


@pytest.mark.parametrize("activity", [1.0, 0.5, 0.0, [0.1, 0.9, 0.5, 0.0, 1.0]])
def test_own_line_is_its_definition(activity):
    cells = random_cells(5, 4)
    found = factor.own_line(cells, bit_line_ohm=2.0, word_line_ohm=3.0, activity=activity)
    expected = [[drop_of_cell(cells, i, j, 2.0, 3.0, activity) for j in range(4)] for i in range(5)]
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_mean_factor_is_own_line_of_a_uniform_array():
    cells = random_cells(6, 9)
    uniform = np.full_like(cells, cells.mean())
    wires = {"bit_line_ohm": 2.0, "word_line_ohm": 3.0}
    np.testing.assert_allclose(factor.mean_factor(cells, **wires), factor.own_line(uniform, **wires), rtol=1e-13)


@pytest.mark.parametrize(("rows", "ohm", "percent"), [(64, 0.5, 0.01), (128, 0.68, 0.05), (256, 2.0, 1.5)])
def test_gate_driven_error_against_the_ladder(rows, ohm, percent):
    """All rows driven; the limits are above the square of the drop, which is what a first-order factor leaves."""
    cells = random_cells(rows, 32)
    exact = ladder.currents(cells, np.ones((1, rows)), read_volt=1.0, bit_line_ohm=ohm)[0]
    found = factor.effective(cells, bit_line_ohm=ohm).sum(axis=0)
    assert abs(found / exact - 1).max() * 100 < percent
    assert abs(cells.sum(axis=0) / exact - 1).min() > 3 * abs(found / exact - 1).max()


@pytest.mark.parametrize(("size", "ohm", "percent"), [(32, 0.68, 0.01), (64, 0.68, 0.1), (64, 2.0, 0.6)])
def test_drain_driven_error_against_the_transfer_map(size, ohm, percent):
    cells = random_cells(size, size)
    exact = transfer.matrix(cells, bit_line_ohm=ohm, word_line_ohm=ohm).sum(axis=1)
    found = factor.effective(cells, bit_line_ohm=ohm, word_line_ohm=ohm).sum(axis=0)
    assert abs(found / exact - 1).max() * 100 < percent


def test_no_wires_change_nothing():
    cells = random_cells(5, 5)
    assert np.array_equal(factor.effective(cells, bit_line_ohm=0.0), cells)


@pytest.mark.parametrize(("given", "message"), [
    ({"activity": 1.5}, "activity[0] is 1.5; must hold values from 0 to 1 (1 do not)"),
    ({"activity": [1, 1]}, "activity has shape (2,), must be one number or (1,): one value per word line of the array"),
    ({"word_line_ohm": -1}, "word_line_ohm must be 0 or more and finite, not -1.0"),
    ({"conductances": [[-1.0]]}, "conductances[0, 0] is -1.0; must hold finite conductances of 0 siemens or more (1 do not)"),
])
def test_bad_input_is_refused(given, message):
    for each in (factor.effective, factor.own_line, factor.mean_factor):
        with pytest.raises(FlashError) as caught:
            each(**{"conductances": [[1.0]], "bit_line_ohm": 1.0} | given)
        assert str(caught.value) == message
