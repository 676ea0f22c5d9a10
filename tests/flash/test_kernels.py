"""The fast path: integer products when ideal, else the codes of `Chip.convert` bit by bit, whatever batch, order or thread."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpa.arch.jit import HAVE_NUMBA
from rpa.flash import kernels
from rpa.flash.errors import FlashError
from rpa.flash.kernels import by_operation, mac
from rpa.flash.parts import Shot, Telegraph
from rpa.flash.patterns import Passes, patterns_of, rows_in_group
from rpa.flash.spec import Adc, Dac, Errors
from tests.flash.chips import chip_of

ROOT = Path(__file__).resolve().parents[2]
ALL = Errors.all()
FAULTY = Adc(bits=7, share=2, dnl_lsb=0.5, inl_lsb=0.5, offset_lsb=0.5, gain_error=0.02)
ERRORS = {"ideal": Errors(), "all": ALL.without("telegraph"), "traps": Errors(telegraph=Telegraph(fraction=0.5, dwell_operations=13), shot=Shot()),
          "ladder": Errors(ir_drop="exact", read_noise=ALL.read_noise), "noise": ALL.only("programming", "read_noise")}
CONVERTERS = {"8 bits": Adc(), "as many as needed": Adc(bits="ideal"), "sar": FAULTY, "ramp": replace(FAULTY, kind="ramp"),
              "always": Adc(sparsity_aware=False)}


def plainly(chip, macro, x, passes, columns, log2_lsb, row0, numbers):
    """What `mac` should give: without tables, operation by operation, in NumPy."""
    with patch.object(kernels, "COMPILED", False):
        return by_operation(chip, macro, x, passes, columns, log2_lsb, row0, numbers)


def activations(rng, vectors, rows, abits, signed):
    low, high = (-(1 << abits - 1), 1 << abits - 1) if signed else (0, 1 << abits)
    x = rng.integers(low, high, (vectors, rows))
    x[rng.random(x.shape) < 0.3] = 0
    x[0] = 0
    return x


@settings(max_examples=150, deadline=None)
@given(data=st.data(), errors=st.sampled_from(sorted(ERRORS)), converters=st.sampled_from(sorted(CONVERTERS)), dac_bits=st.integers(1, 4),
       cell_bits=st.integers(1, 4), abits=st.integers(1, 16), signed=st.booleans(), rows=st.integers(1, 150), cols=st.integers(2, 40),
       log2_lsb=st.sampled_from([0, 1, 4, 4.3, 7]))
def test_its_codes_are_those_of_convert(data, errors, converters, dac_bits, cell_bits, abits, signed, rows, cols, log2_lsb):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    chip = chip_of(rng.integers(0, 1 << cell_bits, (rows, cols)), ERRORS[errors], cell_bits=cell_bits, dac=Dac(bits=dac_bits, gain_error=0.02),
                   adc=CONVERTERS[converters])
    used = data.draw(st.integers(1, rows))
    row0, left = data.draw(st.integers(0, rows - used)), data.draw(st.integers(0, cols - 1))
    columns = slice(left, data.draw(st.integers(left + 1, cols)))
    x = activations(rng, 11, used, abits, signed)
    passes = Passes(abits, dac_bits, signed)
    found = mac(chip, 0, x, abits=abits, signed=signed, columns=columns, log2_lsb=log2_lsb, row0=row0, first=5)
    numbers = 5 + len(passes.shifts) * np.arange(11)
    assert np.array_equal(found, plainly(chip, 0, x, passes, columns, log2_lsb, row0, numbers))


@pytest.mark.parametrize("dac_bits", [1, 2, 3, 4])
@pytest.mark.parametrize(("abits", "signed", "kind"), [(8, False, np.uint8), (8, True, np.int8), (5, False, np.int64), (16, True, np.int16),
                                                     (1, False, np.uint16)])
def test_ideal_it_is_the_integer_product(dac_bits, abits, signed, kind):
    rng = np.random.default_rng(abits)
    cells = rng.integers(0, 16, (100, 30))
    x = activations(rng, 40, 100, abits, signed)
    chip = chip_of(cells, dac=Dac(bits=dac_bits), adc=Adc(bits="ideal"))
    assert np.array_equal(mac(chip, 0, x.astype(kind), abits=abits, signed=signed, log2_lsb=0), x @ cells)


@pytest.mark.parametrize("errors", ["all", "traps", "noise"])
@pytest.mark.parametrize("dac_bits", [1, 3])
def test_convert_takes_tables_where_it_can_and_any_limits(errors, dac_bits):
    rng = np.random.default_rng(4)
    cells, digits = rng.integers(0, 16, (70, 20)), rng.integers(0, 1 << dac_bits, (90, 70)).astype(np.uint8)
    limits = rng.integers(0, 300, 90)
    found = []
    for compiled in (True, False):
        chip = chip_of(cells, ERRORS[errors], dac=Dac(bits=dac_bits), adc=CONVERTERS["sar"])
        with patch.object(kernels, "COMPILED", compiled and HAVE_NUMBA):
            found.append(chip.convert(0, digits, slice(3, 20), 1, limits))
    assert np.array_equal(*found) and found[0].max() == 127


def test_without_numba_the_same_bits():
    """In a process where numba cannot be imported."""
    script = """
