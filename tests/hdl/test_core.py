"""The control core on small programs: values and cycles worked out by hand."""

from __future__ import annotations

import pytest

from isa.encoding import encode, encode_context
from rpa.arch.config import ArrayConfig
from tests.hdl.control_bench import REGISTER, addi, li, run_core

TINY = ArrayConfig.preset("tiny")
HALT = encode("halt")


def test_arithmetic_wraps_and_shifts_as_the_table_says():
    words = [*li(1, 0x8000_0001), *li(2, 0xFFFF_FFFF), addi(3, 0, 4)]
    operations = ["add", "sub", "mul", "and", "or", "xor", "sll", "srl", "sra", "slt"]
    expected = [0x8000_0000, 0x8000_0002, 0x7FFF_FFFF, 0x8000_0001, 0xFFFF_FFFF, 0x7FFF_FFFE]
    results = {}
    for name in operations[:6]:
        run = run_core(TINY, [*words, encode(name, rd=4, rs=1, rt=2), HALT])
        results[name] = run.registers[4]
    assert list(results.values()) == expected
    shifted = [run_core(TINY, [*words, encode(name, rd=4, rs=1, rt=3), HALT]).registers[4] for name in ("sll", "srl", "sra", "slt")]
    assert shifted == [0x10, 0x0800_0000, 0xF800_0000, 1]


def test_immediates_extend_as_the_table_says():
    run = run_core(TINY, [addi(1, 0, -1), encode("andi", rd=2, rs=1, imm=0xFFFF), encode("srai", rd=3, rs=1, shamt=31),
                          encode("srli", rd=4, rs=1, shamt=31), encode("slli", rd=5, rs=1, shamt=4), addi(0, 0, 7), HALT])
    assert run.registers[:6] == [0, 0xFFFF_FFFF, 0xFFFF, 0xFFFF_FFFF, 1, 0xFFFF_FFF0]
    assert run.cycles == 7


@pytest.mark.parametrize(("name", "a", "b", "taken"), [
    ("beq", 5, 5, True), ("bne", 5, 5, False), ("blt", -1, 0, True), ("bge", -1, 0, False), ("bltu", -1, 0, False), ("bgeu", -1, 0, True)])
def test_branch_takes_one_cycle_either_way(name, a, b, taken):
    run = run_core(TINY, [addi(1, 0, a), addi(2, 0, b), encode(name, rs=1, rt=2, offset=2), addi(3, 0, 1), HALT])
    assert run.registers[3] == (0 if taken else 1)
    assert run.pcs == ([0, 1, 2, 4] if taken else [0, 1, 2, 3, 4])


def test_calls_link_and_return():
    run = run_core(TINY, [encode("jal", rd=14, offset=3), addi(1, 0, 1), HALT, encode("jalr", rd=13, rs=14, imm=0)])
    assert run.pcs == [0, 3, 1, 2]
    assert (run.registers[14], run.registers[13]) == (1, 4)


def test_loops_cost_one_instruction_and_nothing_per_iteration():
    words = [encode("loopi", count=3, offset=4), encode("loopi", count=2, offset=2), addi(1, 1, 1), addi(2, 2, 1), HALT]
    run = run_core(TINY, words)
    assert (run.registers[1], run.registers[2]) == (6, 3)
    assert run.cycles == 1 + 3 * (1 + 2 + 1) + 1


def test_loop_with_count_zero_skips_its_body():
    run = run_core(TINY, [encode("loop", rs=0, offset=2), addi(1, 0, 1), encode("loopi", count=0, offset=2), addi(1, 0, 1), HALT])
    assert run.pcs == [0, 2, 4] and run.registers[1] == 0


def test_jump_to_the_last_instruction_of_a_body_does_not_end_it_early():
    """A taken branch to the loop's end address leaves the top entry alone; the sequential end counts."""
    words = [encode("loopi", count=2, offset=4), addi(1, 1, 1), encode("beq", rs=0, rt=0, offset=1), addi(2, 2, 1), HALT]
    run = run_core(TINY, words)
    assert (run.registers[1], run.registers[2]) == (2, 2)


