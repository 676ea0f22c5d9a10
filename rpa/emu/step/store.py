"""ST: O banks into external memory, transposed across columns (design.md section 8)."""

from __future__ import annotations

from rpa.arch.jit import inlined, inner
from rpa.emu.step import layout as L
from rpa.emu.step.banks import copy_words, copy_words_around, transpose_line
from rpa.emu.step.common import accept_command, apply_setting, complete, count_engine, head_of, raise_fault, tokens_cover
from rpa.emu.step.load import takes_o_port

FIRST, LAST = L.FIRST_REGISTER[L.ST], L.LAST_REGISTER[L.ST]


@inner
def store_contradicts(s):
    bits = s[L.SHADOW + L.ST_BITS]
    return s[L.COLS] * bits < 16 or s[L.SHADOW + L.ST_UNIT] > s[L.COLS] or s[L.SHADOW + L.ST_XSTEP] * bits > 16


@inner
def store_front(s):
    """Pop a setting or start a command."""
    head = head_of(s, L.ST)
    if head >= 0:
        if s[head + L.Q_KIND] != L.KIND_COMMAND:
            apply_setting(s, L.ST, head, FIRST, LAST)
        elif s[L.WAS_BUSY + L.ST] == 0 and tokens_cover(s, L.ST, s[head + L.Q_WAIT]):
            store_start(s, head)
    count_engine(s, L.ST, head)


@inner
def store_start(s, head):
    is_store = s[head + L.Q_OPCODE] == L.STORE
    if is_store and takes_o_port(s):
        return
    if is_store and store_contradicts(s):
        raise_fault(s, L.RANK_ST, L.ILLEGAL_CONFIG, s[head + L.Q_PC], L.ST)
        return
    accept_command(s, L.ST, head, FIRST, LAST)
    s[L.ST_J] = 0
    s[L.ST_X] = 0
    s[L.ST_W] = 0
    s[L.ST_VISITS] = 0
    s[L.ST_OUT] = 0
    s[L.ST_N] = s[L.ACTIVE + L.ST_ROWS] * s[L.ACTIVE + L.ST_XS] * s[L.ACTIVE + L.ST_WS]


@inlined
def store_write(s, m):
    """Write the words of the last visit into external memory, which must have been read before; complete after the last."""
    if s[L.COMMAND + L.ST] == L.STORE:
        count = s[L.ST_OUT]
        if count == 0:
            return
        copy_words(m.memory, s[L.ST_OUT_ADDRESS] >> 1, m.st_out, 0, count)
        s[L.OUT_WORDS] = count
        s[L.OUT_ADDRESS] = s[L.ST_OUT_ADDRESS]
        s[L.EXT_WRITE] += count
        s[L.ST_OUT] = 0
        if s[L.ST_VISITS] < s[L.ST_N]:
            return
    s[L.BUSY + L.ST] = 0
    complete(s, L.ST, s[L.COMMAND_SIGNAL + L.ST], s[L.COMMAND_PC + L.ST])


@inner
def visit_fault(s, reads, line, address, unit):
    """Find a fault of this visit; True if there is one."""
    if reads and line >= s[L.O_DEPTH]:
        raise_fault(s, L.RANK_ST, L.BANK_RANGE, s[L.COMMAND_PC + L.ST], line)
    elif address + 2 * unit > s[L.MEM_BYTES]:
        raise_fault(s, L.RANK_ST, L.MEM_RANGE, s[L.COMMAND_PC + L.ST], address)
    elif address % (2 * unit) != 0:
        raise_fault(s, L.RANK_ST, L.MISALIGNED, s[L.COMMAND_PC + L.ST], address)
    else:
        return False
    return True


@inlined
def store_visit(s, m):
    """The visit of this cycle, if one is left; runs after :func:`store_write` and before the O banks are written."""
    if s[L.COMMAND + L.ST] != L.STORE or s[L.ST_VISITS] == s[L.ST_N]:
        return
    j, x, w, unit, bits = s[L.ST_J], s[L.ST_X], s[L.ST_W], s[L.ACTIVE + L.ST_UNIT], s[L.ACTIVE + L.ST_BITS]
    per_word = 16 // bits
    element = x * s[L.ACTIVE + L.ST_XSTEP]
    line = (s[L.ACTIVE + L.ST_BASE] + j * s[L.ACTIVE + L.ST_PITCH] + element // per_word) & L.WORD_MASK
    address = (s[L.ACTIVE + L.ST_ADDR] + j * s[L.ACTIVE + L.ST_RSTRIDE] + x * s[L.ACTIVE + L.ST_XSTRIDE]
               + w * s[L.ACTIVE + L.ST_WSTRIDE]) & L.MASK32
    reads = w == 0 and element % per_word == 0
    if visit_fault(s, reads, line, address, unit):
        return
    if reads:
        transpose_line(m.obank, line, bits, s[L.COLS], m.st_line)
        s[L.O_READS] += s[L.COLS]
    start = (s[L.ACTIVE + L.ST_COL0] + element % per_word * (s[L.COLS] // per_word) + w * unit) % s[L.COLS]
    copy_words_around(m.st_out, m.st_line, start, unit, s[L.COLS])
    s[L.ST_OUT] = unit
    s[L.ST_OUT_ADDRESS] = address
    store_advance(s)


@inner
def store_advance(s):
    s[L.ST_VISITS] += 1
    s[L.ST_W] += 1
    if s[L.ST_W] == s[L.ACTIVE + L.ST_WS]:
        s[L.ST_W] = 0
        s[L.ST_X] += 1
        if s[L.ST_X] == s[L.ACTIVE + L.ST_XS]:
            s[L.ST_X] = 0
            s[L.ST_J] += 1
