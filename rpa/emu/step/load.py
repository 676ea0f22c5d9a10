"""LD: external memory, a constant or O banks into A, W, P and X banks (design.md section 5)."""

from __future__ import annotations

from rpa.arch.jit import inlined, inner
from rpa.emu.step import layout as L
from rpa.emu.step.banks import copy_words, fill_words, pack_words, transpose_line, window_check, window_places, window_store
from rpa.emu.step.common import accept_command, apply_setting, complete, count_engine, head_of, raise_fault, tokens_cover

FIRST, LAST = L.FIRST_REGISTER[L.LD], L.LAST_REGISTER[L.LD]


@inner
def takes_o_port(s):
    """True if LD works on a load from O banks (registered)."""
    return s[L.WAS_BUSY + L.LD] == 1 and s[L.COMMAND + L.LD] == L.LOAD and s[L.LD_SOURCE] == L.FROM_O


@inner
def load_contradicts(s, source):
    unit, obits = s[L.SHADOW + L.LD_UNIT], s[L.SHADOW + L.LD_OBITS]
    if unit * s[L.SHADOW + L.LD_PACK] < 16:
        return True
    return source == L.FROM_O and (s[L.COLS] * obits < 16 or unit > s[L.COLS])


@inner
def load_front(s):
    """Pop a setting or start a command. The front of ST of this cycle must have run."""
    head = head_of(s, L.LD)
    if head >= 0:
        if s[head + L.Q_KIND] != L.KIND_COMMAND:
            apply_setting(s, L.LD, head, FIRST, LAST)
        elif s[L.WAS_BUSY + L.LD] == 0 and tokens_cover(s, L.LD, s[head + L.Q_WAIT]):
            load_start(s, head)
    count_engine(s, L.LD, head)


@inner
def load_start(s, head):
    is_load, source = s[head + L.Q_OPCODE] == L.LOAD, s[head + L.Q_SLOT]
    if is_load and source == L.FROM_O:
        if (s[L.WAS_BUSY + L.ST] == 1 or s[L.STARTED + L.ST] == 1) and s[L.COMMAND + L.ST] == L.STORE:
            return
    if is_load and load_contradicts(s, source):
        raise_fault(s, L.RANK_LD, L.ILLEGAL_CONFIG, s[head + L.Q_PC], L.LD)
        return
    dest = s[head + L.Q_ARG]
    accept_command(s, L.LD, head, FIRST, LAST)
    s[L.LD_J] = 0
    s[L.LD_U] = 0
    s[L.LD_AGE] = 0
    s[L.LD_VISITS] = 0
    s[L.LD_N] = s[L.ACTIVE + L.LD_ROWS] * s[L.ACTIVE + L.LD_UNITS]
    s[L.LD_SOURCE] = source
    s[L.LD_DEST] = dest
    s[L.LD_L] = s[L.MEM_LATENCY] if source == L.FROM_MEM else (1 if source == L.FROM_O else 0)


@inner
def fetch_fault(s, address, words):
    """Find a fault of a read from external memory; True if there is one."""
    if address + 2 * words > s[L.MEM_BYTES]:
        raise_fault(s, L.RANK_LD, L.MEM_RANGE, s[L.COMMAND_PC + L.LD], address)
        return True
    if address % (2 * words) != 0:
        raise_fault(s, L.RANK_LD, L.MISALIGNED, s[L.COMMAND_PC + L.LD], address)
        return True
    return False


@inner
def banks_of(s, dest):
    """Number of banks of a destination."""
    if dest == L.TO_A:
        return s[L.ROWS]
    return 1 if dest == L.TO_X else s[L.COLS]


@inner
def depth_of(s, dest):
    """Words in one bank of a destination."""
    if dest == L.TO_A:
        return s[L.A_DEPTH]
    if dest == L.TO_W:
        return s[L.W_DEPTH]
    return s[L.X_DEPTH] if dest == L.TO_X else L.ENTRY_WORDS * s[L.P_ENTRIES]


@inlined
def bank_fault(s, m, ring, words):
    """Find a fault of the bank write that belongs to this visit; True if there is one."""
    dest = s[L.LD_DEST]
    banks, depth = banks_of(s, dest), depth_of(s, dest)
    window_places(s, m.places, ring, banks, s[L.LD_J], s[L.LD_U])
    bad = window_check(m.places, ring, banks, words, depth)
    if bad < 0:
        return False
    cause = L.BANK_RANGE if bad + words > depth else L.MISALIGNED
    raise_fault(s, L.RANK_LD, cause, s[L.COMMAND_PC + L.LD], bad)
    return True


