"""Running programs: `run`, `preflight`, `Result` and their errors."""

from rpa.arch.errors import InputError
from rpa.runner.errors import BackendError, Finding, PreflightError, RunError
from rpa.runner.preflight import Preflight, preflight
from rpa.runner.result import UNITS, FaultReport, Result
from rpa.runner.run import BACKENDS, MAX_CYCLES, run

__all__ = ["BACKENDS", "MAX_CYCLES", "UNITS", "BackendError", "FaultReport", "Finding", "InputError", "Preflight", "PreflightError", "Result",
           "RunError", "preflight", "run"]
