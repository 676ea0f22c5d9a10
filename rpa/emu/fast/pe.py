"""Steps of a `run` whose contexts are more than MACs of the two buses: one compiled loop over steps and PEs (design.md section 6).

The stages overlap only in one visible way: the accumulator write of a step happens in the cycle in which the next step
executes. So a PE keeps its last write pending while it executes, and an accumulator operand is what was there before it.
Numbers of operations, sources, destinations and routes are those of `isa.table`.
"""

from __future__ import annotations

import numpy as np

from rpa.arch.jit import jit
from rpa.arch.rounding import sign_extend
from rpa.emu.fast.layout import COND, CONTEXT, DST, OP, ROUTE, SRC

_NOP, _MAC, _MACL, _MOV, _ADD, _SUB, _MUL = (OP[name] for name in ("nop", "mac", "macl", "mov", "add", "sub", "mul"))
_MIN, _MAX, _ABS, _AND, _OR, _XOR = (OP[name] for name in ("min", "max", "abs", "and", "or", "xor"))
_SHL, _SHR, _SRA, _SEL, _CEQ, _CLT = (OP[name] for name in ("shl", "shr", "sra", "sel", "ceq", "clt"))
_A, _W, _NORTH, _EAST, _SOUTH, _WEST, _ACC, _IMM, _R0 = (SRC[name] for name in ("a", "w", "north", "east", "south", "west", "acc", "imm", "r0"))
_TO_ACC, _TO_ACCA, _TO_R0 = DST["acc"], DST["acca"], DST["r0"]
_HOLD, _RESULT, _X, _BUS_A = ROUTE["hold"], ROUTE["result"], ROUTE["x"], ROUTE["a"]
_ROUTE_NORTH, _ROUTE_EAST, _ROUTE_SOUTH = ROUTE["north"], ROUTE["east"], ROUTE["south"]
_IF_P, _IF_NP = COND["p"], COND["np"]
_WORD = 0xFFFF
FIELDS = ("op", "x", "y", "dst", "route", "cond", "imm")
"""Order of a decoded context's items."""
_NOTHING, _ADDS, _STORES = 0, 1, 2
"""What a PE's pending accumulator write does."""


def decode_contexts(words: np.ndarray, cbits: int) -> np.ndarray:
    """Context words (slots, rows, cols) as int64 (slots, rows, cols, len(FIELDS)), the immediate as the 16-bit operand."""
    items = []
    for name in FIELDS:
        field = CONTEXT[name]
        items.append((words.astype(np.int64) & field.mask) >> field.lo)
    lane = sign_extend_array(items[-1], CONTEXT["imm"].bits) & ((1 << cbits) - 1)
    items[-1] = np.bitwise_or.reduce([lane << shift for shift in range(0, 16, cbits)])
    return np.ascontiguousarray(np.stack(items, axis=-1))


def sign_extend_array(values: np.ndarray, bits: int) -> np.ndarray:
    half = 1 << (bits - 1)
    return (values ^ half) - half


@jit
def _bus(word, bits, cbits, piece, signed):
    """The 16-bit operand: slice ``piece`` of ``word``, its elements widened to cbits."""
    if bits == cbits:
        return word
    lanes = 16 // cbits
    result = 0
    for lane in range(lanes):
        element = (word >> (bits * (piece * lanes + lane))) & ((1 << bits) - 1)
        if signed:
            element = sign_extend(element, bits) & ((1 << cbits) - 1)
        result |= element << (lane * cbits)
    return result


@jit
def _lane(word, lane, cbits, signed):
    element = (word >> (lane * cbits)) & ((1 << cbits) - 1)
    return sign_extend(element, cbits) if signed else element


@jit
def _lane_result(op, x, y, signed):
    """One lane of a lane-wise operation; only the low bits count."""
    if op == _ADD:
        return x + y
    if op == _SUB:
        return x - y
    if op == _MUL:
        return x * y
    if op == _MIN:
        return min(x, y)
    if op == _MAX:
        return max(x, y)
    return abs(x)


