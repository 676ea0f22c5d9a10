"""The addresses that a started command will use, in closed form from its registers, and whether one of them would fault.

Bank addresses are modulo 2^16: a base may be meant as itself or as itself minus 2^16, whichever keeps the command in its bank.
"""

from __future__ import annotations

from rpa.arch.jit import inner
from rpa.emu.fast import future as F
from rpa.emu.step import layout as L
from rpa.emu.step.load import banks_of, depth_of

_ADDRESSES = 1 << 16


@inner
def problem(x, kind, low, high):
    """Note the first problem."""
    if x[F.R_PROBLEM] == F.NO_PROBLEM:
        x[F.R_PROBLEM] = kind
        x[F.R_LOW] = low
        x[F.R_HIGH] = high


@inner
def place(x, store, base, low, high, depth, kind):
    """Note that a bank of ``depth`` words is used at base + low .. base + high."""
    x[store] = 1
    shift = 0
    if base + low < 0 or base + high >= depth:
        shift = -_ADDRESSES
        if base + low + shift < 0 or base + high + shift >= depth:
            problem(x, kind, base + low, base + high)
    x[store + 1] = base + low + shift
    x[store + 2] = base + high + shift


@inner
def loop_reach(s, first_step, hold, d, least, count):
    """(lowest, highest) change of an address by loop d, of which the indices ``least`` .. ``count`` - 1 are used."""
    last = 0 if hold >> d & 1 else count - 1
    low = s[L.ACTIVE + first_step + d] * least
    high = s[L.ACTIVE + first_step + d] * last
    return min(low, high), max(low, high)


@inner
def stream_reach(s, first_step, hold, slide):
    """(lowest, highest) relative address that a stream reads: where every held loop is at 0, and of a sliding window all of
    its first position and the last ``slide`` words of every other."""
    low = high = 0
    for d in range(2, L.DIMS):
        least, most = loop_reach(s, first_step, hold, d, 0, s[L.ACTIVE + L.EX_N0 + d])
        low += least
        high += most
    n0, n1 = s[L.ACTIVE + L.EX_N0], s[L.ACTIVE + L.EX_N0 + 1]
    low0, high0 = loop_reach(s, first_step, hold, 0, 0, n0)
    low1, high1 = loop_reach(s, first_step, hold, 1, 0, n1)
    if slide == 0:
        return low + low0 + low1, high + high0 + high1
    least, most = low0, high0
    if n1 > 1 and hold >> 1 & 1 == 0 and (hold & 1 == 0 or slide >= n0):
        late0, late1 = loop_reach(s, first_step, hold, 0, max(0, n0 - slide), n0)
        next0, next1 = loop_reach(s, first_step, hold, 1, 1, n1)
        least, most = min(least, late0 + next0), max(most, late1 + next1)
    return low + least, high + most


@inner
def run_reach(s, x):
    if s[L.ACTIVE + L.EX_AEN]:
        low, high = stream_reach(s, L.EX_AS0, s[L.ACTIVE + L.EX_AHOLD], s[L.ACTIVE + L.EX_ASLIDE])
        place(x, F.R_A, s[L.ACTIVE + L.EX_ABASE], low, high, s[L.A_DEPTH], F.A_RANGE)
    if s[L.ACTIVE + L.EX_WEN]:
        low, high = stream_reach(s, L.EX_WS0, s[L.ACTIVE + L.EX_WHOLD], s[L.ACTIVE + L.EX_WSLIDE])
        place(x, F.R_W, s[L.ACTIVE + L.EX_WBASE], low, high, s[L.W_DEPTH], F.W_RANGE)


@inner
def rows_taken(s, q):
    """(first, last) row of the load that banks with this q take, from 0; last < first if none."""
    start = q * s[L.ACTIVE + L.LD_WSTEP] - s[L.ACTIVE + L.LD_J0]
    return max(0, start), min(s[L.ACTIVE + L.LD_ROWS], start + s[L.ACTIVE + L.LD_WLEN]) - 1


