"""The one door to numba: functions that are compiled where numba is installed, and their plain twins.

A function marked with :func:`jit` is written once. Compiled, it runs on int64 and arrays; its *plain twin* is the same
Python function whose calls to other such functions go to their plain twins, so that it runs without numba, on Python
integers and lists as well as on arrays.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import FunctionType
from typing import Any

try:
    import numba
    import numba.extending
    from llvmlite import ir
    from numba.core import caching
except ImportError:
    numba = None

HAVE_NUMBA = numba is not None
"""True if compiled paths are available."""

_ROOT = Path(__file__).resolve().parents[2]


_IMPORT = re.compile(r"^from ((?:rpa|isa)[.\w]*) import (\([^)]*\)|.*)", re.MULTILINE)


@cache
def _imports(path: Path) -> frozenset[Path]:
    """Files of this project that a file imports from: modules, and those among the names it takes from a package."""
    found = set()
    for module, names in _IMPORT.findall(path.read_text(encoding="utf-8")):
        place = _ROOT / module.replace(".", "/")
        inside = [place / f"{name}.py" for name in re.findall(r"\w+", names)] if place.is_dir() else [place.with_suffix(".py")]
        found.update(each for each in inside if each.is_file())
    return frozenset(found)


@cache
def _sources_digest(path: Path) -> str:
    """Of every source that compiled code of a file can depend on: what it imports, directly or not. numba itself looks at the
    file of a function alone, and would keep machine code that calls an older version of a function in another file."""
    found, waiting = {path, Path(__file__).resolve()}, [path]
    while waiting:
        more = _imports(waiting.pop()) - found
        found |= more
        waiting += more
    digest = sha256()
    for each in sorted(found):
        digest.update(each.read_bytes())
    return digest.hexdigest()


def _stamp_by_all_sources() -> None:
    """Make numba's cache of functions of this project depend on :func:`_sources_digest`."""
    def locator(base: type) -> type:
        class Locator(base):
            @classmethod
            def from_function(cls, function, file):
                return super().from_function(function, file) if Path(file).resolve().is_relative_to(_ROOT / "rpa") else None

            def get_source_stamp(self):
                return _sources_digest(Path(self._py_file).resolve())

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


def jit_nogil(function: Callable[..., Any]) -> Callable[..., Any]:
    """:func:`jit` for long work on arrays of its own: other threads of Python go on meanwhile."""
    return _compile(function, nogil=True)


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


VECTOR = 16
"""Elements that :func:`add_scaled` works on."""


def add_scaled(target, at, x, source, start):
    """target[at:at+VECTOR] += x * source[start:start+VECTOR]; flat arrays of one type, which must not overlap.

    Compiled, it is a handful of vector instructions, which the loop would become only behind a check, in every turn, that
    the arrays do not overlap.
    """
    target[at:at + VECTOR] += x * source[start:start + VECTOR]


def add_scaled_pair(target, at, x, source, start, y, second):
    """:func:`add_scaled` of two terms: x * source[start:...] + y * source[second:...]."""
    target[at:at + VECTOR] += x * source[start:start + VECTOR] + y * source[second:second + VECTOR]


def _add_scaled_terms(context, builder, signature, args):
    """Code of the two functions above: load, multiply by a number in every lane and add, store."""
    array, number = signature.args[0], signature.args[0].dtype
    lane, align = context.get_data_type(number), number.bitwidth // 8
    vector, undefined = ir.VectorType(lane, VECTOR), ir.Undefined
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), VECTOR), [0] * VECTOR)
    data = [context.make_array(array)(context, builder, args[i]).data for i in (0, 3)]

    def place(base, at):
        return builder.bitcast(builder.gep(base, [at]), vector.as_pointer())

    def multiplied(x, at):
        one = builder.insert_element(ir.Constant(vector, undefined), x, ir.Constant(ir.IntType(32), 0))
        every = builder.shuffle_vector(one, ir.Constant(vector, undefined), lanes)
        many = builder.load(place(data[1], at), align=align)
        return builder.fmul(every, many, flags=("contract",)) if isinstance(number, numba.types.Float) else builder.mul(every, many)

    total = builder.load(place(data[0], args[1]), align=align)
    for x, at in [(args[2], args[4])] + ([(args[5], args[6])] if len(args) > 5 else []):
        product = multiplied(x, at)
        total = builder.fadd(total, product, flags=("contract",)) if isinstance(number, numba.types.Float) else builder.add(total, product)
    builder.store(total, place(data[0], args[1]), align=align)


if HAVE_NUMBA:
    @numba.extending.intrinsic
    def _add_scaled(typing, target, at, x, source, start):
        index = numba.types.intp
        return numba.types.void(target, index, target.dtype, source, index), _add_scaled_terms

    @numba.extending.intrinsic
    def _add_scaled_pair(typing, target, at, x, source, start, y, second):
        index = numba.types.intp
        return numba.types.void(target, index, target.dtype, source, index, target.dtype, index), _add_scaled_terms

    for _plain, _fast in ((add_scaled, _add_scaled), (add_scaled_pair, _add_scaled_pair)):
        _fast.py_func = _plain
        _MARKED.add(_plain)
    add_scaled, add_scaled_pair = _add_scaled, _add_scaled_pair


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