def test_counters_are_read_in_two_words():
    run = run_core(TINY, [encode("rdctr", rd=1, counter=0), encode("rdctrh", rd=2, counter=0), HALT], counter=0x1234_5678_9ABC)
    assert run.registers[1:3] == [0x5678_9ABC, 0x1234]


def test_push_carries_value_and_pc():
    words = [addi(1, 0, -5), encode("set", reg=REGISTER["ex.n0"], imm=3), encode("setr", reg=REGISTER["ld.addr"], rt=1), encode("reset", engine=3),
             encode("sync", engine=2, wait=1, signal=2), encode("seed", rt=1), HALT]
    run = run_core(TINY, words)
    assert run.pushes == [(2, 0b0010, 0, 3, 1), (3, 0b0001, 0, 0xFFFF_FFFB, 2), (4, 0b1000, 1, run.pushes[2][3], 3),
                          (5, 0b0100, 2, run.pushes[3][3], 4), (6, 0b0100, 2, 0xFFFF_FFFB, 5)]


def test_full_queue_stalls_only_its_own_engine():
    words = [encode("sync", engine=0), encode("sync", engine=1), HALT]
    run = run_core(TINY, words, full=lambda cycle: 0b0010 if cycle < 5 else 0)
    assert [push[:2] for push in run.pushes] == [(1, 0b0001), (5, 0b0010)] and run.cycles == 6


def test_fence_waits_for_the_named_engines():
    run = run_core(TINY, [encode("fence", engines=0b0101), HALT], quiet=lambda cycle: 0b1010 if cycle < 4 else 0b0101)
    assert run.pcs == [0, 0, 0, 0, 1]


BAD_CONTEXT = encode_context("mac") | 1 << 13
FAULTS = {
    "fetch behind the end": ([addi(1, 0, 1)], ("FETCH", 1, 1)),
    "jump far away": ([encode("jalr", rd=0, rs=0, imm=-2)], ("FETCH", 0xFFFF_FFFE, 0xFFFF_FFFE)),
    "unknown opcode": ([0xFC00_0000], ("ILLEGAL_OPCODE", 0, 0xFC00_0000)),
    "reserved bit": ([HALT | 1], ("ILLEGAL_OPCODE", 0, HALT | 1)),
    "value too large": ([encode("set", reg=REGISTER["ex.abits"], imm=3)], ("ILLEGAL_CONFIG", 0, 3)),
    "negative value": ([encode("set", reg=REGISTER["ld.rows"], imm=-1)], ("ILLEGAL_CONFIG", 0, 0xFFFF_FFFF)),
    "unit beyond the bus": ([encode("set", reg=REGISTER["st.unit"], imm=4)], ("ILLEGAL_CONFIG", 0, 4)),
    "slot": ([encode("ctxld", slot=16, rs=0)], ("ILLEGAL_CONTEXT", 0, 16)),
    "context": ([*li(1, BAD_CONTEXT), encode("ctxld", slot=0, rs=1)], ("ILLEGAL_CONTEXT", 2, BAD_CONTEXT)),
    "fifth loop": ([encode("loopi", count=1, offset=9)] * 5, ("LOOP_DEPTH", 4, 0)),
}


@pytest.mark.parametrize("case", FAULTS)
def test_fault_names_cause_pc_and_aux(case):
    words, expected = FAULTS[case]
    assert run_core(TINY, words).fault == expected


def test_checks_come_before_the_stall_at_a_full_queue():
    run = run_core(TINY, [encode("set", reg=REGISTER["ex.abits"], imm=3)], full=lambda cycle: 15)
    assert run.fault == ("ILLEGAL_CONFIG", 0, 3) and run.cycles == 1
