"""`rpa run` and `rpa cosim`: results, streams, formats, faults of machine and user."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from rpa.cli.fill import complete
from tests.cli.conftest import FIRST, from_halves


@pytest.mark.parametrize("backend", ["fast", "step"])
def test_dot_product_of_a_source(rpa, operands, tmp_path, backend):
    done = rpa("run", FIRST, "--preset", "tiny", *operands.options, "--output", "y=y.npy", "--backend", backend, "--json")
    assert done.code == 0
    assert from_halves(np.load(tmp_path / "y.npy")) == operands.total
    assert done.data["backend"] == backend
    assert done.data["figures"]["macs"] == 64 * 2 * 2
    assert done.data["units"]["cycles"] == "cycles"


def test_program_file_and_source_give_the_same(rpa, operands, program_file):
    from_file = rpa("run", program_file, *operands.options, "--json").data["figures"]
    from_source = rpa("run", FIRST, "--preset", "tiny", *operands.options, "--json").data["figures"]
    assert from_file == from_source


def test_program_from_standard_input_and_array_to_standard_output(rpa, operands, program_file):
    done = rpa("run", "-", *operands.options, "--output", "y=-", stdin=program_file.read_bytes())
    assert from_halves(np.load(io.BytesIO(done.raw))) == operands.total


def test_an_only_input_and_output_need_no_name(rpa, tmp_path):
    source = b".input a shape(4) bits 16 signed\n.output b shape(4) bits 16 signed\nhalt\n"
    np.save(tmp_path / "a.npy", np.arange(4))
    done = rpa("run", "-", "--input", "a.npy", "--output", "b.npy", stdin=source)
    assert done.code == 0, done.err
    assert np.load(tmp_path / "b.npy").tolist() == [0, 0, 0, 0]


def test_several_inputs_need_names(rpa, operands):
    done = rpa("run", FIRST, "--input", "x.npy")
    assert done.code == 2
    assert "must be NAME=VALUE; the program has x, w" in " ".join(done.err.replace("│", " ").split())


def test_csv_and_table_hold_the_same_figures(rpa, operands):
    arguments = ("run", FIRST, *operands.options)
    rows = {row["name"]: row["value"] for row in csv.DictReader(io.StringIO(rpa(*arguments, "--csv").out))}
    table = rpa(*arguments).out
    assert f"{int(rows['cycles']):,}" in table
    assert "utilisation" in table and "first on `fast`" in table


def test_commit_log(rpa, operands, tmp_path):
    assert rpa("run", FIRST, "--preset", "tiny", *operands.options, "--log", "first.log").code == 0
    assert len((tmp_path / "first.log").read_text().splitlines()) > 20


def test_random_inputs_are_the_same_for_the_same_seed(rpa):
    first, again, other = (rpa("run", FIRST, "--seed", seed, "--output", "y=-").raw for seed in (1, 1, 2))
    assert first == again != other


def test_random_inputs_cover_their_range():
    from isa import assemble
    from rpa import ArrayConfig

    source = ".input a shape(1000) bits 2 unsigned\n.input b shape(1000) bits 2 signed\n.params p shape(3)\nhalt\n"
    program = assemble(source, ArrayConfig.preset("tiny"))
    filled = complete(program, {}, 0)
    assert set(filled["a"].tolist()) == {0, 1, 2, 3}
    assert set(filled["b"].tolist()) == {-2, -1, 0, 1}
    assert filled["p"].shape == (3, 3)
    assert complete(program, {"a": "mine"}, None) == {"a": "mine"}


def test_a_machine_fault_is_reported_and_exits_with_1(rpa):
    done = rpa("run", "-", "--no-preflight", "--json", stdin=b"halt2:\n set ld.addr, 1\n ld a, mem\n halt\n")
    assert done.code == 1
    assert done.data["fault"]["name"] == "MISALIGNED"
    assert "fault MISALIGNED" in done.err and "hint: " in done.err


def test_an_endless_program_ends_at_the_cycle_limit(rpa):
    done = rpa("run", "-", "--max-cycles", "100", stdin=b"again: j again\n")
    assert done.code == 1
    assert "fault CYCLE_LIMIT" in done.err


def test_preflight_finds_a_missing_token(rpa):
    done = rpa("run", "-", stdin=b"run 0 wait(ld)\nhalt\n")
    assert done.code == 1
    assert "waits in engine `ex` for a token from `ld`" in done.err


def test_corrupt_program_file(rpa, program_file, tmp_path):
    data = bytearray(program_file.read_bytes())
    data[-1] ^= 1
    (tmp_path / "flipped.rpb").write_bytes(data)
    (tmp_path / "short.rpb").write_bytes(data[:100])
    (tmp_path / "other.rpb").write_bytes(b"not a program")
    for name in ("flipped", "short", "other"):
        done = rpa("run", f"{name}.rpb")
        assert (done.code, done.raw) == (1, b"")
        assert done.err.startswith("error: ") and "Traceback" not in done.err


def test_program_file_for_another_machine(rpa, program_file):
    done = rpa("run", program_file, "--preset", "small")
    assert done.code == 1
    assert "built for another machine: rows 2 (here 4), cols 2 (here 4)" in done.err


def _save(tmp_path, name, array):
    np.save(tmp_path / name, array)
    return f"x={name}"


@pytest.mark.parametrize(("array", "message"), [
    (np.zeros(63, dtype=int), "64"),
    (np.zeros(64), "integer"),
    (np.full(64, 40000), "40000"),
])
def test_arrays_that_do_not_fit(rpa, operands, tmp_path, array, message):
    done = rpa("run", FIRST, "--input", _save(tmp_path, "bad.npy", array), "--input", "w=w.npy")
    assert done.code == 1
    assert "x" in done.err and message in done.err


@pytest.mark.parametrize(("option", "message"), [
    ("x=missing.npy", "error: missing.npy: cannot be read: No such file or directory"),
    ("x=text.npy", "error: text.npy: not a .npy file: "),
    ("x=both.npz", "error: both.npz: an archive of arrays (.npz), must be one array (.npy)"),
    ("x=pickled.npy", "error: pickled.npy: not a .npy file: "),
    ("z=w.npy", "no input `z`"),
])
def test_files_that_are_no_arrays(rpa, operands, tmp_path, option, message):
    (tmp_path / "text.npy").write_text("1, 2, 3")
    np.savez(tmp_path / "both.npz", a=np.zeros(2))
    np.save(tmp_path / "pickled.npy", np.array([None]), allow_pickle=True)
    done = rpa("run", FIRST, "--input", option, "--input", "w=w.npy")
    assert done.code == 1
    assert message in done.err and "Traceback" not in done.err


@pytest.mark.parametrize(("arguments", "message"), [
    (("--json", "--csv"), "exclude each other"),
    (("--output", "q=q.npy"), "`q` is no output of the program; there are y"),
    (("--output", "y=-", "--log", "-"), "once"),
    (("--max-cycles", "0"), "max-cycles"),
    (("--backend", "gpu"), "gpu"),
    (("--input", "x"), "must be NAME=VALUE"),
])
def test_bad_usage_exits_with_2(rpa, arguments, message):
    done = rpa("run", FIRST, *arguments)
    assert done.code == 2
    assert message in done.err


CELL = """
.output y shape(2, COLS)
set ld.fill, 15
ld x, fill signal(nv)
set nv.rows, 4
set nv.ebits, 4
set nv.abits, 4
set nv.asigned, 0
nvprog wait(ld)
nvmac 0 signal(dr)
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
"""Four rows of a cell 15 & 3 = 3, times 15 on the first word line alone."""


