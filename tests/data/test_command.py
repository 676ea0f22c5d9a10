"""`python -m rpa.data`."""

import subprocess
import sys

from rpa.data import FOREIGN, NAMES
from rpa.data.__main__ import main


def test_list_names_every_set(capsys):
    assert main(["list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [*NAMES, *FOREIGN]


def test_errors_are_one_line(tmp_path, capsys):
    assert main(["fetch", "mnist", "--archive", str(tmp_path / "none.tgz")]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: {tmp_path}/none.tgz: no tar archive") and said.count("\n") == 1


def test_importing_the_package_is_light():
    code = "import sys, rpa.data; print([name for name in ('skimage', 'sklearn', 'PIL', 'torch', 'onnx') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
