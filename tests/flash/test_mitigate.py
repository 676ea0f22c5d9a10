"""Write-verify and recalibration: what they leave, by statistics of the device's law and by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rpa.flash.chip import Chip
from rpa.flash.device import preset
from rpa.flash.errors import FlashError
from rpa.flash.laws import Relative
from rpa.flash.mitigate.recalibrate import recalibrate
from rpa.flash.mitigate.write_verify import Pulses, rewrite, write
from rpa.flash.parts import Programming, ReadNoise
from rpa.flash.spec import Adc, Errors, MacroSpec, Wires
from tests.flash.chips import chip_of

SONOS = preset("sonos40")
QUIET = replace(SONOS, read=Relative(fraction=1e-12))
EXACT = Adc(bits="ideal")


def random_targets(rows=100, cols=80, seed=0):
    return np.random.default_rng(seed).integers(0, 16, (rows, cols)) / 15 * SONOS.max_amp


def test_without_read_noise_every_accepted_cell_is_within_the_tolerance():
    done = write(random_targets(), QUIET, Pulses(tolerance_amp=4e-9, tolerance_part=0.002))
    assert done.accepted.all()
    assert (np.abs(done.errors) <= 4e-9 + 0.002 * done.targets + 1e-15).all()
    assert np.abs(done.errors).max() > 3e-9


def test_erased_cells_need_no_pulse():
    done = write(np.full((2, 3), SONOS.max_amp), QUIET)
    assert not done.pulses.any() and not done.errors.any()


def test_a_perfect_pulse_reaches_its_target():
    """Without spread, a pulse over the whole distance in threshold voltage is enough where the step allows it."""
    pulses = Pulses(tolerance_amp=1e-12, tolerance_part=1e-6, approach=1.0, spread=0.0, floor_volt=0.0, step_volt=10.0)
    done = write(random_targets(), QUIET, pulses)
    assert done.pulses.max() == 1
    np.testing.assert_allclose(done.currents, done.targets, rtol=1e-5, atol=1e-12)


def test_pulses_of_a_geometric_approach_by_hand():
    """A third of the distance stays after each exact pulse: from d volt to within t takes ceil(log(d/t)/log(3)) pulses."""
    target = 100e-9
    distance = SONOS.curve.overdrive(SONOS.max_amp) - SONOS.curve.overdrive(target)
    near = SONOS.curve.overdrive(target * 1.01) - SONOS.curve.overdrive(target)
    pulses = Pulses(tolerance_amp=0.0, tolerance_part=0.01, approach=2 / 3, spread=0.0, floor_volt=0.0, step_volt=10.0)
    assert write([[target]], QUIET, pulses).pulses.item() == int(np.ceil(np.log(distance / near) / np.log(3)))


def test_finer_tolerance_costs_pulses():
    loose, fine = (write(random_targets(), SONOS, Pulses(tolerance_amp=amp, tolerance_part=0.0, reads=64)) for amp in (30e-9, 3e-9))
    assert fine.errors.std() < 0.4 * loose.errors.std()
    assert fine.pulses.mean() > loose.pulses.mean()
    assert fine.scale(SONOS) < 0.4 < loose.scale(SONOS)


def test_read_noise_limits_what_verification_can_do():
    """A read accepts a cell that is off by the noise: averaged over 100 reads the error is far smaller."""
    errors = [write(random_targets(), SONOS, Pulses(tolerance_amp=2e-9, tolerance_part=0.0, reads=reads, limit=100)).errors for reads in (1, 100)]
    read_noise = 12.580e-9
    assert 0.5 * read_noise < errors[0].std() < 1.5 * read_noise
    assert errors[1].std() < 0.25 * errors[0].std()


def test_one_way_pulses_overshoot_for_good():
    pulses = Pulses(tolerance_amp=2e-9, tolerance_part=0.0, both_ways=False, approach=1.0)
    done = write(random_targets(), QUIET, pulses)
    given_up = ~done.accepted
    assert given_up.any() and (done.errors[given_up] < 0).all()
    assert write(random_targets(), QUIET, replace(pulses, both_ways=True, limit=300)).accepted.all()


def test_the_limit_ends_writing():
    done = write(random_targets(), SONOS, Pulses(tolerance_amp=1e-9, tolerance_part=0.0, limit=3))
    assert done.pulses.max() == 3 and (done.pulses[~done.accepted] == 3).all() and not done.accepted.all()


def test_writing_is_reproducible():
    first, second, other = (write(random_targets(), SONOS, seed=seed).currents for seed in (1, 1, 2))
    assert np.array_equal(first, second) and not np.array_equal(first, other)
    part = write(random_targets()[:7, :5], SONOS, seed=1).currents
    assert np.array_equal(part, first[:7, :5])


def test_rewriting_a_chip():
    """Cells within 0.1 codes, of a law with 0.19 codes of error, and not those that are stuck."""
    codes = np.random.default_rng(1).integers(1, 16, (128, 64)).astype(np.uint8)
    chip = chip_of(codes, Errors(programming=Programming(), stuck_off=0.01), adc=EXACT)
    stuck = chip.defects(0)[0]
    before = np.abs(chip.currents(0) / chip.spec.step_amp - codes)
    done = rewrite(chip, 0, tolerance=0.1, attempts=40)
    assert np.array_equal(done.accepted, ~stuck)
    assert np.abs(done.errors[~stuck]).max() <= 0.1 < np.quantile(before, 0.7)
    assert (done.attempts[stuck] == 40).all() and (done.attempts[(before <= 0.1)] == 0).all()
    np.testing.assert_allclose(done.errors, chip.currents(0) / chip.spec.step_amp - codes)


def test_rewriting_is_a_matter_of_the_seed_not_of_what_else_was_computed():
    """Two chips of one seed, one after the other in a process, are written alike; a chip that is written again is read with other noise."""
    def written(seed):
        chip = chip_of(np.full((40, 30), 9), Errors(programming=Programming(), read_noise=ReadNoise()), seed=seed)
        first, again = (rewrite(chip, 0, tolerance=0.2, attempts=3) for _ in range(2))
        return first.attempts, again.attempts

    first, again = written(3)
    assert np.array_equal(first, written(3)[0]) and not np.array_equal(first, written(4)[0])
    assert again[first == 0].any()


def test_rewriting_leaves_other_cells_alone():
    codes = np.full((16, 8), 9, np.uint8)
    chip = chip_of(codes, Errors(programming=Programming(), read_noise=ReadNoise()), adc=EXACT)
    before, where = chip.currents(0), np.arange(16)[:, None] < np.full(8, 5)
    done = rewrite(chip, 0, tolerance=0.01, attempts=3, where=where)
    assert np.array_equal(before[5:], chip.currents(0)[5:]) and not done.attempts[5:].any() and done.accepted[5:].all()
    assert not np.array_equal(before[:5], chip.currents(0)[:5])


def half_active(rows, count, seed=0):
    return (np.random.default_rng(seed).random((count, rows)) < 0.5).astype(np.uint8)


def squared_error(chip, codes, digits):
    found = chip.convert(0, digits, slice(None), 0, chip.limits(digits.sum(axis=1), 0))
    return np.square(found - digits.astype(float) @ codes).mean()


def test_recalibration_after_drift():
    """What five days take from all cells of a bit line comes back; measured on other inputs than those that it saw."""
    rng = np.random.default_rng(2)
    codes = (rng.integers(0, 16, (128, 32)) * (rng.random(32) + 0.1)).clip(0, 15).astype(np.uint8)
    chip = chip_of(codes, Errors(drift_days=5.0), adc=EXACT)
    unseen = half_active(128, 200, seed=9)
    before = squared_error(chip, codes, unseen)
    done = recalibrate(chip, 0, half_active(128, 64))
    assert squared_error(chip, codes, unseen) < 0.15 * before
    assert done.operations % 64 == 0
    assert np.sqrt(np.square(done.after).mean()) < 0.5 * np.sqrt(np.square(done.before).mean())


def test_a_common_gain_is_found_exactly():
    """2 % over 40 K by the law of ratio reading; a bit line of zeros keeps its gain."""
    codes = np.random.default_rng(3).integers(0, 16, (64, 16)).astype(np.uint8)
    codes[:, 5] = 0
    chip = chip_of(codes, Errors(temperature_kelvin=340.0), adc=EXACT)
    done = recalibrate(chip, 0, half_active(64, 50))
    assert done.gains[5] == 1
    np.testing.assert_allclose(np.delete(done.gains, 5), 1 / 1.02, rtol=2e-3)
    np.testing.assert_allclose(chip.trim[0], done.gains)
    assert squared_error(chip, codes, half_active(64, 50, seed=1)) < 0.3


def test_recalibration_through_a_converter():
    """8 bits: the step is the finest that does not clip, and the gain is found within the rounding."""
    codes = np.random.default_rng(4).integers(8, 16, (128, 16)).astype(np.uint8)
    spec = {"adc": Adc(bits=8), "wires": Wires(bit_line_ohm=3.0)}
    chip = chip_of(codes, Errors(ir_drop="exact"), **spec)
    done = recalibrate(chip, 0, half_active(128, 100))
    assert (done.gains > 1.01).all()
    assert done.after.mean() < 0.5 * done.before.mean()


@pytest.mark.parametrize(("work", "message"), [
    (lambda: Pulses(limit=0), "Pulses: `limit` is 0, must be an integer 1..1000"),
    (lambda: Pulses(approach=0.0), "Pulses: `approach` is 0.0, must be above 0 and at most 1"),
    (lambda: Pulses(tolerance_amp=-1e-9), "Pulses: `tolerance_amp` is -1e-09, must be 0..1 A"),
    (lambda: write([1e-6], SONOS), "write: targets have shape (1,), must be (rows, cols)"),
    (lambda: write([[1e-6, 2e-6]], SONOS), "write: targets[0, 1] is 2e-06 A, must be 0..1.6e-06 A, what a cell of `sonos40` carries"),
    (lambda: write([[float("nan")]], SONOS), "write: targets[0, 0] is nan A, must be 0..1.6e-06 A, what a cell of `sonos40` carries"),
    (lambda: rewrite(Chip(MacroSpec()), 0, tolerance=0.0), "rewrite: `tolerance` is 0.0, must be above 0 and at most 15 cell codes"),
    (lambda: rewrite(Chip(MacroSpec()), 0, tolerance=1.0, where=[True]), "rewrite: `where` has shape (1,), must be (128, 128)"),
    (lambda: recalibrate(Chip(MacroSpec()), 0, np.zeros((0, 128))),
     "recalibrate: `digits` have shape (0, 128), must be (operations, 128), at least one operation"),
    (lambda: recalibrate(Chip(MacroSpec()), 0, half_active(128, 2), expected=[[1.0]]),
     "recalibrate: `expected` has shape (1, 1), must be (2, 128) finite sums"),
    (lambda: recalibrate(Chip(MacroSpec()), 0, half_active(128, 2), most=0.5), "recalibrate: `most` is 0.5, must be 1..10"),
])
def test_bad_input_is_refused(work, message):
    with pytest.raises(FlashError) as caught:
        work()
    assert str(caught.value) == message
