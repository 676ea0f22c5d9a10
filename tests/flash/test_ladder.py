"""The ladder of a gate-driven column against nodal analysis, its own law, and a hand calculation."""

from __future__ import annotations

import numpy as np
import pytest

from rpa.arch.jit import plain
from rpa.flash.errors import FlashError
from rpa.flash.ir import ladder
from tests.flash import nodal


def random_array(rows, cols, vectors=3, seed=0):
    """Conductances of 0..16 uS and inputs, some of which are exactly 0 and 1."""
    rng = np.random.default_rng(seed)
    inputs = np.clip(rng.uniform(-0.5, 1.5, (vectors, rows)), 0, 1)
    return rng.uniform(0, 16e-6, (rows, cols)), inputs


def test_two_cells_by_hand():
    """Cells of 1 and 2 S, segments of 1 ohm: 1 S behind 1 ohm is 1/2 S; 2.5 S behind 1 ohm is 5/7 S."""
    found = ladder.currents([[1.0], [2.0]], [[1, 1], [0, 1], [1, 0]], read_volt=7.0, bit_line_ohm=1.0)
    np.testing.assert_allclose(found[:, 0], [7 * 5 / 7, 7 * 2 / 3, 7 * 1 / 3], rtol=1e-15)


@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (2, 3), (33, 5), (64, 64), (300, 4)])
@pytest.mark.parametrize("ohm", [0.68, 30.0, 1e5])
def test_equals_nodal_analysis(rows, cols, ohm):
    cells, inputs = random_array(rows, cols)
    found = ladder.currents(cells, inputs, read_volt=0.1, bit_line_ohm=ohm)
    expected = [nodal.gate_driven(cells, each, 0.1, ohm) for each in inputs]
    np.testing.assert_allclose(found, expected, rtol=2e-11)


@pytest.mark.parametrize("ohm", [0.0, 0.68, 1e3, 1e9])
def test_compiled_equals_plain(ohm):
    """1024 rows, so that the compiled form normalises often; more columns than it does together."""
    cells, inputs = random_array(1024, 150)
    found = ladder.currents(cells, inputs, read_volt=1.0, bit_line_ohm=ohm)
    np.testing.assert_allclose(found, ladder.admittances(cells, inputs, ohm), rtol=1e-12)


def test_compiled_loop_runs_uncompiled():
    cells, inputs = random_array(70, 3)
    found = np.empty((3, 3))
    plain(ladder._fill)(cells, inputs, 2.0, 0.1, found)
    np.testing.assert_allclose(found, 0.1 * ladder.admittances(cells, inputs, 2.0), rtol=1e-13)
    potentials = np.empty_like(cells)
    plain(ladder._fill_potentials)(cells, inputs[0], 2.0, potentials)
    np.testing.assert_allclose(potentials, ladder.potentials(cells, inputs[0], bit_line_ohm=2.0), rtol=1e-14)


def test_no_wire_is_the_product():
    cells, inputs = random_array(100, 20)
    np.testing.assert_allclose(ladder.currents(cells, inputs, read_volt=0.2, bit_line_ohm=0), 0.2 * inputs @ cells, rtol=1e-13)


def test_batches_do_not_matter():
    cells, inputs = random_array(200, 140, vectors=7)
    whole = ladder.currents(cells, inputs, read_volt=0.1, bit_line_ohm=0.68)
    parts = [ladder.currents(cells, inputs[i:i + 1], read_volt=0.1, bit_line_ohm=0.68) for i in range(7)]
    assert np.array_equal(whole, np.concatenate(parts))


def test_nothing_driven_is_no_current():
    assert not ladder.currents(np.ones((9, 2)), np.zeros((4, 9)), read_volt=1.0, bit_line_ohm=1.0).any()


def test_potentials_obey_kirchhoff():
    """Cells carry potential times conductance; their sum is the bit line's current, and each segment drops the sum above it."""
    cells, inputs = random_array(40, 3, vectors=1)
    found = ladder.potentials(cells, inputs[0], bit_line_ohm=500.0)
    carried = found * cells * inputs[0][:, None]
    np.testing.assert_allclose(carried.sum(axis=0), ladder.currents(cells, inputs, read_volt=1.0, bit_line_ohm=500.0)[0], rtol=1e-13)
    below = np.vstack([found[1:], np.ones(3)])
    np.testing.assert_allclose(below - found, 500.0 * np.cumsum(carried, axis=0), rtol=1e-10, atol=1e-15)


GOOD = {"conductances": np.ones((3, 2)), "inputs": np.ones((1, 3)), "read_volt": 0.1, "bit_line_ohm": 0.68}


@pytest.mark.parametrize(("given", "message"), [
    ({"bit_line_ohm": -1.0}, "bit_line_ohm must be 0 or more and finite, not -1.0"),
    ({"bit_line_ohm": float("nan")}, "bit_line_ohm must be 0 or more and finite, not nan"),
    ({"bit_line_ohm": "low"}, "bit_line_ohm must be a number, not 'low'"),
    ({"bit_line_ohm": 2e6}, "bit_line_ohm is 2e+06 ohm beside cells of up to 1 siemens: their product is 2e+06, must be at most 1e+06"),
    ({"read_volt": 0}, "read_volt must be more than 0 and finite, not 0.0"),
    ({"conductances": np.ones(3)}, "conductances has shape (3,), must be (1..1024 rows, 1..1024 columns)"),
    ({"conductances": np.ones((1025, 1))}, "conductances has shape (1025, 1), must be (1..1024 rows, 1..1024 columns)"),
    ({"conductances": [[1, 1], [1, -2], [1, np.nan]]}, "conductances[1, 1] is -2.0; must hold finite conductances of 0 siemens or more (2 do not)"),
    ({"conductances": [["a"]]}, "conductances must be an array of numbers"),
    ({"inputs": np.ones((1, 2))}, "inputs has shape (1, 2), must be (vectors, 3): one value per word line of the array"),
    ({"inputs": [[0, 1, 1.5]]}, "inputs[0, 2] is 1.5; must hold values from 0 to 1 (1 do not)"),
])
def test_bad_input_is_refused(given, message):
    arguments = GOOD | given
    with pytest.raises(FlashError) as caught:
        ladder.currents(arguments.pop("conductances"), arguments.pop("inputs"), **arguments)
    assert str(caught.value) == message