import sys
if sys.argv[1] == "without":
    sys.modules["numba"] = None
import numpy as np
from rpa.flash.kernels import mac
from rpa.flash.spec import Errors
from tests.flash.chips import chip_of
rng = np.random.default_rng(1)
chip = chip_of(rng.integers(0, 16, (50, 20)), Errors.all())
print(mac(chip, 0, rng.integers(0, 256, (30, 50)), abits=8, log2_lsb=2).tolist())
"""
    told = [subprocess.run([sys.executable, "-c", script, word], check=True, capture_output=True, text=True, cwd=ROOT).stdout
            for word in ("with", "without")]
    assert told[0] == told[1] and len(told[0]) > 1000


def test_several_blocks_of_lines(monkeypatch):
    """Tables of few lines each give what one table of all does."""
    rng = np.random.default_rng(1)
    cells, x = rng.integers(0, 16, (128, 100)), activations(rng, 30, 128, 8, False)
    whole = mac(chip_of(cells, ALL), 0, x, abits=8, log2_lsb=3)
    monkeypatch.setattr(kernels, "TABLE_BYTES", 1)
    assert np.array_equal(whole, mac(chip_of(cells, ALL), 0, x, abits=8, log2_lsb=3))


def test_sums_beyond_32_bits():
    cells = np.full((1024, 16), 15)
    x = np.full((3, 1024), 15, np.uint8)
    chip = chip_of(cells, dac=Dac(bits=4), adc=Adc(bits="ideal", sparsity_aware=False))
    chip.set_trim(0, np.full(16, 8.0))
    assert (mac(chip, 0, x, abits=4, log2_lsb=3) == 1024 * 15 * 15).all()


class TestReproducibility:
    """1000 vectors of 3 macros with every error, noise and traps included."""

    cells = np.random.default_rng(2).integers(0, 16, (3, 96, 24))
    x = activations(np.random.default_rng(3), 1000, 96, 8, False)

    def chip(self, seed=6):
        return chip_of(self.cells, replace(ALL, telegraph=Telegraph(dwell_operations=1000)), seed=seed)

    def run(self, chip, macro, x, **options):
        return mac(chip, macro, x, abits=8, log2_lsb=3, **options)

    @pytest.mark.parametrize("size", [1, 7, 1000])
    def test_batches(self, size):
        chip = self.chip()
        parts = [self.run(chip, 1, self.x[start:start + size]) for start in range(0, 1000, size)]
        assert np.array_equal(np.concatenate(parts), self.run(self.chip(), 1, self.x))
        assert chip.operations.tolist() == [0, 8000, 0]

    def test_the_order_of_macros(self):
        found = {}
        for order in ((0, 1, 2), (2, 1, 0)):
            chip = self.chip()
            found[order] = [result for _, result in sorted((macro, self.run(chip, macro, self.x)) for macro in order)]
        assert np.array_equal(found[0, 1, 2], found[2, 1, 0])

    @pytest.mark.parametrize("threads", [1, 2])
    def test_threads(self, threads):
        chip = self.chip()
        parts = [slice(start, start + 100) for start in range(0, 1000, 100)]
        with ThreadPoolExecutor(threads) as pool:
            found = list(pool.map(lambda part: self.run(chip, 1, self.x[part], first=8 * part.start), parts))
        assert np.array_equal(np.concatenate(found), self.run(self.chip(), 1, self.x))

    def test_vectors_in_another_order_with_their_own_numbers(self):
        order = np.random.default_rng(1).permutation(1000)
        assert np.array_equal(self.run(self.chip(), 2, self.x[order], first=8 * order), self.run(self.chip(), 2, self.x)[order])

    def test_the_seed(self):
        assert np.array_equal(self.run(self.chip(), 0, self.x), self.run(self.chip(), 0, self.x))
        assert not np.array_equal(self.run(self.chip(), 0, self.x), self.run(self.chip(7), 0, self.x))

    def test_a_new_table_after_every_change(self):
        chip = self.chip()
        results = [self.run(chip, 0, self.x[:50], first=0)]
        for change in (lambda: chip.program(0, 3, 0, np.full(24, 15, np.uint8)), lambda: chip.set_trim(0, np.full(24, 1.2)),
                       lambda: chip.reprogram(0, np.full((96, 24), 3.5))):
            change()
            results.append(self.run(chip, 0, self.x[:50], first=0))
            assert np.array_equal(results[-1], plainly(chip, 0, self.x[:50], Passes(8, 1), slice(None), 3, 0, 8 * np.arange(50)))
        assert all(not np.array_equal(one, other) for one, other in pairwise(results))


@pytest.mark.parametrize(("abits", "dac_bits", "signed", "shifts", "masks", "weights"), [
    (8, 1, False, range(8), [1] * 8, [1, 2, 4, 8, 16, 32, 64, 128]),
    (8, 1, True, range(8), [1] * 8, [1, 2, 4, 8, 16, 32, 64, -128]),
    (5, 2, False, [0, 2, 4], [3, 3, 1], [1, 4, 16]),
    (5, 2, True, [0, 2, 4], [3, 3, 1], [1, 4, -16]),
    (4, 2, True, [0, 2, 3], [3, 1, 1], [1, 4, -8]),
    (4, 4, False, [0], [15], [1]),
    (1, 3, True, [0], [1], [-1])])
def test_passes_by_hand(abits, dac_bits, signed, shifts, masks, weights):
    passes = Passes(abits, dac_bits, signed)
    assert (passes.shifts.tolist(), passes.masks.tolist(), passes.weights.tolist()) == (list(shifts), masks, weights)


@pytest.mark.parametrize("dac_bits", [1, 2, 3, 4])
def test_patterns_hold_every_digit(dac_bits):
    x = np.random.default_rng(1).integers(0, 1 << 11, (6, 45))
    passes, group = Passes(11, dac_bits), rows_in_group(dac_bits)
    patterns, active = patterns_of(x, passes)
    row = np.arange(45)
    digits = patterns[:, :, row // group] >> (row % group * dac_bits) & ((1 << dac_bits) - 1)
    assert np.array_equal(digits, passes.digits(x)) and np.array_equal(active, (digits != 0).sum(axis=2))
    assert np.array_equal((digits * passes.weights[:, None]).sum(axis=1), x)


BAD = [
    ({"x": np.zeros((2, 9), np.uint8)}, "mac: x is uint8 (2, 9) on word lines 0..., must be integers (vectors, rows) within 8 word lines"),
    ({"x": np.zeros((2, 8))}, "mac: x is float64 (2, 8) on word lines 0..., must be integers (vectors, rows) within 8 word lines"),
    ({"row0": 3, "x": np.zeros((2, 8), np.uint8)}, "mac: x is uint8 (2, 8) on word lines 3..., must be integers (vectors, rows) within 8 word lines"),
    ({"x": np.full((2, 8), 16)}, "mac: x has values 16..16, must be 0..15: 4 bits"),
    ({"x": np.full((2, 8), -9), "signed": True}, "mac: x has values -9..-9, must be -8..7: 4 bits"),
    ({"abits": 0}, "Passes: 0 bits in digits of 1, must be 1..16 and 1..4"),
    ({"columns": slice(0, 8, 2)}, "Chip: `columns` is slice(0, 8, 2), must be neighbouring bit lines")]


@pytest.mark.parametrize(("options", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_operands_are_refused(options, message):
    chip = chip_of(np.ones((8, 8)))
    with pytest.raises(FlashError) as error:
        mac(chip, 0, **({"x": np.zeros((2, 8), np.uint8), "abits": 4, "log2_lsb": 0} | options))
    assert str(error.value) == message
