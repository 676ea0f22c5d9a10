"""Values on `tiny` and `small`: mixed widths, lane-wise work, feeders and drain against NumPy int64 and plain integers."""

import numpy as np
import pytest

import isa
from rpa.arch.config import ArrayConfig
from rpa.arch.memory import build_memory, read_tensor
from rpa.arch.numerics import pack, unpack
from rpa.emu.step import StepMachine
from tests.emu_step.both import TINY, counter, program_of, run_both

WIDTHS = (2, 4, 8, 16)
CONTEXT = ".context c\nall: {context}\n.end\nctx c, 0\n"
LOAD = """
.input x shape(ROWS, {aw})
.input k shape(COLS, {ww})
.output y shape(ROWS, 2, COLS)
set ld.rows, ROWS
set ld.units, {aw}
set ld.sstride, 2*{aw}
set ld.sstep, 2
set ld.dstep, 1
set ld.wstep, 1
li r1, x
setr ld.addr, r1
ld a, mem
set ld.units, {ww}
set ld.sstride, 2*{ww}
set ld.rows, COLS
li r1, k
setr ld.addr, r1
ld w, mem signal(ex)
"""
STORE = """
set dr.raw, 1
set dr.rows, ROWS
set dr.pitch, 2
drain 0 wait(ex) signal(st)
set st.addr, y
set st.rows, ROWS
set st.pitch, 2
set st.xs, 2
set st.ws, COLS
set st.rstride, 4*COLS
set st.xstride, 2*COLS
set st.wstride, 2
st wait(dr)
halt
"""


def raw_result(source, x, k, config=TINY):
    """Low 32 bits of accumulator 0 of every PE, signed, for words x (ROWS, n), k (COLS, m)."""
    text = LOAD.format(aw=x.shape[1], ww=k.shape[1]) + source + STORE
    program = isa.assemble(text, config)
    outcome = run_both(program, {"x": x.astype(np.int16), "k": k.astype(np.int16)})
    assert outcome.fault is None
    halves = read_tensor(outcome.memory, program.tensors["y"]).astype(np.int64) & 0xFFFF
    return (halves[:, 0] | halves[:, 1] << 16).astype(np.uint32).view(np.int32).astype(np.int64), outcome


def elements(rng, bits, signed, shape):
    low, high = (-(1 << (bits - 1)), 1 << (bits - 1)) if signed else (0, 1 << bits)
    return rng.integers(low, high, shape)


@pytest.mark.parametrize("wbits", WIDTHS)
@pytest.mark.parametrize("abits", WIDTHS)
def test_dot_products_of_every_pair_of_widths(abits, wbits):
    rng = np.random.default_rng(1000 + 16 * abits + wbits)
    cbits, count = max(abits, wbits), 32
    for asigned in (0, 1):
        for wsigned in (0, 1):
            a, w = elements(rng, abits, asigned, (2, count)), elements(rng, wbits, wsigned, (2, count))
            aw, ww = pack(a, abits, signed=bool(asigned)), pack(w, wbits, signed=bool(wsigned))
            ra, rw = cbits // abits, cbits // wbits  # slices of a word; one of the two is 1
            r = max(ra, rw)
            source = CONTEXT.format(context="mac a, w") + f"""
                set ex.abits, {abits}
                set ex.wbits, {wbits}
                set ex.cbits, {cbits}
                set ex.asigned, {asigned}
                set ex.wsigned, {wsigned}
                set ex.aslice, 0
                set ex.wslice, 0
                set ex.n, {r}, {count * cbits // 16 // r}
                set ex.as, {int(ra == 1 and r > 1)}, {r if ra == 1 else 1}
                set ex.ws, {int(rw == 1 and r > 1)}, {r if rw == 1 else 1}
                set ex.ahold, {int(ra > 1)}
                set ex.whold, {int(rw > 1)}
                set ex.red, 3
                run 0 wait(ld) signal(dr)
                """
            got, outcome = raw_result(source, aw.view(np.int16), ww.view(np.int16))
            expected = np.clip(a.astype(np.int64) @ w.T.astype(np.int64), -(1 << 31), (1 << 31) - 1)
            assert np.array_equal(got, expected), "a raw drain saturates"
            assert counter(outcome, "a_reads") == 2 * aw.shape[1] and counter(outcome, "w_reads") == 2 * ww.shape[1]
            assert counter(outcome, "macs") == 2 * 2 * count


@pytest.mark.parametrize("cbits", WIDTHS)
def test_lane_wise_multiply_accumulate(cbits):
    rng = np.random.default_rng(cbits)
    lanes, width, steps = 16 // cbits, 48 * cbits // 16, 6
    a, w = elements(rng, cbits, True, (2, lanes * steps)), elements(rng, cbits, True, (2, lanes * steps))
    source = CONTEXT.format(context="macl a, w") + f"""
        set ex.abits, {cbits}
        set ex.wbits, {cbits}
        set ex.cbits, {cbits}
        set ex.n0, {steps}
        set ex.as0, 1
        set ex.ws0, 1
        set ex.red, 1
        run 0 wait(ld) signal(dr)
        """
    got, _ = raw_result(source, pack(a, cbits).view(np.int16), pack(w, cbits).view(np.int16))
    for r in range(2):
        for c in range(2):
            sums = [int((a[r, lane::lanes] * w[c, lane::lanes]).sum()) for lane in range(lanes)]
            whole = sum((value % (1 << width)) << (lane * width) for lane, value in enumerate(sums))
            signed = (whole + (1 << 47)) % (1 << 48) - (1 << 47)
            assert got[r, c] == max(-(1 << 31), min((1 << 31) - 1, signed)), "a raw drain saturates the whole accumulator"


PYTHON_OPS = {
    "add": lambda x, y: x + y, "sub": lambda x, y: x - y, "mul": lambda x, y: x * y, "min": min, "max": max,
    "and": lambda x, y: x & y, "or": lambda x, y: x | y, "xor": lambda x, y: x ^ y,
}


@pytest.mark.parametrize("op", PYTHON_OPS)
@pytest.mark.parametrize("cbits", WIDTHS)
def test_lane_wise_operations(op, cbits):
    rng = np.random.default_rng(cbits)
    a, w = elements(rng, cbits, True, (2, 16 // cbits)), elements(rng, cbits, True, (2, 16 // cbits))
    program_text = CONTEXT.format(context=f"{op} a, w -> r3, route result") + f"""
        set ex.abits, {cbits}
        set ex.wbits, {cbits}
        set ex.cbits, {cbits}
        run 0
        halt"""
    program = program_of(program_text)
    for compiled in (True, False):
        machine = StepMachine(program, build_memory(program, {}), compiled=compiled)
        machine.m.abank[0], machine.m.wbank[0] = pack(a, cbits)[:, 0], pack(w, cbits)[:, 0]
        machine.cycle(1000)
        for r in range(2):
            for c in range(2):
                expected = [PYTHON_OPS[op](int(x), int(y)) % (1 << cbits) for x, y in zip(a[r], w[c], strict=True)]
                pe = machine.view.pe(r, c)
                assert unpack(np.array([pe.registers[3]]), cbits, 16 // cbits, signed=False).tolist() == expected
                assert pe.out == pe.registers[3]


def test_sliding_window_and_hold_against_a_plain_model():
    # 3 taps over 5 positions: after the first position two of three words are in the feeder; W is read once per tap
    rng = np.random.default_rng(7)
    x, k = rng.integers(-99, 99, (2, 7)), rng.integers(-99, 99, (2, 3))
    source = CONTEXT.format(context="mac a, w") + """
        set ex.n, 3, 5
        set ex.as, 1, 1
        set ex.ws, 1, 0
        set ex.au0, 1
        set ex.au1, 1
        set ex.aslide, 1
        set ex.wu0, 1
        set ex.whold, 2
        set ex.red, 3
        run 0 wait(ld) signal(dr)
        """
    got, outcome = raw_result(source, x, k)
    windows = sum(x[:, i:i + 3] @ k.T for i in range(5))
    assert np.array_equal(got, windows)
    assert counter(outcome, "a_reads") == 2 * (3 + 4) and counter(outcome, "a_hits") == 2 * (15 - 7)
    assert counter(outcome, "w_reads") == 2 * 3 and counter(outcome, "w_hits") == 2 * (15 - 3)


def test_hit_on_a_slot_that_was_not_filled_gives_zero():
    x, k = np.array([[3, 5], [7, 11]]), np.array([[1, 1], [2, 2]])
    source = CONTEXT.format(context="mac a, w") + "set ex.n0, 2\nset ex.au0, 1\nset ex.ahold, 1\nset ex.red, 1\nrun 0 wait(ld) signal(dr)\n"
    got, _ = raw_result(source, x, k)
    assert np.array_equal(got, np.array([[3, 6], [7, 14]])), "the second step's slot 1 is empty"


def test_first_and_keep():
    x, k = np.array([[3], [4]]), np.array([[5], [6]])
    product = x @ k.T
    base = CONTEXT.format(context="mac a, w") + "set ex.n0, 3\n"
    for settings, runs, times in (("", 1, 1), ("set ex.red, 1\n", 1, 3), ("set ex.red, 1\n", 2, 3), ("set ex.keep, 1\n", 2, 6)):
        source = base + settings + "sync ex wait(ld)\n" + "run 0\n" * (runs - 1) + "run 0 signal(dr)\n"
        assert np.array_equal(raw_result(source, x, k)[0], times * product), settings


def test_neighbours_conditions_and_selection():
    source = """
        .context put
        all: mov a -> r0, route x
        .end
        .context north
        all: mov north -> r1
        .end
        .context west
        all: mov west -> r2
        .end
        .context less
        all: clt r0, #6
        .end
        .context mark
        all: mov #1 -> r3, if p
        .end
        .context pick
        all: sel r0, #-1 -> r4
        .end
        ctx put, 0
        ctx north, 1
        ctx west, 2
        ctx less, 3
        ctx mark, 4
        ctx pick, 5
        set ex.n0, 6
        set ex.ss0, 1
        run 0
        halt"""
    program = program_of(source)
    for compiled in (True, False):
        machine = StepMachine(program, build_memory(program, {}), compiled=compiled)
        machine.m.abank[0] = (5, 8)
        machine.cycle(1000)
        registers = {(r, c): machine.view.pe(r, c).registers[:5] for r in range(2) for c in range(2)}
        assert registers == {(0, 0): (5, 0, 0, 1, 5), (0, 1): (5, 0, 5, 1, 5), (1, 0): (8, 5, 0, 0, 0xFFFF), (1, 1): (8, 5, 8, 0, 0xFFFF)}


def test_contexts_by_mask_on_small():
    config = ArrayConfig.preset("small")
    source = ".context c\nall: mov #1 -> r0\nrows 1..2 cols 3: mov #2 -> r0\ncols 0: mov #3 -> r0\n.end\nctx c, 0\nset ex.rows, 3\nrun 0\nhalt"
    program = program_of(source, config)
    machine = StepMachine(program, build_memory(program, {}))
    machine.cycle(1000)
    got = [[machine.view.pe(r, c).registers[0] for c in range(4)] for r in range(4)]
    assert got == [[3, 1, 1, 1], [3, 1, 1, 2], [3, 1, 1, 2], [0, 0, 0, 0]]
