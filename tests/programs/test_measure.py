"""`measure`: its rows by hand, its errors, and the targets of the 3x3 layer on the default machine."""

import numpy as np
import pytest

import isa
from rpa.arch.config import ArrayConfig
from rpa.report.accuracy import relative_error
from rpa.report.backends import ReportError, run_program
from rpa.report.cases import AVERAGE_POOL, CONVOLUTION
from rpa.report.kernels import EQUAL_WIDTHS, KERNELS, PROGRAMS
from rpa.report.measure import counter, measure

TINY = ArrayConfig.preset("tiny")
DEFAULT = ArrayConfig.preset("default")


def test_every_program_is_registered():
    assert sorted({kernel.file for kernel in KERNELS.values()}) == sorted(path.name for path in PROGRAMS.glob("*.rpa"))


def test_copy_pack_counted_by_hand():
    (row,) = measure(["copy_pack"], [(8, 8)], TINY, ["fast"])
    words = 2 * 16                                  # packed words: two rows of sixteen
    assert row.bank_writes == words + 2 * 8 + 2 * words     # A banks, one entry in two P banks, both O banks
    assert row.bank_reads == words + 2 * words              # A banks, and a line of two words for each word stored
    assert row.external_bytes == 2 * (2 * words + 8 + words)
    assert (row.utilisation, row.speedup, row.relative_error, row.backend_equal) == (None, None, None, None)


def test_rows_of_a_kernel():
    rows = measure(["gemm"], config=TINY, backends=["fast"])
    assert [(row.act_bits, row.weight_bits) for row in rows] == list(KERNELS["gemm"].widths)
    assert rows[0].speedup == 1
    for row in rows:
        assert row.speedup == pytest.approx(rows[0].cycles / row.cycles)
        lanes = 16 // max(row.act_bits, row.weight_bits)
        assert row.utilisation == pytest.approx(48 * 8 * 64 / (row.cycles * 4 * lanes))
    errors = [row.relative_error for row in rows[:4]]
    assert errors == sorted(errors) and errors[0] < 1e-4


def test_backends_are_compared():
    assert [row.backend_equal for row in measure(["depthwise", "dot"], config=TINY)] == [True] * 7


def test_widths_that_the_bus_cannot_pack_are_left_out():
    assert [row.act_bits for row in measure(["copy_pack"], config=TINY, backends=["fast"])] == [16, 8]


@pytest.mark.parametrize(("kernels", "backends", "message"), [
    (["conv"], ["fast"], "no kernel `conv`; there are copy_pack, "),
    (["gemm"], ["slow"], "no backend `slow`; there are fast, step, rtl"),
    (["gemm"], [], "no backend to measure with"),
])
def test_unknown_names(kernels, backends, message):
    with pytest.raises(ReportError, match=message.replace("(", r"\(")):
        measure(kernels, [(16, 16)], TINY, backends)


def test_a_fault_names_the_source_line():
    program = isa.assemble("set ld.addr, 1 << 30\nld a, mem\nhalt", TINY)
    with pytest.raises(ReportError, match=r":2: fault MEM_RANGE, aux 0x40000000, after \d+ cycles on `fast`"):
        run_program(program, {}, "fast")


def test_relative_error_by_hand():
    program = KERNELS["avgpool"].assemble(TINY, 4, 4)
    act = np.zeros(program.tensors["act"].shape)
    act[:2, :2] = [[[7.0], [7.0]], [[7.0], [6.0]]]         # mean 6.75, which rounds to 7
    error = relative_error(AVERAGE_POOL, program, lambda inputs: run_program(program, inputs, "fast")[1]["out"], given={"act": act})
    assert error == pytest.approx(0.25 / 6.75)


# -- the targets ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def layer():
    return {(row.name, row.act_bits): row for row in measure(["conv3x3", "conv3x3_stream"], EQUAL_WIDTHS, DEFAULT, ["fast"])}


def test_the_layer_is_the_one_of_the_target():
    program = KERNELS["conv3x3"].assemble(DEFAULT, 16, 16)
    assert program.tensors["act"].shape == (32, 32, 16) and program.tensors["out"].shape == (32, 32, 16)
    assert CONVOLUTION.work(program) == 32 * 32 * 16 * 16 * 9


def test_utilisation_and_speedup(layer):
    assert layer["conv3x3", 16].utilisation >= 0.98
    assert layer["conv3x3_stream", 16].utilisation >= 0.85
    for bits, target in ((8, 1.95), (4, 3.8), (2, 7.0)):
        assert layer["conv3x3", bits].speedup >= target


@pytest.mark.parametrize(("preset", "runs"), [("tiny", 4), ("small", 4), ("default", 8)])
def test_cycles_in_the_banks_by_hand(preset, runs):
    """The formula in the source's header: steps, one cycle to start a run, the last drain, and 13 for queue, pipelines and fence."""
    config = ArrayConfig.preset(preset)
    for row in measure(["conv3x3"], config=config, backends=["fast"]):
        program = KERNELS["conv3x3"].assemble(config, row.act_bits, row.weight_bits)
        lanes = 16 // max(row.act_bits, row.weight_bits)
        last = max(4, 16 // program.tensors["out"].bits)        # the last eight pixels in one part or in two
        steps = CONVOLUTION.work(program) // (config.pes * lanes)
        formula = steps + runs - 1 + 8 // last + config.rows * last + 13
        shortest_run, whole_drain = steps // runs * last // 8, config.rows * 8
        if shortest_run + 1 >= whole_drain + 1 + 4 + 5:         # the drain of eight pixels, from the last step to the free bank
            assert row.cycles == formula
        else:
            assert row.cycles > formula and (preset, row.act_bits) == ("small", 2)


def test_operand_reads_by_hand():
    """For 3 taps of 8 pixels, 24 steps, 3 weights and 3 + 7 pixels are read; for 4 pixels, 3 and 3 + 3; without reuse all are."""
    chunks, halves, loops = 7, 2, 3 * 8                     # the last of 8 chunks in two halves; 3 ky, 8 words of channels
    pixel_reads, weight_reads = loops * (chunks * 10 + halves * 6), loops * (chunks * 3 + halves * 3)
    steps = loops * 8 * 24
    for reuse, a_reads, w_reads in ((1, pixel_reads, weight_reads), (0, steps, steps)):
        program = KERNELS["conv3x3"].assemble(DEFAULT, 8, 8, REUSE=reuse)
        outcome, _ = run_program(program, KERNELS["conv3x3"].case(program).inputs, "fast")
        assert counter(outcome, "a_reads") == 16 * a_reads
        assert counter(outcome, "w_reads") == 16 * w_reads
        assert counter(outcome, "o_writes") == counter(outcome, "o_reads") == 32 * 32 * 16 // 2
