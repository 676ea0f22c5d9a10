"""What one PE computes in a step: scalar cores that also work on int64 arrays, without branches on data.

``x`` and ``y`` are 16-bit words, unsigned; branches are on the operation and the width alone.
"""

from __future__ import annotations

from rpa.arch.jit import inner
from rpa.arch.rounding import sign_extend
from rpa.emu.step import layout as L


@inner
def lane_of(word, lane, bits, signed):
    """Element ``lane`` of a packed word as a number."""
    raw = word >> (lane * bits) & ((1 << bits) - 1)
    return sign_extend(raw, bits) if signed else raw


@inner
def slice_word(word, bits, cbits, signed, part):
    """Feeder: lanes part*L .. part*L+L-1 of a word of ``bits`` wide elements, each extended to cbits; L = 16/cbits."""
    if bits == cbits:
        return word
    lanes = 16 // cbits
    result = word & 0
    for lane in range(lanes):
        result = result | (lane_of(word, part * lanes + lane, bits, signed) & ((1 << cbits) - 1)) << (lane * cbits)
    return result


@inner
def dot(x, y, cbits, xsigned, ysigned):
    """Sum over lanes of products; |sum| < 2^35."""
    total = x & 0
    for lane in range(16 // cbits):
        total = total + lane_of(x, lane, cbits, xsigned) * lane_of(y, lane, cbits, ysigned)
    return total


@inner
def dot_lanes(x, y, cbits, xsigned, ysigned, acc_bits):
    """The product of each lane modulo a lane of the accumulator, at that lane's place."""
    lanes = 16 // cbits
    width = acc_bits // lanes
    result = x & 0
    for lane in range(lanes):
        product = lane_of(x, lane, cbits, xsigned) * lane_of(y, lane, cbits, ysigned)
        result = result | (product & ((1 << width) - 1)) << (lane * width)
    return result


@inner
def spread_lanes(word, cbits, signed, acc_bits):
    """Each lane of a result extended to a lane of the accumulator."""
    lanes = 16 // cbits
    width = acc_bits // lanes
    result = word & 0
    for lane in range(lanes):
        result = result | (lane_of(word, lane, cbits, signed) & ((1 << width) - 1)) << (lane * width)
    return result


@inner
def add_lanes(acc, value, lanes, acc_bits):
    """acc + value, each lane modulo its width."""
    width = acc_bits // lanes
    mask = (1 << width) - 1
    result = acc & 0
    for lane in range(lanes):
        result = result | (((acc >> (lane * width)) + (value >> (lane * width))) & mask) << (lane * width)
    return result


@inner
def lane_result(op, a, b):
    """One lane of a lane-wise operation, before truncation."""
    if op == L.PE_ADD:
        return a + b
    if op == L.PE_SUB:
        return a - b
    if op == L.PE_MUL:
        return a * b
    if op == L.PE_MIN:
        return a + (b - a) * (b < a)
    if op == L.PE_MAX:
        return a + (b - a) * (b > a)
    return a - 2 * a * (a < 0)


@inner
def alu(op, x, y, flag, cbits, asigned, wsigned):
    """The 16-bit result of an operation that has one, 0 for any other."""
    if L.PE_ADD <= op <= L.PE_ABS:
        xsigned = asigned == 1 or op == L.PE_ABS
        ysigned = wsigned == 1 if op == L.PE_MUL else asigned == 1
        result = x & 0
        for lane in range(16 // cbits):
            value = lane_result(op, lane_of(x, lane, cbits, xsigned), lane_of(y, lane, cbits, ysigned))
            result = result | (value & ((1 << cbits) - 1)) << (lane * cbits)
        return result
    if op == L.PE_MOV:
        return x
    if op == L.PE_AND:
        return x & y
    if op == L.PE_OR:
        return x | y
    if op == L.PE_XOR:
        return x ^ y
    if op == L.PE_SHL:
        return (x << (y & 15)) & L.WORD_MASK
    if op == L.PE_SHR:
        return x >> (y & 15)
    if op == L.PE_SRA:
        return (sign_extend(x, 16) >> (y & 15)) & L.WORD_MASK
    if op == L.PE_SEL:
        return y + (x - y) * flag
    return x & 0


@inner
def compare(op, x, y, asigned):
    """The new flag of a comparison: 0 or 1."""
    if op == L.PE_CEQ:
        return (x == y) * 1
    if asigned:
        return (sign_extend(x, 16) < sign_extend(y, 16)) * 1
    return (x < y) * 1


@inner
def immediate_word(word, cbits):
    """The immediate of a context, in every lane."""
    value = sign_extend(word >> L.IMM_LO & L.IMM_MAX, L.IMM_BITS) & ((1 << cbits) - 1)
    result = 0
    for lane in range(16 // cbits):
        result |= value << (lane * cbits)
    return result


@inner
def acc_kind(op, dst):
    """What a context hands to ACC (layout.KIND_...), whatever its condition."""
    if op == L.PE_MAC:
        return L.KIND_ADD
    if op == L.PE_MACL or dst == L.DST_ACCA:
        return L.KIND_ADD_LANES
    if dst == L.DST_ACC:
        return L.KIND_STORE
    return L.KIND_NONE


@inner
def acc_value(op, x, y, result, cbits, asigned, wsigned, acc_bits):
    """The value that goes with :func:`acc_kind`."""
    if op == L.PE_MAC:
        return dot(x, y, cbits, asigned == 1, wsigned == 1)
    if op == L.PE_MACL:
        return dot_lanes(x, y, cbits, asigned == 1, wsigned == 1, acc_bits)
    return spread_lanes(result, cbits, asigned == 1, acc_bits)


@inner
def rotate_left(sig, bits):
    """A signature rotated left by one."""
    return ((sig << 1) | (sig >> (bits - 1))) & ((1 << bits) - 1)
