"""Every fault: cause, pc, auxiliary value and the cycle it is found in, by hand from design.md, on `tiny`."""

import numpy as np
import pytest

from isa.encoding import encode
from isa.table import FAULTS
from tests.emu_step.both import TINY, counter, program_of, run_both, words

MAC = ".context mac\nall: mac a, w\n.end\n"
NOP = ("addi", {"rd": 0, "rs": 0, "imm": 0})
HALT = ("halt", {})
UNKNOWN_OPCODE, RESERVED_BIT = 0xFFFFFFFF, 0x00000001
NESTED = [("loopi", {"count": 2, "offset": 9 - i}) for i in range(5)]

CASES = {
    # name: (source, cause, pc, aux, cycle)
    "fetch behind the end": (words(NOP), "FETCH", 1, 1, 2),
    "fetch after a jump": (words(("jalr", {"rd": 0, "rs": 0, "imm": -1})), "FETCH", 0xFFFFFFFF, 0xFFFFFFFF, 2),
    "unknown opcode": ([UNKNOWN_OPCODE], "ILLEGAL_OPCODE", 0, UNKNOWN_OPCODE, 1),
    "reserved bit": ([*words(NOP), RESERVED_BIT], "ILLEGAL_OPCODE", 1, RESERVED_BIT, 2),
    "unknown register": ([encode("set", reg=0, imm=0) | 31 << 18], "ILLEGAL_OPCODE", 0, encode("set", reg=0, imm=0) | 31 << 18, 1),
    "unknown source": ([encode("ld", dest=0, source=0) | 3 << 12], "ILLEGAL_OPCODE", 0, encode("ld", dest=0, source=0) | 3 << 12, 1),
    "unknown engine": ([encode("reset", engine=0) | 5 << 13], "ILLEGAL_OPCODE", 0, encode("reset", engine=0) | 5 << 13, 1),
    "set: no choice": ("li r1, 3\nsetr ld.unit, r1\nhalt", "ILLEGAL_CONFIG", 1, 3, 2),
    "set: beyond the machine": ("li r1, 4\nsetr ld.unit, r1\nhalt", "ILLEGAL_CONFIG", 1, 4, 2),
    "set: negative": ("li r1, -1\nsetr ld.base, r1\nhalt", "ILLEGAL_CONFIG", 1, 0xFFFFFFFF, 2),
    "context: slot": (words(("ctxld", {"slot": 16, "rs": 1}), HALT), "ILLEGAL_CONTEXT", 0, 16, 1),
    "context: operation": ("li r1, 31\nctxld 0, r1\nhalt", "ILLEGAL_CONTEXT", 1, 31, 2),
    "context: reserved": ("lui r1, 0x8000\nctxld 0, r1\nhalt", "ILLEGAL_CONTEXT", 1, 0x80000000, 2),
    "loop depth": (words(*NESTED), "LOOP_DEPTH", 4, 0, 5),
    # set in 1, ld pushed in 2, started in 3, visit in 4
    "ld: beyond memory": ("lui r1, 4\nsetr ld.addr, r1\nld a, mem\nhalt", "MEM_RANGE", 2, TINY.mem_bytes, 5),
    "ld: misaligned": ("set ld.addr, 1\nld a, mem\nhalt", "MISALIGNED", 1, 1, 4),
    "ld: bank": ("set ld.base, 1024\nld w, mem\nhalt", "BANK_RANGE", 1, 1024, 4),
    "ld: bank word": ("set ld.unit, 2\nset ld.base, 1\nld w, mem\nhalt", "MISALIGNED", 2, 1, 5),
    "ld: second visit": ("set ld.base, 1023\nset ld.units, 2\nset ld.dstep, 1\nld a, fill\nhalt", "BANK_RANGE", 3, 1024, 7),
    "ld: the bank out of range before the misaligned one":
        # bank 0 gets address 1 (misaligned), bank 1 (q = 1, back by 1023 - 65536) address 1 + 1023 = 1024
        ("set ld.unit, 2\nset ld.base, 1\nset ld.bstep, -1023\nld a, mem\nhalt", "BANK_RANGE", 3, 1024, 6),
    "ld: o address": ("set ld.obase, 512\nld a, o\nhalt", "BANK_RANGE", 1, 512, 4),
    "ld: contradiction": ("set ld.pack, 4\nld a, mem\nhalt", "ILLEGAL_CONFIG", 1, 0, 3),
    "ld o: too narrow": ("set ld.obits, 4\nld a, o\nhalt", "ILLEGAL_CONFIG", 1, 0, 3),
    "run: A": ("set ex.abase, 1024\nset ex.wbase, 1024\nrun 0\nhalt", "BANK_RANGE", 2, 1024, 5),
    "run: W": ("set ex.wbase, 1030\nrun 0\nhalt", "BANK_RANGE", 1, 1030, 4),
    "run: third step": ("set ex.abase, 1022\nset ex.n1, 4\nset ex.as1, 1\nrun 0\nhalt", "BANK_RANGE", 3, 1024, 8),
    "run: widths": ("set ex.cbits, 8\nrun 0\nhalt", "ILLEGAL_CONFIG", 1, 1, 3),
    "drain: rows": ("set dr.row0, 1\nset dr.rows, 2\ndrain 0\nhalt", "ILLEGAL_CONFIG", 2, 2, 4),
    "drain: accumulators": ("set dr.acc0, 9\nset dr.accs, 8\ndrain 0\nhalt", "ILLEGAL_CONFIG", 2, 2, 4),
    "drain: entry": ("set dr.param, 16\ndrain 0\nhalt", "BANK_RANGE", 1, 16, 4),
    # drain started in 2, D0 in 3, D1 in 4
    "drain: shift": ("drain 0\nhalt", "RQ_SHIFT", 0, 0, 4),
    # D5 of the first half in 3 + 1 + 5
    "drain: o address": ("set dr.raw, 1\nset dr.base, 512\ndrain 0\nhalt", "BANK_RANGE", 2, 512, 10),
    "st: o address": ("set st.base, 512\nst\nhalt", "BANK_RANGE", 1, 512, 4),
    "st: beyond memory": ("lui r1, 4\nsetr st.addr, r1\nst\nhalt", "MEM_RANGE", 2, TINY.mem_bytes, 5),
    "st: misaligned": ("set st.unit, 2\nset st.addr, 2\nst\nhalt", "MISALIGNED", 2, 2, 5),
    "st: contradiction": ("set st.xstep, 2\nst\nhalt", "ILLEGAL_CONFIG", 1, 3, 3),
    # pushed in 1, at the head from 2 on, halt in 2; nothing moves in 3
    "deadlock": ("sync ex wait(ld)\nhalt", "DEADLOCK", 0, 1 << 1, 3),
    "deadlock of two": ("sync st wait(ex)\nsync ex wait(st)\nhalt", "DEADLOCK", 1, 1 << 1 | 1 << 3, 4),
    "deadlock at a fence": ("sync ex wait(ld)\nfence ex\nhalt", "DEADLOCK", 0, 1 << 1, 2),
    "cycle limit": ("l: j l", "CYCLE_LIMIT", 0, 50, 50),
}


