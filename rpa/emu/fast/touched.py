"""The exact addresses that a command uses, walked visit by visit; for commands whose address ranges overlap."""

from __future__ import annotations

from rpa.arch.jit import inner
from rpa.emu.fast import future as F
from rpa.emu.step import layout as L
from rpa.emu.step.banks import window_places
from rpa.emu.step.execute import is_hit, next_point, start_streams
from rpa.emu.step.load import banks_of
from rpa.emu.step.nv import vectors_of, walk, words_of


@inner
def meets(marks, low, high, first, count, look):
    """Mark the addresses first .. first + count - 1 that lie in low .. high; or (``look``) say whether one is marked."""
    for address in range(max(first, low), min(first + count - 1, high) + 1):
        if not look:
            marks[address - low] = 1
        elif marks[address - low]:
            return True
    return False


@inner
def touch_stream(s, marks, of_a, low, high, look):
    """The words that a run reads of A or W."""
    hold = s[L.ACTIVE + L.EX_AHOLD] if of_a else s[L.ACTIVE + L.EX_WHOLD]
    slide = s[L.ACTIVE + L.EX_ASLIDE] if of_a else s[L.ACTIVE + L.EX_WSLIDE]
    s[L.EX_N] = 1
    start_streams(s)
    for _ in range(s[L.EX_N]):
        address = s[L.EX_A] if of_a else s[L.EX_W]
        if not is_hit(s, hold, slide) and meets(marks, low, high, address, 1, look):
            return True
        next_point(s)
    return False


@inner
def touch_banks(s, places, marks, low, high, look):
    """The words that a load writes in some bank."""
    banks = banks_of(s, s[L.LD_DEST])
    words = s[L.ACTIVE + L.LD_UNIT] * s[L.ACTIVE + L.LD_PACK] // 16
    for j in range(s[L.ACTIVE + L.LD_ROWS]):
        for u in range(s[L.ACTIVE + L.LD_UNITS]):
            window_places(s, places, 0, banks, j, u)
            for b in range(banks):
                if places[0, b] >= 0 and meets(marks, low, high, places[0, b], words, look):
                    return True
    return False


@inner
def touch_source(s, marks, of_memory, low, high, look):
    """The bytes or O words that a load reads."""
    unit, address, count = s[L.ACTIVE + L.LD_UNIT], 0, 1
    for j in range(s[L.ACTIVE + L.LD_ROWS]):
        for u in range(s[L.ACTIVE + L.LD_UNITS]):
            if of_memory:
                address = (s[L.ACTIVE + L.LD_ADDR] + j * s[L.ACTIVE + L.LD_SSTRIDE] + u * s[L.ACTIVE + L.LD_SSTEP]) & L.MASK32
                count = 2 * unit
            else:
                address = (s[L.ACTIVE + L.LD_OBASE] + j * s[L.ACTIVE + L.LD_OPITCH] + u * unit // s[L.COLS]) & L.WORD_MASK
            if meets(marks, low, high, address, count, look):
                return True
    return False


@inner
def touch_drained(s, marks, low, high, look):
    """The O words that a drain writes."""
    raw = s[L.ACTIVE + L.DR_RAW] == 1
    bits, lanes = 16 if raw else s[L.ACTIVE + L.DR_BITS], 2 if raw else s[L.ACTIVE + L.DR_LANES]
    words = (s[L.ACTIVE + L.DR_ACCS] * lanes * bits + 15) // 16
    for r in range(s[L.ACTIVE + L.DR_ROWS]):
        for i in range(words):
            if meets(marks, low, high, (s[L.ACTIVE + L.DR_BASE] + r * s[L.ACTIVE + L.DR_PITCH] + i) & L.WORD_MASK, 1, look):
                return True
    return False


@inner
def touch_stored(s, marks, of_memory, low, high, look):
    """The bytes that a store writes, or the O words that it reads."""
    step, per_word, unit = s[L.ACTIVE + L.ST_XSTEP], 16 // s[L.ACTIVE + L.ST_BITS], s[L.ACTIVE + L.ST_UNIT]
    for j in range(s[L.ACTIVE + L.ST_ROWS]):
        for x in range(s[L.ACTIVE + L.ST_XS]):
            line = (s[L.ACTIVE + L.ST_BASE] + j * s[L.ACTIVE + L.ST_PITCH] + x * step // per_word) & L.WORD_MASK
            if not of_memory and meets(marks, low, high, line, 1, look):
                return True
            start = s[L.ACTIVE + L.ST_ADDR] + j * s[L.ACTIVE + L.ST_RSTRIDE] + x * s[L.ACTIVE + L.ST_XSTRIDE]
            for piece in range(s[L.ACTIVE + L.ST_WS] if of_memory else 0):
                if meets(marks, low, high, (start + piece * s[L.ACTIVE + L.ST_WSTRIDE]) & L.MASK32, 2 * unit, look):
                    return True
    return False


@inner
def touch_cells(s, marks, low, high, look):
    """The X words that an `nvprog` reads."""
    for row in range(s[L.ACTIVE + L.NV_ROWS]):
        for word in range(s[L.ACTIVE + L.NV_K0]):
            if meets(marks, low, high, (s[L.ACTIVE + L.NV_XBASE] + row * s[L.ACTIVE + L.NV_XV0] + word) & L.WORD_MASK, 1, look):
                return True
    return False


@inner
def touch_vectors(s, marks, low, high, look):
    """The X words that an `nvmac` reads."""
    for vector in range(vectors_of(s, L.ACTIVE)):
        start = s[L.ACTIVE + L.NV_XBASE] + walk(s, vector, L.NV_N0, L.NV_XV0)
        for word in range(words_of(s, L.ACTIVE)):
            if meets(marks, low, high, (start + walk(s, word, L.NV_K0, L.NV_XK0)) & L.WORD_MASK, 1, look):
                return True
    return False


@inner
def touch(s, places, marks, engine, store, low, high, look):
    """Mark what the engine's command uses of the store at low .. high, or (``look``) say whether it meets a mark.

    The engine's active registers are those of the command. marks: (F.MARKS,), of the address ``low`` and those above.
    """
    if engine == L.EX:
        return touch_stream(s, marks, store == F.S_A, low, high, look)
    if engine == L.DR:
        return touch_drained(s, marks, low, high, look)
    if engine == L.ST:
        return touch_stored(s, marks, store == F.S_MEM, low, high, look)
    if engine == L.NV:
        return touch_cells(s, marks, low, high, look) if s[L.COMMAND + L.NV] == L.NVPROG else touch_vectors(s, marks, low, high, look)
    if store == F.S_MEM or store == F.S_O:
        return touch_source(s, marks, store == F.S_MEM, low, high, look)
    return touch_banks(s, places, marks, low, high, look)