@inlined
def load_source(s, m, j, u, unit):
    """Read the visit's source words into ``m.fetched``; False on a fault."""
    if s[L.LD_SOURCE] == L.FROM_FILL:
        fill_words(m.fetched, unit, s[L.ACTIVE + L.LD_FILL] & L.WORD_MASK)
    elif s[L.LD_SOURCE] == L.FROM_MEM:
        address = (s[L.ACTIVE + L.LD_ADDR] + j * s[L.ACTIVE + L.LD_SSTRIDE] + u * s[L.ACTIVE + L.LD_SSTEP]) & L.MASK32
        if fetch_fault(s, address, unit):
            return False
        copy_words(m.fetched, 0, m.memory, address >> 1, unit)
    else:
        at = u * unit % s[L.COLS]
        line = (s[L.ACTIVE + L.LD_OBASE] + j * s[L.ACTIVE + L.LD_OPITCH] + u * unit // s[L.COLS]) & L.WORD_MASK
        if line >= s[L.O_DEPTH]:
            raise_fault(s, L.RANK_LD, L.BANK_RANGE, s[L.COMMAND_PC + L.LD], line)
            return False
        if at == 0:
            transpose_line(m.obank, line, s[L.ACTIVE + L.LD_OBITS], s[L.COLS], m.ld_line)
        copy_words(m.fetched, 0, m.ld_line, at, unit)
    return True


@inlined
def load_visit(s, m):
    """The visit of this cycle, if one is left: source read and every check."""
    if s[L.COMMAND + L.LD] == L.SYNC:
        s[L.BUSY + L.LD] = 0
        complete(s, L.LD, s[L.COMMAND_SIGNAL + L.LD], s[L.COMMAND_PC + L.LD])
        return
    s[L.LD_AGE] += 1
    visit = s[L.LD_VISITS]
    if visit == s[L.LD_N]:
        return
    j, u, unit, pack = s[L.LD_J], s[L.LD_U], s[L.ACTIVE + L.LD_UNIT], s[L.ACTIVE + L.LD_PACK]
    ring = visit % L.LD_RING
    if not load_source(s, m, j, u, unit) or bank_fault(s, m, ring, unit * pack // 16):
        return
    if s[L.LD_SOURCE] == L.FROM_MEM:
        s[L.EXT_READ] += unit
    elif s[L.LD_SOURCE] == L.FROM_O and u * unit % s[L.COLS] == 0:
        s[L.O_READS] += s[L.COLS]
    pack_words(m.packed, ring, m.fetched, unit, pack)
    s[L.LD_VISITS] = visit + 1
    if u + 1 < s[L.ACTIVE + L.LD_UNITS]:
        s[L.LD_U] = u + 1
    else:
        s[L.LD_U] = 0
        s[L.LD_J] = j + 1


@inlined
def load_write(s, m):
    """The bank write of this cycle: of the visit one latency ago. Banks must have been read before."""
    visit = s[L.LD_AGE] - 1 - s[L.LD_L]
    if s[L.COMMAND + L.LD] == L.SYNC or visit < 0 or visit >= s[L.LD_VISITS]:
        return
    ring = visit % L.LD_RING
    words = s[L.ACTIVE + L.LD_UNIT] * s[L.ACTIVE + L.LD_PACK] // 16
    dest = s[L.LD_DEST]
    banks = banks_of(s, dest)
    if dest == L.TO_A:
        s[L.A_WRITES] += words * window_store(m.abank, m.places, m.packed, ring, banks, words)
    elif dest == L.TO_W:
        s[L.W_WRITES] += words * window_store(m.wbank, m.places, m.packed, ring, banks, words)
    elif dest == L.TO_X:
        s[L.XBANK_WRITES] += words * window_store(m.xbank, m.places, m.packed, ring, banks, words)
    else:
        s[L.P_WRITES] += words * window_store(m.pbank, m.places, m.packed, ring, banks, words)
    if visit == s[L.LD_N] - 1:
        s[L.BUSY + L.LD] = 0
        complete(s, L.LD, s[L.COMMAND_SIGNAL + L.LD], s[L.COMMAND_PC + L.LD])