@pytest.mark.parametrize("name", CASES)
def test_faults_by_hand(name):
    source, cause, pc, aux, cycle = CASES[name]
    outcome = run_both(program_of(source), max_cycles=50)
    assert (outcome.fault.name, outcome.fault.pc, outcome.fault.aux, outcome.cycles) == (cause, pc, aux, cycle)


def test_accumulator_conflict():
    # contexts: li r15 (2 words), ctxld; the run's first ACC is 3 cycles after its first visit, the drain meets it
    source = MAC + "set dr.raw, 1\nset dr.accs, 16\nctx mac, 0\nset ex.n0, 40\nrun 1\ndrain 1\nhalt"
    outcome = run_both(program_of(source))
    assert (outcome.fault.name, outcome.fault.aux) == ("ACC_CONFLICT", 1)
    assert run_both(program_of(source.replace("drain 1", "drain 0"))).fault is None
    assert run_both(program_of(source.replace("drain 1", "drain 1 wait(ex)").replace("run 1", "run 1 signal(dr)"))).fault is None


def test_conflict_is_with_steps_that_write():
    source = "set dr.raw, 1\nset dr.accs, 16\nset ex.n0, 40\nrun 1\ndrain 1\nhalt"
    assert run_both(program_of(source)).fault is None, "a nop writes no accumulator"


def test_token_overflow():
    outcome = run_both(program_of("loopi 16, e\nsync ld signal(dr)\ne: halt"))
    # sync k (from 0) is pushed in 2 + k, or when the queue has room; the engine takes 2 cycles for each: started in 3 + 2k
    assert (outcome.fault.name, outcome.fault.pc, outcome.fault.aux, outcome.cycles) == ("TOKEN_OVERFLOW", 1, 0 * 16 + 2, 3 + 2 * 15 + 1)


def test_a_full_counter_may_give_and_take_in_one_cycle():
    # the 16th token is given at the end of d + 2 if pushed in d; `sync dr` pushed in d + 1 takes one at the end of d + 2
    fifteen = "loopi 15, e\nsync ld signal(dr)\ne: fence ld\nsync ld signal(dr)\n"
    assert run_both(program_of(fifteen + "sync dr wait(ld)\nhalt")).fault is None
    assert run_both(program_of(fifteen + "nop\nsync dr wait(ld)\nhalt")).fault.name == "TOKEN_OVERFLOW"


def test_a_fault_keeps_what_was_not_touched():
    source = ".output y shape(4)\nset st.addr, y\nset st.xs, 4\nset st.xstride, 1\nst\nhalt"
    outcome = run_both(program_of(source))
    assert (outcome.fault.name, outcome.fault.aux) == ("MISALIGNED", 1)
    assert counter(outcome, "o_reads") == 2, "the faulting visit reads nothing"
    assert not outcome.memory.any()


def test_the_core_comes_first():
    # both in cycle 4: ld misaligned at its visit, and the core's illegal word at pc 3
    outcome = run_both(program_of([*words(("set", {"reg": 0, "imm": 1}), ("ld", {"dest": 0, "source": 0}), NOP), UNKNOWN_OPCODE]))
    assert (outcome.fault.name, outcome.fault.pc, outcome.cycles) == ("ILLEGAL_OPCODE", 3, 4)


def test_every_fault_is_here():
    assert {cause for _, cause, *_ in CASES.values()} | {"ACC_CONFLICT", "TOKEN_OVERFLOW"} == {fault.name for fault in FAULTS}


def test_memory_of_another_machine_is_refused():
    from rpa.arch.errors import ConfigError, InputError
    from rpa.emu.step import StepMachine

    program = program_of("halt")
    with pytest.raises(InputError, match=r"memory is uint8 \(5,\), must be uint8 \(262144,\)"):
        StepMachine(program, np.zeros(5, np.uint8))
    with pytest.raises(ConfigError, match="max_cycles is -1"):
        StepMachine(program, np.zeros(TINY.mem_bytes, np.uint8), max_cycles=-1)
