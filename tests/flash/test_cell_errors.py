"""Each class of errors of cells and array, alone, follows its own law, cell by cell."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from rpa.flash.chip import Chip
from rpa.flash.converters import driver_levels
from rpa.flash.device import preset
from rpa.flash.errors import FlashError
from rpa.flash.laws import Relative
from rpa.flash.parts import Nonlinearity, Programming, ReadNoise, Shot, Telegraph
from rpa.flash.spec import Adc, Dac, Errors, MacroSpec, Wires
from tests.flash.chips import chip_of, codes_of, flat
from tests.flash.nodal import drain_driven, gate_driven

SONOS = preset("sonos40")
STEP = SONOS.max_amp / 15
ALL = Errors.all()
FREE = Adc(bits="ideal")


class TestProgramming:
    @pytest.mark.parametrize("code", [1, 4, 15])
    def test_sigma_is_the_tables_at_the_cells_current(self, code):
        error = codes_of(chip_of(flat(code), Errors(programming=Programming()))) - code
        sigma = SONOS.programming_sigma(code * STEP) / STEP
        assert error.std() == pytest.approx(sigma, rel=0.02) and abs(error.mean()) < 4 * sigma / 200
        assert stats.kstest((error / sigma).ravel(), "norm").pvalue > 1e-3

    def test_each_cell_has_its_own(self):
        """One number for a layer, a row or a column would show in the spread of means, and in neighbours that agree."""
        error = codes_of(chip_of(flat(8), Errors(programming=Programming()))) - 8
        sigma = error.std()
        for axis in (0, 1):
            assert error.mean(axis=axis).std() == pytest.approx(sigma / np.sqrt(200), rel=0.2)
        assert abs(np.corrcoef(error[:, 1:].ravel(), error[:, :-1].ravel())[0, 1]) < 0.03
        assert np.unique(error).size > 1000

    def test_scale_multiplies_sigma(self):
        one, half = (codes_of(chip_of(flat(8), Errors(programming=Programming(scale=scale)))) - 8 for scale in (1.0, 0.5))
        assert np.abs(half - one / 2).max() < 2 / 4096

    def test_every_programming_draws_anew_and_the_seed_repeats_it(self):
        chip, same, other = (chip_of(flat(8, 40, 40), Errors(programming=Programming()), seed=seed) for seed in (1, 1, 2))
        first = codes_of(chip)
        assert np.array_equal(first, codes_of(same)) and abs(np.corrcoef(first.ravel(), codes_of(other).ravel())[0, 1]) < 0.1
        chip.program(0, 3, 10, np.full(5, 8, np.uint8))
        changed = codes_of(chip) != first
        assert changed[3, 10:15].all() and changed.sum() == 5

    def test_order_and_size_of_programming_calls_do_not_matter(self):
        errors = Errors(programming=Programming())
        chip, other = chip_of(flat(8, 4, 16), errors), Chip(MacroSpec(rows=4, cols=16, errors=errors), seed=1)
        for row in (2, 0, 3, 1):
            for column in (12, 0, 8, 4):
                other.program(0, row, column, np.full(4, 8, np.uint8))
        assert np.array_equal(codes_of(chip), codes_of(other))

    def test_no_current_is_negative_and_an_erased_cell_has_no_error(self):
        device = replace(SONOS, programming=Relative(fraction=1.0))
        chip = chip_of(flat(3), Errors(programming=Programming()), device=device)
        assert chip.currents(0).min() == 0 and (chip.currents(0) == 0).mean() == pytest.approx(stats.norm.cdf(-1), abs=0.01)
        assert not Chip(MacroSpec(errors=ALL.without("stuck_on"))).currents(0).max() > 1e-11


class TestDrift:
    @pytest.mark.parametrize(("code", "days"), [(1, 1.0), (3, 5.0), (15, 5.0), (15, 0.0)])
    def test_mean_and_added_spread(self, code, days):
        moved = codes_of(chip_of(flat(code), Errors(drift_days=days))) - code
        current = code * STEP
        wider = np.sqrt(SONOS.programming_sigma(current, days)**2 - SONOS.programming_sigma(current)**2) / STEP
        mean = (SONOS.drifted(current, days) - current) / STEP
        assert moved.mean() == pytest.approx(mean, abs=4 * wider / 200 + 1e-4) and moved.std() == pytest.approx(wider, rel=0.02, abs=1e-6)

    def test_with_programming_the_spread_is_the_tables_at_that_age(self):
        cells = codes_of(chip_of(flat(15), ALL.only("programming", "drift")))
        # Drift is about -0.03 of the current per unit of it, so the spread of programming shrinks by that on its way.
        assert cells.std() == pytest.approx(SONOS.programming_sigma(15 * STEP, 5) / STEP, rel=0.03)

    def test_a_cell_keeps_its_direction_as_it_ages(self):
        chip = chip_of(flat(15), Errors(drift_days=1.0))
        early = codes_of(chip) - 15
        chip.age(3.0)
        late = codes_of(chip) - 15
        assert np.corrcoef(early.ravel(), late.ravel())[0, 1] > 0.999 and late.std() > 1.2 * early.std() and late.mean() < early.mean()

    def test_programming_again_starts_again(self):
        chip = chip_of(flat(15, 20, 20), Errors(drift_days=5.0))
        where = np.zeros((20, 20), bool)
        where[:, :7] = True
        old = codes_of(chip)
        chip.reprogram(0, np.full((20, 20), 15.0), where)
        assert np.array_equal(codes_of(chip)[:, :7], np.full((20, 7), 15.0)) and np.array_equal(codes_of(chip)[:, 7:], old[:, 7:])

    def test_without_drift_time_does_nothing(self):
        chip = chip_of(flat(15, 20, 20))
        chip.age(1000.0)
        assert np.array_equal(codes_of(chip), flat(15, 20, 20))


class TestDefects:
    def test_stuck_cells_go_to_the_off_and_the_on_current_and_all_others_stay(self):
        """A mask that zeroes every defect, the fault of published models, would leave no stuck cell on."""
        chip = chip_of(flat(6), Errors(stuck_off=0.02, stuck_on=0.03))
        off, on = chip.defects(0)
        cells = codes_of(chip)
        assert (cells[off] == 0).all() and (cells[on] == 15).all() and (cells[~(off | on)] == 6).all()
        assert off.mean() == pytest.approx(0.02, abs=0.003) and on.mean() == pytest.approx(0.03, abs=0.004) and not (off & on).any()

    def test_with_leakage_off_is_the_smallest_current(self):
        device = replace(SONOS, min_amp=100e-9)
        chip = chip_of(flat(6), Errors(stuck_off=0.1, leakage="device"), device=device)
        assert chip.currents(0)[chip.defects(0)[0]] == pytest.approx(100e-9)

    def test_programming_again_does_not_mend_them(self):
        chip = chip_of(flat(6, 50, 50), Errors(stuck_off=0.1, programming=Programming()))
        before = chip.defects(0)[0]
        chip.reprogram(0, np.full((50, 50), 9.0))
        assert np.array_equal(before, chip.defects(0)[0]) and (codes_of(chip)[before] == 0).all()

    def test_each_alone(self):
        off, on = chip_of(flat(6), Errors(stuck_off=0.05)), chip_of(flat(6), Errors(stuck_on=0.05))
        assert not off.defects(0)[1].any() and off.defects(0)[0].any() and on.defects(0)[1].any() and not on.defects(0)[0].any()

    def test_a_measured_mask(self):
        mask = np.zeros((1, 8, 8), bool)
        mask[0, 2, 3] = True
        chip = Chip(MacroSpec(rows=8, cols=8), stuck_on=mask)
        assert codes_of(chip)[2, 3] == 15 and codes_of(chip).sum() == 15

    @pytest.mark.parametrize(("masks", "message"), [
        ({"stuck_off": np.zeros((8, 8), bool)}, "Chip: `stuck_off` is bool (8, 8), must be bool (1, 8, 8): macros, rows, bit lines"),
        ({"stuck_on": np.zeros((1, 8, 8))}, "Chip: `stuck_on` is float64 (1, 8, 8), must be bool (1, 8, 8): macros, rows, bit lines"),
        ({"stuck_off": np.ones((1, 8, 8), bool), "stuck_on": np.ones((1, 8, 8), bool)},
         "Chip: `stuck_off` and `stuck_on` name the same 64 cells, a cell can be only one of them")])
    def test_masks_that_do_not_fit(self, masks, message):
        with pytest.raises(FlashError) as error:
            Chip(MacroSpec(rows=8, cols=8), **masks)
        assert str(error.value) == message


class TestReadNoise:
    def sums(self, code, errors, driven, seed=1, operations=4000, **fields):
        """Sums of `driven` cells of one code in cell codes, (operations, lines), by steps of 1/128."""
        chip = chip_of(np.full((64, 20), code), errors, seed=seed, adc=FREE, **fields)
        digits = np.zeros((operations, 64), np.uint8)
        digits[:, :driven] = 1
        return chip.convert(0, digits, slice(None), -7, 1 << 30) / 128

    @pytest.mark.parametrize(("code", "driven"), [(1, 64), (15, 1), (15, 64), (7, 16)])
    def test_variance_is_the_sum_over_driven_cells(self, code, driven):
        noise = self.sums(code, Errors(read_noise=ReadNoise()), driven) - code * driven
        sigma = np.sqrt(driven) * SONOS.read_sigma(code * STEP) / STEP
        assert noise.std() == pytest.approx(sigma, rel=0.02) and abs(noise.mean()) < 5 * sigma / np.sqrt(noise.size) + 1e-3

    def test_it_is_new_in_every_operation_and_on_every_line(self):
        noise = self.sums(15, Errors(read_noise=ReadNoise()), 64)
        for one, other in ((noise[1:], noise[:-1]), (noise[:, 1:], noise[:, :-1])):
            assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.02
        assert not np.array_equal(noise, self.sums(15, Errors(read_noise=ReadNoise()), 64, seed=2))

    def test_shot_noise_by_hand(self):
        """1.6 uA over 10 ns: 5.1 nA; 64 of them."""
        noise = self.sums(15, Errors(shot=Shot()), 64)
        assert noise.std() * STEP == pytest.approx(8 * 5.06e-9, rel=0.02)
        slower = self.sums(15, Errors(shot=Shot(integration_sec=40e-9)), 64)
        assert slower.std() == pytest.approx(noise.std() / 2, rel=0.02)

    def test_sources_add_in_squares(self):
        both, read, shot = (self.sums(15, errors, 64).std() for errors in (ALL.only("read_noise", "shot"), ALL.only("read_noise"), ALL.only("shot")))
        assert both == pytest.approx(np.hypot(read, shot), rel=0.02)

    def test_nothing_driven_has_no_noise(self):
        assert not self.sums(15, Errors(read_noise=ReadNoise()), 0).any()

    def test_variance_cells_are_the_law(self):
        chip = chip_of(np.arange(16).repeat(2).reshape(1, 32), Errors(read_noise=ReadNoise(scale=2.0)))
        assert chip.variance_cells(0)[0] == pytest.approx((2 * SONOS.read_sigma(np.arange(16).repeat(2) * STEP) / STEP)**2, abs=1 / (1 << 16))

    def test_a_larger_digit_reads_with_the_noise_of_its_current(self):
        chip = chip_of(flat(15, 1, 4), Errors(read_noise=ReadNoise()), dac=Dac(bits=2))
        for digit in (1, 2, 3):
            expected = (3 * SONOS.read_sigma(15 * STEP * digit / 3) / STEP)**2
            assert chip.variance_cells(0, digit) == pytest.approx(np.full((1, 4), expected), rel=1e-3)

    def test_noise_without_sense_is_refused(self):
        device = replace(SONOS, read=Relative(fraction=1.0))
        with pytest.raises(FlashError) as error:
            chip_of(flat(15, 512, 8), Errors(read_noise=ReadNoise()), device=device).static(0)
        assert str(error.value) == ("MacroSpec: the noise of one read of a cell is 15 cell codes, must be at most 8: lower the device's read noise, "
                                    "or its scale")


class TestTelegraph:
    errors = Errors(telegraph=Telegraph(fraction=0.3, mean_volt=0.004, occupancy=0.25, dwell_operations=10))

    def cells_over_time(self, blocks):
        chip = chip_of(flat(15, 60, 60), self.errors)
        return np.array([chip.static(0, block).currents for block in range(blocks)]) / SONOS.max_amp

    def test_some_cells_jump_between_two_levels(self):
        seen = self.cells_over_time(40)
        jumping = (seen != seen[0]).any(axis=0)
        assert jumping.mean() == pytest.approx(0.3, abs=0.03)
        assert {np.unique(np.round(cell, 9)).size for cell in seen[:, jumping].T} == {2} and (seen <= 1 + 1e-12).all()

    def test_occupancy_and_the_exponential_rise_of_thresholds(self):
        seen = self.cells_over_time(40)
        jumping = (seen != seen[0]).any(axis=0)
        assert (seen[:, jumping] < 1 - 1e-12).mean() == pytest.approx(0.25, abs=0.02)
        rise = SONOS.curve.overdrive(SONOS.max_amp) - SONOS.curve.overdrive(seen[:, jumping].min(axis=0) * SONOS.max_amp)
        assert rise.mean() == pytest.approx(0.004, rel=0.1) and stats.kstest(rise, "expon", (0, 0.004)).pvalue > 1e-3

    def test_states_last_for_a_dwell(self):
        chip = chip_of(flat(15, 60, 60), self.errors, adc=FREE)
        codes = chip.convert(0, np.ones((40, 60), np.uint8), slice(None), -7, 1 << 30)
        changes = (codes[1:] != codes[:-1]).any(axis=1)
        assert np.flatnonzero(changes).tolist() == [9, 19, 29]


class TestTemperature:
    def test_the_residue_is_a_common_gain(self):
        assert codes_of(chip_of(flat(10, 4, 4), Errors(temperature_kelvin=360.0))) == pytest.approx(np.full((4, 4), 10.3), abs=1e-3)

    def test_room_temperature_changes_nothing(self):
        assert np.array_equal(codes_of(chip_of(flat(10, 4, 4), Errors(temperature_kelvin=300.0))), flat(10, 4, 4))


class TestNonlinearity:
    def test_compression_by_hand(self):
        law = Nonlinearity(output_per_volt=0.1, sense_ohm=200.0)
        chip = chip_of(flat(15, 128, 4), Errors(nonlinearity=law), adc=FREE)
        found = chip.convert(0, np.ones((1, 128), np.uint8), slice(None), -7, 1 << 30)[0] / 128
        amp = 128 * 1.6e-6
        assert found == pytest.approx(np.full(4, 128 * 15 / (1 + 0.1 * 200 * amp)), abs=0.01)

    def test_digits_are_exact_for_a_full_cell_and_by_the_curve_for_others(self):
        law = Nonlinearity(sense_ohm=0.0)
        device = replace(SONOS, curve=replace(SONOS.curve, specific_amp=1e-7))
        chip = chip_of(np.arange(16).reshape(1, 16), Errors(nonlinearity=law), dac=Dac(bits=2), device=device)
        full = device.curve.overdrive(device.max_amp)
        for digit in (1, 2, 3):
            cells = chip.effective_cells(0, digit)[0] / 4096
            assert cells[15] == pytest.approx(15 * digit, abs=1e-3) and cells[0] == 0
            less = full - device.curve.overdrive(device.max_amp * digit / 3)
            assert cells[5] == pytest.approx(3 / STEP * device.curve.current(device.curve.overdrive(5 * STEP) - less), abs=1e-3)
        assert chip.effective_cells(0, 1)[0, 5] / 4096 < 4.9

    def test_far_below_the_threshold_digits_multiply(self):
        device = replace(SONOS, curve=replace(SONOS.curve, specific_amp=1.0))
        chip = chip_of(np.arange(16).reshape(1, 16), Errors(nonlinearity=Nonlinearity(sense_ohm=0.0)), dac=Dac(bits=2), device=device)
        for digit in (1, 2, 3):
            assert chip.effective_cells(0, digit)[0] / 4096 == pytest.approx(digit * np.arange(16), abs=0.01)


class TestWires:
    """The solvers have tests of their own; here: that the chip asks them for what it should."""

    cells = np.random.default_rng(3).integers(0, 16, (64, 24))
    wires = Wires(bit_line_ohm=3.0, word_line_ohm=3.0, read_volt=0.1)
    digits = (np.random.default_rng(4).random((50, 64)) < 0.5).astype(np.uint8)

    def sums(self, ir_drop, **fields):
        chip = chip_of(self.cells, Errors(ir_drop=ir_drop), adc=FREE, wires=replace(self.wires, **fields))
        return chip.convert(0, self.digits, slice(None), -7, 1 << 30) / 128

    def test_the_drop_takes_something_and_ideal_wires_nothing(self):
        ideal = self.digits.astype(np.int64) @ self.cells
        assert np.array_equal(self.sums("ideal"), ideal) and (self.sums("exact") < ideal).all()

    @pytest.mark.parametrize("drive", ["gate", "drain"])
    def test_the_factor_is_near_exact(self, drive):
        ideal = self.digits.astype(np.int64) @ self.cells
        exact, factor = self.sums("exact", drive=drive), self.sums("factor", drive=drive)
        assert np.abs(factor - exact).mean() < 0.15 * np.abs(ideal - exact).mean()

    @pytest.mark.parametrize("drive", ["gate", "drain"])
    @pytest.mark.parametrize("bits", [1, 2])
    def test_exact_is_what_the_circuits_nodes_say(self, drive, bits):
        """Row 0 is the farthest from the sense amplifiers, line 0 the nearest to the drivers."""
        cells, top = self.cells[:10, :6], (1 << bits) - 1
        wires = Wires(bit_line_ohm=900.0, word_line_ohm=400.0, drive=drive)
        chip = chip_of(cells, Errors(ir_drop="exact"), adc=FREE, dac=Dac(bits=bits), wires=wires)
        digits = np.random.default_rng(1).integers(0, top + 1, (5, 10)).astype(np.uint8)
        conductances = cells * STEP / 0.1
        nodal = [gate_driven(conductances, x / top, 0.1, 900.0) if drive == "gate" else drain_driven(conductances, 0.1 * x / top, 900.0, 400.0)
                 for x in digits]
        found = chip.convert(0, digits, slice(None), -8, 1 << 30) / 256
        assert found == pytest.approx(np.array(nodal) * top / STEP, abs=0.51 / 256 + 10 * top / 8192)

    def test_exact_with_drivers_of_different_gain(self):
        """A driver's gain multiplies the cells of its row, before the wires take their part."""
        cells = self.cells[:10, :6]
        chip = chip_of(cells, Errors(ir_drop="exact"), adc=FREE, dac=Dac(gain_error=0.2), wires=Wires(bit_line_ohm=900.0))
        gains = driver_levels(chip.spec, 1, 0)[0]
        nodal = gate_driven(cells * STEP / 0.1 * gains[:, None], np.ones(10), 0.1, 900.0)
        found = chip.convert(0, np.ones((1, 10), np.uint8), slice(None), -8, 1 << 30)[0] / 256
        assert found == pytest.approx(nodal / STEP, abs=0.51 / 256) and gains.std() > 0.05

    def test_exact_gate_drive_is_the_ladder(self):
        """Two cells on one line: the far one through two segments, the near one through one, by hand."""
        chip = chip_of(np.array([[15], [15]]), Errors(ir_drop="exact"), adc=FREE, wires=replace(self.wires, bit_line_ohm=1000.0))
        g, r = 1.6e-6 / 0.1, 1000.0
        near = g / (1 + g * r) + g
        expected = 0.1 * near / (1 + near * r) / STEP
        assert chip.convert(0, np.ones((1, 2), np.uint8), slice(None), -8, 1 << 30)[0, 0] / 256 == pytest.approx(expected, abs=1 / 256)

    def test_exact_drain_drive_is_two_wires_in_series_for_one_cell(self):
        wires = replace(self.wires, bit_line_ohm=800.0, word_line_ohm=500.0, drive="drain")
        chip = chip_of(np.array([[15]]), Errors(ir_drop="exact"), adc=FREE, wires=wires)
        expected = 0.1 / (0.1 / 1.6e-6 + 1300.0) / STEP
        assert chip.convert(0, np.ones((1, 1), np.uint8), slice(None), -8, 1 << 30)[0, 0] / 256 == pytest.approx(expected, abs=1 / 256)
