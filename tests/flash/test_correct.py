"""Weight mapping correction: currents of the corrected array, by nodal analysis, against the product without wires."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rpa.flash.chip import Chip
from rpa.flash.errors import FlashError
from rpa.flash.ir import ladder
from rpa.flash.mitigate import correct
from rpa.flash.spec import Adc, Errors, MacroSpec, Wires
from tests.flash import nodal

VOLT = 0.1
GATE = Wires(bit_line_ohm=3.0, read_volt=VOLT)
DRAIN = Wires(bit_line_ohm=3.0, word_line_ohm=2.0, drive="drain", read_volt=VOLT)


def laplace_cells(rows, cols, seed=0):
    """Conductances up to 16 uS in 16 steps, as 4-bit magnitudes of Laplace-distributed weights have them."""
    weights = np.abs(np.random.default_rng(seed).laplace(size=(rows, cols)))
    return np.rint(15 * weights / weights.max()) / 15 * 16e-6


def half_active(rows, vectors, seed=1):
    rng = np.random.default_rng(seed)
    return np.array([rng.permutation(rows) < rows // 2 for _ in range(vectors)]).astype(float)


def residual(found, ideal):
    return np.sqrt(np.mean(np.square(found - ideal)) / np.mean(np.square(ideal)))


def gate_residual(made, targets, inputs):
    measured = np.array([nodal.gate_driven(made.cells, each, VOLT, GATE.bit_line_ohm) for each in inputs])
    return residual(made.restored(measured, VOLT), VOLT * inputs @ targets)


@pytest.mark.parametrize("method", [correct.own_line, correct.exact])
@pytest.mark.parametrize("rows", [64, 256])
def test_slope_leaves_a_third_of_the_mean_factor_form(method, rows):
    targets, inputs = laplace_cells(rows, 6), half_active(rows, 12)
    compared = gate_residual(correct.mean_factor(targets, GATE), targets, inputs)
    assert 3 * gate_residual(method(targets, GATE), targets, inputs) < compared
    assert compared < residual(np.array([nodal.gate_driven(targets, each, VOLT, 3.0) for each in inputs]), VOLT * inputs @ targets)


@pytest.mark.parametrize("rows", [512, 1024])
def test_exact_slope_in_long_lines(rows):
    """Up to 38 % of the current is lost there; more than the first-order factor can follow."""
    targets, inputs = laplace_cells(rows, 16), half_active(rows, 32)

    def left(made):
        return residual(made.restored(ladder.currents(made.cells, inputs, read_volt=VOLT, bit_line_ohm=3.0), VOLT), VOLT * inputs @ targets)

    assert 5 * left(correct.exact(targets, GATE)) < left(correct.mean_factor(targets, GATE))


@pytest.mark.parametrize("form", correct.FORMS)
def test_exact_is_exact_at_the_mean_inputs(form):
    """With graded inputs that are the activity itself nothing is left, whichever form."""
    targets, activity = laplace_cells(100, 5), np.random.default_rng(3).random(100)
    made = correct.exact(targets, GATE, form=form, activity=activity)
    measured = nodal.gate_driven(made.cells, activity, VOLT, GATE.bit_line_ohm)
    np.testing.assert_allclose(made.restored([measured], VOLT)[0], VOLT * activity @ targets, rtol=1e-8)


def test_slope_is_the_derivative():
    targets, step = laplace_cells(30, 4), 1e-4
    made = correct.exact(targets, GATE, activity=0.5)
    for row in (0, 13, 29):
        up, down = (0.5 + sign * step * (np.arange(30) == row) for sign in (1, -1))
        change = nodal.gate_driven(made.cells, up, VOLT, 3.0) - nodal.gate_driven(made.cells, down, VOLT, 3.0)
        np.testing.assert_allclose(made.gain * change / (2 * step), VOLT * targets[row], rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize(("method", "most"), [(correct.own_line, 1 / 20), (correct.exact, 1 / 20)])
def test_drain_driven(method, most):
    targets, inputs = laplace_cells(32, 32), half_active(32, 4)

    def left(made):
        assert not made.offset.any()
        measured = [nodal.drain_driven(made.cells, VOLT * each, DRAIN.bit_line_ohm, DRAIN.word_line_ohm) for each in inputs]
        return residual(made.restored(measured, VOLT), VOLT * inputs @ targets)

    assert left(method(targets, DRAIN)) < most * left(correct.mean_factor(targets, DRAIN))


@pytest.mark.parametrize("wires", [GATE, DRAIN])
def test_cells_stay_within_the_limit(wires):
    targets = laplace_cells(64, 8)
    for method in (correct.own_line, correct.exact, correct.mean_factor):
        made = method(targets, wires)
        assert made.cells.max() == pytest.approx(16e-6, rel=1e-12)
        assert made.gain > 1
        assert (made.cells[targets == 0] == 0).all()
        assert method(targets, wires, limit=32e-6).cells.max() == pytest.approx(32e-6, rel=1e-12)


def test_an_empty_array_needs_none():
    made = correct.own_line(np.zeros((4, 3)), GATE)
    assert made.gain == 1
    assert not made.cells.any()
    assert not made.offset.any()


def corrected_chip(ir_drop):
    wires = replace(GATE, bit_line_ohm=1.0)
    spec = MacroSpec(rows=256, cols=16, adc=Adc(bits="ideal"), errors=Errors(ir_drop=ir_drop), wires=wires)
    chip, codes = Chip(spec), np.rint(laplace_cells(256, 16) / 16e-6 * 15)
    chip.reprogram(0, codes)
    digits = half_active(256, 40).astype(np.uint8)
    return chip, codes, digits


def errors_of(chip, codes, digits, offset=0.0):
    found = chip.convert(0, digits, slice(0, 16), 0, chip.limits(digits.sum(axis=1), 0))
    return np.sqrt(np.mean(np.square(found + offset - digits.astype(float) @ codes)))


@pytest.mark.parametrize(("ir_drop", "form", "part"), [("factor", "mean", 1 / 5), ("exact", "mean", 1 / 3), ("exact", "slope", 1 / 6)])
def test_a_corrected_chip_answers_as_without_wires(ir_drop, form, part):
    chip, codes, digits = corrected_chip(ir_drop)
    before = errors_of(chip, codes, digits)
    offset = correct.apply(chip, 0, form=form)
    assert offset.any() == (form == "slope")
    assert errors_of(chip, codes, digits, offset) < part * before


@pytest.mark.parametrize(("given", "message"), [
    ({"form": "median"}, "form is 'median', must be one of 'mean', 'slope'"),
    ({"sweeps": 0}, "sweeps is 0, must be an integer 1..1000"),
    ({"limit": 0}, "limit must be more than 0 and finite, not 0.0"),
    ({"activity": 2}, "activity[0] is 2.0; must hold values from 0 to 1 (1 do not)"),
    ({"targets": [[-1e-6]]}, "targets[0, 0] is -1e-06; must hold finite conductances of 0 siemens or more (1 do not)"),
])
def test_bad_input_is_refused(given, message):
    with pytest.raises(FlashError) as caught:
        correct.own_line(**{"targets": [[1e-6]], "wires": GATE} | given)
    assert str(caught.value) == message


def test_sweeps_that_do_not_settle():
    with pytest.raises(FlashError, match=r"^the wires take too much for a correction: cells still change by .* after 3 sweeps; shorten the lines"):
        correct.exact(laplace_cells(512, 2), GATE, sweeps=3)


def test_ideal_wires_have_nothing_to_correct():
    chip = Chip(MacroSpec.preset("ideal"))
    with pytest.raises(FlashError, match=r"^correct\.apply: the macro's `wires` are \"ideal\", there is nothing to correct$"):
        correct.apply(chip, 0)
