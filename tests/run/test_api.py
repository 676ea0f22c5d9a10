"""`rpa.run`: outputs, figures, errors of its arguments."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys

import numpy as np
import pytest

import rpa
from isa import assemble
from isa.table import COUNTERS
from rpa.arch.macro import Twin
from rpa.runner import BACKENDS, UNITS
from tests.run.programs import TINY, gemm, gemm_expected, gemm_inputs

EMULATORS = ("fast", "step")


@pytest.mark.parametrize("backend", EMULATORS)
@pytest.mark.parametrize("preset", ["tiny", "small"])
def test_outputs_are_the_matrix_product(preset: str, backend: str) -> None:
    program = gemm(rpa.ArrayConfig.preset(preset), K=7)
    inputs = gemm_inputs(program, seed=3)
    result = rpa.run(program, inputs, backend)
    assert result.fault is None
    assert result.backend_detail is None
    assert np.array_equal(result.outputs["out"], gemm_expected(inputs))


def test_figures_by_hand() -> None:
    program = gemm(K=6)
    result = rpa.run(program, gemm_inputs(program))
    # 2 rows and 2 filters of 6 words, 2 entries of 8 words; 2 x 2 results of one word.
    assert result.ext_read_bytes == 2 * (12 + 12 + 16)
    assert result.ext_write_bytes == 2 * 4
    # A and W: 6 steps in 2 banks each. O: one line of 2 words for each row.
    assert result.bank_reads == 6 * 2 + 6 * 2 + 2 * 2
    assert result.bank_writes == 12 + 12 + 16 + 4
    assert (result.counters["macs"], result.lanes, result.pes) == (6 * 4, 1.0, 4)
    assert result.utilisation == 24 / (result.cycles * 4)


def test_lanes_are_averaged_over_steps() -> None:
    source = """
        set ex.n, 30
        run 0
        set ex.abits, 4
        set ex.wbits, 4
        set ex.cbits, 4
        set ex.n, 10
        run 0
        halt
    """
    result = rpa.run(assemble(source, TINY))
    assert result.lanes == (30 * 1 + 10 * 4) / 40
    assert result.counters["mac_slots"] == 4 * (30 * 1 + 10 * 4)


def test_every_counter_has_its_manual_name_and_every_figure_a_unit() -> None:
    program = gemm()
    result = rpa.run(program, gemm_inputs(program))
    assert list(result.counters) == [counter.name for counter in COUNTERS]
    assert result.figures().keys() == UNITS.keys()
    assert result.cycles == result.counters["cycles"]


def test_json_and_csv_hold_the_figures(tmp_path) -> None:
    program = gemm()
    inputs = gemm_inputs(program)
    result = rpa.run(program, inputs)
    path = tmp_path / "result.json"
    text = result.to_json(path)
    assert path.read_text(encoding="utf-8") == text
    data = json.loads(text)
    assert data["figures"] == result.figures()
    assert data["outputs"] == {"out": gemm_expected(inputs).tolist()}
    assert data["fault"] is None
    assert "outputs" not in json.loads(result.to_json(outputs=False))
    rows = list(csv.DictReader(io.StringIO(result.to_csv())))
    assert {row["name"]: row["unit"] for row in rows} == UNITS
    assert {row["name"]: float(row["value"]) for row in rows} == result.figures()


def test_memory_of_the_caller_is_not_touched() -> None:
    program = gemm()
    inputs = gemm_inputs(program)
    before = {name: array.copy() for name, array in inputs.items()}
    rpa.run(program, inputs)
    assert all(np.array_equal(inputs[name], before[name]) for name in inputs)


def test_importing_rpa_is_light() -> None:
    heavy = "[name for name in ('numpy', 'numba', 'amaranth') if name in sys.modules]"
    done = subprocess.run([sys.executable, "-c", f"import sys, rpa; print({heavy})"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("backend", "message"), [
    ("fsat", "backend is 'fsat', must be one of fast, step, rtl; did you mean `fast`?"),
    (None, "backend is None, must be one of fast, step, rtl"),
])
def test_unknown_backend(backend, message: str) -> None:
    with pytest.raises(rpa.BackendError) as caught:
        rpa.run(gemm(), {}, backend)
    assert str(caught.value) == message
    assert BACKENDS == ("fast", "step", "rtl")


@pytest.mark.parametrize("change", [
    {"a": None}, {"b": [1]}, {"a": np.zeros((2, 5), dtype=int)}, {"a": np.zeros((2, 6))}, {"a": np.full((2, 6), 40000)},
    {"scale": np.tile([0, 1 << 31, 30], (2, 1))}, {"scale": np.tile([0, 1, 63], (2, 1))},
], ids=["missing", "unknown", "shape", "type", "range", "multiplier", "shift"])
def test_inputs_that_do_not_fit(change: dict) -> None:
    program = gemm()
    inputs = gemm_inputs(program) | change
    inputs = {name: array for name, array in inputs.items() if array is not None}
    with pytest.raises(rpa.InputError) as caught:
        rpa.run(program, inputs)
    assert f"`{next(iter(change))}`" in str(caught.value)


@pytest.mark.parametrize("limit", [0, -1, 2.5, True, None])
def test_cycle_limit_must_be_a_positive_integer(limit) -> None:
    with pytest.raises(rpa.RunError) as caught:
        rpa.run(gemm(), {}, max_cycles=limit)
    assert str(caught.value) == f"max_cycles is {limit!r}, must be an integer of at least 1"


@pytest.mark.parametrize("backend", EMULATORS)
def test_an_endless_program_reports_the_cycle_limit(backend: str) -> None:
    program = assemble("        addi r1, r0, 1\nagain:  j again\n", TINY)
    result = rpa.run(program, backend=backend, max_cycles=50_000)
    assert result.cycles == 50_000
    assert result.fault is not None
    assert (result.fault.name, result.fault.pc, result.fault.aux, result.fault.line) == ("CYCLE_LIMIT", 1, 50_000, 2)
    assert str(result.fault) == (f"{result.fault.file}:2: fault CYCLE_LIMIT: the cycle limit was reached (the limit: 0xc350)\n"
                                 "hint: raise max_cycles, or look for an endless loop")


@pytest.mark.parametrize("backend", EMULATORS)
def test_a_fault_of_the_machine_is_in_the_result(backend: str) -> None:
    program = assemble("        set ld.addr, 1\n        ld a, mem\n        halt\n", TINY)
    result = rpa.run(program, backend=backend)
    assert result.fault is not None
    assert (result.fault.name, result.fault.pc, result.fault.aux, result.fault.line) == ("MISALIGNED", 1, 1, 2)
    assert json.loads(result.to_json())["fault"]["name"] == "MISALIGNED"


def test_the_fast_backend_says_when_it_stepped() -> None:
    # The run reads the A words that the load is writing: what it sees depends on single cycles.
    source = "        set ld.rows, 20\n        set ld.pitch, 1\n        set ld.wlen, 20\n        ld a, fill\n"
    source += "        set ex.n, 20\n        set ex.as, 1\n        run 0\n        halt\n"
    result = rpa.run(assemble(source, TINY))
    assert result.backend_detail is not None
    assert result.backend_detail.startswith("stepped: two engines use the same words of `a` in cycles ")


@pytest.mark.parametrize("backend", EMULATORS)
def test_log_is_collected_on_request(backend: str) -> None:
    program = gemm()
    inputs = gemm_inputs(program)
    assert rpa.run(program, inputs, backend).log == ()
    assert len(rpa.run(program, inputs, backend, log=True).log) > len(program.code)


@pytest.mark.rtl
@pytest.mark.usefixtures("verilator")
@pytest.mark.xdist_group("rtl-tiny")
def test_the_rtl_gives_the_same_result() -> None:
    program = gemm()
    inputs = gemm_inputs(program)
    rtl, fast = rpa.run(program, inputs, "rtl", log=True), rpa.run(program, inputs, "fast", log=True)
    assert np.array_equal(rtl.outputs["out"], gemm_expected(inputs))
    assert (rtl.figures(), rtl.log) == (fast.figures(), fast.log)


CELL = """
.input x shape(4) bits 4 unsigned
.output y shape(2, COLS)
set ld.addr, x
ld x, mem signal(nv)
set nv.rows, 4
set nv.ebits, 4
set nv.abits, 4
set nv.asigned, 0
nvmac 0 wait(ld) signal(dr)
set dr.nv, 1
set dr.raw, 1
drain 0 wait(nv) signal(st)
set st.addr, y
set st.xs, 2
set st.ws, COLS
set st.xstride, 2*COLS
set st.wstride, 2
st wait(dr)
halt
"""


@pytest.mark.parametrize("backend", ["fast", "step"])
def test_given_macros_keep_their_cells(backend: str) -> None:
    chip = Twin(TINY)
    chip.cells[0, :4, 1] = 1, 2, 3, 1
    program = assemble(CELL, TINY)
    result = rpa.run(program, {"x": np.array([3, 0, 2, 1])}, backend, macro=chip)
    assert result.outputs["y"].tolist() == [[0, 3 * 1 + 2 * 3 + 1 * 1], [0, 0]]
    assert rpa.run(program, {"x": np.array([3, 0, 2, 1])}, backend).outputs["y"].tolist() == [[0, 0], [0, 0]]
    assert chip.cells.sum() == 7


def test_the_verilog_has_the_exact_macros_only() -> None:
    with pytest.raises(rpa.BackendError, match="backend `rtl` has the exact macros only; leave `macro` out, or use `fast` or `step`"):
        rpa.run(gemm(), {}, "rtl", macro=Twin(TINY))
