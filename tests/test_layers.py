"""Imports go down the stack only, siblings leave each other alone, and every heavy package has one door."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = {"isa": 0, "rpa.arch": 2, "rpa.emu": 3, "hdl": 3, "rpa.data": 3, "rpa.models": 3, "rpa.net": 3, "rpa.quant": 4,
          "rpa.train": 4, "rpa.flash": 4, "rpa.flash.torch": 5, "rpa.runner": 4, "rpa.flash.study": 5, "rpa.compile": 5, "rpa.verify": 5,
          "rpa.report": 6, "rpa.cli": 7, "rpa.demo": 7, "rpa": 7}
"""Layer of a package; the longest prefix of a module's name counts. `rpa` itself is the public face of all of them."""
DOORS = {"lark": ("isa",), "amaranth": ("hdl", "tests"), "cocotb": ("tests",), "cocotb_tools": ("tests",), "typer": ("rpa.cli",),
         "numba": ("rpa.arch.jit",), "matplotlib": ("rpa.demo", "rpa.report"), "skimage": ("rpa.demo", "rpa.data"),
         "torch": ("rpa.train", "rpa.flash.torch", "rpa.net.torch_import", "tests"), "onnx": ("rpa.net", "rpa.models", "rpa.train", "tests"),
         "onnxruntime": ("rpa.net", "rpa.quant", "rpa.train", "tests"),
         "sklearn": ("rpa.data",), "PIL": ("rpa.data", "rpa.demo", "tests"), "safetensors": ("rpa.models", "rpa.train", "rpa.flash.torch", "tests")}
"""Package -> modules under which it may be imported."""
SOURCES = sorted(path for part in ("isa", "rpa", "hdl") for path in (ROOT / part).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> Iterator[str]:
    """Absolute names of the modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def package_of(module: str) -> str | None:
    """The entry of LAYERS that a module belongs to."""
    known = [name for name in LAYERS if module == name or module.startswith(name + ".")]
    return max(known, key=len, default=None)


def under(module: str, prefixes: tuple[str, ...]) -> bool:
    return any(module == prefix or module.startswith(prefix + ".") for prefix in prefixes)


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_imports_go_down(path):
    module = module_of(path)
    mine = package_of(module)
    wrong = []
    for name in imports(path):
        theirs = package_of(name)
        if theirs is None or theirs == mine or name == "rpa":
            continue
        if LAYERS[theirs] >= LAYERS[mine] and not (theirs == "rpa" and LAYERS[mine] == LAYERS["rpa"]):
            wrong.append(f"{module} (layer {LAYERS[mine]}) imports {name} (layer {LAYERS[theirs]})")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=module_of)
def test_heavy_packages_have_one_door(path):
    module = module_of(path)
    wrong = [name for name in imports(path) for package, doors in DOORS.items() if under(name, (package,)) and not under(module, doors)]
    assert not wrong, f"{module} imports {', '.join(wrong)}; only {DOORS} may"
