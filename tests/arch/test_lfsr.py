"""The LFSR: maximal period by its polynomial's order, jumps against single steps, seeds by hand."""

import numpy as np
import pytest

from rpa.arch.errors import NumericsError
from rpa.arch.jit import HAVE_NUMBA, plain
from rpa.arch.numerics import LFSR_PERIOD, lfsr_jump, lfsr_next, lfsr_seed, lfsr_sequence

STEP = plain(lfsr_next)


def spelled_out(state: int) -> int:
    lsb = state & 1
    state >>= 1
    return state ^ 0xA3000000 if lsb else state


def test_step_against_the_definition():
    state = 0xDEADBEEF
    for _ in range(2000):
        assert STEP(state) == spelled_out(state)
        if HAVE_NUMBA:
            assert lfsr_next(state) == spelled_out(state)
        state = spelled_out(state)


def test_period_is_maximal():
    # The order of the step map divides 2^32 - 1 and no quotient of it by a prime factor, so it is 2^32 - 1.
    assert LFSR_PERIOD == 3 * 5 * 17 * 257 * 65537
    assert lfsr_jump(1, LFSR_PERIOD) == 1
    for prime in (3, 5, 17, 257, 65537):
        assert lfsr_jump(1, LFSR_PERIOD // prime) != 1


@pytest.mark.parametrize("steps", [0, 1, 2, 7, 31, 32, 33, 1000])
def test_jump_equals_single_steps(steps):
    state = start = 0x12345678
    for _ in range(steps):
        state = spelled_out(state)
    assert lfsr_jump(start, steps) == state
    assert lfsr_jump(np.array([start, start]), steps).tolist() == [state, state]


def test_jumps_add_up():
    assert lfsr_jump(lfsr_jump(99, 123_456_789), 987_654_321) == lfsr_jump(99, 123_456_789 + 987_654_321)


def test_sequence():
    sequence = lfsr_sequence(np.array([1, 0xFFFFFFFF]), 300)
    state = [1, 0xFFFFFFFF]
    for row in sequence.tolist():
        assert row == state
        state = [spelled_out(x) for x in state]
    assert lfsr_sequence(5, 0).shape == (0,)


def test_seed():
    assert plain(lfsr_seed)(0, 0) == 0x9E3779B9
    assert plain(lfsr_seed)(0x9E3779B9, 0) == 1
    assert plain(lfsr_seed)(5, 1) == 5 ^ 0x3C6EF372


def test_refusals():
    with pytest.raises(NumericsError, match="steps is -1"):
        lfsr_jump(1, -1)
    with pytest.raises(NumericsError, match="must be an integer 0"):
        lfsr_jump(1 << 32, 1)
