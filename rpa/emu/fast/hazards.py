"""Which words a command uses and when; whether two commands overlap so that the order of single cycles shows.

Commands are carried out whole, in the order of their start cycles. That is exact if every access of the earlier one comes
before every conflicting access of the later one. The check is conservative: where it fails, the program is stepped.
"""

from __future__ import annotations

from rpa.arch.jit import inner
from rpa.emu.fast import future as F
from rpa.emu.fast.touched import touch
from rpa.emu.step import layout as L
from rpa.emu.step.nv import macro_cycles, vector_cycles, words_of

_FIRST, _LAST = L.FIRST_REGISTER, L.LAST_REGISTER


@inner
def is_free(accesses, row, start):
    """True if the row holds nothing that a command starting in cycle ``start`` could meet."""
    return accesses[row, F.H_STORE] < 0 or accesses[row, F.H_LAST] <= start


@inner
def command_words(s, engine):
    """(bank or destination, source; of NV the opcode) of the command that the engine has started."""
    if engine == L.LD:
        return s[L.LD_DEST], s[L.LD_SOURCE]
    if engine == L.NV:
        return s[L.NV_BANK], s[L.COMMAND + L.NV]
    return (s[L.EX_BANK], 0) if engine == L.EX else (s[L.DR_BANK], 0)


@inner
def keep(s, accesses, row, engine, mine):
    """Put an access of the command that the engine has started into a row."""
    arg, slot = command_words(s, engine)
    accesses[row, F.H_STORE] = mine[F.P_STORE]
    accesses[row, F.H_ENGINE] = engine
    accesses[row, F.H_WRITE] = mine[F.P_WRITE]
    accesses[row, F.H_FIRST] = mine[F.P_FIRST]
    accesses[row, F.H_LAST] = mine[F.P_LAST]
    accesses[row, F.H_LOW] = mine[F.P_LOW]
    accesses[row, F.H_HIGH] = mine[F.P_HIGH]
    accesses[row, F.H_ARG] = arg
    accesses[row, F.H_SLOT] = slot
    for register in range(_FIRST[engine], _LAST[engine] + 1):
        accesses[row, F.H_REGISTERS + register - _FIRST[engine]] = s[L.ACTIVE + register]


@inner
def swap_registers(s, accesses, row):
    """Exchange the engine's active registers, bank and source with those of an access; a second call restores both."""
    engine = accesses[row, F.H_ENGINE]
    for register in range(_FIRST[engine], _LAST[engine] + 1):
        at = F.H_REGISTERS + register - _FIRST[engine]
        active = s[L.ACTIVE + register]
        s[L.ACTIVE + register] = accesses[row, at]
        accesses[row, at] = active
    if engine == L.LD:
        s[L.LD_DEST], accesses[row, F.H_ARG] = accesses[row, F.H_ARG], s[L.LD_DEST]
        s[L.LD_SOURCE], accesses[row, F.H_SLOT] = accesses[row, F.H_SLOT], s[L.LD_SOURCE]
    elif engine == L.NV:
        s[L.COMMAND + L.NV], accesses[row, F.H_SLOT] = accesses[row, F.H_SLOT], s[L.COMMAND + L.NV]


@inner
def touch_row(s, accesses, marks, places, row, low, high, look):
    swap_registers(s, accesses, row)
    found = touch(s, places, marks, accesses[row, F.H_ENGINE], accesses[row, F.H_STORE], low, high, look)
    swap_registers(s, accesses, row)
    return found


@inner
def meet(s, accesses, marks, places, mine, theirs):
    """True if two accesses of the same store share an address. Accumulator banks and P banks count as wholes."""
    store = accesses[mine, F.H_STORE]
    low = max(accesses[mine, F.H_LOW], accesses[theirs, F.H_LOW])
    high = min(accesses[mine, F.H_HIGH], accesses[theirs, F.H_HIGH])
    if low > high:
        return False
    if store == F.S_P or store >= F.S_ACC:
        return True
    while low <= high:
        end = min(high, low + F.MARKS - 1)
        for i in range(end - low + 1):
            marks[i] = 0
        touch_row(s, accesses, marks, places, mine, low, end, False)
        if touch_row(s, accesses, marks, places, theirs, low, end, True):
            return True
        low = end + 1
    return False


