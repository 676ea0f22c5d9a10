"""The transfer map of a drain-driven array against nodal analysis, a hand calculation, and its symmetry."""

from __future__ import annotations

import numpy as np
import pytest

from rpa.arch.jit import plain
from rpa.flash.errors import FlashError
from rpa.flash.ir import ladder, transfer
from tests.flash import nodal


def random_cells(rows, cols, seed=0):
    return np.random.default_rng(seed).uniform(0, 16e-6, (rows, cols))


def test_one_cell_is_a_series_connection():
    assert transfer.matrix([[0.5]], bit_line_ohm=1.0, word_line_ohm=3.0) == pytest.approx(np.array([[1 / 6]]), rel=1e-15)


@pytest.mark.parametrize(("rows", "cols"), [(1, 4), (4, 1), (5, 3), (40, 17), (64, 64)])
@pytest.mark.parametrize("ohm", [(0.68, 0.68), (30.0, 2.0), (1e4, 1e5)])
def test_equals_nodal_analysis(rows, cols, ohm):
    cells = random_cells(rows, cols)
    volts = np.random.default_rng(1).uniform(-0.1, 0.3, rows)
    found = transfer.matrix(cells, bit_line_ohm=ohm[0], word_line_ohm=ohm[1]) @ volts
    expected = nodal.drain_driven(cells, volts, *ohm)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-11 * abs(expected).max())


def test_no_wires_is_the_array_itself():
    cells = random_cells(20, 30)
    np.testing.assert_allclose(transfer.matrix(cells, bit_line_ohm=0, word_line_ohm=0), cells.T, rtol=1e-13)


def test_without_word_line_drop_one_driven_column_is_a_ladder():
    """With word lines at 1 V and no resistance in them, a column is the ladder of a gate-driven array with every input at 1."""
    cells = random_cells(50, 3)
    found = transfer.matrix(cells, bit_line_ohm=12.0, word_line_ohm=0) @ np.ones(50)
    np.testing.assert_allclose(found, ladder.currents(cells, np.ones((1, 50)), read_volt=1.0, bit_line_ohm=12.0)[0], rtol=1e-12)


def test_word_lines_uncompiled():
    cells = random_cells(1, 9)[0]
    found, expected = np.empty((9, 10)), np.empty((9, 10))
    plain(transfer._fill_word_line)(cells, 1e4, found)
    transfer._fill_word_line(cells, 1e4, expected)
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_reciprocity():
    """Turned over, an array's drivers are its sense amplifiers: rows and columns, and which of their ends is driven, change places."""
    cells = random_cells(7, 11)
    found = transfer.matrix(cells, bit_line_ohm=40.0, word_line_ohm=9.0)
    turned = transfer.matrix(cells[::-1, ::-1].T, bit_line_ohm=9.0, word_line_ohm=40.0)
    np.testing.assert_allclose(turned, found.T[::-1, ::-1], rtol=1e-11)


@pytest.mark.parametrize(("given", "message"), [
    ({"bit_line_ohm": -0.5}, "bit_line_ohm must be 0 or more and finite, not -0.5"),
    ({"word_line_ohm": float("inf")}, "word_line_ohm must be 0 or more and finite, not inf"),
    ({"conductances": np.ones((2, 2, 2))}, "conductances has shape (2, 2, 2), must be (1..1024 rows, 1..1024 columns)"),
    ({"conductances": [[np.nan]]}, "conductances[0, 0] is nan; must hold finite conductances of 0 siemens or more (1 do not)"),
])
def test_bad_input_is_refused(given, message):
    with pytest.raises(FlashError) as caught:
        transfer.matrix(**{"conductances": np.ones((2, 2)), "bit_line_ohm": 1.0, "word_line_ohm": 1.0} | given)
    assert str(caught.value) == message
