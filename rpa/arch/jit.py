"""The one door to numba: functions that are compiled where numba is installed, and their plain twins.

A function marked with :func:`jit` is written once. Compiled, it runs on int64 and arrays; its *plain twin* is the same
Python function whose calls to other such functions go to their plain twins, so that it runs without numba, on Python
integers and lists as well as on arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

try:
    import numba
except ImportError:
    numba = None

HAVE_NUMBA = numba is not None
"""True if compiled paths are available."""

_MARKED: set[Callable[..., Any]] = set()


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile ``function`` on its first call and cache the machine code; without numba return it as it is."""
    _MARKED.add(function)
    return numba.njit(cache=True, error_model="numpy")(function) if HAVE_NUMBA else function


def source_of(function: Callable[..., Any]) -> Callable[..., Any]:
    """The Python function behind one that :func:`jit` made."""
    return getattr(function, "py_func", function)


class Twins:
    """Plain twins of marked functions; a function named in ``replacements`` is replaced wherever it is called."""

    def __init__(self, replacements: Mapping[Callable[..., Any], Callable[..., Any]] | None = None) -> None:
        self._made = {source_of(function): other for function, other in (replacements or {}).items()}

    def of(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The twin of ``function``, a copy with its own globals in which marked functions are twins."""
        source = source_of(function)
        if source in self._made:
            return self._made[source]
        names = dict(source.__globals__)
        twin = FunctionType(source.__code__, names, source.__name__, source.__defaults__, source.__closure__)
        twin.__doc__ = source.__doc__
        self._made[source] = twin
        for name in source.__code__.co_names:
            value = names.get(name)
            if callable(value) and getattr(value, "__hash__", None) and source_of(value) in _MARKED:
                names[name] = self.of(value)
        return twin


_TWINS = Twins()


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """The plain twin of a marked function, without replacements."""
    return _TWINS.of(function)
