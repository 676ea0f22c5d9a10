"""Multiplexers that take one 4-input LUT for every two words: each stage chooses between two words, or passes on."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value


def stage(m: Module, before: Value, take: Value, low: Value, high: Value) -> Signal:
    """Bitwise: ``before`` without ``take``; with it, ``high`` where ``before`` is 1 and ``low`` where it is 0."""
    given, result = Signal(len(before), name="stage_in"), Signal(len(before), name="stage_out")  # an expression is copied where it is used
    wide = take.replicate(len(before))
    m.d.comb += [given.eq(before), result.eq((given & ~wide) | (wide & ((given & high) | (~given & low))))]
    return result


def choose(m: Module, select: Value, values: Sequence[Value]) -> Value:
    """``values[select]`` for an even number of values of one width.

    A binary tree takes (n - 1) LUTs a bit, or three for four words. Here the first stage gives one of the first two words, or the select's low
    bit in every place, which tells a later stage which of its two words is meant.
    """
    number = Signal(len(select), name="chosen")
    m.d.comb += number.eq(select)
    odd, pair = number[0], number[1:]
    every = odd.replicate(len(values[0]))
    first = (pair == 0).replicate(len(values[0]))
    result = (first & ((every & values[1]) | (~every & values[0]))) | (~first & every)
    for k in range(1, len(values) // 2):
        result = stage(m, result, pair == k, values[2 * k], values[2 * k + 1])
    return result


def constant_or(select_x: Value, select_y: Value, x: Value, y: Value) -> Value:
    """x, y, all ones (both selected) or 0; the selects are one bit, or one for each bit of the words."""
    return Cat(Mux(b, Mux(a, Const(1), q), Mux(a, p, Const(0))) for a, b, p, q in
               zip(_spread(select_x, len(x)), _spread(select_y, len(x)), x, y, strict=True))


def _spread(select: Value, bits: int) -> Value:
    return select if len(select) == bits else select.replicate(bits)