@inner
def bank_reach(s, x, banks, depth):
    """The bank words that a load writes."""
    base, pitch, dstep, units = (s[L.ACTIVE + L.LD_BASE], s[L.ACTIVE + L.LD_PITCH], s[L.ACTIVE + L.LD_DSTEP], s[L.ACTIVE + L.LD_UNITS])
    group, sel = s[L.ACTIVE + L.LD_GROUP], s[L.ACTIVE + L.LD_SEL]
    words = s[L.ACTIVE + L.LD_UNIT] * s[L.ACTIVE + L.LD_PACK] // 16
    low, high, aligned, used = 1 << 40, -(1 << 40), units == 1 or dstep % words == 0, False
    across = dstep * (units - 1)
    for b in range(banks):
        q = b >> group
        first, last = rows_taken(s, q)
        if last < first or (sel != L.EVERY_LANE and sel != b - (q << group)):
            continue
        used = True
        start = first * pitch - q * s[L.ACTIVE + L.LD_BSTEP]
        end = start + (last - first) * pitch
        low = min(low, min(start, end) + min(0, across))
        high = max(high, max(start, end) + max(0, across) + words - 1)
        aligned = aligned and (base + start) % words == 0 and (last == first or pitch % words == 0)
    if used:
        place(x, F.R_BANK, base, low, high, depth, F.BANK_RANGE)
        if not aligned:
            problem(x, F.BANK_ALIGN, base + low, base + high)


@inner
def memory_reach(s, x, low, high, aligned, range_kind, align_kind):
    """Note the use of external memory at bytes low .. high."""
    x[F.R_MEM] = 1
    x[F.R_MEM + 1] = low
    x[F.R_MEM + 2] = high
    if low < 0 or high >= s[L.MEM_BYTES]:
        problem(x, range_kind, low, high)
    if not aligned:
        problem(x, align_kind, low, high)


