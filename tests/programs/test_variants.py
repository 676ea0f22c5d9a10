"""Kernels on other shapes and other machines: more passes than buffers, odd counts, narrow and wide buses, shallow queues."""

from dataclasses import replace

import pytest

from isa import AsmError
from rpa.arch.config import ArrayConfig
from rpa.report.backends import run_program
from rpa.report.kernels import KERNELS, differences

TINY, SMALL, ECP5, DEFAULT = (ArrayConfig.preset(name) for name in ("tiny", "small", "ecp5", "default"))
SHAPES = (
    ("conv1x1", {"PASSES": 4}),
    ("conv3x3", {"REUSE": 0}), ("conv3x3", {"PASSES": 1}), ("conv3x3", {"PASSES": 3, "W": 8}),
    ("conv3x3_stream", {"PASSES": 1}), ("conv3x3_stream", {"PASSES": 4}), ("conv3x3_stream", {"PASSES": 5, "W": 8}),
    ("conv3x3_stream", {"CIN": 16, "W": 8}),
    ("conv3x3_stride2", {"PASSES": 3}), ("conv5x5", {"PASSES": 3, "W": 16}), ("conv7x7", {"PASSES": 4}),
    ("gemm", {"TILES": 1}), ("gemm", {"TILES": 5, "GROUPS": 1, "DEPTH": 32}), ("gemm", {"TILES": 2, "GROUPS": 3, "DEPTH": 32}),
    ("fully_connected", {"PARTS": 1}), ("fully_connected", {"PARTS": 8, "DEPTH": 128}),
    ("depthwise", {"PASSES": 1, "W": 8}), ("depthwise", {"PASSES": 3, "W": 24}),
    ("dot", {"LENGTH": 24}),
)
MACHINES = {
    "ecp5": ECP5,
    "one row": replace(TINY, rows=1),
    "3x8": replace(SMALL, rows=3, cols=8),
    "bus of 1": replace(SMALL, bus_words=1),
    "bus of 16": replace(SMALL, bus_words=16),
    "queues of 2": replace(TINY, queue_depth=2),
    "latency 1": replace(SMALL, mem_latency=1),
    "latency 60": replace(SMALL, mem_latency=60),
    "40-bit accumulators": replace(SMALL, acc_bits=40),
    "32x4": replace(DEFAULT, rows=32, cols=4),
}


def check(kernel, config, act_bits, weight_bits, **defines):
    program = kernel.assemble(config, act_bits, weight_bits, **defines)
    case = kernel.case(program, seed=3)
    fast, outputs = run_program(program, case.inputs, "fast")
    assert differences(case, outputs) == []
    step, _ = run_program(program, case.inputs, "step")
    assert fast.first_difference(step) is None


@pytest.mark.parametrize(("name", "defines"), SHAPES, ids=str)
def test_other_shapes(name, defines):
    for act_bits, weight_bits in KERNELS[name].widths:
        check(KERNELS[name], SMALL, act_bits, weight_bits, **defines)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("kernel", KERNELS.values(), ids=lambda kernel: kernel.name)
def test_other_machines(kernel, machine):
    for act_bits, weight_bits in kernel.widths[::3]:
        if kernel.fits(MACHINES[machine], act_bits):
            check(kernel, MACHINES[machine], act_bits, weight_bits)


def test_a_layer_that_does_not_fit_says_so():
    with pytest.raises(AsmError, match="assertion failed: the layer must fit into the banks"):
        KERNELS["conv3x3"].assemble(TINY, 16, 16, CIN=64)


def test_a_bus_too_narrow_for_packing_says_so():
    with pytest.raises(AsmError, match="assertion failed: a bank word is packed from the source words of one cycle"):
        KERNELS["copy_pack"].assemble(TINY, 2, 2)
