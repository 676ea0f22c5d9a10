"""What README and tutorial show works: every command, every piece of Python, every link, in the order of the page."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from isa import assemble
from rpa import ArrayConfig
from rpa.data import DataError, load

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "docs/tutorial.md", "docs/networks.md", "docs/flash.md")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)\)")
SETS_UP = ("make ", ". .venv/bin/activate", "rpa --help")
"""Commands that a test does not run: set-up itself (CI runs it), and this test suite. See `test_make_targets`."""
FAILS = "# exit code 1"
NEEDS_DATA = re.compile(r"# after: python -m rpa\.data fetch ([\w-]+)")
"""A command that needs a data set which is fetched; without it the rest of the page is run, and the test then is a skip."""
NEEDED = ("docs", "programs", "README.md")


def fences(page: str) -> list[tuple[str, str]]:
    """(language, text) of every fenced block of a page."""
    return FENCE.findall((ROOT / page).read_text(encoding="utf-8"))


@pytest.fixture
def copy(tmp_path) -> Path:
    """The parts of the repository that the pages work on, in a folder of their own, with an empty build/."""
    for name in NEEDED:
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, tmp_path / name)
    (tmp_path / "build").mkdir()
    return tmp_path


def run_in(folder: Path, command: list[str], **more) -> subprocess.CompletedProcess:
    environment = {"PATH": f"{folder / 'bin'}:/usr/local/bin:/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(Path.home()), "COLUMNS": "160"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, **more)


@pytest.mark.rtl
@pytest.mark.parametrize("page", PAGES)
def test_a_page_from_top_to_bottom(copy, page):
    launcher = copy / "bin" / "rpa"
    launcher.parent.mkdir()
    launcher.write_text(f"#!/bin/sh\nexec {sys.executable} -m rpa.cli \"$@\"\n")
    launcher.chmod(0o755)
    left_out = []
    for language, text in fences(page):
        if language == "python" and (why := torch_is_missing(text)):
            left_out.append(why)
        elif language == "python":
            done = run_in(copy, [sys.executable, "-c", text])
            assert done.returncode == 0, f"{text}\n{done.stderr}"
        for line in text.splitlines() if language == "sh" else ():
            if line.startswith(SETS_UP):
                continue
            if why := data_is_missing(line):
                left_out.append(why)
                continue
            done = run_in(copy, ["bash", "-o", "pipefail", "-c", line])
            assert done.returncode == (1 if FAILS in line else 0), f"{line}\n{done.stdout}\n{done.stderr}"
            assert "Traceback" not in done.stderr
    if left_out:
        pytest.skip(f"all else on {page} works; not run: {'; '.join(left_out)}")


def torch_is_missing(text: str) -> str:
    """Why a piece of Python cannot be run here, or nothing."""
    return "Python that needs torch" if "import torch\n" in text and find_spec("torch") is None else ""


def data_is_missing(line: str) -> str:
    """Why a command cannot be run here, or nothing."""
    needed = NEEDS_DATA.search(line)
    if needed is None:
        return ""
    try:
        load(needed[1])
    except DataError as error:
        return f"`{line.split('#')[0].strip()}`: {error}"
    return ""


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for target in LINK.findall((ROOT / page).read_text(encoding="utf-8")):
        assert ((ROOT / page).parent / target).exists(), target


def test_make_targets():
    named = {word for page in PAGES for word in re.findall(r"`?make (\w+)", (ROOT / page).read_text(encoding="utf-8"))}
    assert {"demo", "test"} <= named
    for target in named:
        done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_ci_runs_the_test_command_of_the_readme():
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert lines[-1] == "make test"
    assert "make test" in (ROOT / "README.md").read_text()


def test_the_first_kernel_in_the_readme_is_the_file():
    shown = next(text for language, text in fences("README.md") if language == "asm")
    assert shown == (ROOT / "docs" / "first.rpa").read_text()


def test_the_cycles_of_the_first_kernel_by_hand():
    """README's derivation, from the formulas of docs/design.md; `tiny` has mem_latency 4."""
    from rpa import run

    program = assemble(ROOT / "docs" / "first.rpa", ArrayConfig.preset("tiny"))
    first_load = 8                                   # ctx is 2 words, 4 `set`s, and `ld` itself is pushed in cycle 7
    second_load = first_load + 64 + 4 + 1            # N = 64 visits, latency 4, next start one later
    loaded = second_load + 64 + 4
    multiplied = loaded + 1 + 64 + 3                 # start, 64 steps, FEED EXEC ACC
    drained = multiplied + 1 + 2 + 5                 # start, two halves, D1..D5
    stored = drained + 1 + 2 + 1
    assert run(program, {"x": [3] * 64, "w": [5] * 64}).cycles == stored + 1


@pytest.mark.parametrize(("bits", "steps"), [(16, 64), (8, 32), (4, 16), (2, 8)])
def test_the_second_kernel_at_every_width(bits, steps):
    import numpy as np

    from rpa import run

    program = assemble(ROOT / "docs" / "second.rpa", ArrayConfig.preset("tiny"), defines={"BITS": bits})
    rng = np.random.default_rng(bits)
    largest = min(1 << (bits - 1), 200)
    x, w = rng.integers(-largest, largest, (2, 2, 64))
    result = run(program, {"x": x, "w": w, "scale": [(0, 1 << 30, 31)] * 2})
    pre = 8 if bits == 16 else 0
    shifted = (x @ w.T + (1 << pre >> 1)) >> pre
    np.testing.assert_array_equal(result.outputs["y"], (shifted + 1) >> 1)
    assert result.counters["ex_run"] == steps + 1 + 2