@inner
def load_reach(s, x):
    unit, rows, units = s[L.ACTIVE + L.LD_UNIT], s[L.ACTIVE + L.LD_ROWS], s[L.ACTIVE + L.LD_UNITS]
    if s[L.LD_SOURCE] == L.FROM_MEM:
        addr, width = s[L.ACTIVE + L.LD_ADDR] & L.MASK32, 2 * unit
        down, across = (rows - 1) * s[L.ACTIVE + L.LD_SSTRIDE], (units - 1) * s[L.ACTIVE + L.LD_SSTEP]
        aligned = (addr % width == 0 and (rows == 1 or s[L.ACTIVE + L.LD_SSTRIDE] % width == 0)
                   and (units == 1 or s[L.ACTIVE + L.LD_SSTEP] % width == 0))
        memory_reach(s, x, addr + min(0, down) + min(0, across), addr + max(0, down) + max(0, across) + width - 1, aligned,
                     F.MEM_READ, F.MEM_READ_ALIGN)
    elif s[L.LD_SOURCE] == L.FROM_O:
        down = (rows - 1) * s[L.ACTIVE + L.LD_OPITCH]
        place(x, F.R_O, s[L.ACTIVE + L.LD_OBASE], min(0, down), max(0, down) + (units - 1) * unit // s[L.COLS], s[L.O_DEPTH], F.O_READ)
    bank_reach(s, x, banks_of(s, s[L.LD_DEST]), depth_of(s, s[L.LD_DEST]))


@inner
def drain_reach(s, x):
    raw = s[L.ACTIVE + L.DR_RAW] == 1
    lanes = 2 if raw else s[L.ACTIVE + L.DR_LANES]
    bits = 16 if raw else s[L.ACTIVE + L.DR_BITS]
    first = s[L.ACTIVE + L.DR_PARAM]
    top = first + (s[L.ACTIVE + L.DR_ACCS] - 1) * s[L.ACTIVE + L.DR_PACC] + (0 if raw else (lanes - 1) * s[L.ACTIVE + L.DR_PLANE])
    x[F.R_P] = 1
    x[F.R_P + 1] = first * L.ENTRY_WORDS
    x[F.R_P + 2] = (top + 1) * L.ENTRY_WORDS - 1
    if top >= s[L.P_ENTRIES]:
        problem(x, F.P_RANGE, top, top)
    words = (s[L.ACTIVE + L.DR_ACCS] * lanes * bits + 15) // 16
    down = (s[L.ACTIVE + L.DR_ROWS] - 1) * s[L.ACTIVE + L.DR_PITCH]
    place(x, F.R_O, s[L.ACTIVE + L.DR_BASE], min(0, down), max(0, down) + words - 1, s[L.O_DEPTH], F.O_WRITE)


@inner
def store_reach(s, x):
    rows, xs, ws, unit = s[L.ACTIVE + L.ST_ROWS], s[L.ACTIVE + L.ST_XS], s[L.ACTIVE + L.ST_WS], s[L.ACTIVE + L.ST_UNIT]
    down = (rows - 1) * s[L.ACTIVE + L.ST_PITCH]
    across = (xs - 1) * s[L.ACTIVE + L.ST_XSTEP] * s[L.ACTIVE + L.ST_BITS] // 16
    place(x, F.R_O, s[L.ACTIVE + L.ST_BASE], min(0, down), max(0, down) + across, s[L.O_DEPTH], F.O_READ)
    addr, width, aligned = s[L.ACTIVE + L.ST_ADDR] & L.MASK32, 2 * unit, True
    low, high = addr, addr + width - 1
    for count, stride in ((rows, s[L.ACTIVE + L.ST_RSTRIDE]), (xs, s[L.ACTIVE + L.ST_XSTRIDE]), (ws, s[L.ACTIVE + L.ST_WSTRIDE])):
        low += min(0, (count - 1) * stride)
        high += max(0, (count - 1) * stride)
        aligned = aligned and (count == 1 or stride % width == 0)
    memory_reach(s, x, low, high, aligned and addr % width == 0, F.MEM_WRITE, F.MEM_WRITE_ALIGN)


@inner
def nest_reach(s, counts, steps):
    """(lowest, highest) change of an address by a nest of NV's loops."""
    low = high = 0
    for d in range(L.NV_LOOPS):
        change = (s[L.ACTIVE + counts + d] - 1) * s[L.ACTIVE + steps + d]
        low += min(0, change)
        high += max(0, change)
    return low, high


@inner
def nv_reach(s, x):
    if s[L.COMMAND + L.NV] == L.NVPROG:
        across = (s[L.ACTIVE + L.NV_ROWS] - 1) * s[L.ACTIVE + L.NV_XV0]
        low, high = min(0, across), max(0, across) + s[L.ACTIVE + L.NV_K0] - 1
    else:
        low, high = nest_reach(s, L.NV_N0, L.NV_XV0)
        least, most = nest_reach(s, L.NV_K0, L.NV_XK0)
        low, high = low + least, high + most
    place(x, F.R_X, s[L.ACTIVE + L.NV_XBASE], low, high, s[L.X_DEPTH], F.X_RANGE)


@inner
def reach_of(s, engine, x):
    """Fill ``x`` (`future.REACH_WORDS`) with the reach of the command that ``engine`` has started."""
    for i in range(F.REACH_WORDS):
        x[i] = 0
    opcode = s[L.COMMAND + engine]
    if opcode == L.RUN:
        run_reach(s, x)
    elif opcode == L.LOAD:
        load_reach(s, x)
    elif opcode == L.DRAIN:
        drain_reach(s, x)
    elif opcode == L.STORE:
        store_reach(s, x)
    elif opcode == L.NVMAC or opcode == L.NVPROG:
        nv_reach(s, x)