def test_macros_with_errors(rpa, tmp_path):
    seen = []
    for name in ("ideal", "sonos40", "nor65"):
        done = rpa("run", "-", "--preset", "tiny", "--macro", name, "--seed", "3", "--output", "y=y.npy", stdin=CELL.encode())
        assert done.code == 0, done.err
        seen.append(np.load(tmp_path / "y.npy")[0].tolist())
    assert seen[0] == [45, 0]
    assert all(30 <= first <= 60 for first, _ in seen)
    (tmp_path / "mine.csv").write_text("current [nA], programming 0 d [nA], read [nA], drift 5 d [nA]\n0,0,0,0\n1000,0,0,-600\n")
    done = rpa("run", "-", "--preset", "tiny", "--macro", "mine.csv", "--output", "y=y.npy", stdin=CELL.encode())
    assert done.code == 0 and np.load(tmp_path / "y.npy")[0].tolist() == [45, 0]
    done = rpa("run", "-", "--preset", "tiny", "--macro", "mine.csv", "--errors", "drift", "--output", "y=y.npy", stdin=CELL.encode())
    assert done.code == 0 and np.load(tmp_path / "y.npy")[0].tolist() == [15, 0], "a cell of 3 has 1.2 left"
    done = rpa("run", "-", "--preset", "tiny", "--errors", "drift", stdin=CELL.encode())
    assert done.code == 2 and "needs --macro" in done.err
    done = rpa("run", "-", "--preset", "tiny", "--macro", "sonos41", stdin=CELL.encode())
    assert (done.code, done.err) == (1, "error: no device `sonos41`; there are sonos40, nor55, nor65\n")
    done = rpa("run", FIRST, "--preset", "ecp5", "--macro", "ideal")
    assert done.code == 2 and "no NOR-flash macros" in " ".join(done.err.replace("│", " ").split())


def test_constants_for_a_program_file_are_bad_usage(rpa, program_file):
    done = rpa("run", program_file, "-D", "K=3")
    assert done.code == 2
    assert "assembled already" in done.err


def test_cosim_of_the_emulators(rpa, operands):
    done = rpa("cosim", FIRST, "--preset", "tiny", *operands.options, "--no-rtl")
    assert done.code == 0
    assert "first: step, fast agree in all " in done.out


def test_cosim_with_a_fault_agrees_on_the_fault(rpa):
    done = rpa("cosim", "-", "--preset", "tiny", "--no-rtl", "--json", stdin=b"set ld.addr, 1\nld a, mem\nhalt\n")
    assert done.code == 0
    assert done.data["equal"] is True
    assert done.data["fault"] == "MISALIGNED"


@pytest.mark.rtl
def test_cosim_with_rtl(rpa, operands):
    done = rpa("cosim", FIRST, "--preset", "tiny", *operands.options, "--json")
    assert done.code == 0, done.err
    assert done.data["compared"] == ["step", "fast", "rtl"]
