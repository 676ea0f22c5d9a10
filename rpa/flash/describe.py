"""The model's parameters as data: name, default, and what its docstring says of unit, range and source; for tables and for the test of all this."""

from __future__ import annotations

import ast
import inspect
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any

from rpa.flash.curve import Curve, Retention
from rpa.flash.device import PRESETS, Residue
from rpa.flash.parts import Nonlinearity, Programming, ReadNoise, Shot, Telegraph
from rpa.flash.spec import Adc, Dac, Errors, MacroSpec, Wires

KINDS = (MacroSpec, Dac, Adc, Wires, Errors, Programming, ReadNoise, Nonlinearity, Telegraph, Shot, Curve, Retention, Residue)
"""Classes with parameters, in the order of a reading."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of one class."""

    of: str
    name: str
    default: str
    switched_on: str
    """What `Errors.all()` gives an error class; else empty."""
    meaning: str
    """Its docstring: what it is, unit, range, source."""


def parameters() -> list[Parameter]:
    """Every parameter of the model."""
    found = []
    for kind in KINDS:
        meanings = _meanings(kind)
        for each in fields(kind):
            on = _short(getattr(Errors.all(), each.name)) if kind is Errors else ""
            found.append(Parameter(kind.__name__, each.name, _short(_default(each)), on, meanings.get(each.name, "")))
    return found


def devices() -> list[dict[str, str | float]]:
    """The cells that are known by name."""
    return [{"device": device.name, "min [A]": device.min_amp, "max [A]": device.max_amp, "source": device.source} for device in PRESETS.values()]


def _default(each: Any) -> Any:
    return each.default_factory() if each.default_factory is not MISSING else each.default


def _short(value: Any) -> str:
    """A default as one writes it; of a part of the tree only its class, whose own parameters are listed."""
    if is_dataclass(value):
        name = getattr(value, "name", "")
        return f'"{name}"' if name else f"{type(value).__name__}()"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _meanings(kind: type) -> dict[str, str]:
    """Docstrings that follow the fields of a class, on one line each."""
    (body,) = (node for node in ast.parse(inspect.getsource(kind)).body if isinstance(node, ast.ClassDef))
    found = {}
    for before, after in zip(body.body, body.body[1:], strict=False):
        if (isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name) and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str)):
            found[before.target.id] = " ".join(after.value.value.split())
    return found
