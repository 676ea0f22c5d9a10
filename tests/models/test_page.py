"""docs/models.md: its Python runs, its command works, its tables are what the package says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from rpa.data import NAMES
from rpa.models import NETWORKS, quantized_names, record

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
FENCES = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", [text for language, text in FENCES if language == "python"])
def test_python(text):
    pytest.importorskip("onnx", reason="onnx is not installed")
    done = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout, done.stderr


@pytest.mark.parametrize("line", [line for language, text in FENCES if language == "sh" for line in text.splitlines()])
def test_commands(line):
    done = subprocess.run([sys.executable, *line.split()[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert line.startswith("python -m ") and done.returncode == 0, done.stderr


def rows(first_column):
    """Rows of the table whose head begins so, by their first cell."""
    lines = PAGE.split(f"| {first_column} |")[1].split("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0].strip("`"): row[1:] for row in cells}


def test_sets_and_networks_are_all_there():
    assert set(PAGE.split("## Networks")[0].split("`")) >= set(NAMES)
    table = rows("name | input")
    assert table.keys() == NETWORKS.keys()
    for name, (*_, trained) in table.items():
        assert trained.endswith(f"{100 * record(name)['test_accuracy']:.2f} %") if NETWORKS[name].trained else trained == ""


def test_accuracies_are_the_recorded_ones():
    table = rows("recipe")
    assert set(table) == set(quantized_names())
    for name, (bits, *shares) in table.items():
        found, widths = record(name)["test_accuracy"], record(name)["recipe"]["widths"]
        assert bits == f"{widths['weights']}, {widths['activations']}, {widths['input']}"
        assert shares == [f"{100 * found[kind]:.2f} %" for kind in ("float", "calibrated", "onnxruntime")]
