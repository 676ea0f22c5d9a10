"""The NV engine of the event loop: the stepping emulator's layers, races and counters in the middle of commands, macros given back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import isa
from rpa.arch.config import ArrayConfig
from rpa.arch.macro import MacroState, Twin
from rpa.arch.memory import build_memory
from rpa.emu import fast, step
from rpa.flash.chip import Chip
from rpa.flash.spec import MacroSpec, for_config
from rpa.verify.random_programs import random_program
from tests.emu_fast.same import same
from tests.emu_step import test_nv as stepped

TINY, SMALL = ArrayConfig.preset("tiny"), ArrayConfig.preset("small")


@pytest.fixture
def by_events(monkeypatch):
    """`run_layer` of the stepping emulator's tests runs both emulators, and the event loop must need no help."""
    def run(program, inputs):
        return same(program, build_memory(program, inputs), max_cycles=0, by_events=True).outcome

    monkeypatch.setattr(stepped, "run_both", run)


@pytest.mark.parametrize("adc_bits, lsb", [(16, 0), (3, 0), (3, 2), (1, 15)])
@pytest.mark.parametrize("encoding, slices, dac_bits, cell_bits, abits, ebits, asigned", stepped.CASES)
def test_layers(by_events, encoding, slices, dac_bits, cell_bits, abits, ebits, asigned, adc_bits, lsb):
    config = replace(TINY, nv_adc_bits=adc_bits, nv_dac_bits=dac_bits, nv_cell_bits=cell_bits, nv_cols=32)
    rng = np.random.default_rng([encoding, slices, dac_bits, abits, lsb])
    weights, x, zero_point = stepped.draw(rng, config, encoding, slices, 6, 3, abits, asigned, 3)
    result, _ = stepped.run_layer(weights, x, config=config, slices=slices, encoding=encoding, abits=abits, ebits=ebits, asigned=asigned,
                                  lsb=lsb, zero_point=zero_point, row0=2, line0=2)
    if adc_bits == 16:
        assert (result == x @ weights).all()


CELLS = """
.input x shape(X_DEPTH)
set ld.units, X_DEPTH
set ld.sstep, 2
set ld.dstep, 1
set ld.addr, x
ld x, mem signal(nv)
set nv.rows, NV_ROWS
set nv.k0, NV_COLS/4
set nv.xv0, 1
nvprog wait(ld)
"""
MAC = """
set nv.rows, 8
set nv.ebits, 4
set nv.abits, 4
set nv.k, 2
set nv.xk, 1
set nv.outs, NV_COLS
"""
DRAIN = """
{signals}
set dr.nv, 1
set dr.raw, 1
set dr.accs, 16
drain 0 wait(nv) signal(st)
.output y shape(32, COLS)
set st.addr, y
set st.xs, 32
set st.ws, COLS
set st.xstride, 2*COLS
set st.wstride, 2
st wait(dr)
halt
"""


def outputs(source, config=TINY, *, seed=0, signals="sync nv signal(dr)", by_events=True, max_cycles=0):
    program = isa.assemble(CELLS + MAC + source + DRAIN.format(signals=signals), config)
    x = np.random.default_rng(seed).integers(-32768, 32768, config.x_depth)
    return same(program, build_memory(program, {"x": x}), max_cycles=max_cycles, by_events=by_events)


