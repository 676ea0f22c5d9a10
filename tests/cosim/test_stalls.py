"""An external memory that stalls and answers late at random: other cycles, the same results."""

from __future__ import annotations

import numpy as np
import pytest

from hdl.sim import run as run_rtl
from isa.table import COUNTERS
from rpa.arch.config import ArrayConfig
from rpa.arch.memory import build_memory
from rpa.report.kernels import KERNELS

MAX_CYCLES = 200_000

pytestmark = [pytest.mark.rtl, pytest.mark.usefixtures("verilator"), pytest.mark.xdist_group("rtl-tiny")]


@pytest.mark.parametrize("stall_seed", [1, 20261121])
@pytest.mark.parametrize("name", ["copy_pack", "gemm", "conv3x3_stream", "depthwise", "residual", "requantize"])
def test_results_do_not_depend_on_the_memory(name, stall_seed):
    kernel = KERNELS[name]
    config = ArrayConfig.preset("tiny")
    pair = next(pair for pair in kernel.widths if kernel.fits(config, pair[0]))
    program = kernel.assemble(config, *pair)
    memory = build_memory(program, kernel.case(program, seed=5).inputs)
    steady = run_rtl(program, memory, max_cycles=MAX_CYCLES)
    stalled = run_rtl(program, memory, max_cycles=MAX_CYCLES, stall_seed=stall_seed)
    assert stalled.fault is None
    assert np.array_equal(stalled.memory, steady.memory)
    assert stalled.cycles > steady.cycles
    for counter in COUNTERS:
        if counter.unit in ("words", "MAC", "elements"):
            assert stalled.counters[counter.index] == steady.counters[counter.index], counter.name
