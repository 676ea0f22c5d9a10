"""What is refused before it runs, with numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

import rpa
from isa import assemble
from tests.run.programs import TINY, gemm, gemm_inputs

MULTIPLY = ".context multiply\n all: mac a, w\n.end\n ctx multiply, 0\n ld w, mem\n"
BY_LANE = ".context multiply\n all: macl a, w\n.end\n ctx multiply, 0\n ld w, mem\n"
HINT_OVERFLOW = "hint: use narrower operands, a machine with more acc_bits, `mac` instead of `macl`, or drain partial sums of a smaller K"


def findings(source: str, config: rpa.ArrayConfig = TINY) -> list[str]:
    """Findings without the file."""
    try:
        rpa.preflight(assemble(source, config))
    except rpa.PreflightError as error:
        return [str(finding).split(":", 1)[1] for finding in error.findings]
    return []


def widths(bits: int) -> str:
    return f" set ex.abits, {bits}\n set ex.wbits, {bits}\n set ex.cbits, {bits}\n"


def test_a_long_reduction_overflows() -> None:
    # 131072 * 2^30 = 2^47: one more than 48 bits hold.
    source = MULTIPLY + " set ex.n, 2048, 64\n set ex.red, 3\n run 0\n halt\n"
    assert findings(source) == [
        "8: error: an accumulator of `run` can reach 140737488355328 (K * max|a| * max|w| = 131072 * 32768 * 32768), "
        "48 bits hold at most 140737488355327\n" + HINT_OVERFLOW]
    assert findings(source.replace("2048, 64", "2047, 64")) == []


def test_unsigned_operands_count_with_their_own_maximum() -> None:
    # 33000 * 65535^2 > 2^47 - 1 > 32000 * 65535^2.
    source = MULTIPLY + " set ex.n, {}, 10\n set ex.red, 3\n set ex.asigned, 0\n set ex.wsigned, 0\n run 0\n halt\n"
    assert len(findings(source.format(3300))) == 1
    assert "33000 * 65535 * 65535" in findings(source.format(3300))[0]
    assert findings(source.format(3200)) == []


def test_kept_accumulators_add_up() -> None:
    half = " set ex.n, 2048, 32\n set ex.red, 3\n run 0\n set ex.keep, 1\n run 0\n halt\n"
    assert findings(MULTIPLY + half)[0].startswith(
        "10: error: an accumulator of `run` can reach 140737488355328 (K * max|a| * max|w| = 70368744177664 + 65536 * 32768 * 32768), ")
    assert findings(MULTIPLY + half.replace("ex.keep, 1", "ex.keep, 0")) == []


def test_split_accumulators_have_narrower_lanes() -> None:
    # 2 bits, 8 lanes of 6 bits: 7 * 2 * 2 = 28 fits into 31, 8 * 4 = 32 does not.
    source = BY_LANE + widths(2) + " set ex.n, {}\n set ex.red, 1\n run 0\n halt\n"
    assert findings(source.format(7)) == []
    assert findings(source.format(8)) == [
        "11: error: an accumulator of `run` can reach 32 (K * max|a| * max|w| = 8 * 2 * 2), 6 bits hold at most 31\n" + HINT_OVERFLOW]


def test_weights_that_the_program_fills_in_count_as_they_are() -> None:
    # An identity matrix of ones: each column adds one of the two elements, |a| <= 2; 15 * 2 fits into 31, 16 * 2 does not.
    ones = " set ld.fill, 0x5555\n set ld.rows, 2\n set ld.pitch, 1\n set ld.wstep, 1\n ld w, {}\n reset ld\n"
    run = widths(2) + " set ex.n, 2, {}\n set ex.ws, 1\n set ex.red, 3\n run 0\n halt\n"
    context = BY_LANE.replace(" ld w, mem\n", "")
    assert findings(context + ones.format("fill") + run.format(15)) == []
    assert "can reach 32 (max|a| * sum|w| = 2 * 16)" in findings(context + ones.format("fill") + run.format(16))[0]
    # The same words from memory could be anything: 15 * 2 * 2.
    from_memory = findings(context + ones.format("mem") + " sync ld signal(ex)\n sync ex wait(ld)\n" + run.format(15))
    assert "can reach 60 (max|a| * sum|w| = 2 * 30)" in from_memory[0]


def test_lanes_of_a_packed_sum_count() -> None:
    # 32-bit accumulators, 8 bits, 2 lanes: 2 * 65536 * 2^14 = 2^31.
    config = rpa.ArrayConfig.from_dict(TINY.to_dict() | {"acc_bits": 32})
    source = MULTIPLY + widths(8) + " set ex.n, {}, 32\n set ex.red, 3\n run 0\n halt\n"
    assert "131072 * 128 * 128" in findings(source.format(2048), config)[0]
    assert findings(source.format(2047), config) == []


def test_pixels_do_not_add_up() -> None:
    source = MULTIPLY + " set ex.n, 4000, 64\n set ex.cs, 0, 1\n set ex.red, 1\n run 0\n halt\n"
    assert findings(source) == []


def test_stored_results_do_not_add_up() -> None:
    context = ".context keep\n all: mov a -> acc\n.end\n ctx keep, 0\n" + widths(2)
    assert findings(context + " set ex.n, 4000\n run 0\n halt\n") == []
    added = context.replace("-> acc", "-> acca")
    assert findings(added + " set ex.n, 15\n set ex.red, 1\n run 0\n halt\n") == []
    assert len(findings(added + " set ex.n, 16\n set ex.red, 1\n run 0\n halt\n")) == 1


def test_a_token_that_never_comes() -> None:
    source = " ld a, fill signal(ex)\n run 0 wait(ld, dr) signal(dr)\n drain 0 wait(ex)\n halt\n"
    assert findings(source) == [
        "2: error: `run` waits in engine `ex` for a token from `dr` that never comes\n"
        "hint: add signal(ex) to a command of `dr`, or take it out of wait()",
        "3: error: `drain` waits in engine `dr` for a token from `ex` that never comes\n"
        "hint: add signal(dr) to a command of `ex`, or take it out of wait()"]


def test_a_full_queue_can_hold_back_the_token() -> None:
    # The queue of ex holds 4 entries: the core never reaches the ld that would give the token.
    source = " sync ex wait(ld)\n" + " set ex.n, 1\n" * 5 + " ld a, fill signal(ex)\n halt\n"
    assert len(findings(source)) == 1
    assert findings(source.replace(" set ex.n, 1\n" * 5, " set ex.n, 1\n" * 3)) == []


@pytest.mark.parametrize(("source", "finding"), [
    (" set ex.n, 100\n set ex.as, 11\n run 0\n halt\n",
     "3: error: `run` reads A words 0..1089 of a bank of 1024 words\nhint: make the tile smaller or the bank deeper"),
    (" set ex.n, 100\n set ex.wbase, 1000\n set ex.ws, 1\n run 0\n halt\n",
     "4: error: `run` reads W words 1000..1099 of a bank of 1024 words\nhint: make the tile smaller or the bank deeper"),
    (" set ld.base, 1023\n set ld.unit, 2\n ld w, mem\n halt\n",
     "3: error: `ld` writes W words 1023..1024 of a bank of 1024 words\nhint: make the tile smaller or the bank deeper"),
    (" set ld.addr, 0x3fffe\n set ld.units, 2\n set ld.sstep, 2\n ld a, mem\n halt\n",
     "4: error: `ld` reads external memory at 0x3fffe..0x40001, the machine has 0x40000 bytes\nhint: check addr, strides and rows"),
    (" set st.base, 510\n set st.xs, 3\n st\n halt\n",
     "3: error: `st` reads O words 510..512 of a bank of 512 words\nhint: make the tile smaller or the bank deeper"),
    (" set dr.base, 512\n drain 0\n halt\n",
     "2: error: `drain` writes O words 512..512 of a bank of 512 words\nhint: make the tile smaller or the bank deeper"),
    (" set dr.param, 15\n set dr.pacc, 1\n set dr.accs, 2\n drain 0\n halt\n",
     "4: error: `drain` uses parameter entry 16, a P bank has 16\nhint: check dr.param, dr.pacc and dr.plane"),
    (" set ex.cbits, 8\n run 0\n halt\n",
     "2: error: ex.cbits is 8, must be at least ex.abits 16 and ex.wbits 16\nhint: change the registers before this command"),
    (" set dr.row0, 1\n set dr.rows, 2\n drain 0\n halt\n",
     "3: error: dr.row0 + dr.rows is 3, the array has 2 rows\nhint: change the registers before this command"),
    (" set st.bits, 4\n st\n halt\n",
     "2: error: st.bits is 4, a line of 2 columns needs at least 8\nhint: change the registers before this command"),
    (" set nv.k, 2, 3\n set nv.xk, 1, 32\n nvmac 0\n halt\n",
     "3: error: `nvmac` reads X words 0..65 of a bank of 64 words\nhint: make the tile smaller or the bank deeper"),
    (" set nv.rows, 8\n set nv.xv0, 8\n set nv.k0, 4\n set nv.xbase, 5\n nvprog\n halt\n",
     "5: error: `nvprog` reads X words 5..64 of a bank of 64 words\nhint: make the tile smaller or the bank deeper"),
    (" set ld.base, 64\n ld x, fill\n halt\n",
     "2: error: `ld` writes X words 64..64 of a bank of 64 words\nhint: make the tile smaller or the bank deeper"),
    *((f"{source} halt\n", f"{source.count(chr(10))}: error: {text}\nhint: change the registers before this command") for source, text in (
        (" set nv.macro, 2\n nvmac 0\n", "nv.macro is 2, the machine has 2 macros"),
        (" set nv.row0, 8\n nvprog\n", "nv.row0 + nv.rows is 9, a macro has 8 word lines"),
        (" set nv.ebits, 8\n nvmac 1\n", "nv.abits is 16, must be at most nv.ebits 8"),
        (" set nv.rows, 7\n set nv.k, 2, 3\n nvmac 1\n", "the words of a vector (nv.k0 * nv.k1 * nv.k2) hold 6 activations, nv.rows is 7"),
        (" set nv.slices, 9\n nvmac 0\n", "nv.slices is 9, must be at most 8 with cells of 2 bits"),
        (" set nv.slices, 3\n set nv.encoding, 2\n nvmac 0\n", "nv.slices is 3, a reference line has room for 2 digits (cols)"),
        (" set nv.slices, 2\n set nv.encoding, 1\n set nv.outs, 3\n set nv.line0, 1\n nvmac 0\n", "the last bit line would be 17, a macro has 16"),
        (" set nv.line0, 1\n nvprog\n", "nv.line0 * COLS is 2, must be a multiple of 4 for `nvprog`"),
        (" set nv.line0, 2\n set nv.k0, 4\n nvprog\n", "the last bit line would be 19, a macro has 16"),
        (" set dr.nv, 1\n set dr.rows, 2\n drain 0\n", "dr.row0 is 0 and dr.rows is 2, must be 0 and 1 where dr.nv is 1"))),
])
def test_ranges_and_contradictions(source: str, finding: str) -> None:
    assert findings(source) == [finding]


SMALL_SUMS = replace(TINY, acc_bits=32)
LAYER = " set nv.rows, 8\n set nv.k, 8\n set nv.n, {n}\n set nv.keep, {keep}\n{more} nvmac 1\n halt\n"
HINT_NV = "hint: use narrower operands, a machine with more acc_bits, fewer vectors between drains, or a larger nv.range of coarser codes"


def test_kept_accumulators_of_macros_add_up() -> None:
    # 8 cells of 3: 24, cut to 4 bits: 15. Passes weigh 1 + 2 + ... + 2^14 + 2^15 = 65535. 2185 * 15 * 65535 > 2^31 - 1.
    assert findings(LAYER.format(n=2184, keep=1, more=""), SMALL_SUMS) == []
    assert findings(LAYER.format(n=2185, keep=1, more=""), SMALL_SUMS) == [
        "5: error: an accumulator of `nvmac` can reach 2147909625 (vectors * largest output = 2185 * 983025), 32 bits hold at most 2147483647\n"
        + HINT_NV]
    assert findings(LAYER.format(n="4095, 4095, 9", keep=0, more=""), SMALL_SUMS) == []
    twice = "set nv.n0, 1000\n set nv.keep, 1\n set nv.rows, 8\n set nv.k, 8\n nvmac 1\n set nv.n0, 1185\n nvmac {}\n halt\n"
    assert "= 983025000 + 1185 * 983025)" in findings(twice.format(1), SMALL_SUMS)[0]
    assert findings(twice.format(0), SMALL_SUMS) == []


def test_slices_and_range_weigh_codes() -> None:
    # (24 + 1) >> 1 = 12: codes up to 15, times 2 * (1 + 4), of either sign; times 65535 = 9830250.
    wide = " set nv.slices, 2\n set nv.encoding, 1\n set nv.range, 1\n"
    assert findings(LAYER.format(n=218, keep=1, more=wide), SMALL_SUMS) == []
    assert "2152824750 (vectors * largest output = 219 * 9830250)" in findings(LAYER.format(n=219, keep=1, more=wide), SMALL_SUMS)[0]


def test_vectors_and_groups_spread_over_accumulators() -> None:
    # 4095 vectors over 16 accumulators: 256 in the fullest. Two groups in one accumulator count twice.
    assert findings(LAYER.format(n=4095, keep=1, more=" set nv.cv, 1\n"), SMALL_SUMS) == []
    assert "4095 * 983025" in findings(LAYER.format(n=4095, keep=1, more=" set nv.cv, -16\n"), SMALL_SUMS)[0]
    groups = " set nv.outs, 4\n set nv.cg, {}\n"
    assert findings(LAYER.format(n=1093, keep=1, more=groups.format(1)), SMALL_SUMS) == []
    assert "2186 * 983025" in findings(LAYER.format(n=1093, keep=1, more=groups.format(0)), SMALL_SUMS)[0]


def test_run_refuses_unless_told_not_to_look() -> None:
    program = gemm(source=MULTIPLY + " run 0 wait(dr)\n halt\n" + ".data unused shape(1) bits 16 signed\n.default K = 1\n")
    with pytest.raises(rpa.PreflightError):
        rpa.run(program)
    result = rpa.run(program, preflight=False)
    assert result.fault is not None
    assert result.fault.name == "DEADLOCK"


def test_a_good_program_passes_and_its_cycles_are_known_before_it_runs() -> None:
    program = gemm()
    assert rpa.preflight(program).trace.cycles == rpa.run(program, gemm_inputs(program)).cycles


def test_programs_that_look_at_their_data_are_not_judged() -> None:
    for counter in ("rq_saturations", "nv_active", "nv_conversions", "nv_skipped", "nv_adc_bits"):
        assert findings(f" rdctr r1, {counter}\n run 0 wait(dr)\n halt\n") == []
    assert len(findings(" rdctr r1, nv_operations\n run 0 wait(dr)\n halt\n")) == 1
