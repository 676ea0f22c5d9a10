"""cocotb on the generated Verilog: kernels and random programs, every debug output compared with the emulator at every cycle.

NOR-flash macros are the digital twin inside the Verilog, or Python models behind its pins.
"""

from __future__ import annotations

import json
import os
from functools import cache
from itertools import combinations
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
from rpa.arch.outcome import Outcome
from rpa.emu.step import run as run_step
from rpa.report.kernels import KERNELS
from rpa.verify.random_programs import random_program
from tests.cosim.builds import digest_of, locked
from tests.cosim.macros import KINDS, macro_of
from tests.cosim.nv_programs import nv_program

MAX_CYCLES = 20_000
RANDOM_SEEDS = range(4)
MODEL_SEEDS = (2, 9, 11, 20)
"""Programs whose codes depend on the model and on its seed."""
EVERYTHING = [*KERNELS, *(f"random-{seed}" for seed in RANDOM_SEEDS)]
ROOT = Path(__file__).resolve().parents[2]
RUNS = [pytest.param(preset, name, id=f"{name}-{preset}", marks=pytest.mark.xdist_group(f"cocotb-{preset}"))
        for preset, names in (("tiny", EVERYTHING), ("small", EVERYTHING), ("default", ["conv1x1"])) for name in names]

pytestmark = [pytest.mark.rtl, pytest.mark.usefixtures("verilator")]


@cache
def built(preset: str, macro: str):
    """A runner and the folder of its simulator, which is built once and kept by a hash of Verilog and port list."""
    config = ArrayConfig.preset(preset)
    text = to_verilog(config, debug=True, macro=macro)
    public = ports(config, debug=True, macro=macro)
    control = control_file(text) + "".join(f'public_flat_rw -module "{TOP_NAME}" -var "{name}"\n' for _, name, _ in public)
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


def run_bench(preset: str, program: Program, memory: np.ndarray, expected: Outcome, limit: int, folder: Path, **model: object) -> None:
    """Run `tests.cosim.bench` on a case. model: kind and seed of the NOR-flash macros behind pins; without it they are the digital twin."""
    (folder / "case.json").write_text(json.dumps({"config": program.config, "code": program.code, "max_cycles": limit, **model}))
    for file, array in (("memory", memory), ("after", expected.memory), ("records", expected.records)):
        np.save(folder / f"{file}.npy", array)
    path = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    runner, build_folder = built(preset, "pins" if model else "twin")
    results = runner.test(test_module="tests.cosim.bench", hdl_toplevel=TOP_NAME, hdl_toplevel_lang="verilog", build_dir=build_folder,
                          test_dir=folder, extra_env={"RPA_CASE": str(folder), "PYTHONPATH": path}, log_file=folder / "log")
    tests, failed = get_results(results)
    assert (tests, failed) == (1, 0), (folder / "log").read_text()[-4000:]


@pytest.fixture
def tools(monkeypatch):
    """Sets the environment in which simulators of a preset are built."""
    def set_for(preset: str) -> None:
        for variable, value in environment().items():
            monkeypatch.setenv(variable, value)
        monkeypatch.setenv("MAKEFLAGS", f"{os.environ['MAKEFLAGS']} {make_variables(ArrayConfig.preset(preset))}")

    return set_for


@pytest.mark.parametrize(("preset", "name"), RUNS)
def test_in_cocotb(preset, name, tmp_path, tools):
    tools(preset)
    program, memory, limit = case_of(name, preset)
    run_bench(preset, program, memory, run_step(program, memory, max_cycles=limit, record=True), limit, tmp_path)


@pytest.mark.parametrize("seed", MODEL_SEEDS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.xdist_group("cocotb-tiny-pins")
def test_python_macros_behind_the_pins(kind, seed, tmp_path, tools):
    """The model answers the RTL's pins and the emulator's calls: with the same seed every register is the same in every cycle, noise or not."""
    tools("tiny")
    config = ArrayConfig.preset("tiny")
    case = nv_program(seed, config)
    model = macro_of(kind, config, seed)
    expected = run_step(case.program, case.memory, max_cycles=MAX_CYCLES, record=True, macro=model)
    run_bench("tiny", case.program, case.memory, expected, MAX_CYCLES, tmp_path, macro=kind, seed=seed)


@pytest.mark.parametrize("seed", MODEL_SEEDS)
def test_errors_of_the_model_reach_the_registers(seed):
    """What the test above compares would be equal without noise too, if codes did not depend on it."""
    config = ArrayConfig.preset("tiny")
    case = nv_program(seed, config)
    models = [macro_of(kind, config, seed) for kind in KINDS] + [macro_of("chip", config, seed + 1)]
    records = [run_step(case.program, case.memory, max_cycles=MAX_CYCLES, record=True, macro=model).records for model in models]
    assert not any(np.array_equal(mine, theirs) for mine, theirs in combinations(records, 2))
