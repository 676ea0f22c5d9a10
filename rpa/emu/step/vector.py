"""NumPy forms of the datapath loops in `array` and `columns`, for the plain path; with those of `vector_copies`.

Each function has the contract of the compiled one of the same name and uses the same scalar cores on whole arrays.
:data:`REPLACEMENTS` maps the one to the other.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import numpy as np

from isa.table import PARAM_WORDS
from rpa.arch.jit import plain
from rpa.arch.lfsr import lfsr_next, lfsr_seed
from rpa.arch.packing import entry_bias, entry_multiplier, entry_shift
from rpa.arch.rounding import round_shift, saturate, saturate32, shift_is_legal, unsaturated_value
from rpa.emu.step import array, columns, pe, vector_copies
from rpa.emu.step import layout as L

_acc_kind, _acc_value, _add_lanes, _alu, _compare, _immediate_word, _lane_of, _rotate_left, _slice_word = map(
    plain, (pe.acc_kind, pe.acc_value, pe.add_lanes, pe.alu, pe.compare, pe.immediate_word, pe.lane_of, pe.rotate_left, pe.slice_word))
_entry_bias, _entry_multiplier, _entry_shift, _round_shift, _saturate, _saturate32, _shift_is_legal, _unsaturated_value = map(
    plain, (entry_bias, entry_multiplier, entry_shift, round_shift, saturate, saturate32, shift_is_legal, unsaturated_value))
_lfsr_next, _lfsr_seed = plain(lfsr_next), plain(lfsr_seed)
_WITHOUT_RESULT = (L.PE_NOP, L.PE_MAC, L.PE_MACL, L.PE_CEQ, L.PE_CLT)
_EVERY_WORD = np.arange(1 << 16, dtype=np.int64)

# -- PE array ---------------------------------------------------------------------------------------------------------


@cache
def _slice_table(bits: int, cbits: int, signed: bool, part: int) -> np.ndarray:
    """Bus word of every 16-bit word."""
    return _slice_word(_EVERY_WORD, bits, cbits, signed, part)


@cache
def _lane_table(cbits: int, signed: bool) -> np.ndarray:
    """Lanes of every 16-bit word: int64 (65536, 16/cbits)."""
    return np.stack([_lane_of(_EVERY_WORD, lane, cbits, signed) for lane in range(16 // cbits)], axis=1)


def load_context(ctx, uniform, slot, word, rmask, cmask):
    _, rows, cols = ctx.shape
    chosen = (rmask >> np.arange(rows) & 1)[:, None] & (cmask >> np.arange(cols) & 1)
    ctx[slot][chosen == 1] = word
    uniform[slot] = ctx[slot, 0, 0] if (ctx[slot] == ctx[slot, 0, 0]).all() else -1


def read_banks(words, bank, address):
    words[:] = bank[address]


def feed_bus(bus, feeder, words, count, read, filled, slot, bits, cbits, signed, part):
    if read:
        feeder[slot, :count] = words[:count]
    if read or filled:
        word = feeder[slot]
        bus[:] = word if bits == cbits else _slice_table(bits, cbits, signed == 1, part)[word]
        bus[count:] = 0
    else:
        bus[:] = 0


def exec_mac(given, half, abus, wbus, rows, cols, cbits, asigned, wsigned):
    a, w = _lane_table(cbits, asigned == 1)[abus[:rows]], _lane_table(cbits, wsigned == 1)[wbus[:cols]]
    np.matmul(a, w.T, out=given[half, :rows, :cols])


def _neighbours(out: np.ndarray, direction: int) -> np.ndarray:
    moved = np.zeros_like(out)
    if direction == L.SRC_NORTH:
        moved[1:] = out[:-1]
    elif direction == L.SRC_SOUTH:
        moved[:-1] = out[1:]
    elif direction == L.SRC_WEST:
        moved[:, 1:] = out[:, :-1]
    else:
        moved[:, :-1] = out[:, 1:]
    return moved


_FROM = {L.ROUTE_NORTH: L.SRC_NORTH, L.ROUTE_EAST: L.SRC_EAST, L.ROUTE_SOUTH: L.SRC_SOUTH, L.ROUTE_WEST: L.SRC_WEST}


def _operand(m, source, word, bank, index, cbits) -> np.ndarray | int:
    """An operand of every PE: (R, C), or what broadcasts to it."""
    if source == L.SRC_A:
        return m.abus[:, None]
    if source == L.SRC_W:
        return m.wbus
    if source >= L.SRC_R0:
        return m.regs[source - L.SRC_R0]
    if source == L.SRC_ACC:
        return m.acc[bank, index] & L.WORD_MASK
    if source == L.SRC_IMM:
        return _immediate_word(word, cbits)
    return _neighbours(m.out, source)


def _routed(m, route, x, result) -> np.ndarray:
    if route == L.ROUTE_RESULT:
        return result
    if route == L.ROUTE_X:
        return x
    if route == L.ROUTE_A:
        return m.abus[:, None]
    return _neighbours(m.out, _FROM[route])


def _exec_group(m, word, chosen, half, bank, index, cbits, asigned, wsigned, acc_bits, recording) -> bool:
    """Execute one context word in the PEs of the mask ``chosen``; True if it has a kind."""
    op, dst = word >> L.OP_LO & L.OP_MAX, word >> L.DST_LO & L.DST_MAX
    route, condition = word >> L.ROUTE_LO & L.ROUTE_MAX, word >> L.COND_LO & L.COND_MAX
    kind = _acc_kind(op, dst)
    if condition != L.COND_ALWAYS:
        chosen = chosen & (m.flag == (1 if condition == L.COND_P else 0))
    x: Any = 0
    y: Any = 0
    result: Any = 0
    if op != L.PE_NOP or route == L.ROUTE_X:
        x = _operand(m, word >> L.X_LO & L.X_MAX, word, bank, index, cbits)
    if op != L.PE_NOP:
        y = _operand(m, word >> L.Y_LO & L.Y_MAX, word, bank, index, cbits)
    if op not in _WITHOUT_RESULT:
        result = _alu(op, x, y, m.flag, cbits, asigned, wsigned)
    if kind != L.KIND_NONE:
        np.copyto(m.kind[half], kind, where=chosen)
        np.copyto(m.given[half], _acc_value(op, x, y, result, cbits, asigned, wsigned, acc_bits), where=chosen)
    if route != L.ROUTE_HOLD:
        np.copyto(m.next_out, _routed(m, route, x, result), where=chosen)
    if dst >= L.DST_R0:
        if recording:
            signature = _rotate_left(m.reg_sig, 16) ^ result ^ (dst - L.DST_R0) << 8
            np.copyto(m.reg_sig, signature, where=chosen)
        np.copyto(m.regs[dst - L.DST_R0], result, where=chosen)
    if op in (L.PE_CEQ, L.PE_CLT):
        np.copyto(m.flag, _compare(op, x, y, asigned), where=chosen)
    return kind != L.KIND_NONE


@lru_cache(maxsize=256)
def _groups(words: bytes, shape: tuple[int, int], rows: int, cols: int) -> list[tuple[int, np.ndarray]]:
    """(context word, mask of the PEs that have it) of the PEs that work. words: int64 of ``shape``."""
    contexts = np.frombuffer(words, np.int64).reshape(shape)
    active = np.zeros(shape, bool)
    active[:rows, :cols] = True
    return [(int(word), active & (contexts == word)) for word in np.unique(contexts[:rows, :cols])]


def exec_step(m, half, slot, bank, index, rows, cols, cbits, asigned, wsigned, acc_bits, recording):
    m.kind[half, :rows, :cols] = L.KIND_NONE
    m.next_out[:] = m.out
    writes = False
    groups = _groups(m.ctx[slot].tobytes(), m.out.shape, rows, cols)
    for word, chosen in groups:
        writes = _exec_group(m, word, chosen, half, bank, index, cbits, asigned, wsigned, acc_bits, recording) or writes
    m.out[:] = m.next_out
    return writes


def accumulate_plain(acc, acc_sig, given, half, bank, index, rows, cols, first, acc_bits, recording):
    mask = (1 << acc_bits) - 1
    target, value = acc[bank, index, :rows, :cols], given[half, :rows, :cols]
    if first:
        np.bitwise_and(value, mask, out=target)
    else:
        np.add(target, value, out=target)
        np.bitwise_and(target, mask, out=target)
    if recording:
        acc_sig[:rows, :cols] = _rotate_left(acc_sig[:rows, :cols], acc_bits) ^ target ^ (bank << 4 | index)


def accumulate(acc, acc_sig, given, kind, half, bank, index, rows, cols, first, acc_bits, lanes, recording):
    target, kinds, value = acc[bank, index, :rows, :cols], kind[half, :rows, :cols], given[half, :rows, :cols]
    same = kinds[0, 0] == kinds.min() == kinds.max()
    found = [int(kinds[0, 0])] if same else np.unique(kinds).tolist()
    old, result = 0 if first else target, value
    if L.KIND_ADD in found or (L.KIND_ADD_LANES in found and lanes == 1):
        result = (old + value) & ((1 << acc_bits) - 1)
    if L.KIND_ADD_LANES in found and lanes > 1:
        by_lane = _add_lanes(old + (value & 0), value, lanes, acc_bits)
        result = by_lane if len(found) == 1 else np.where(kinds == L.KIND_ADD_LANES, by_lane, result)
    if L.KIND_STORE in found:
        result = np.where(kinds == L.KIND_STORE, value, result)
    written = kinds != L.KIND_NONE if L.KIND_NONE in found else True
    np.copyto(target, result, where=written)
    if recording:
        signature = _rotate_left(acc_sig[:rows, :cols], acc_bits) ^ result ^ (bank << 4 | index)
        np.copyto(acc_sig[:rows, :cols], signature, where=written)


# -- columns of the drain ---------------------------------------------------------------------------------------------


def read_accumulators(value, slot, acc, bank, index, row, shift):
    value[slot] = acc[bank, index, row] >> shift


def read_entries(params, slot, pbank, entry):
    params[slot] = pbank[PARAM_WORDS * entry:PARAM_WORDS * (entry + 1)]


def bad_shift(params, slot, rounding):
    shifts = _entry_shift(params[slot, 5])
    legal = _shift_is_legal(shifts, rounding)
    return -1 if legal.all() else int(shifts[~legal][0])


def accumulate_bias(value, params, changed, slot, pre, width):
    bias = _entry_bias(params[slot, 0], params[slot, 1], params[slot, 2])
    exact = _unsaturated_value(value[slot], bias, pre, width)
    value[slot] = _saturate32(exact)
    changed[slot] = value[slot] != exact


def divide_columns(value, params, lfsr, slot, rounding, raw, stochastic):
    if raw == 0:
        product = value[slot] * _entry_multiplier(params[slot, 3], params[slot, 4])
        value[slot] = _round_shift(product, _entry_shift(params[slot, 5]), rounding, lfsr)
    if stochastic:
        lfsr[:] = _lfsr_next(lfsr)


def clamp_column(q, value, changed, slot, zero_point, low, high):
    scaled = value[slot] + zero_point
    limited = _saturate(scaled, low, high)
    q[:] = limited & L.WORD_MASK
    return int(np.count_nonzero((limited != scaled) | (changed[slot] == 1)))


def half_columns(q, value, changed, slot, half):
    q[:] = value[slot] >> (16 * half) & L.WORD_MASK
    return int(changed[slot].sum()) * (1 - half)


def pack_column(word, q, shift, bits):
    part = (q & ((1 << bits) - 1)) << shift
    word[:] = word | part if shift > 0 else part


def write_line(obank, address, word):
    obank[address] = word


def seed_columns(lfsr, value):
    lfsr[:] = [_lfsr_seed(value, c) for c in range(len(lfsr))]


REPLACEMENTS = {getattr(module, name): globals()[name] for module, names in (
    (array, ("load_context", "read_banks", "feed_bus", "exec_mac", "exec_step", "accumulate_plain", "accumulate")),
    (columns, ("read_accumulators", "read_entries", "bad_shift", "accumulate_bias", "divide_columns", "clamp_column", "half_columns",
               "pack_column", "write_line", "seed_columns")),
) for name in names} | vector_copies.REPLACEMENTS
