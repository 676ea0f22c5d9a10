"""NumPy forms of the event loop's loops over data, for the plain path; those of the datapaths are in `rpa.emu.step.vector`.

Each function has the contract of the compiled one of the same name.
"""

from __future__ import annotations

import numpy as np

from rpa.arch.jit import plain
from rpa.emu.fast import alone, copies, events, macs, touched
from rpa.emu.fast import future as F
from rpa.emu.step import layout as L
from rpa.emu.step import pe
from rpa.emu.step import vector as step_vector

_lane_of, _acc_kind = plain(pe.lane_of), plain(pe.acc_kind)


def widen(lanes_of, at, stride, bank, address, count, bits, lanes, signed, part):
    words = bank[address, :count].astype(np.int64)
    for lane in range(lanes):
        lanes_of[at + lane * stride:at + lane * stride + count] = _lane_of(words, part * lanes + lane, bits, signed)


def multiply(sums, at, bank, address, rows, bits, part, signed, w, w_at, stride, lanes):
    words, y = bank[address, :rows].astype(np.int64), w[w_at:w_at + lanes * stride].reshape(lanes, stride)
    x = np.stack([_lane_of(words, part * lanes + lane, bits, signed) for lane in range(lanes)])
    sums[at:at + rows * stride] += (x.astype(w.dtype).T @ y).reshape(-1)


def settle(s, acc, sums, written, rows, cols, size, stride):
    mask, bank = (1 << s[L.ACC_BITS]) - 1, acc[s[L.EX_BANK]]
    for index in np.flatnonzero(written[0]):
        part = sums[index * size:index * size + rows * stride].reshape(rows, stride)
        before = 0 if written[1, index] else bank[index, :rows, :cols]
        bank[index, :rows, :cols] = (before + part[:, :cols].astype(np.int64)) & mask
        part[:] = 0
    written[:] = 0


def clear(sums, at, size):
    sums[at:at + size] = 0


def copy_units(bank, b, at, memory, start, units, unit, dstep, sstep):
    words = memory[(start + np.arange(units) * sstep)[:, None] + np.arange(unit)]
    if dstep == unit:
        bank[at:at + units * unit, b] = words.reshape(-1)
        return
    for u in range(units):
        bank[at + u * dstep:at + u * dstep + unit, b] = words[u]


def meets(marks, low, high, first, count, look):
    part = slice(max(first, low) - low, max(0, min(first + count - 1, high) + 1 - low))
    if look:
        return bool(marks[part].any())
    marks[part] = 1
    return False


def note_overwritten(s, memory, journal):
    at, first, count = s[F.JOURNALLED], s[L.ST_OUT_ADDRESS] >> 1, s[L.ST_OUT]
    journal[at:at + count] = memory[first:first + count]
    journal[at + count:at + count + F.JOURNAL_WORDS] = first & L.WORD_MASK, first >> 16, count
    s[F.JOURNALLED] = at + count + F.JOURNAL_WORDS


def writes_accumulators(s, ctx, used):
    words = np.unique(ctx[used[0] == 1, :s[L.ACTIVE + L.EX_ROWS], :s[L.ACTIVE + L.EX_COLS]]).tolist()
    return any(_acc_kind(word >> L.OP_LO & L.OP_MAX, word >> L.DST_LO & L.DST_MAX) != L.KIND_NONE for word in words)


REPLACEMENTS = {getattr(module, name): globals()[name] for module, names in (
    (macs, ("widen", "multiply", "settle", "clear")), (copies, ("copy_units",)), (touched, ("meets",)), (alone, ("note_overwritten",)),
    (events, ("writes_accumulators",))) for name in names} | step_vector.REPLACEMENTS
