"""`ld` from memory or of a constant where whole words are moved: rows of words into the banks that take them."""

from __future__ import annotations

from rpa.arch.jit import inlined, inner
from rpa.emu.fast.reach import rows_taken
from rpa.emu.step import layout as L
from rpa.emu.step.load import banks_of


@inner
def is_plain(s):
    """True if the load under way is one that :func:`copy_load` does: from memory, whole words."""
    return s[L.LD_SOURCE] == L.FROM_MEM and s[L.ACTIVE + L.LD_PACK] == 16


@inner
def copy_units(bank, b, at, memory, start, units, unit, dstep, sstep):
    """``units`` units of ``unit`` words from memory words ``start``, one every ``sstep``, into bank b at ``at``, one every ``dstep``."""
    if dstep == unit and sstep == unit:
        units, unit = 1, units * unit
    for u in range(units):
        for i in range(unit):
            bank[at + u * dstep + i, b] = memory[start + u * sstep + i]


@inner
def copy_rows(s, bank, memory, banks):
    """The whole load into one kind of bank; returns how many rows were taken, counted once per bank."""
    group, sel, taken = s[L.ACTIVE + L.LD_GROUP], s[L.ACTIVE + L.LD_SEL], 0
    unit, units, dstep, sstep = (s[L.ACTIVE + L.LD_UNIT], s[L.ACTIVE + L.LD_UNITS], s[L.ACTIVE + L.LD_DSTEP], s[L.ACTIVE + L.LD_SSTEP] >> 1)
    for b in range(banks):
        q = b >> group
        if sel != L.EVERY_LANE and sel != b - (q << group):
            continue
        first, last = rows_taken(s, q)
        for j in range(first, last + 1):
            start = ((s[L.ACTIVE + L.LD_ADDR] & L.MASK32) + j * s[L.ACTIVE + L.LD_SSTRIDE]) >> 1
            at = (s[L.ACTIVE + L.LD_BASE] + j * s[L.ACTIVE + L.LD_PITCH] - q * s[L.ACTIVE + L.LD_BSTEP]) & L.WORD_MASK
            copy_units(bank, b, at, memory, start, units, unit, dstep, sstep)
            taken += 1
    return taken


@inlined
def copy_load(s, m):
    """Carry out and count the load under way, for which :func:`is_plain` holds and whose reach has no problem."""
    words, banks = s[L.ACTIVE + L.LD_UNIT] * s[L.ACTIVE + L.LD_UNITS], banks_of(s, s[L.LD_DEST])
    s[L.EXT_READ] += words * s[L.ACTIVE + L.LD_ROWS]
    if s[L.LD_DEST] == L.TO_A:
        s[L.A_WRITES] += words * copy_rows(s, m.abank, m.memory, banks)
    elif s[L.LD_DEST] == L.TO_W:
        s[L.W_WRITES] += words * copy_rows(s, m.wbank, m.memory, banks)
    elif s[L.LD_DEST] == L.TO_X:
        s[L.XBANK_WRITES] += words * copy_rows(s, m.xbank, m.memory, banks)
    else:
        s[L.P_WRITES] += words * copy_rows(s, m.pbank, m.memory, banks)
