"""Every kernel of `programs/` at every width: by the event loop, and equal to the stepping emulator."""

from __future__ import annotations

import pytest

from rpa.arch.config import ArrayConfig
from rpa.arch.memory import build_memory
from rpa.report.kernels import KERNELS
from rpa.runner.preflight import inspect
from tests.emu_fast.same import same

CASES = [(preset, kernel, widths) for preset in ("tiny", "small") for kernel in KERNELS.values() for widths in kernel.widths
         if kernel.fits(ArrayConfig.preset(preset), widths[0])]


@pytest.mark.parametrize(("preset", "kernel", "widths"), CASES, ids=[f"{preset}-{kernel.name}-{a}-{w}" for preset, kernel, (a, w) in CASES])
def test_kernel(preset: str, kernel, widths: tuple[int, int]) -> None:
    program = kernel.assemble(ArrayConfig.preset(preset), *widths)
    same(program, build_memory(program, kernel.case(program, 1).inputs), max_cycles=10_000_000, by_events=True)
    assert inspect(program).findings == ()
