"""The chip: ideal it is the twin; what is random hangs on operation and bit line alone; bad operands are refused."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpa.arch.config import ArrayConfig
from rpa.arch.macro import MacroState, Twin, limits
from rpa.flash.chip import Chip
from rpa.flash.errors import FlashError
from rpa.flash.parts import Telegraph
from rpa.flash.spec import Adc, Dac, Errors, MacroSpec, for_config
from tests.flash.chips import chip_of, codes_of, flat

ALL = Errors.all()


@settings(max_examples=60, deadline=None)
@given(data=st.data(), cell_bits=st.integers(1, 4), dac_bits=st.integers(1, 4), adc_bits=st.integers(1, 16), rows=st.integers(8, 200),
       groups=st.integers(1, 4), log2_lsb=st.integers(0, 14), kind=st.sampled_from(["sar", "ramp"]))
def test_with_everything_ideal_it_is_the_twin(data, cell_bits, dac_bits, adc_bits, rows, groups, log2_lsb, kind):
    config = ArrayConfig(nv_macros=2, nv_rows=rows, nv_cols=16 * groups, nv_cell_bits=cell_bits, nv_dac_bits=dac_bits, nv_adc_bits=adc_bits,
                         nv_adc_share=4)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    spec = for_config(config, MacroSpec.preset("ideal"))
    twin, chip = Twin(config), Chip(replace(spec, adc=replace(spec.adc, kind=kind)), macros=2, seed=9)
    for row in range(rows):
        cells = rng.integers(0, 1 << cell_bits, 16 * groups).astype(np.uint8)
        for macro in (twin, chip):
            macro.program(1, row, 0, cells)
    digits = rng.integers(0, 1 << dac_bits, (20, rows)).astype(np.uint8) * (rng.random((20, rows)) < rng.random((20, 1)))
    digits = digits.astype(np.uint8)
    active = (digits != 0).sum(axis=1)
    most, columns = limits(config, active, log2_lsb), slice(4, 16 * groups - 2)
    assert np.array_equal(chip.limits(active, log2_lsb), most)
    assert np.array_equal(chip.convert(1, digits, columns, log2_lsb, most), twin.convert(1, digits, columns, log2_lsb, most))


def test_the_largest_ideal_macro_is_exact():
    rng = np.random.default_rng(0)
    cells = rng.integers(0, 16, (1024, 32))
    chip = chip_of(cells, adc=Adc(bits="ideal"), dac=Dac(bits=4))
    digits = rng.integers(0, 16, (4, 1024)).astype(np.uint8)
    assert np.array_equal(chip.convert(0, digits, slice(None), 0, 1 << 30), digits.astype(np.int64) @ cells)


class TestOrder:
    """What is random hangs on the number of the operation and on nothing else."""

    cells = np.random.default_rng(8).integers(0, 16, (3, 32, 16))
    digits = np.random.default_rng(9).integers(0, 2, (1000, 32)).astype(np.uint8)

    def everything(self, seed=4):
        return chip_of(self.cells, replace(ALL, telegraph=Telegraph(dwell_operations=130)), seed=seed, adc=Adc(dnl_lsb=0.3, offset_lsb=0.3),
                       dac=Dac(gain_error=0.01))

    def test_one_batch_many_batches_and_single_operations(self):
        whole = self.everything().convert(1, self.digits, slice(None), 2, 255)
        for sizes in ([1] * 1000, [7] * 142 + [6], [999, 1]):
            chip, start, parts = self.everything(), 0, []
            for size in sizes:
                parts.append(chip.convert(1, self.digits[start:start + size], slice(None), 2, 255))
                start += size
            assert np.array_equal(np.concatenate(parts), whole)

    def test_the_order_of_macros_does_not_matter(self):
        found = {}
        for order in ((0, 1, 2), (2, 0, 1)):
            chip = self.everything()
            found[order] = {macro: chip.convert(macro, self.digits[:50], slice(None), 2, 255) for macro in order}
        assert all(np.array_equal(found[0, 1, 2][macro], found[2, 0, 1][macro]) for macro in range(3))

    def test_part_of_the_lines(self):
        whole, part = (self.everything().convert(0, self.digits, columns, 2, 255) for columns in (slice(None), slice(5, 11)))
        assert np.array_equal(whole[:, 5:11], part)

    def test_another_seed_is_another_chip(self):
        one, other = (self.everything(seed).convert(0, self.digits, slice(None), 2, 255) for seed in (4, 5))
        assert not np.array_equal(one, other)

    def test_a_chip_that_is_put_back_repeats_itself(self):
        """As emulators do it: by every attribute. What was computed since must not be taken for what is now."""
        chip = self.everything()
        before = MacroState(chip)
        chip.program(1, 0, 0, np.full(16, 15, np.uint8))
        other = chip.convert(1, self.digits, slice(None), 2, 255)
        before.restore(chip)
        first = chip.convert(1, self.digits, slice(None), 2, 255)
        assert np.array_equal(first, self.everything().convert(1, self.digits, slice(None), 2, 255)) and not np.array_equal(first, other)
        chip.program(1, 0, 0, np.full(16, 7, np.uint8))
        again = self.everything()
        again.program(1, 0, 0, np.full(16, 7, np.uint8))
        assert np.array_equal(chip.convert(1, self.digits, slice(None), 2, 255, first=0), again.convert(1, self.digits, slice(None), 2, 255))

    def test_a_copy_goes_on_as_the_chip_does(self):
        chip = self.everything()
        chip.convert(1, self.digits[:10], slice(None), 2, 255)
        copy = deepcopy(chip)
        assert np.array_equal(chip.convert(1, self.digits, slice(None), 2, 255), copy.convert(1, self.digits, slice(None), 2, 255))


def test_trim_is_the_gain_of_a_line():
    chip = chip_of(flat(8, 4, 4))
    chip.set_trim(0, [1.0, 1.5, 0.5, 1.0])
    assert codes_of(chip).tolist() == [[8, 12, 4, 8]] * 4


def test_targets_between_codes():
    chip = chip_of(flat(0, 4, 4))
    chip.reprogram(0, np.full((4, 4), 7.25))
    assert (codes_of(chip) == 7.25).all() and (chip.targets(0) == 7.25).all()


BAD = [
    (lambda chip: chip.program(1, 0, 0, np.zeros(4, np.uint8)), "Chip: macro 1, row 0, bit lines 0..3; there are 1 macros of 4 rows and 4 bit lines"),
    (lambda chip: chip.program(0, 0, 2, np.zeros(4, np.uint8)), "Chip: macro 0, row 0, bit lines 2..5; there are 1 macros of 4 rows and 4 bit lines"),
    (lambda chip: chip.convert(0, np.full((2, 4), 2, np.uint8), slice(None), 0, 255),
     "Chip.convert: `digits` are uint8 (2, 4) up to 2, must be uint8 (operations, 4) up to 1"),
    (lambda chip: chip.convert(0, np.zeros((2, 5), np.uint8), slice(None), 0, 255),
     "Chip.convert: `digits` are uint8 (2, 5) up to 0, must be uint8 (operations, 4) up to 1"),
    (lambda chip: chip.convert(0, np.zeros((2, 4), np.uint8), slice(None), 30, 255), "Chip.convert: `log2_lsb` is 30, must be -8..24"),
    (lambda chip: chip.reprogram(0, np.full((4, 4), 15.5)),
     "Chip.reprogram: `targets` have shape (4, 4) and values 0..15.5, must have (4, 4) and 0..15"),
    (lambda chip: chip.reprogram(0, np.full((4, 4), np.nan)),
     "Chip.reprogram: `targets` have shape (4, 4) and values nan..nan, must have (4, 4) and 0..15"),
    (lambda chip: chip.reprogram(0, np.zeros((4, 4)), np.zeros((4, 4))), "Chip.reprogram: `where` is float64 (4, 4), must be bool (4, 4)"),
    (lambda chip: chip_of(flat(1, 4, 4), Errors(drift_days=1.0)).age(4.5),
     "Chip.age: 5.5 days, device `sonos40`: Saturating: the age is 5.5 days, must be 0..5: the table ends there"),
    (lambda chip: chip.age(-1.0), "Chip.age: `days` is -1.0, must be 0..inf days"),
    (lambda chip: chip.set_trim(0, [1, 1, 1]), "Chip.set_trim: gains have shape (3,) and values 1..1, must have (4,) and 0.1..10"),
    (lambda chip: chip.age("5"), "Chip.age: `days` is '5', must be a number 0..inf days"),
    (lambda chip: chip.program(0, 0, 0, np.full(4, np.nan)),
     "Chip.program: `cells` are float64 (4,), must be integers (cells,): neighbours of one row"),
    (lambda chip: chip.program(0, 0, 0, np.zeros((4, 4), np.uint8)),
     "Chip.program: `cells` are uint8 (4, 4), must be integers (cells,): neighbours of one row"),
    (lambda chip: chip.convert(0, np.zeros((2, 4), np.uint8), slice(None), 0, [np.nan, 1]),
     "Chip.convert: `limits` are float64 (2,) from nan on, must be integers from 0 on, one for each of 2 operations or one for all"),
    (lambda chip: chip.convert(0, np.zeros((2, 4), np.uint8), slice(None), 0, [3, 3, -1]),
     "Chip.convert: `limits` are int64 (3,) from -1 on, must be integers from 0 on, one for each of 2 operations or one for all"),
    (lambda chip: Chip("ideal"), "Chip: `spec` is 'ideal', must be MacroSpec(...)"),
    (lambda chip: Chip(chip.spec, macros=0), "Chip: `macros` is 0, must be an integer 1..4096"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_operands_are_refused(call, message):
    with pytest.raises(FlashError) as error:
        call(chip_of(flat(15, 4, 4)))
    assert str(error.value) == message
