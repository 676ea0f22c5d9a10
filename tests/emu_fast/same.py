"""Runs a program on the fast and on the compiled stepping emulator and demands that they agree."""

from __future__ import annotations

import numpy as np

from isa.program import Program
from rpa.emu import fast, step
from rpa.emu.fast import FastRun


def same(program: Program, memory: np.ndarray, *, max_cycles: int = 200_000, by_events: bool | None = None) -> FastRun:
    """Run both ways; AssertionError naming the first difference.

    by_events: True: the fast emulator must do it by its event loop, False: it must hand it over, None: either.
    """
    before = memory.copy()
    done = fast.execute(program, memory.copy(), max_cycles=max_cycles)
    expected = step.run(program, memory, max_cycles=max_cycles)
    assert np.array_equal(memory, before)
    difference = done.outcome.first_difference(expected)
    assert difference is None, f"fast against step: {difference} ({done.stepped_because or 'by events'})"
    if by_events is not None:
        assert (done.stepped_because is None) == by_events, done.stepped_because
    return done
