"""The NV engine: values against integer products and a naive model in plain integers, cycles by hand, faults."""

from dataclasses import replace

import numpy as np
import pytest

import isa
from rpa.arch.config import ArrayConfig
from rpa.arch.memory import build_memory, read_tensor
from rpa.emu.step import StepMachine
from tests.emu_step.both import counter, run_both

TINY = ArrayConfig.preset("tiny")
PLAIN, DIFFERENTIAL, REFERENCE = range(3)
PROGRAM = """
.input cells shape({rows}, {width}) bits 4 unsigned
.input x shape({vectors}, {n}) bits {ebits} {sign}
.output y shape({vectors}, 2*{groups}, COLS)
set ld.rows, {rows}
set ld.units, {width}/4
set ld.sstride, {width}/2
set ld.sstep, 2
set ld.pitch, {width}/4
set ld.dstep, 1
set ld.wlen, {rows}
set ld.addr, cells
ld x, mem signal(nv)
set nv.row0, {row0}
set nv.rows, {rows}
set nv.line0, {line0}
set nv.k0, {width}/4
set nv.xv0, {width}/4
nvprog wait(ld) signal(ld)
set ld.rows, {vectors}
set ld.units, x.row
set ld.sstride, 2*x.row
set ld.pitch, x.row
set ld.wlen, {vectors}
set ld.addr, x
ld x, mem signal(nv) wait(nv)
set nv.outs, {outs}
set nv.slices, {slices}
set nv.encoding, {encoding}
set nv.ebits, {ebits}
set nv.abits, {abits}
set nv.asigned, {asigned}
set nv.range, {range}
set nv.k, x.row, 1, 1
set nv.xk, 1, 0, 0
set nv.n, {vectors}, 1, 1
set nv.xv, x.row, 0, 0
set nv.cv, {groups}, 0, 0
set nv.cg, 1
nvmac 1 wait(ld) signal(dr)
{more}
set dr.nv, 1
set dr.raw, 1
set dr.accs, {vectors}*{groups}
drain 1 wait(nv) signal(st)
set st.addr, y
set st.xs, 2*{vectors}*{groups}
set st.ws, COLS
set st.xstride, 2*COLS
set st.wstride, 2
st wait(dr)
halt
"""


def digits_of(values, bits, count):
    return [values >> bits * i & (1 << bits) - 1 for i in range(count)]


