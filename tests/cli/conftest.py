"""Run the command line in this process, with standard input and output as bytes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from rpa.cli.app import execute

ROOT = Path(__file__).resolve().parents[2]
FIRST = ROOT / "docs" / "first.rpa"
"""The dot product of README: inputs x and w of 64 words, output y: the sum, low half first."""


@dataclass(frozen=True)
class Finished:
    """What a command left: exit code, standard output and standard error."""

    code: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        return self.raw.decode()

    @property
    def data(self):
        return json.loads(self.raw)


Rpa = Callable[..., Finished]


@pytest.fixture
def rpa(capsysbinary, monkeypatch, tmp_path) -> Rpa:
    """`rpa(*arguments, stdin=b"")`, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*arguments: object, stdin: bytes = b"") -> Finished:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsysbinary.readouterr()
        code = execute([str(argument) for argument in arguments])
        out, err = capsysbinary.readouterr()
        return Finished(code, out, err.decode())

    return run


@pytest.fixture
def program_file(rpa, tmp_path) -> Path:
    """The program file of :data:`FIRST` for the machine `tiny`."""
    assert rpa("asm", FIRST, "--preset", "tiny", "-o", "first.rpb").code == 0
    return tmp_path / "first.rpb"


@dataclass(frozen=True)
class Operands:
    """Vectors for :data:`FIRST`, their files, and their dot product in NumPy int64."""

    options: tuple[str, ...]
    total: int


@pytest.fixture
def operands(tmp_path) -> Operands:
    rng = np.random.default_rng(1)
    x, w = rng.integers(-1000, 1001, (2, 64))
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "w.npy", w)
    return Operands(("--input", "x=x.npy", "--input", "w=w.npy"), int(x @ w))


def from_halves(halves: np.ndarray) -> int:
    """A 32-bit signed number from its 16-bit halves, low one first."""
    return int.from_bytes(np.asarray(halves).astype("<u2").tobytes(), "little", signed=True)
