"""The one door to numba: functions that are compiled where numba is installed, and their plain twins.

A function marked with :func:`jit` is written once. Compiled, it runs on int64 and arrays; its *plain twin* is the same
Python function whose calls to other such functions go to their plain twins, so that it runs without numba, on Python
integers and lists as well as on arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import FunctionType
from typing import Any

try:
    import numba
    from numba.core import caching
except ImportError:
    numba = None

HAVE_NUMBA = numba is not None
"""True if compiled paths are available."""

_ROOT = Path(__file__).resolve().parents[2]


@cache
def _sources_digest(folder: Path) -> str:
    """Of every source that compiled code of a folder can depend on. numba itself looks at the file of a function alone,
    and would keep machine code that calls an older version of a function in another file."""
    digest = sha256()
    for path in sorted({*folder.glob("*.py"), *(_ROOT / "rpa" / "arch").glob("*.py"), _ROOT / "isa" / "table.py"}):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _stamp_by_all_sources() -> None:
    """Make numba's cache of functions of this project depend on :func:`_sources_digest`."""
    def locator(base: type) -> type:
        class Locator(base):
            @classmethod
            def from_function(cls, function, file):
                return super().from_function(function, file) if Path(file).resolve().is_relative_to(_ROOT / "rpa") else None

            def get_source_stamp(self):
                return _sources_digest(Path(self._py_file).resolve().parent)

        return Locator

    bases = (caching.UserProvidedCacheLocator, caching.InTreeCacheLocator, caching.UserWideCacheLocator)
    caching.CacheImpl._locator_classes[:0] = [locator(base) for base in bases]


if HAVE_NUMBA:
    _stamp_by_all_sources()

_MARKED: set[Callable[..., Any]] = set()


def _compile(function: Callable[..., Any], **options: bool) -> Callable[..., Any]:
    _MARKED.add(function)
    return numba.njit(cache=True, error_model="numpy", **options)(function) if HAVE_NUMBA else function


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile ``function`` on its first call and cache the machine code; without numba return it as it is."""
    return _compile(function)


def jit_entry(function: Callable[..., Any]) -> Callable[..., Any]:
    """:func:`jit` for functions that allocate no arrays: they count no references, which costs more than the work itself
    where many arrays are passed. The caller in Python keeps the arrays alive."""
    return _compile(function, _nrt=False)


def inner(function: Callable[..., Any]) -> Callable[..., Any]:
    """:func:`jit_entry` for functions that only compiled functions call: nothing is generated to call them from Python."""
    return _compile(function, _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """:func:`inner` for functions whose arguments are costly to pass: their code goes into the caller."""
    return _compile(function, _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True)


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
