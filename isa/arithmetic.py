"""Arithmetic of assembly expressions on whole numbers, with limits that keep hostile input cheap."""

from __future__ import annotations

from collections.abc import Callable

VALUE_BITS = 128
"""A value or intermediate value must lie within -2^128..2^128."""
SHIFT_LIMIT = 128


def _limited(value: int) -> int:
    if abs(value) > 1 << VALUE_BITS:
        raise ArithmeticError(f"a value beyond 2^{VALUE_BITS}")
    return value


def _divisor(value: int) -> int:
    if value == 0:
        raise ArithmeticError("division by zero")
    return value


def _shift(value: int) -> int:
    if not 0 <= value <= SHIFT_LIMIT:
        raise ArithmeticError(f"a shift by {value}, must be 0..{SHIFT_LIMIT}")
    return value


def _log2(value: int) -> int:
    if value < 1 or value & (value - 1):
        raise ArithmeticError(f"log2({value}): not a power of two")
    return value.bit_length() - 1


_BINARY = {
    "+": lambda x, y: x + y, "-": lambda x, y: x - y, "*": lambda x, y: x * y,
    "/": lambda x, y: x // _divisor(y), "%": lambda x, y: x % _divisor(y),
    "<<": lambda x, y: x << _shift(y), ">>": lambda x, y: x >> _shift(y),
    "&": lambda x, y: x & y, "|": lambda x, y: x | y, "^": lambda x, y: x ^ y,
    "==": lambda x, y: int(x == y), "!=": lambda x, y: int(x != y), "<": lambda x, y: int(x < y), "<=": lambda x, y: int(x <= y),
    ">": lambda x, y: int(x > y), ">=": lambda x, y: int(x >= y),
    "&&": lambda x, y: int(bool(x and y)), "||": lambda x, y: int(bool(x or y)),
}
_UNARY = {"-": lambda x: -x, "+": lambda x: x, "~": lambda x: ~x, "!": lambda x: int(not x)}
FUNCTIONS: dict[str, tuple[int | None, Callable[..., int], str]] = {
    "min": (None, min, "smallest"),
    "max": (None, max, "largest"),
    "abs": (1, abs, "absolute value"),
    "log2": (1, _log2, "exponent of a power of two"),
    "ceildiv": (2, lambda x, y: -(-x // _divisor(y)), "x / y rounded up"),
    "align": (2, lambda x, y: -(-x // _divisor(y)) * y, "x rounded up to a multiple of y"),
}
"""Name: number of arguments (None: any), function, meaning."""


def apply_binary(op: str, left: int, right: int) -> int:
    """Return the value of ``left op right``; ArithmeticError says what is wrong with it."""
    return _limited(_BINARY[op](left, right))


def apply_unary(op: str, value: int) -> int:
    return _UNARY[op](value)


def call_function(name: str, args: list[int]) -> int:
    """Return the value of a function of :data:`FUNCTIONS`; ArithmeticError says what is wrong."""
    count, function, _ = FUNCTIONS[name]
    if count is not None and len(args) != count:
        raise ArithmeticError(f"`{name}` takes {count} argument{'s' if count > 1 else ''}, not {len(args)}")
    return _limited(function(args) if count is None else function(*args))