@inner
def add_access(s, accesses, marks, places, engine, new):
    """Hold an access against those of other engines and keep it; True if it races with one, or there is no room.

    Of a race the cycles, from the later one's first to the earlier one's last, stand in ``new`` then, as P_LOW and P_HIGH.
    """
    start, mine = s[F.START + engine], -1
    for row in range(F.ACCESSES):
        if is_free(accesses, row, start):
            mine = row
            break
    if mine < 0:
        return True
    keep(s, accesses, mine, engine, new)
    for row in range(F.ACCESSES):
        if row == mine or accesses[row, F.H_STORE] != new[F.P_STORE] or is_free(accesses, row, start):
            continue
        other = accesses[row, F.H_ENGINE] != engine and (new[F.P_WRITE] == 1 or accesses[row, F.H_WRITE] == 1)
        if other and accesses[row, F.H_LAST] >= new[F.P_FIRST] and meet(s, accesses, marks, places, mine, row):
            new[F.P_LOW] = new[F.P_FIRST]
            new[F.P_HIGH] = accesses[row, F.H_LAST]
            return True
    return False


@inner
def describe(new, store, write, first, last, x, part):
    """Describe an access in ``new`` (`future.P_WORDS`); its addresses are a part of the reach ``x``, or (-1) of no account."""
    new[F.P_STORE] = store if part < 0 or x[part] == 1 else -1
    new[F.P_WRITE] = write
    new[F.P_FIRST] = first
    new[F.P_LAST] = last
    new[F.P_LOW] = x[part + 1] if part >= 0 else 0
    new[F.P_HIGH] = x[part + 2] if part >= 0 else 0


@inner
def describe_nv(s, news, x):
    """Describe in ``news`` what the `nvmac` or `nvprog` that has started uses."""
    start, end = s[F.START + L.NV], s[F.LAST + L.NV]
    if s[L.COMMAND + L.NV] == L.NVPROG:
        describe(news[0], F.S_X, 0, start + 1, end - s[L.PROG_CYCLES] - 1, x, F.R_X)
        return
    words = words_of(s, L.ACTIVE)
    describe(news[0], F.S_X, 0, start + 1, end - 1 - vector_cycles(s, L.ACTIVE) + words, x, F.R_X)
    describe(news[1], F.S_NV_ACC + s[L.NV_BANK], 1, start + words + macro_cycles(s, L.ACTIVE) + 4, end, x, -1)


@inner
def describe_all(s, news, engine, x, writes_acc):
    """Describe in ``news`` (3 rows) everything that the command uses; store -1 where there is less."""
    opcode, start = s[L.COMMAND + engine], s[F.START + engine]
    for i in range(3):
        news[i, F.P_STORE] = -1
    if opcode == L.RUN:
        end = s[F.LAST + engine]
        if writes_acc:
            describe(news[0], F.S_ACC + s[L.EX_BANK], 1, start + 1 + F.EX_DEPTH, end + F.EX_DEPTH, x, -1)
        describe(news[1], F.S_A, 0, start + 1, end, x, F.R_A)
        describe(news[2], F.S_W, 0, start + 1, end, x, F.R_W)
    elif opcode == L.LOAD:
        end = start + s[L.LD_N]
        describe(news[0], s[L.LD_DEST], 1, start + 1 + s[L.LD_L], end + s[L.LD_L], x, F.R_BANK)
        describe(news[1], F.S_MEM, 0, start + 1, end, x, F.R_MEM)
        describe(news[2], F.S_O, 0, start + 1, end, x, F.R_O)
    elif opcode == L.DRAIN:
        end = start + s[L.DR_N]
        describe(news[0], (F.S_NV_ACC if s[L.ACTIVE + L.DR_NV] else F.S_ACC) + s[L.DR_BANK], 0, start + 1, end, x, -1)
        describe(news[1], F.S_P, 0, start + 1, end + 1, x, F.R_P)
        describe(news[2], F.S_O, 1, start + 1 + F.DR_DEPTH, end + F.DR_DEPTH, x, F.R_O)
    elif opcode == L.STORE:
        end = start + s[L.ST_N]
        describe(news[0], F.S_O, 0, start + 1, end, x, F.R_O)
        describe(news[1], F.S_MEM, 1, start + 2, end + 1, x, F.R_MEM)
    elif engine == L.NV:
        describe_nv(s, news, x)


@inner
def races(s, accesses, news, marks, places, engine, x, writes_acc):
    """Note what the command that ``engine`` has started uses, of which ``x`` is the reach; the store of a race, or -1.

    writes_acc: for a run, whether a PE writes an accumulator in some step.
    """
    describe_all(s, news, engine, x, writes_acc)
    for i in range(3):
        if news[i, F.P_STORE] >= 0 and add_access(s, accesses, marks, places, engine, news[i]):
            return news[i, F.P_STORE]
    return -1
