"""A run of `mac a, w` (or `macl`) as exact matrix products, one per set of accumulators that share their operands.

The elements of all words that a run reads are expanded once into a table of floats with a row of zeros at its end; a
product gathers its factors from there. Floats are exact here: a chunk of the reduction is chosen so that no sum can reach
2^24 (float32) or 2^53 (float64), chunks are added as integers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rpa.emu.fast.state import sign_extend
from rpa.emu.fast.stream import Operand, Steps

_ZERO = -1
"""Element number of the zero row."""
_CHUNK_FLOATS = 1 << 19
"""Gathered floats at a time, so that they stay in the cache."""
_SHORTEST_FLOAT32 = 256
"""Reduction chunks that are shorter than this are left to float64."""
FLOAT32_EXACT = 1 << 24
FLOAT64_EXACT = 1 << 53


@dataclass(frozen=True, eq=False)
class Factor:
    """One product: ``many`` gathers the operand that differs between the accumulators, ``one`` the operand they share."""

    members: np.ndarray
    """Numbers of the accumulators in :attr:`Product.acc`."""
    shared: str
    """`w`: the accumulators share W and differ in A; `a`: the other way."""
    many: np.ndarray
    """(lane sets, reduction, members) element numbers."""
    one: np.ndarray
    """(lane sets, reduction)."""


@dataclass(frozen=True, eq=False)
class Product:
    """The products of one run. Lane sets: 1 for mac (lanes are part of the reduction), the lanes for macl."""

    acc: np.ndarray
    """Accumulator indices relative to cbase that the run writes, ascending."""
    overwrites: np.ndarray
    """Per accumulator: some step starts it from 0; what was there is lost."""
    factors: tuple[Factor, ...]


def element_numbers(operand: Operand, bits: int, lanes: int) -> np.ndarray:
    """(steps + 1, lanes) element numbers in the expanded table; the extra row is the zero row."""
    per_word = 16 // bits
    first = (operand.address - operand.low) * per_word + operand.piece * lanes
    numbers = np.where(operand.filled[:, None], first[:, None] + np.arange(lanes), _ZERO)
    return np.vstack((numbers, np.full((1, lanes), _ZERO)))


def _members(steps: Steps) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(acc indices, overwrites, (longest, accs) step numbers that count; ``steps.count`` where there is none)."""
    acc = np.unique(steps.acc)
    lists, overwrites = [], []
    for index in acc:
        where = np.flatnonzero(steps.acc == index)
        starts = np.flatnonzero(steps.first[where])
        overwrites.append(starts.size > 0)
        lists.append(where[starts[-1]:] if starts.size else where)
    table = np.full((max(map(len, lists)), acc.size), steps.count)
    for number, where in enumerate(lists):
        table[:where.size, number] = where
    return acc, np.array(overwrites), table


def _classes(table: np.ndarray) -> list[np.ndarray]:
    """Members with the same column in (lane sets, reduction, members)."""
    found: dict[bytes, list[int]] = {}
    for member in range(table.shape[2]):
        found.setdefault(table[:, :, member].tobytes(), []).append(member)
    return [np.array(members) for members in found.values()]


def product_of(steps: Steps, by_lane: bool) -> Product:
    """Build the products of a run whose every step is `mac a, w` (``by_lane``: `macl a, w`) in every working PE."""
    r, lanes = steps.registers, steps.lanes
    acc, overwrites, table = _members(steps)

    def gather(operand: Operand, bits: int) -> np.ndarray:
        numbers = element_numbers(operand, bits, lanes)[table]
        if by_lane:
            return np.ascontiguousarray(numbers.transpose(2, 0, 1))
        return np.ascontiguousarray(numbers.transpose(0, 2, 1)).reshape(1, -1, acc.size)

    a, w = gather(steps.a, r.abits), gather(steps.w, r.wbits)
    by_w, by_a = _classes(w), _classes(a)
    factors = []
    shared, many, one = ("w", a, w) if len(by_w) <= len(by_a) else ("a", w, a)
    for members in by_w if shared == "w" else by_a:
        factors.append(Factor(members, shared, np.ascontiguousarray(many[:, :, members]), np.ascontiguousarray(one[:, :, members[0]])))
    return Product(acc, overwrites, tuple(factors))


