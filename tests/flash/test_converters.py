"""Drivers and converters: codes, ranges, and each of their errors alone."""

import numpy as np
import pytest
from scipy import stats

from rpa.flash.converters import Converters
from rpa.flash.device import preset
from rpa.flash.parts import ReadNoise
from rpa.flash.spec import Adc, Dac, Errors, MacroSpec
from tests.flash.chips import chip_of, codes_of, flat

SONOS = preset("sonos40")
STEP = SONOS.max_amp / 15
ALL = Errors.all()


class TestDrivers:
    def test_gain_is_one_draw_per_word_line(self):
        cells = codes_of(chip_of(flat(15, 1000, 8), dac=Dac(gain_error=0.02))) / 15 - 1
        assert (cells == cells[:, :1]).all() and cells[:, 0].std() == pytest.approx(0.02, rel=0.1) and abs(cells.mean()) < 0.003

    def test_bow_and_steps_leave_the_ends(self):
        chip = chip_of(flat(15, 1000, 2), dac=Dac(bits=3, inl_lsb=0.4, dnl_lsb=0.1))
        levels = np.array([chip.effective_cells(0, digit)[:, 0] for digit in range(1, 8)]) / 4096 / 15
        assert levels[6] == pytest.approx(np.full(1000, 7.0), abs=1e-3)
        parts = np.arange(1, 8) / 7
        assert levels.mean(axis=1) - np.arange(1, 8) == pytest.approx(0.4 * 4 * parts * (1 - parts), abs=0.02)
        steps = np.diff(levels, axis=0)
        assert steps.std(axis=1) == pytest.approx(np.full(6, 0.1 * np.sqrt(6 / 7)), rel=0.1)

    def test_one_bit_has_only_gain(self):
        assert np.array_equal(codes_of(chip_of(flat(9, 8, 8), dac=Dac(inl_lsb=0.5, dnl_lsb=0.5))), flat(9, 8, 8))