@jit
def _result(op, x, y, flag, cbits, asigned):
    """The 16-bit result of an operation that is no MAC; 0 where it has none."""
    if op == _MOV:
        return x
    if op == _AND:
        return x & y
    if op == _OR:
        return x | y
    if op == _XOR:
        return x ^ y
    if op == _SHL:
        return (x << (y & 15)) & _WORD
    if op == _SHR:
        return x >> (y & 15)
    if op == _SRA:
        return (sign_extend(x, 16) >> (y & 15)) & _WORD
    if op == _SEL:
        return x if flag else y
    if op == _NOP or op == _CEQ or op == _CLT:
        return 0
    result = 0
    signed = asigned or op == _ABS
    for lane in range(16 // cbits):
        value = _lane_result(op, _lane(x, lane, cbits, signed), _lane(y, lane, cbits, signed), signed)
        result |= (value & ((1 << cbits) - 1)) << (lane * cbits)
    return result


@jit
def _flag(op, x, y, flag, asigned):
    if op == _CEQ:
        return 1 if x == y else 0
    if op == _CLT:
        return 1 if (sign_extend(x, 16) < sign_extend(y, 16) if asigned else x < y) else 0
    return flag


@jit
def _products(op, x, y, cbits, asigned, wsigned, lane_bits):
    """mac: the sum of the products; macl: the products in lanes of lane_bits."""
    total = 0
    for lane in range(16 // cbits):
        product = _lane(x, lane, cbits, asigned) * _lane(y, lane, cbits, wsigned)
        total += product if op == _MAC else (product & ((1 << lane_bits) - 1)) << (lane * lane_bits)
    return total


@jit
def _widened(word, cbits, asigned, lane_bits):
    """A result's lanes extended to lane_bits each."""
    total = 0
    for lane in range(16 // cbits):
        total |= (_lane(word, lane, cbits, asigned) & ((1 << lane_bits) - 1)) << (lane * lane_bits)
    return total


@jit
def _accumulated(before, kind, value, lanes, acc_bits):
    """The accumulator after a write, sign-extended; ``before`` is 0 on a first step."""
    if kind == _STORES:
        return sign_extend(value, acc_bits)
    if lanes == 1:
        return sign_extend(before + value, acc_bits)
    bits = acc_bits // lanes
    mask = (1 << bits) - 1
    total = 0
    for lane in range(lanes):
        total |= (((before >> (lane * bits)) + (value >> (lane * bits))) & mask) << (lane * bits)
    return sign_extend(total, acc_bits)


@jit
def _operand(source, abus, wbus, north, east, south, west, acc, imm, register):
    if source == _A:
        return abus
    if source == _W:
        return wbus
    if source == _NORTH:
        return north
    if source == _EAST:
        return east
    if source == _SOUTH:
        return south
    if source == _WEST:
        return west
    if source == _ACC:
        return acc & _WORD
    return imm if source == _IMM else register


@jit
def _routed(route, result, x, abus, north, east, south, west):
    if route == _RESULT:
        return result
    if route == _X:
        return x
    if route == _BUS_A:
        return abus
    if route == _ROUTE_NORTH:
        return north
    if route == _ROUTE_EAST:
        return east
    return south if route == _ROUTE_SOUTH else west


@jit
def _settle(acc, pending, index, first, acc_bits):
    """Do every PE's pending accumulator write, of a step at ``index``."""
    for row in range(pending.shape[1]):
        for col in range(pending.shape[2]):
            if pending[0, row, col] != _NOTHING:
                before = 0 if first else acc[index, row, col]
                acc[index, row, col] = _accumulated(before, pending[0, row, col], pending[1, row, col], pending[2, row, col], acc_bits)


@jit
def _execute(contexts, abuses, wbuses, acc, registers, flags, out, fresh, pending, widths):
    """EXEC of one step in every working PE: writes registers, flags and ``fresh`` (the next ``out``), leaves pending writes.

    Only scalars go to the helpers: an array argument inside the loop over PEs would cost more than the work.
    """
    cbits, asigned, wsigned, acc_bits = widths
    lanes = 16 // cbits
    for row in range(pending.shape[1]):
        for col in range(pending.shape[2]):
            pending[0, row, col] = _NOTHING
            flag, cond = flags[row, col], contexts[row, col, 5]
            if (cond == _IF_P and not flag) or (cond == _IF_NP and flag):
                continue
            op, dst, route, imm = contexts[row, col, 0], contexts[row, col, 3], contexts[row, col, 4], contexts[row, col, 6]
            north, east, south, west = out[row, col + 1], out[row + 1, col + 2], out[row + 2, col + 1], out[row + 1, col]
            abus, wbus, value = abuses[row], wbuses[col], acc[row, col]
            source = contexts[row, col, 1]
            x = _operand(source, abus, wbus, north, east, south, west, value, imm, registers[max(source - _R0, 0), row, col])
            source = contexts[row, col, 2]
            y = _operand(source, abus, wbus, north, east, south, west, value, imm, registers[max(source - _R0, 0), row, col])
            result = np.int64(0)
            if op == _MAC or op == _MACL:
                pending[0, row, col] = _ADDS
                pending[1, row, col] = _products(op, x, y, cbits, asigned, wsigned, acc_bits // lanes)
                pending[2, row, col] = 1 if op == _MAC else lanes
            else:
                result = np.int64(_result(op, x, y, flag, cbits, asigned))
                flags[row, col] = _flag(op, x, y, flag, asigned)
            if dst >= _TO_R0:
                registers[dst - _TO_R0, row, col] = result
            elif dst == _TO_ACC or dst == _TO_ACCA:
                pending[0, row, col] = _STORES if dst == _TO_ACC else _ADDS
                pending[1, row, col] = _widened(result, cbits, asigned, acc_bits // lanes)
                pending[2, row, col] = lanes
            if route != _HOLD:
                fresh[row + 1, col + 1] = _routed(route, result, x, abus, north, east, south, west)


@jit
def run_steps(a, w, a_steps, w_steps, acc_index, slot, first, contexts, acc, registers, flags, out, size, bits, widths):
    """Carry out a whole `run` in place.

    a, w: banks.  a_steps, w_steps: int64 (steps, 2): address, or -1 for a bus of 0, and slice.  acc_index, first: per step.
    slot: per step, the number in ``contexts``, which :func:`decode_contexts` gave.  acc, registers, flags: one bank's
    accumulators (16, rows, cols) and the PEs' state.  out: the PEs' output registers with a border of zeros around them.
    size: rows and columns that work.  bits: abits, wbits.  widths: cbits, asigned, wsigned, acc_bits.
    """
    rows, cols = size
    cbits, asigned, wsigned, acc_bits = widths
    abuses, wbuses = np.zeros(rows, dtype=np.int64), np.zeros(cols, dtype=np.int64)
    before, now = np.zeros((3, rows, cols), dtype=np.int64), np.zeros((3, rows, cols), dtype=np.int64)
    fresh = out.copy()
    for step in range(slot.size):
        address = a_steps[step, 0]
        for row in range(rows):
            abuses[row] = _bus(np.int64(a[address, row]), bits[0], cbits, a_steps[step, 1], asigned) if address >= 0 else 0
        address = w_steps[step, 0]
        for col in range(cols):
            wbuses[col] = _bus(np.int64(w[address, col]), bits[1], cbits, w_steps[step, 1], wsigned) if address >= 0 else 0
        _execute(contexts[slot[step]], abuses, wbuses, acc[acc_index[step]], registers, flags, out, fresh, now, widths)
        _settle(acc, before, acc_index[step - 1], first[step - 1], acc_bits)
        before, now = now, before
        out[:, :] = fresh
    _settle(acc, before, acc_index[slot.size - 1], first[slot.size - 1], acc_bits)
