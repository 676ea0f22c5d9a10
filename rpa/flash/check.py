"""Checks of parameters: each says which field, what came, and what is allowed."""

from __future__ import annotations

import math
import reprlib
from typing import Any, Literal

from rpa.flash.errors import FlashError

Ideal = Literal["ideal"]
"""The word that switches an error off; 0 does not."""
IDEAL: Ideal = "ideal"


def number(where: str, field: str, value: Any, low: float, high: float, unit: str = "", *, above: bool = False) -> None:
    """A finite number low..high (`above`: greater than low), or FlashError."""
    allowed = f"{'above ' if above else ''}{low:g}{' and at most ' if above else '..'}{high:g}{unit and ' ' + unit}"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise FlashError(f"{where}: `{field}` is {value!r}, must be a number {allowed}")
    if not math.isfinite(value) or not low <= value <= high or (above and value == low):
        raise FlashError(f"{where}: `{field}` is {value!r}, must be {allowed}")


def ideal_or_number(where: str, field: str, value: Any, low: float, high: float, unit: str = "", *, above: bool = False) -> None:
    """The word "ideal", or :func:`number`."""
    if isinstance(value, str):
        if value != IDEAL:
            raise FlashError(f'{where}: `{field}` is "{value}", must be "ideal" or a number')
        return
    number(where, field, value, low, high, unit, above=above)


def integer(where: str, field: str, value: Any, low: int, high: int) -> None:
    """An integer low..high, or FlashError."""
    if type(value) is not int or not low <= value <= high:
        raise FlashError(f"{where}: `{field}` is {value!r}, must be an integer {low}..{high}")


def choice(where: str, field: str, value: Any, choices: tuple[str, ...]) -> None:
    """One of some words, or FlashError."""
    if not isinstance(value, str) or value not in choices:
        raise FlashError(f"{where}: `{field}` is {value!r}, must be one of " + ", ".join(f'"{each}"' for each in choices))


def instance(where: str, field: str, value: Any, kind: type, *, or_ideal: bool = True) -> None:
    """The word "ideal" (where allowed) or an object of a class, or FlashError."""
    if isinstance(value, kind) or (or_ideal and isinstance(value, str) and value == IDEAL):
        return
    came = " ".join(reprlib.repr(value).split())
    raise FlashError(f"{where}: `{field}` is {came}, must be " + ('"ideal" or ' if or_ideal else "") + f"{kind.__name__}(...)")