class TestConverters:
    @staticmethod
    def sweep(bits, log2_lsb, adc_fields=None, cols=16):
        """Codes (sums, lines) of an array whose sums are 0, 1, 2, ... in steps of one."""
        chip = chip_of(np.full((1024, cols), 15), adc=Adc(bits=bits, share=1, **(adc_fields or {})))
        rows = np.tri(1025, 1024, -1, np.uint8)
        return chip.convert(0, rows, slice(None), log2_lsb, (1 << bits) - 1)

    def test_b_bits_are_two_to_the_b_codes_and_not_one_more(self):
        for bits in (1, 3, 8):
            assert np.unique(self.sweep(bits, 4)).tolist() == list(range(1 << bits))

    def test_sums_below_zero_and_above_the_range_clip(self):
        chip = chip_of(np.full((8, 200), 1), Errors(read_noise=ReadNoise(scale=20.0)), adc=Adc(bits=3))
        digits = np.zeros((200, 8), np.uint8)
        digits[:100, 0] = 1
        digits[100:] = 1
        codes = chip.convert(0, digits, slice(None), 0, 1000)
        sigma = 20 * SONOS.read_sigma(STEP) / STEP
        assert codes.min() == 0 and codes.max() == 7
        assert (codes[:100] == 0).mean() == pytest.approx(stats.norm.cdf(0.5, 1, sigma), abs=0.02)
        assert (codes[100:] == 7).mean() == pytest.approx(stats.norm.sf(6.5, 8, sigma * np.sqrt(8)), abs=0.02)
        assert chip.convert(0, digits, slice(None), 0, np.full(200, 3)).max() == 3

    def test_resolution_has_an_effect(self):
        """Each bit less doubles the error of a sum, down to the noise of nothing else."""
        rng = np.random.default_rng(1)
        cells, digits = rng.integers(0, 16, (128, 64)), (rng.random((300, 128)) < 0.5).astype(np.uint8)
        exact, spread = digits.astype(np.int64) @ cells, []
        for bits in (4, 5, 6, 7, 8):
            log2_lsb = 11 - bits
            codes = chip_of(cells, adc=Adc(bits=bits)).convert(0, digits, slice(None), log2_lsb, (1 << bits) - 1)
            spread.append((codes * 2**log2_lsb - exact).std())
        assert np.diff(np.log2(spread)) == pytest.approx(-np.ones(4), abs=0.1)
        assert spread[-1] == pytest.approx(8 / np.sqrt(12), rel=0.1)

    def test_noise_comes_after_quantization_of_weights_and_before_that_of_sums(self):
        """Codes are whole numbers with noise too, and cells are not rounded back to codes after their errors."""
        chip = chip_of(flat(8, 64, 64), ALL.only("programming", "read_noise"))
        cells = codes_of(chip)
        assert (cells != np.rint(cells)).mean() > 0.99
        codes = chip.convert(0, np.ones((100, 64), np.uint8), slice(None), 3, 255)
        assert codes.dtype == np.int64 and codes.std(axis=0).max() > 0

    def test_offset_and_gain_are_one_draw_per_converter(self):
        codes = self.sweep(16, 0, {"offset_lsb": 5.0, "gain_error": 0.01}, cols=200)
        ideal = np.arange(1025)[:, None] * 15
        slope = (codes[1024] - codes[500]) / (ideal[1024] - ideal[500])
        offset = codes[500] - slope * ideal[500]
        assert slope.std() == pytest.approx(0.01, rel=0.2) and slope.mean() == pytest.approx(1, abs=0.002)
        assert offset.std() == pytest.approx(5, rel=0.2) and abs(offset.mean()) < 1.5

    def test_lines_that_share_a_converter_share_its_errors(self):
        chip = chip_of(np.full((1024, 16), 15), adc=Adc(bits=10, share=4, offset_lsb=5.0))
        codes = chip.convert(0, np.tri(1025, 1024, -1, np.uint8), slice(None), 4, 1023)
        assert all(np.array_equal(codes[:, line], codes[:, line % 4]) for line in range(16))
        assert len({codes[500, line] for line in range(4)}) > 1

    def test_the_bow(self):
        """At mid-scale the threshold is inl_lsb higher, so the code is that much lower; at the ends nothing."""
        log2_lsb = np.log2(1024 * 15 / 255)
        codes, ideal = self.sweep(8, log2_lsb, {"inl_lsb": 10.0}), self.sweep(8, log2_lsb)
        assert (codes - ideal)[[0, 1024]].tolist() == [[0] * 16] * 2
        assert (ideal - codes)[512] == pytest.approx(np.full(16, 10), abs=1)

    @staticmethod
    def steps(kind, bits=6, converters=2000, sigma=0.2):
        spec = MacroSpec(cols=1024, adc=Adc(bits=bits, kind=kind, share=1, dnl_lsb=sigma))
        found = np.concatenate([Converters(spec, seed, 0).transitions() for seed in range(converters // 1024 + 1)])
        return np.diff(found[:, 1:], axis=1) - 1

    @pytest.mark.parametrize("kind", ["sar", "ramp"])
    def test_errors_of_steps_leave_the_ends_where_they_are(self, kind):
        """Gain and offset are errors of their own."""
        at = Converters(MacroSpec(adc=Adc(bits=6, kind=kind, share=1, dnl_lsb=0.5)), 1, 0).transitions()
        assert at[:, 63] == pytest.approx(np.full(128, 62.5)) and (at[:, 0] == -0.5).all() and at[:, 32].std() > 0.1

    def test_a_ramp_has_the_same_spread_at_every_step(self):
        assert self.steps("ramp").std(axis=0) == pytest.approx(np.full(62, 0.2), rel=0.12)

    def test_sar_steps_are_worst_in_the_middle(self):
        spread = self.steps("sar").std(axis=0)
        assert spread.argmax() == 30 and spread[30] == pytest.approx(0.2, rel=0.06)
        assert spread[30] > spread[14] > spread[6] > spread[0]

    def test_a_sar_with_bad_weights_misses_codes_and_a_ramp_stays_monotonic(self):
        bad = {"dnl_lsb": 3.0}
        assert (np.diff(self.sweep(6, 8, bad | {"kind": "ramp"}), axis=0) >= 0).all()
        seen = self.sweep(6, 8, bad | {"kind": "sar"}, cols=64)
        assert any(np.unique(seen[:, line]).size < 60 for line in range(64))

    def test_each_error_alone_leaves_the_others_at_rest(self):
        ideal = self.sweep(8, 6)
        for name in ("inl_lsb", "dnl_lsb", "offset_lsb", "gain_error"):
            assert not np.array_equal(self.sweep(8, 6, {name: 0.5}), ideal)
            assert np.array_equal(self.sweep(8, 6, {name: 0.0}), ideal)

    def test_limits_of_a_converter_that_is_not_aware_of_sparsity(self):
        chip = chip_of(flat(15, 8, 8), adc=Adc(bits=6, sparsity_aware=False))
        assert chip.limits([0, 1, 8], 2).tolist() == [63, 63, 63]
        assert chip_of(flat(15, 8, 8), adc=Adc(bits=6)).limits([0, 1, 8], 2).tolist() == [0, 7, 31]
