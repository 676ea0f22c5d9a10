"""Every kernel on every preset machine, width and emulator gives the golden values, and takes what it should."""

import pytest

from rpa.arch.config import ArrayConfig
from rpa.report.backends import run_program
from rpa.report.kernels import KERNELS, differences
from rpa.report.measure import counter

PRESETS = ("tiny", "small", "default")
LOCKSTEP_CYCLES = 10_000
RUNS = [pytest.param(kernel, preset, *pair, id=f"{kernel.name}-{preset}-{pair[0]}-{pair[1]}")
        for kernel in KERNELS.values() for preset in (*PRESETS, *(["hybrid"] if kernel.macros else [])) for pair in kernel.widths
        if kernel.fits(ArrayConfig.preset(preset), pair[0])]


@pytest.mark.parametrize("backend", ["step", "fast"])
@pytest.mark.parametrize(("kernel", "preset", "act_bits", "weight_bits"), RUNS)
def test_kernel_gives_the_golden_values(kernel, preset, act_bits, weight_bits, backend):
    program = kernel.assemble(ArrayConfig.preset(preset), act_bits, weight_bits)
    case = kernel.case(program, seed=1)
    outcome, outputs = run_program(program, case.inputs, backend)
    assert differences(case, outputs) == []
    if preset in ("tiny", "small"):
        assert outcome.cycles < LOCKSTEP_CYCLES
    if kernel.formula is not None and kernel.width_names == ("ABITS", "WBITS"):
        assert counter(outcome, "macs") == kernel.formula.work(program)
