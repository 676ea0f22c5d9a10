"""A machine of unequal sides, a bus wider than its columns, a slow memory and odd macros: what holds on the presets holds there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rpa.arch.config import ArrayConfig
from rpa.arch.memory import build_memory, read_tensor
from rpa.report.kernels import KERNELS, differences
from rpa.verify.compare import compare, compare_random, describe
from rpa.verify.random_programs import random_program

CONFIG = replace(ArrayConfig.preset("small"), rows=5, cols=4, bus_words=16, mem_latency=33, nv_macros=1, nv_rows=45, nv_cols=48, nv_cell_bits=3,
                 nv_dac_bits=3, nv_adc_bits=11, nv_adc_share=3, nv_settle=1, nv_adc_cycles=1, nv_prog_cycles=1, x_depth=128)
PROGRAMS, BLOCK = 48, 12
MAX_CYCLES = 200_000
RUNS = [pytest.param(kernel, *pairs[-1], id=kernel.name) for kernel in KERNELS.values()
        if (pairs := [pair for pair in kernel.widths if kernel.fits(CONFIG, pair[0])])]
"""Every kernel, at the narrowest width that this machine can run."""

pytestmark = [pytest.mark.rtl, pytest.mark.usefixtures("verilator"), pytest.mark.xdist_group("rtl-odd")]


@pytest.mark.parametrize("first", range(0, PROGRAMS, BLOCK))
def test_random_programs_in_lockstep(first):
    failures = []
    for seed in range(first, first + BLOCK):
        case = random_program(seed, CONFIG)
        found = compare_random(case, names=("step", "rtl", "fast"), every_cycle=True)
        if not found.equal:
            failures.append(describe(case, found.difference))
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize(("kernel", "act_bits", "weight_bits"), RUNS)
def test_kernel_in_lockstep(kernel, act_bits, weight_bits):
    program = kernel.assemble(CONFIG, act_bits, weight_bits)
    case = kernel.case(program, seed=7)
    found = compare(program, build_memory(program, case.inputs), max_cycles=MAX_CYCLES, every_cycle=True)
    assert found.difference is None, found.difference
    outcome = found.outcomes["rtl"]
    assert outcome.fault is None
    assert differences(case, {tensor.name: read_tensor(outcome.memory, tensor) for tensor in program.outputs()}) == []


def test_every_kernel_fits():
    assert len(RUNS) == len(KERNELS)
