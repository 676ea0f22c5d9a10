"""Every kernel of `programs/`: RTL = stepping emulator at every cycle, = fast emulator at the end, and the golden values."""

from __future__ import annotations

import io

import pytest

from hdl.sim import run as run_rtl
from rpa.arch.config import ArrayConfig
from rpa.arch.memory import build_memory, read_tensor
from rpa.emu.step import run as run_step
from rpa.report.kernels import KERNELS, differences
from rpa.verify.compare import compare

MAX_CYCLES = 100_000
ON_DEFAULT = ("conv3x3", 8, 8)
RUNS = [pytest.param(kernel, preset, *pair, id=f"{kernel.name}-{preset}-{pair[0]}-{pair[1]}", marks=pytest.mark.xdist_group(f"rtl-{preset}"))
        for preset in ("tiny", "small") for kernel in KERNELS.values() for pair in kernel.widths
        if kernel.fits(ArrayConfig.preset(preset), pair[0])]

pytestmark = [pytest.mark.rtl, pytest.mark.usefixtures("verilator")]


def check(name: str, preset: str, act_bits: int, weight_bits: int) -> None:
    kernel = KERNELS[name]
    program = kernel.assemble(ArrayConfig.preset(preset), act_bits, weight_bits)
    case = kernel.case(program, seed=3)
    found = compare(program, build_memory(program, case.inputs), max_cycles=MAX_CYCLES, every_cycle=True)
    assert found.difference is None, found.difference
    outcome = found.outcomes["rtl"]
    assert outcome.fault is None
    assert len(outcome.records) == outcome.cycles > 0
    assert differences(case, {tensor.name: read_tensor(outcome.memory, tensor) for tensor in program.outputs()}) == []


@pytest.mark.parametrize(("kernel", "preset", "act_bits", "weight_bits"), RUNS)
def test_kernel_in_lockstep(kernel, preset, act_bits, weight_bits):
    check(kernel.name, preset, act_bits, weight_bits)


@pytest.mark.xdist_group("rtl-default")
def test_kernel_in_lockstep_on_default():
    check(ON_DEFAULT[0], "default", *ON_DEFAULT[1:])


@pytest.mark.parametrize("name", ["gemm", "depthwise", "maxpool"])
@pytest.mark.xdist_group("rtl-tiny")
def test_commit_log_is_that_of_the_emulator(name):
    kernel = KERNELS[name]
    program = kernel.assemble(ArrayConfig.preset("tiny"), *kernel.widths[0])
    memory = build_memory(program, kernel.case(program, seed=3).inputs)
    mine, theirs = io.StringIO(), io.StringIO()
    run_step(program, memory, max_cycles=MAX_CYCLES, log=mine)
    run_rtl(program, memory, max_cycles=MAX_CYCLES, log=theirs)
    assert mine.getvalue().splitlines() == theirs.getvalue().splitlines()
