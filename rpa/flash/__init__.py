"""The analog model of NOR-flash macros: what a device does to integer sums of products, and what helps (`docs/design.md`, section 16)."""

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    """`convert` needs torch, which nothing else here does."""
    if name == "convert":
        return import_module("rpa.flash.torch").convert
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
