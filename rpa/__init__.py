"""RPA: a multi-bit-width reconfigurable PE array. `rpa.ArrayConfig`, `rpa.run`, `rpa.preflight`, `rpa.Result`, `rpa.compile`.

Importing `rpa` is light; NumPy and the emulators are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rpa.arch.config import ArrayConfig

if TYPE_CHECKING:
    from rpa.runner import BackendError, FaultReport, InputError, PreflightError, Result, RunError, preflight, run

__all__ = ["ArrayConfig", "BackendError", "FaultReport", "InputError", "PreflightError", "Result", "RunError", "compile", "preflight", "run"]


def __getattr__(name: str) -> Any:
    """Import the running part on first use."""
    if name == "compile":
        return import_module("rpa.compile")
    if name in __all__:
        from rpa import runner

        return getattr(runner, name)
    raise AttributeError(f"module `rpa` has no attribute `{name}`")
