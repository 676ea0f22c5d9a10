"""The 32-bit Galois LFSR of stochastic rounding: x^32 + x^30 + x^26 + x^25 + 1, period 2^32 - 1."""

from __future__ import annotations

from functools import cache

import numpy as np

from rpa.arch.errors import NumericsError
from rpa.arch.jit import jit, plain

LFSR_TAPS = 0xA3000000
LFSR_RESET = 1
LFSR_PERIOD = (1 << 32) - 1
_GOLDEN = 0x9E3779B9
_MASK = (1 << 32) - 1


@jit
def lfsr_next(state):
    """One step. Works on integers and integer arrays of 0..2^32-1."""
    return (state >> 1) ^ (LFSR_TAPS * (state & 1))


@jit
def lfsr_seed(value, column):
    """State of column ``column`` after `seed` with the 32-bit number ``value``; never 0."""
    state = (value ^ (_GOLDEN * (column + 1))) & _MASK
    return state + (state == 0)


@cache
def _tables(log2_steps: int) -> np.ndarray:
    """The linear map "2^log2_steps steps" as four tables of 256: new state = xor of table[i][byte i of the state]."""
    bits = [1 << bit for bit in range(32)]
    if log2_steps == 0:
        images = [plain(lfsr_next)(bit) for bit in bits]
    else:
        half = _tables(log2_steps - 1)
        images = [int(_apply(half, _apply(half, np.array([bit], np.int64)))[0]) for bit in bits]
    tables = np.zeros((4, 256), np.int64)
    for byte in range(4):
        for value in range(1, 256):
            low = (value & -value).bit_length() - 1
            tables[byte, value] = tables[byte, value & (value - 1)] ^ images[8 * byte + low]
    return tables


def _apply(tables: np.ndarray, states: np.ndarray) -> np.ndarray:
    return tables[0][states & 255] ^ tables[1][states >> 8 & 255] ^ tables[2][states >> 16 & 255] ^ tables[3][states >> 24 & 255]


def _states(state: object) -> np.ndarray:
    states = np.asarray(state)
    if not np.issubdtype(states.dtype, np.integer) or (states.size and (states.min() < 0 or states.max() > _MASK)):
        raise NumericsError("an LFSR state must be an integer 0..2^32-1")
    return states.astype(np.int64)


def lfsr_jump(state, steps: int):
    """Return the state ``steps`` (>= 0) steps later; an int for an int, an int64 array for an array of states."""
    if steps < 0:
        raise NumericsError(f"LFSR steps is {steps}, must be 0 or more")
    states, left = _states(state), steps % LFSR_PERIOD
    for log2_steps in range(left.bit_length()):
        if left >> log2_steps & 1:
            states = _apply(_tables(log2_steps), states)
    return states if isinstance(state, np.ndarray) else int(states)


def lfsr_sequence(state, count: int) -> np.ndarray:
    """Return int64 (count, *shape of state): the states after 0, 1, ... count-1 steps."""
    if count < 0:
        raise NumericsError(f"LFSR count is {count}, must be 0 or more")
    start = _states(state)
    sequence = np.empty((count, *start.shape), np.int64)
    if count:
        sequence[0] = start
    done, log2_steps = 1, 0
    while done < count:
        more = min(done, count - done)
        sequence[done:done + more] = _apply(_tables(log2_steps), sequence[:more])
        done, log2_steps = done + more, log2_steps + 1
    return sequence