def expand(words: np.ndarray, bits: int, signed: bool) -> np.ndarray:
    """Elements of ``words`` (n, banks) uint16, low first: (n * 16/bits, banks) of int16 or uint16."""
    if bits == 16:
        return words.view(np.int16) if signed else words
    per_word = 16 // bits
    up = (16 - bits * np.arange(1, per_word + 1)).astype(np.uint16)
    aligned = words[:, None, :] << up[:, None]
    aligned = aligned.view(np.int16) if signed else aligned
    return (aligned >> np.array(16 - bits, dtype=aligned.dtype)).reshape(-1, words.shape[1])


def largest(elements: np.ndarray) -> int:
    """Largest magnitude; 0 for no elements."""
    return max(int(elements.max(initial=0)), -int(elements.min(initial=0)))


def _floats(elements: np.ndarray, dtype: type) -> np.ndarray:
    table = np.empty((elements.shape[0] + 1, elements.shape[1]), dtype=dtype)
    table[:-1] = elements
    table[-1] = 0
    return table


def exact_chunk(bound: int) -> tuple[type, int]:
    """(float type, longest reduction) so that sums of products up to ``bound`` in magnitude stay exact."""
    single = (FLOAT32_EXACT - 1) // max(bound, 1)
    if single >= _SHORTEST_FLOAT32:
        return np.float32, single
    return np.float64, (FLOAT64_EXACT - 1) // max(bound, 1)


def multiply(product: Product, a: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Sums of products, exact: (lane sets, accs, rows, cols) int64.

    a: (elements, rows), w: (elements, cols), as :func:`expand` gives them from the lowest address on that the run reads.
    """
    bound = largest(a) * largest(w)
    dtype, longest = exact_chunk(bound)
    if product.factors[0].many.shape[1] < _SHORTEST_FLOAT32 and product.factors[0].many.shape[1] * bound < FLOAT32_EXACT:
        dtype = np.float32
    tables = {"a": _floats(a, dtype), "w": _floats(w, dtype)}
    rows, cols = a.shape[1], w.shape[1]
    sets = product.factors[0].one.shape[0]
    result = np.empty((sets, product.acc.size, rows, cols), dtype=np.int64)
    for factor in product.factors:
        many, one = (tables["a"], tables["w"]) if factor.shared == "w" else (tables["w"], tables["a"])
        for lane in range(sets):
            total = _chunked(factor.many[lane], factor.one[lane], many, one, longest)
            if factor.shared == "w":
                result[lane, factor.members] = total.reshape(-1, rows, cols)
            else:
                result[lane, factor.members] = total.reshape(-1, cols, rows).transpose(0, 2, 1)
    return result


def _chunked(many: np.ndarray, one: np.ndarray, many_table: np.ndarray, one_table: np.ndarray, longest: int) -> np.ndarray:
    """(members * side of many, side of one) int64: the product, a chunk of the reduction at a time."""
    length, members = many.shape
    width = members * many_table.shape[1]
    step = max(1, min(longest, max(256, _CHUNK_FLOATS // width)))
    total = np.zeros((width, one_table.shape[1]), dtype=np.int64)
    for start in range(0, length, step):
        left = many_table.take(many[start:start + step], axis=0).reshape(-1, width)
        right = one_table.take(one[start:start + step], axis=0)
        total += (left.T @ right).astype(np.int64)
    return total


def accumulate(acc: np.ndarray, product: Product, sums: np.ndarray, cbase: int, bits: int) -> None:
    """Put ``sums`` of :func:`multiply` into one bank's accumulators (16, rows, cols), modulo 2^(bits / lane sets) per lane."""
    sets = sums.shape[0]
    index = (product.acc + cbase) % acc.shape[0]
    before = np.where(product.overwrites[:, None, None], 0, acc[index])
    if sets == 1:
        acc[index] = sign_extend(before + sums[0], bits)
        return
    lane_bits = bits // sets
    mask = (1 << lane_bits) - 1
    total = np.zeros_like(before)
    for lane in range(sets):
        total |= ((((before >> (lane * lane_bits)) & mask) + sums[lane]) & mask) << (lane * lane_bits)
    acc[index] = sign_extend(total, bits)
