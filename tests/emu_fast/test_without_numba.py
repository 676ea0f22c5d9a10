"""Where numba is not installed the event loop runs as Python and gives the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rpa.arch.config import ArrayConfig
from rpa.arch.memory import build_memory
from rpa.emu import step
from rpa.report.kernels import KERNELS

SCRIPT = """
import sys
sys.modules["numba"] = None
import rpa.arch.jit
from rpa.arch.config import ArrayConfig
from rpa.arch.memory import build_memory
from rpa.emu import fast
from rpa.report.kernels import KERNELS
assert not rpa.arch.jit.HAVE_NUMBA
kernel = KERNELS[sys.argv[1]]
program = kernel.assemble(ArrayConfig.preset("tiny"), 8, int(sys.argv[2]))
done = fast.execute(program, build_memory(program, kernel.case(program, 1).inputs), max_cycles=10_000_000)
assert done.stepped_because is None
sys.stdout.buffer.write(done.outcome.counters.tobytes() + done.outcome.memory.tobytes())
"""


@pytest.mark.parametrize(("name", "weight_bits"), [("gemm", 8), ("depthwise", 8), ("flash", 2)])
def test_without_numba(name: str, weight_bits: int) -> None:
    kernel = KERNELS[name]
    program = kernel.assemble(ArrayConfig.preset("tiny"), 8, weight_bits)
    expected = step.run(program, build_memory(program, kernel.case(program, 1).inputs), max_cycles=10_000_000)
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", SCRIPT, name, str(weight_bits)], cwd=root, capture_output=True, check=False)
    assert done.stderr.decode() == ""
    assert done.stdout == expected.counters.tobytes() + expected.memory.tobytes()
