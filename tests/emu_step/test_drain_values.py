"""The drain's results against rationals in plain Python: every rounding mode, saturation, zero point, packing, LFSR order."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest

from isa.table import ROUNDINGS
from rpa.arch.memory import build_memory
from rpa.arch.numerics import pack_params
from rpa.emu.step import StepMachine
from tests.arch.test_rounding import half_up, published_gemmlowp
from tests.emu_step.both import TINY, program_of

MODES = {mode.name: mode.code for mode in ROUNDINGS}
SEED = 0x1234


def lfsr_states(column):
    state = (SEED ^ (0x9E3779B9 * (column + 1))) & 0xFFFFFFFF or 1
    while True:
        yield state
        state = state >> 1 ^ (0xA3000000 if state & 1 else 0)


def element(acc, bias, factor, shift, mode, pre, zero_point, low, high, lfsr):
    """(q, changed) as design.md section 7 says, in integers of any size."""
    total = (acc + bias + (1 << 47)) % (1 << 48) - (1 << 47)
    exact = half_up(Fraction(total, 1 << pre))
    v = max(-(1 << 31), min((1 << 31) - 1, exact))
    quotient = Fraction(v * factor, 1 << shift)
    rounded = {
        "half_up": lambda: half_up(quotient), "half_even": lambda: round(quotient), "floor": lambda: floor(quotient),
        "gemmlowp": lambda: published_gemmlowp(v, factor, shift - 31),
        "stochastic": lambda: floor(quotient + Fraction(floor(Fraction(lfsr, 1 << 32) * (1 << shift)), 1 << shift)),
    }[mode]()
    q = min(max(rounded + zero_point, low), high)
    return q, v != exact or q != rounded + zero_point


def drained(machine, accumulators, params):
    """Run a machine whose accumulators and parameter entries are set from outside; returns it."""
    machine.m.acc[0, :4] = accumulators & ((1 << 48) - 1)
    machine.m.pbank[:4 * 8] = np.concatenate([pack_params(*params[:, i].T).T for i in range(4)])
    machine.cycle(1000)
    assert machine.done and machine.fault is None
    return machine


@pytest.mark.parametrize("pre", [0, 3])
@pytest.mark.parametrize("bits", [16, 8, 4])
@pytest.mark.parametrize("mode", MODES)
def test_every_mode(mode, bits, pre):
    rng = np.random.default_rng(bits + pre)
    low, high, zero_point = -(1 << (bits - 1)), (1 << (bits - 1)) - 1, 1
    accumulators = rng.integers(-(1 << 18), 1 << 18, (4, 2, 2))  # (accumulator, PE row, column)
    accumulators[0, 0, 0] = (1 << 46) + 5  # beyond 32 bits
    params = np.stack([rng.integers(-9, 9, (2, 4)), rng.integers(1 << 30, 1 << 31, (2, 4)), rng.integers(40, 50, (2, 4))], axis=-1)
    source = f"li r1, {SEED}\nseed r1\nset dr.rows, 2\nset dr.accs, 4\nset dr.pacc, 1\nset dr.round, {MODES[mode]}\nset dr.pre, {pre}\n" \
             f"set dr.bits, {bits}\nset dr.lo, {low}\nset dr.hi, {high}\nset dr.zp, {zero_point}\nset dr.pitch, 8\ndrain 0\nhalt"
    program = program_of(source)
    machines = [drained(StepMachine(program, build_memory(program, {}), compiled=compiled), accumulators, params) for compiled in (True, False)]
    changed, per_word = 0, 16 // bits
    lines = np.zeros((2, 16), np.int64)  # O words by column and address
    for column in range(2):
        states = lfsr_states(column)
        for row in range(2):
            for i in range(4):
                bias, factor, shift = (int(value) for value in params[column, i])
                q, saturated = element(int(accumulators[i, row, column]), bias, factor, shift, mode, pre, zero_point, low, high, next(states))
                changed += saturated
                lines[column, 8 * row + i // per_word] |= (q & ((1 << bits) - 1)) << (bits * (i % per_word))
        expected = next(states) if mode == "stochastic" else next(lfsr_states(column))
        assert [int(machine.view.lfsr[column]) for machine in machines] == [expected] * 2
    for machine in machines:
        assert np.array_equal(machine.view.bank("o")[:, :16], lines)
        assert machine.view.counters["rq_saturations"] == changed > 0
        assert machine.view.counters["rq_elements"] == 16


def test_lanes_of_split_accumulators():
    # four lanes of 12 bits: 1, -2, 3, -4 in lane order; M = 2^30, s = 30 leaves them as they are
    accumulator = sum((value % (1 << 12)) << (12 * lane) for lane, value in enumerate((1, -2, 3, -4)))
    program = program_of("set dr.lanes, 4\nset dr.bits, 4\ndrain 0\nhalt")
    params = np.tile(np.array([0, 1 << 30, 30]), (2, 4, 1))
    for compiled in (True, False):
        machine = StepMachine(program, build_memory(program, {}), compiled=compiled)
        drained(machine, np.full((4, 2, 2), accumulator), params)
        assert machine.view.bank("o")[:, 0].tolist() == [0xC3E1] * 2


def test_raw_gives_both_halves_saturated():
    program = program_of("set dr.raw, 1\nset dr.accs, 2\nset dr.pre, 4\ndrain 0\nhalt")
    accumulators = np.zeros((4, 2, 2), np.int64)
    accumulators[0], accumulators[1] = (1 << 40), -((0x12345 << 4) + 8)
    params = np.tile(np.array([0, 0, 1]), (2, 4, 1))
    for compiled in (True, False):
        machine = drained(StepMachine(program, build_memory(program, {}), compiled=compiled), accumulators, params)
        negative = -0x12345 & 0xFFFFFFFF  # the tie goes up
        assert machine.view.bank("o")[:, :4].tolist() == [[0xFFFF, 0x7FFF, negative & 0xFFFF, negative >> 16]] * TINY.cols
        assert machine.view.counters["rq_saturations"] == 2
