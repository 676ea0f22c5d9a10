"""cocotb on the generated Verilog: kernels and random programs, every debug output compared with the emulator at every cycle."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from cocotb_tools.runner import VerilatorControlFile, get_results, get_runner

from hdl.sim.model import control_file, make_variables, verilator_flags
from hdl.sim.verilator import cache_folder, environment
from hdl.verilog import TOP_NAME, ports, to_verilog
from isa.program import Program
from rpa.arch.config import ArrayConfig
from rpa.arch.memory import build_memory
from rpa.emu.step import run as run_step
from rpa.report.kernels import KERNELS
from rpa.verify.random_programs import random_program
from tests.cosim.builds import digest_of, locked

MAX_CYCLES = 20_000
RANDOM_SEEDS = range(4)
EVERYTHING = [*KERNELS, *(f"random-{seed}" for seed in RANDOM_SEEDS)]
ROOT = Path(__file__).resolve().parents[2]
RUNS = [pytest.param(preset, name, id=f"{name}-{preset}", marks=pytest.mark.xdist_group(f"cocotb-{preset}"))
        for preset, names in (("tiny", EVERYTHING), ("small", EVERYTHING), ("default", ["conv1x1"])) for name in names]

pytestmark = [pytest.mark.rtl, pytest.mark.usefixtures("verilator")]


@cache
def built(preset: str):
    """A runner and the folder of its simulator, which is built once and kept by a hash of Verilog and port list."""
    config = ArrayConfig.preset(preset)
    text = to_verilog(config, debug=True)
    control = control_file(text) + "".join(f'public_flat_rw -module "{TOP_NAME}" -var "{name}"\n' for _, name, _ in ports(config, debug=True))
    folder = cache_folder() / "cocotb" / digest_of(text, control)
    runner = get_runner("verilator")
    finished = folder / "finished"
    with locked(folder):
        if finished.exists():
            return runner, folder / "build"
        (folder / "rpa.v").write_text(text)
        (folder / "rpa.vlt").write_text(control)
        runner.build(sources=[VerilatorControlFile(folder / "rpa.vlt"), folder / "rpa.v"], hdl_toplevel=TOP_NAME, build_dir=folder / "build",
                     build_args=["--no-public-flat-rw", *verilator_flags(config)],
                     log_file=folder / "build.log")
        finished.touch()
    return runner, folder / "build"


def case_of(name: str, preset: str) -> tuple[Program, np.ndarray, int]:
    """Program, memory and limit of a kernel (at the narrowest width that this machine can run) or random program."""
    config = ArrayConfig.preset(preset)
    if name.startswith("random-"):
        case = random_program(int(name.removeprefix("random-")), config)
        return case.program, case.memory, case.max_cycles
    kernel = KERNELS[name]
    pairs = [pair for pair in kernel.widths if kernel.fits(config, pair[0])]
    program = kernel.assemble(config, *pairs[-1])
    return program, build_memory(program, kernel.case(program, seed=9).inputs), MAX_CYCLES


@pytest.mark.parametrize(("preset", "name"), RUNS)
def test_in_cocotb(preset, name, tmp_path, monkeypatch):
    for variable, value in environment().items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("MAKEFLAGS", f"{os.environ['MAKEFLAGS']} {make_variables(ArrayConfig.preset(preset))}")
    program, memory, limit = case_of(name, preset)
    expected = run_step(program, memory, max_cycles=limit, record=True)
    (tmp_path / "case.json").write_text(json.dumps({"config": program.config, "code": program.code, "max_cycles": limit}))
    for file, array in (("memory", memory), ("after", expected.memory), ("records", expected.records)):
        np.save(tmp_path / f"{file}.npy", array)
    path = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    runner, build_folder = built(preset)
    results = runner.test(test_module="tests.cosim.bench", hdl_toplevel=TOP_NAME, hdl_toplevel_lang="verilog", build_dir=build_folder,
                          test_dir=tmp_path, extra_env={"RPA_CASE": str(tmp_path), "PYTHONPATH": path}, log_file=tmp_path / "log")
    tests, failed = get_results(results)
    assert (tests, failed) == (1, 0), (tmp_path / "log").read_text()[-4000:]