def lines_of_cells(weights, *, slices, encoding, zero_point, config):
    """Cells (rows, lines*COLS) of weights (rows, outs), line by line as docs/design.md section 15 says."""
    rows, outs = weights.shape
    groups = -(-outs // config.cols)
    padded = np.zeros((rows, groups * config.cols), np.int64)
    padded[:, :outs] = weights
    lines = []
    for g in range(groups):
        part = padded[:, g * config.cols:(g + 1) * config.cols]
        if encoding == DIFFERENTIAL:
            lines += digits_of(np.maximum(part, 0), config.nv_cell_bits, slices) + digits_of(np.maximum(-part, 0), config.nv_cell_bits, slices)
        else:
            lines += digits_of(part + (zero_point if encoding == REFERENCE else 0), config.nv_cell_bits, slices)
    if encoding == REFERENCE:
        reference = np.zeros((rows, config.cols), np.int64)
        for s, digit in enumerate(digits_of(np.full(rows, zero_point), config.nv_cell_bits, slices)):
            reference[:, s] = digit
        lines.append(reference)
    return np.concatenate(lines, axis=1)


def run_layer(weights, x, *, config, slices, encoding, abits, ebits, asigned, lsb=0, row0=0, line0=0, zero_point=0, more=""):
    """Outputs (vectors, groups*COLS) of the machine, and the outcome."""
    cells = lines_of_cells(weights, slices=slices, encoding=encoding, zero_point=zero_point, config=config)
    rows, outs = weights.shape
    groups, vectors = -(-outs // config.cols), len(x)
    width = -(-cells.shape[1] // 4) * 4
    image = np.zeros((rows, width), np.int16)
    image[:, :cells.shape[1]] = cells
    text = PROGRAM.format(rows=rows, width=width, vectors=vectors, n=rows, ebits=ebits, sign="signed" if asigned else "unsigned", outs=outs,
                          groups=groups, slices=slices, encoding=encoding, abits=abits, asigned=int(asigned), range=lsb, row0=row0,
                          line0=line0, more=more)
    program = isa.assemble(text, config)
    outcome = run_both(program, {"cells": image, "x": x})
    halves = read_tensor(outcome.memory, program.tensors["y"]).astype(np.int64) & 0xFFFF
    words = halves.reshape(vectors, groups, 2, config.cols)
    result = (words[:, :, 0] | words[:, :, 1] << 16).astype(np.uint32).view(np.int32).reshape(vectors, -1)
    return result[:, :outs].astype(np.int64), outcome


def draw(rng, config, encoding, slices, rows, outs, abits, asigned, vectors):
    top = (1 << config.nv_cell_bits * slices) - 1
    zero_point = (top + 1) // 2 if encoding == REFERENCE else 0
    low = -top if encoding == DIFFERENTIAL else -zero_point
    weights = rng.integers(low, top - zero_point + 1, (rows, outs))
    x = rng.integers(-(1 << abits - 1), 1 << abits - 1, (vectors, rows)) if asigned else rng.integers(0, 1 << abits, (vectors, rows))
    x[0] = x.max()
    return weights, x, zero_point


CASES = [(e, s, d, n, a, b, g) for e in range(3) for s, d, n, a, b, g in (
    (1, 1, 2, 4, 4, False), (2, 1, 2, 8, 8, True), (2, 2, 2, 3, 4, False), (1, 3, 4, 8, 8, True), (2, 4, 1, 16, 16, True), (2, 2, 3, 1, 2, False))]


@pytest.mark.parametrize("encoding, slices, dac_bits, cell_bits, abits, ebits, asigned", CASES)
def test_a_wide_converter_gives_the_integer_product(encoding, slices, dac_bits, cell_bits, abits, ebits, asigned):
    config = replace(TINY, nv_adc_bits=16, nv_dac_bits=dac_bits, nv_cell_bits=cell_bits, nv_cols=32)
    rng = np.random.default_rng([encoding, slices, dac_bits, abits])
    weights, x, zero_point = draw(rng, config, encoding, slices, 6, 3, abits, asigned, 3)
    result, outcome = run_layer(weights, x, config=config, slices=slices, encoding=encoding, abits=abits, ebits=ebits, asigned=asigned,
                                zero_point=zero_point, row0=2, line0=2)
    assert outcome.fault is None
    assert (result == x @ weights).all()


def naive(weights, x, *, config, slices, encoding, abits, asigned, lsb, zero_point):
    """Outputs and (conversions, skipped, bits) one operation and bit line after the other, in plain integers."""
    cells = lines_of_cells(weights, slices=slices, encoding=encoding, zero_point=zero_point, config=config)
    d, n, cols = config.nv_dac_bits, config.nv_cell_bits, config.cols
    outs, per_group = weights.shape[1], slices * (2 if encoding == DIFFERENTIAL else 1)
    result, counts = np.zeros((len(x), outs), np.int64), [0, 0, 0]
    low = [(p, min(d, abits - asigned - p), 1 << p) for p in range(0, abits - asigned, d)]
    for v, vector in enumerate(x.tolist()):
        for shift, width, weight in low + ([(abits - 1, 1, -(1 << abits - 1))] if asigned else []):
            drive = [value >> shift & (1 << width) - 1 for value in vector]
            most = (sum(digit > 0 for digit in drive) * ((1 << d) - 1) * ((1 << n) - 1) + ((1 << lsb) >> 1)) >> lsb
            bits = min(most.bit_length(), config.nv_adc_bits)
            counts[0 if bits else 1] += cells.shape[1]
            counts[2] += bits * cells.shape[1]
            sums = [sum(a * b for a, b in zip(drive, column, strict=True)) for column in cells.T.tolist()]
            codes = [min((total + ((1 << lsb) >> 1)) >> lsb, (1 << bits) - 1) for total in sums]
            for o in range(outs):
                line = o // cols * per_group
                got = sum(codes[(line + s) * cols + o % cols] << n * s for s in range(slices))
                if encoding == DIFFERENTIAL:
                    got -= sum(codes[(line + slices + s) * cols + o % cols] << n * s for s in range(slices))
                if encoding == REFERENCE:
                    got -= sum(codes[-cols + s] << n * s for s in range(slices))
                result[v, o] += (weight << lsb) * got
    return result, counts


@pytest.mark.parametrize("lsb", [0, 2])
@pytest.mark.parametrize("encoding, slices, dac_bits, cell_bits, abits, ebits, asigned", CASES)
def test_a_narrow_converter_rounds_and_limits(encoding, slices, dac_bits, cell_bits, abits, ebits, asigned, lsb):
    config = replace(TINY, nv_adc_bits=3, nv_dac_bits=dac_bits, nv_cell_bits=cell_bits, nv_cols=32)
    rng = np.random.default_rng([encoding, slices, dac_bits, abits, lsb])
    weights, x, zero_point = draw(rng, config, encoding, slices, 8, 4, abits, asigned, 2)
    x[1] = 0
    result, outcome = run_layer(weights, x, config=config, slices=slices, encoding=encoding, abits=abits, ebits=ebits, asigned=asigned,
                                zero_point=zero_point, lsb=lsb)
    expected, (made, skipped, bits) = naive(weights, x, config=config, slices=slices, encoding=encoding, abits=abits, asigned=asigned, lsb=lsb,
                                            zero_point=zero_point)
    assert (result == expected).all() and skipped > 0
    assert [counter(outcome, name) for name in ("nv_conversions", "nv_skipped", "nv_adc_bits")] == [made, skipped, bits]
    assert counter(outcome, "nv_macs") == x.size * weights.shape[1]
    assert counter(outcome, "nv_programmed") == counter(outcome, "x_writes") * 4 - x.shape[0] * -(-x.shape[1] * ebits // 16) * 4


def test_keep_adds_to_what_is_there():
    rng = np.random.default_rng(5)
    config = replace(TINY, nv_adc_bits=16)
    weights, x, _ = draw(rng, config, PLAIN, 1, 8, 2, 4, False, 2)
    result, _ = run_layer(weights, x, config=config, slices=1, encoding=PLAIN, abits=4, ebits=4, asigned=False,
                          more="set nv.keep, 1\nnvmac 1\nsync nv signal(dr)\nsync dr wait(nv)")
    assert (result == 2 * x @ weights).all()


def test_cycles_by_hand():
    """Two vectors of 8 rows of 4 bits: 2 words each; 4 passes; one line of 2 bit lines on 4 converters: one round of 5 cycles after 1."""
    rng = np.random.default_rng(6)
    weights, x, _ = draw(rng, TINY, PLAIN, 1, 8, 2, 4, False, 2)
    _, outcome = run_layer(weights, x, config=TINY, slices=1, encoding=PLAIN, abits=4, ebits=4, asigned=False)
    vector = 2 + 1 + 4 * (1 + (1 + 5) + 1)
    programming = 8 * (1 + 1 + 6)
    start = 1  # of each of the two commands
    assert counter(outcome, "nv_run") == 2 * vector + 1 + programming + 2 * start
    assert counter(outcome, "x_reads") == 8 + 2 * 2
    assert counter(outcome, "nv_operations") == 2 * 4


def test_view_of_the_engine():
    text = "set ld.fill, 5\nld x, fill signal(nv)\nset nv.rows, 1\nset nv.ebits, 4\nset nv.abits, 4\nset nv.asigned, 0\nnvmac 0 wait(ld)\nhalt\n"
    for compiled in (True, False):
        machine = StepMachine(isa.assemble(text, TINY), build_memory(isa.assemble(text, TINY), {}), compiled=compiled)
        machine.macro.cells[0, 0, :2] = 2, 3
        while machine.view.nv.phase != "combine":
            assert machine.cycle() == 1
        view = machine.view
        assert (view.bank("x")[0, 0], view.nv.activations[0], view.nv.codes[:2].tolist()) == (5, 5, [2, 3])
        while not machine.done:
            machine.cycle()
        assert machine.view.nv.accumulators[0, 0].tolist() == [10, 15]


FAULTS = [
    ("set nv.macro, 2\nnvmac 0", "ILLEGAL_CONFIG", 4), ("set nv.row0, 1\nset nv.rows, 8\nnvmac 0", "ILLEGAL_CONFIG", 4),
    ("set nv.ebits, 4\nset nv.abits, 5\nnvmac 0", "ILLEGAL_CONFIG", 4), ("set nv.rows, 2\nnvmac 0", "ILLEGAL_CONFIG", 4),
    ("set nv.slices, 9\nnvmac 0", "ILLEGAL_CONFIG", 4), ("set nv.slices, 3\nset nv.encoding, 2\nnvmac 0", "ILLEGAL_CONFIG", 4),
    ("set nv.line0, 8\nnvmac 0", "ILLEGAL_CONFIG", 4), ("set nv.line0, 1\nnvprog", "ILLEGAL_CONFIG", 4),
    ("set nv.line0, 2\nset nv.k0, 4\nnvprog", "ILLEGAL_CONFIG", 4), ("set nv.xbase, 64\nnvmac 0", "BANK_RANGE", 64),
    ("set nv.xbase, 64\nnvprog", "BANK_RANGE", 64), ("set nv.xbase, 63\nset nv.n0, 2\nset nv.xv0, 1\nnvmac 0", "BANK_RANGE", 64),
    ("set dr.nv, 1\nset dr.rows, 2\ndrain 0", "ILLEGAL_CONFIG", 2), ("set dr.nv, 1\nset dr.row0, 1\ndrain 0", "ILLEGAL_CONFIG", 2),
]


@pytest.mark.parametrize("source, cause, aux", FAULTS, ids=[source for source, *_ in FAULTS])
def test_fault(source, cause, aux):
    outcome = run_both(isa.assemble(source + "\nhalt\n", TINY), {})
    assert (outcome.fault.name, outcome.fault.aux) == (cause, aux)


def test_a_drain_of_the_bank_that_nv_writes_is_a_conflict():
    text = "set dr.nv, 1\nset dr.raw, 1\nset dr.accs, 16\nnvmac 0\n{}drain 0\nhalt\n"
    # kw + 1 + 16 passes of 1 + 6 + 1: NV writes in every pass; a drain of 32 visits meets such a cycle.
    assert run_both(isa.assemble(text.format(""), TINY), {}).fault.name == "ACC_CONFLICT"
    assert run_both(isa.assemble(text.format("set dr.nv, 0\n"), TINY), {}).fault is None


def test_words_that_name_nv_are_illegal_without_macros():
    small = replace(TINY, nv_macros=0)
    for text in ("nvmac 0", "nvprog", "sync nv", "reset nv", "set nv.rows, 1", "ld x, fill", "fence nv", "sync ld wait(nv)"):
        word = isa.assemble(text + "\nhalt\n", TINY).code[0]
        outcome = run_both(isa.assemble(f".word {word:#x}\nhalt\n", small), {})
        assert (outcome.fault.name, outcome.fault.aux) == ("ILLEGAL_OPCODE", word), text