NESTS = {
    "vectors that share an accumulator": "set nv.n, 3, 2, 2\nset nv.xv, 2, 5, 1\nset nv.cv, 1, 0, -1\nnvmac 0",
    "groups that share an accumulator": "set nv.n, 2, 3\nset nv.xv, 1, 4\nset nv.cv, 3, 5\nset nv.cg, 0\nnvmac 0",
    "groups that wrap": "set nv.n, 3, 3\nset nv.xv, 1, 4\nset nv.cv, 7, 3\nset nv.cg, -9\nset nv.cbase, 11\nnvmac 0",
    "keep": "set nv.n, 5, 2\nset nv.xv, 1, 4\nset nv.cv, 3\nset nv.cg, 1\nnvmac 0\nset nv.keep, 1\nset nv.xbase, 7\nnvmac 0",
    "negative steps": "set nv.xbase, 40\nset nv.xk, -3\nset nv.n, 4, 2, 2\nset nv.xv, -2, -5, 7\nset nv.cv, -1, 3, 2\nnvmac 0",
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", NESTS)
def test_nests_of_vectors(name, seed):
    for config in (TINY, SMALL):
        outputs(NESTS[name] + f"\nset nv.keep, {seed & 1}\nset nv.asigned, {seed >> 1}\nset nv.encoding, {seed % 3}\nnvmac 0", config, seed=seed)


def test_many_vectors_are_worked_out_in_parts(monkeypatch):
    monkeypatch.setattr(fast.nv, "_MOST_DIGITS", 1)
    for name in NESTS:
        outputs(NESTS[name])


READS = ("x_reads", "x_writes", "nv_operations", "nv_active", "nv_conversions", "nv_skipped", "nv_adc_bits", "nv_macs", "nv_programmed")


@pytest.mark.parametrize("counter", READS)
def test_counters_read_in_the_middle_of_commands(counter):
    """The sum of what a loop reads, every few cycles while LD and NV are at work."""
    loop = f"loopi 900, out\nrdctr r1, {counter}\nadd r2, r2, r1\nxor r3, r2, r3\nslli r3, r3, 1\nout:"
    for config in (TINY, replace(TINY, nv_adc_bits=2, nv_prog_cycles=1)):
        done = outputs(f"set nv.n, 3, 2\nset nv.xv, 1, 4\nset nv.range, 4\nset nv.cv, 1\nnvmac 0\n{loop}", config)
        assert done.outcome.registers[2] > 0


def test_a_load_into_words_that_nv_reads_is_a_race():
    source = "fence nv\nset nv.n, 8\nset nv.xv, 2\nset nv.cv, 1\nnvmac 0 signal(ld)\nset ld.units, 1\nset ld.base, {}\nld x, fill"
    outputs(source.format(1), by_events=False)
    outputs(source.format(17), by_events=True)
    outputs(source.format(1).replace("ld x, fill", "ld x, fill wait(nv)"))
    gaps = source.replace("set nv.xv, 2", "set nv.xv, 4\nset nv.xk, 2")
    outputs(gaps.format(7))
    outputs(gaps.format(6), by_events=False)


def test_a_drain_that_meets_nv_is_stepped():
    outputs("nvmac 0 signal(dr)", signals="nvmac 0", by_events=False)
    outputs("nvmac 0 signal(dr)", signals="nvmac 1")
    outputs("nvmac 1 signal(dr)\nset nv.cbase, 3", signals="nvmac 1")


def test_the_array_does_not_meet_nv():
    """Accumulators of PEs and of NV are different words."""
    outputs("set nv.n, 8\nset nv.cv, 1\nnvmac 0\nset ex.n0, 200\nrun 0\nset dr.nv, 0\nset dr.raw, 1\ndrain 1")


def test_a_cycle_limit_in_the_middle_of_a_command():
    for limit in (30, 80, 140, 160, 200, 260):
        outputs("set nv.n, 8\nset nv.xv, 2\nset nv.cv, 1\nnvmac 0", max_cycles=limit, by_events=False)
    endless = "set nv.k, 4095, 4095, 4095\nset nv.n, 4095, 4095, 4095\nnvmac 0"
    outputs(endless, max_cycles=5000, by_events=False)


def test_reads_outside_the_bank_fault_as_when_stepped():
    done = outputs("set nv.xbase, 62\nset nv.xk, 1\nset nv.n, 3\nset nv.xv, 1\nnvmac 0", by_events=False)
    assert done.outcome.fault.name == "BANK_RANGE" and done.stepped_because == "the nv engine reads outside the X bank"


class Counting(Twin):
    """Macros that remember how often they were asked, and answer by that."""

    def __init__(self, config):
        super().__init__(config)
        self.operations = 0

    def convert(self, macro, digits, columns, log2_lsb, limits):
        numbers = self.operations + np.arange(len(digits))
        self.operations += len(digits)
        return np.minimum(super().convert(macro, digits, columns, log2_lsb, limits) + numbers[:, None] % 3, np.asarray(limits)[:, None])


@pytest.mark.parametrize("more, by_events", [("nvmac 0", True), ("set ld.units, 1\nld x, fill\nnvmac 0", False)])
def test_given_macros_end_as_when_stepped(more, by_events):
    source = f"set nv.n, 8\nset nv.xv, 2\nset nv.cv, 1\nnvmac 0\n{more}"
    program = isa.assemble(CELLS + MAC + source + DRAIN.format(signals="sync nv signal(dr)"), TINY)
    memory = build_memory(program, {"x": np.random.default_rng(3).integers(-32768, 32768, TINY.x_depth)})
    macros = Counting(TINY), Counting(TINY)
    for macro in macros:
        macro.cells[1] = 3
    done = fast.execute(program, memory.copy(), max_cycles=0, macro=macros[0])
    assert done.outcome.first_difference(step.run(program, memory, max_cycles=0, macro=macros[1])) is None
    assert (done.stepped_because is None) == by_events
    assert macros[0].operations == macros[1].operations == 2 * 8 * 4 and (macros[0].cells == macros[1].cells).all()


@pytest.mark.parametrize("seed", range(20))
def test_chips_with_errors_end_as_when_stepped(seed):
    """Random programs, many of them handed over in the middle: the same noise, and the same cells afterwards."""
    case = random_program(seed, TINY)
    chips = [Chip(for_config(TINY, MacroSpec.preset("nor65")), macros=TINY.nv_macros, seed=seed) for _ in range(2)]
    done = fast.execute(case.program, case.memory, max_cycles=case.max_cycles, macro=chips[0])
    assert done.outcome.first_difference(step.run(case.program, case.memory, max_cycles=case.max_cycles, macro=chips[1])) is None
    assert chips[0].operations.tolist() == chips[1].operations.tolist()
    assert all((chips[0].effective_cells(macro) == chips[1].effective_cells(macro)).all() for macro in range(TINY.nv_macros))


def test_the_state_of_macros():
    twin = Twin(TINY)
    twin.program(1, 2, 4, np.array([1, 2, 3, 0], np.uint8))
    state = MacroState(twin)
    twin.program(1, 2, 4, np.array([3, 3, 3, 3], np.uint8))
    state.restore(twin)
    assert twin.cells[1, 2, 4:8].tolist() == [1, 2, 3, 0]
