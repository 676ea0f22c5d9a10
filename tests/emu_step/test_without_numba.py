"""Where numba is not installed the plain path stands in, and nothing else changes."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
sys.modules["numba"] = None
import isa, rpa.arch.jit
from rpa.arch.config import ArrayConfig
from rpa.arch.memory import build_memory
from rpa.emu.step import StepMachine
assert not rpa.arch.jit.HAVE_NUMBA
program = isa.assemble("set ex.n0, 24\\nrun 1\\nhalt", ArrayConfig.preset("tiny"))
machine = StepMachine(program, build_memory(program, {}), compiled=True)
print(machine.compiled, machine.run().cycles)
"""


def test_plain_path_without_numba():
    # set in 1, run pushed in 2 and started in 3, last ACC in 3 + 24 + 3, then the done cycle
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=root, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("False 31\n", "")
