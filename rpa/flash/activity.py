"""How often word lines are driven: counts of operations from activations, without forming digits."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from rpa.arch.jit import HAVE_NUMBA, jit_nogil
from rpa.flash.patterns import Passes

Ints = npt.NDArray[np.int64]


def activity(x: npt.NDArray[np.integer], passes: Passes) -> tuple[Ints, Ints]:
    """For activations (vectors, rows): operations by number of driven word lines (rows + 1,), and the sum of each word line's digits (rows,)."""
    return (_compiled if HAVE_NUMBA else by_arrays)(x, passes)


def by_arrays(x: npt.NDArray[np.integer], passes: Passes) -> tuple[Ints, Ints]:
    """The same without compiled code."""
    operations = np.zeros(x.shape[1] + 1, np.int64)
    values = x & ((1 << passes.abits) - 1)
    for shift, mask in zip(passes.shifts, passes.masks, strict=True):
        active = np.count_nonzero(values & (int(mask) << int(shift)), axis=1)
        operations += np.bincount(active, minlength=len(operations))
    return operations, _digit_sums(passes)[values].sum(axis=0, dtype=np.int64)


@cache
def _digit_sums(passes: Passes) -> npt.NDArray[np.uint8]:
    """Sum of the digits of every activation, by its low bits."""
    return passes.digits(np.arange(1 << passes.abits)[:, None]).sum(axis=(1, 2), dtype=np.uint8)


def _compiled(x: npt.NDArray[np.integer], passes: Passes) -> tuple[Ints, Ints]:
    operations, sums = np.zeros(x.shape[1] + 1, np.int64), np.zeros(x.shape[1], np.int64)
    _count(x, passes.shifts, passes.masks, _digit_sums(passes), operations, sums)
    return operations, sums


@jit_nogil
def _count(x, shifts, masks, digit_sums, operations, sums):
    low = len(digit_sums) - 1
    for v in range(x.shape[0]):
        for p in range(len(shifts)):
            where, active = masks[p] << shifts[p], 0
            for row in range(x.shape[1]):
                active += (x[v, row] & where) != 0
            operations[active] += 1
        for row in range(x.shape[1]):
            sums[row] += digit_sums[x[v, row] & low]
