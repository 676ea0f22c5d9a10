"""`rpa isa`, `rpa measure`, `rpa verilog`, `rpa doctor`, and the command line as a whole."""

from __future__ import annotations

import csv
import io
import subprocess
import sys

import pytest

from isa import table
from rpa.cli import doctor
from rpa.cli.errors import explain_import
from rpa.report.tables import format_cell, to_csv


@pytest.mark.parametrize(("kind", "rows"), [
    ("instructions", table.INSTRUCTIONS), ("registers", table.REGISTERS), ("counters", table.COUNTERS), ("faults", table.FAULTS),
    ("operations", table.PE_OPS),
])
def test_lists_name_every_row_of_the_table(rpa, kind, rows):
    names = [row.name for row in rows]
    assert [row["name"] for row in rpa("isa", "list", kind, "--json").data] == names
    assert [row["name"] for row in csv.DictReader(io.StringIO(rpa("isa", "list", kind, "--csv").out))] == names
    assert all(name in rpa("isa", "list", kind).out for name in names)


def test_explain(rpa):
    assert "opcode 0x21" in rpa("isa", "explain", "run").out
    assert "opcode 0x21" in rpa("isa", "explain", "run", "--json").data["text"]


def test_explain_suggests_a_name(rpa):
    done = rpa("isa", "explain", "rnu")
    assert done.code == 1
    assert "did you mean `run`?" in done.err


def test_unknown_list_is_bad_usage(rpa):
    assert rpa("isa", "list", "colours").code == 2


def test_measure_rows(rpa):
    rows = rpa("measure", "dot", "--preset", "tiny", "--json").data
    assert [row["act_bits"] for row in rows] == [16, 8, 4, 2]
    assert all(row["backend_equal"] is True for row in rows)
    assert list(rows[0]) == ["name", "act_bits", "weight_bits", "cycles", "utilisation", "speedup", "bank_reads", "bank_writes",
                             "external_bytes", "relative_error", "backend_equal"]


def test_measure_of_one_backend_as_a_table(rpa):
    done = rpa("measure", "dot", "--preset", "tiny", "--backend", "fast")
    assert done.code == 0
    assert "external bytes" in done.out


def test_measure_of_a_kernel_that_needs_macros(rpa):
    done = rpa("measure", "flash", "--preset", "ecp5")
    assert (done.code, done.err) == (
        1, "error: `flash` needs NOR-flash macros, which this machine does not have; choose one that has, as with --preset hybrid\n")
    assert [row["cycles"] for row in rpa("measure", "flash", "--preset", "tiny", "--backend", "fast", "--json").data] == [9789, 2135, 3277]


def test_measure_of_an_unknown_kernel(rpa):
    done = rpa("measure", "conv9x9")
    assert done.code == 1
    assert "no kernel `conv9x9`; there are " in done.err


def test_verilog_into_a_folder(rpa, tmp_path):
    done = rpa("verilog", "--preset", "tiny", "-o", "build/", "--no-estimate", "--json")
    assert done.code == 0, done.err
    assert done.data["config"]["rows"] == 2
    assert "module rpa(" in (tmp_path / "build" / "rpa.v").read_text()
    assert "rpa rpa_i (" in (tmp_path / "build" / "rpa_instance.v").read_text()


def test_verilog_to_standard_output(rpa):
    done = rpa("verilog", "--preset", "tiny", "-o", "-")
    assert done.raw.count(b"module rpa(") == 1


def test_verilog_with_the_pins_of_the_macros(rpa):
    done = rpa("verilog", "--preset", "tiny", "--macro", "pins", "-o", "-")
    assert b"output nv_start" in done.raw and b"module rpa_converter" not in done.raw


def test_verilog_needs_a_place(rpa):
    assert rpa("verilog", "--preset", "tiny").code == 2


def test_doctor_here(rpa):
    done = rpa("doctor")
    assert done.code == 0
    assert "numpy" in done.out
    parts = {row["part"]: row["version"] for row in rpa("doctor", "--json").data["parts"]}
    assert parts["lark"] is not None


def test_doctor_names_what_is_missing(rpa, monkeypatch):
    monkeypatch.setattr(doctor, "find_spec", lambda name: None if name == "amaranth" else object())
    abilities = {row["what"]: row for row in rpa("doctor", "--json").data["abilities"]}
    assert abilities["verilog"] == {"what": "verilog", "works": False, "missing": "amaranth"}
    assert rpa("doctor").code == 0


def test_doctor_fails_without_the_essential(rpa, monkeypatch):
    monkeypatch.setattr(doctor, "find_spec", lambda name: None if name == "lark" else object())
    assert rpa("doctor").code == 1


def test_missing_package_names_its_extra():
    text = explain_import(ModuleNotFoundError("No module named 'amaranth'", name="amaranth.hdl"))
    assert text == ("this needs `amaranth`, which is not installed\n"
                    "hint: pip install 'rpa-toolchain[rtl]'; `rpa doctor` lists what works without it")


@pytest.mark.parametrize(("value", "text"), [(None, "-"), (True, "yes"), (False, "no"), (1234567, "1,234,567"), (0.98765, "0.9877"), ("a", "a")])
def test_cells(value, text):
    assert format_cell(value) == text


def test_csv_quotes_what_needs_it():
    assert to_csv([{"a": 1, "b": 'x, "y"'}]) == 'a,b\n1,"x, ""y"""\n'


def test_version_and_help(rpa):
    assert "instruction set version" in rpa("--version").out
    assert rpa("--help").code == 0
    assert rpa().code == 2


def test_internal_errors_are_one_message(rpa, monkeypatch):
    monkeypatch.setattr(doctor, "examine", lambda: 1 / 0)
    done = rpa("doctor")
    assert done.code == 1
    assert done.err.startswith("internal error: ZeroDivisionError: division by zero\nhint: ")


def test_help_imports_nothing_heavy():
    code = ("import sys; sys.argv = ['rpa', '--help']\n"
            "from rpa.cli.app import execute\nexecute(['--help'])\n"
            "heavy = {'numpy', 'numba', 'amaranth', 'lark', 'matplotlib'} & set(sys.modules)\nassert not heavy, heavy")
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_closed_pipe_is_no_error():
    pipeline = f"{sys.executable} -m rpa.cli isa list registers | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", pipeline], capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr
