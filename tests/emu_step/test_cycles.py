"""Cycle counts worked out by hand from design.md on `tiny`: 2x2, memory latency 4, queues of 4 entries.

Cycle 1 executes the first instruction; an entry pushed in cycle c is at the head of an empty queue in c + 1.
"""

import pytest

from tests.emu_step.both import counter, program_of, run_both

CASES = {
    # name: (source, cycles, counters)
    "halt": ("halt", 2, {"instructions": 1, "ld_idle": 2, "ex_idle": 2, "dr_idle": 2, "st_idle": 2}),
    # 1 loopi, 3 passes, halt, the done cycle
    "loop": ("loopi 3, e\naddi r1, r1, 1\ne: halt", 6, {"instructions": 5}),
    "loop of nothing": ("loopi 0, e\naddi r1, r1, 1\ne: halt", 3, {"instructions": 2}),
    # 2 loopi outer, then 3 * (loopi + 2 nops) + halt + done
    "nested loops": ("loopi 3, o\nloopi 2, i\nnop\ni: nop\no: halt", 1 + 3 * (1 + 2 + 1) + 1 + 1, {}),
    "branch": ("li r1, 2\nl: addi r1, r1, -1\nbne r1, r0, l\nhalt", 1 + 2 * 2 + 1 + 1, {}),
    # start in 2, visit in 3, bank write at the end of 3 + latency, then the done cycle
    "ld mem": ("ld a, mem\nhalt", 8, {"ld_run": 1 + 1 + 4, "ext_read_words": 1, "a_writes": 2}),
    "ld mem, 6 visits": ("set ld.rows, 3\nset ld.units, 2\nset ld.wlen, 3\nld w, mem\nhalt", 4 + 1 + 6 + 4 + 1,
                         {"ld_run": 6 + 1 + 4, "ext_read_words": 6, "w_writes": 12}),
    "ld fill": ("ld p, fill\nhalt", 4, {"ld_run": 2, "p_writes": 2, "ext_read_words": 0}),
    "ld o": ("ld a, o\nhalt", 5, {"ld_run": 3, "o_reads": 2}),
    # start in 2, ISSUE 3, FEED 4, EXEC 5, ACC 6
    "run": ("run 0\nhalt", 7, {"ex_run": 2, "a_reads": 2, "w_reads": 2, "mac_slots": 4, "macs": 0}),
    "run, 24 steps": ("set ex.n0, 2\nset ex.n3, 12\nrun 1\nhalt", 4 + 24 + 3 + 1, {"ex_run": 25, "a_reads": 48}),
    "ctxld": ("ctxld 0, r1\nhalt", 7, {"ex_run": 2}),
    # set in 1, drain pushed in 2, started in 3, N = 2 halves, D5 of the last in 3 + 2 + 5
    "drain raw": ("set dr.raw, 1\ndrain 0\nhalt", 11, {"dr_run": 3, "rq_elements": 4, "o_writes": 4}),
    "seed": ("seed r1\nhalt", 9, {"dr_run": 2}),
    # start in 2, visit in 3, memory write at the end of 4
    "st": ("st\nhalt", 5, {"st_run": 3, "o_reads": 2, "ext_write_words": 1}),
    "st, 12 visits": ("set st.rows, 3\nset st.xs, 2\nset st.ws, 2\nst\nhalt", 4 + 1 + 12 + 1 + 1, {"st_run": 14, "ext_write_words": 12}),
    "sync ld": ("sync ld\nhalt", 4, {"ld_run": 2}),
    "sync ex": ("sync ex\nhalt", 7, {"ex_run": 2}),
    "sync dr": ("sync dr\nhalt", 9, {"dr_run": 2}),
    "sync st": ("sync st\nhalt", 4, {"st_run": 2}),
    # two commands: the second starts in the cycle after busy is cleared
    "back to back": ("run 0\nrun 1\nhalt", 2 + 2 + 4 + 1, {"ex_run": 4}),
    # fence waits in 2..7, completes in 8, halt in 9
    "fence": ("ld a, mem\nfence ld\nhalt", 10, {"fence": 6}),
    "fence on nothing": ("fence ld, ex, dr, st\nhalt", 3, {"fence": 0}),
    # token given at the end of 3, so ex starts in 4; ACC in 8
    "token": ("sync ld signal(ex)\nsync ex wait(ld)\nhalt", 9, {"ex_wait": 1}),
    # run starts in 3 and is busy to 23; the fifth sync finds the queue full in 7..24; the syncs start in 24, 26, 28, 30, 32
    "full queue": ("set ex.n0, 20\nrun 0\n" + "sync ex\n" * 5 + "halt", 37, {"ex_full": 18}),
    # a store and a load from O banks never overlap: st busy 3..4, ld starts in 5, its bank write at the end of 7
    "o port": ("st\nld a, o\nhalt", 8, {"ld_wait": 2, "o_reads": 4}),
    # sync st does not take the port: ld starts in 3 and is done at the end of 5
    "o port and sync": ("sync st\nld a, o\nhalt", 6, {"ld_wait": 0}),
}


@pytest.mark.parametrize("name", CASES)
def test_cycles_by_hand(name):
    source, cycles, counters = CASES[name]
    outcome = run_both(program_of(source))
    assert outcome.fault is None
    assert {"cycles": outcome.cycles} | {key: counter(outcome, key) for key in counters} == {"cycles": cycles} | counters


def test_counters_of_an_engine_add_up_to_the_cycles():
    outcome = run_both(program_of("set ex.n0, 9\nrun 0 signal(dr)\nset dr.raw, 1\ndrain 0 wait(ex) signal(st)\nst wait(dr)\nhalt"))
    for engine in ("ld", "ex", "dr", "st"):
        assert sum(counter(outcome, f"{engine}_{kind}") for kind in ("run", "wait", "idle")) == outcome.cycles


def test_rdctr_reads_the_start_of_its_cycle():
    outcome = run_both(program_of("nop\nnop\nrdctr r1, cycles\nrdctr r2, instructions\nrdctrh r3, cycles\nhalt"))
    assert outcome.registers[1:4] == (2, 3, 0)


def test_set_behind_a_run_does_not_reach_it():
    outcome = run_both(program_of("set ex.n0, 5\nrun 0\nset ex.n0, 1\nrun 0\nhalt"))
    assert counter(outcome, "a_reads") == 2 * (5 + 1)
    assert counter(run_both(program_of("set ex.n0, 5\nreset ex\nrun 0\nhalt")), "a_reads") == 2


def test_arithmetic_against_python():
    outcome = run_both(program_of("""
        li r1, 0x89abcdef
        li r2, 0x7fffffff
        mul r3, r1, r2
        sra r4, r1, r2
        srl r5, r1, r2
        slt r6, r1, r2
        sub r7, r0, r1
        andi r8, r1, 0xff00
        srai r9, r1, 4
        slli r10, r1, 8
        jal r11, next
        halt
        next: addi r12, r0, -1
        halt"""))
    a, b = 0x89ABCDEF, 0x7FFFFFFF
    signed = a - (1 << 32)
    mask = 0xFFFFFFFF
    assert outcome.registers[3:11] == (a * b & mask, signed >> 31 & mask, a >> 31, 1, -a & mask, a & 0xFF00, signed >> 4 & mask, a << 8 & mask)
    assert outcome.registers[12] == mask
