"""Runs the circuit simulator ngspice (Debian package `ngspice`) on a netlist, if it is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from rpa.flash.errors import FlashError
from rpa.flash.ir.checks import Floats
from rpa.flash.ir.netlist import RESULT

PROGRAM = "ngspice"
TIMEOUT_SEC = 600.0
_CURRENT = re.compile(rf"^{RESULT}\(vs(\d+)\) = (\S+)\s*$", re.MULTILINE)


def find() -> str | None:
    """Path of ngspice, or None."""
    return shutil.which(PROGRAM)


def currents(text: str, cols: int, *, timeout_sec: float = TIMEOUT_SEC) -> Floats:
    """Currents of the bit lines, (cols,) amp, of one of the netlists of `rpa.flash.ir.netlist`.

    Their sign is that of `rpa.flash.ir`: from the sense amplifier into a gate-driven bit line, out of a drain-driven one into the amplifier.
    FlashError if ngspice is not installed, fails, takes longer, or does not print one current for every bit line.
    """
    program = find()
    if program is None:
        raise FlashError(f"`{PROGRAM}` is not installed: apt-get install {PROGRAM}")
    with tempfile.TemporaryDirectory(prefix="rpa-") as folder:
        (Path(folder) / "array.cir").write_text(text, encoding="ascii")
        try:
            done = subprocess.run([program, "-n", "-b", "array.cir"], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  errors="replace", timeout=timeout_sec, check=False)
        except subprocess.TimeoutExpired:
            raise FlashError(f"{PROGRAM}: no result after {timeout_sec:g} s; simulate a smaller array or allow more") from None
        except OSError as error:
            raise FlashError(f"{program}: cannot be run: {error.strerror}") from None
    if done.returncode:
        raise FlashError(f"{PROGRAM}: exit code {done.returncode}: {_last_line(done.stderr or done.stdout)}")
    found = {int(column): float(value) for column, value in _CURRENT.findall(done.stdout)}
    if sorted(found) != list(range(cols)):
        raise FlashError(f"{PROGRAM}: {len(found)} of {cols} currents came back: {_last_line(done.stderr or done.stdout)}")
    # A source's current is counted from its + node through the source: minus what a gate-driven amplifier delivers.
    sign = -1.0 if text.startswith("* gate-driven") else 1.0
    return sign * np.array([found[column] for column in range(cols)])


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
