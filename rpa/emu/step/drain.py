"""DR: accumulators through requantization into O banks, a pipeline of six stages (design.md section 7)."""

from __future__ import annotations

from rpa.arch.jit import inlined, inner
from rpa.arch.rounding import STOCHASTIC
from rpa.emu.step import layout as L
from rpa.emu.step.columns import (
    accumulate_bias,
    bad_shift,
    clamp_column,
    divide_columns,
    half_columns,
    pack_column,
    read_accumulators,
    read_entries,
    seed_columns,
    write_line,
)
from rpa.emu.step.common import accept_command, apply_setting, complete, count_engine, head_of, raise_fault, tokens_cover

FIRST, LAST = L.FIRST_REGISTER[L.DR], L.LAST_REGISTER[L.DR]


@inner
def stage_slot(s, stage):
    """Ring slot of the entry in stage D<stage> in this cycle."""
    return (s[L.CYCLES] - stage) & (L.DR_RING - 1)


@inner
def drain_front(s):
    """Pop a setting or start a command."""
    head = head_of(s, L.DR)
    if head >= 0:
        if s[head + L.Q_KIND] != L.KIND_COMMAND:
            apply_setting(s, L.DR, head, FIRST, LAST)
        elif s[L.WAS_BUSY + L.DR] == 0 and tokens_cover(s, L.DR, s[head + L.Q_WAIT]):
            drain_start(s, head)
    count_engine(s, L.DR, head)


@inner
def drain_start(s, head):
    is_drain = s[head + L.Q_OPCODE] == L.DRAIN
    rows = 1 if s[L.SHADOW + L.DR_NV] else s[L.ROWS]
    beyond = (s[L.SHADOW + L.DR_ROW0] + s[L.SHADOW + L.DR_ROWS] > rows
              or s[L.SHADOW + L.DR_ACC0] + s[L.SHADOW + L.DR_ACCS] > L.ACC_MASK + 1)
    if is_drain and beyond:
        raise_fault(s, L.RANK_DR + 8, L.ILLEGAL_CONFIG, s[head + L.Q_PC], L.DR)
        return
    bank = s[head + L.Q_ARG]
    accept_command(s, L.DR, head, FIRST, LAST)
    s[L.DR_BANK] = bank
    s[L.DR_R] = 0
    s[L.DR_I] = 0
    s[L.DR_LANE] = 0
    s[L.DR_VISITS] = 0
    s[L.DR_N] = s[L.ACTIVE + L.DR_ROWS] * s[L.ACTIVE + L.DR_ACCS] * drain_lanes(s) if is_drain else 1


@inner
def drain_lanes(s):
    return 2 if s[L.ACTIVE + L.DR_RAW] == 1 else s[L.ACTIVE + L.DR_LANES]


@inlined
def drain_cycle(s, m):
    """All stages, the oldest entry first; before ACC writes accumulators and LD writes P banks."""
    if s[L.DR_LIVE] > 0:
        drain_d5(s, m)
        drain_d4(s, m)
        drain_d3(s, m)
        drain_d1(s, m)
    if s[L.WAS_BUSY + L.DR]:
        drain_d0(s, m)


@inner
def drop(s, d):
    s[d + L.D_VALID] = 0
    s[L.DR_LIVE] -= 1


@inlined
def drain_d5(s, m):
    d = L.DR_PIPE + stage_slot(s, 5) * L.D_ENTRY
    if s[d + L.D_VALID] == 0:
        return
    drop(s, d)
    if s[d + L.D_OPCODE] == L.DRAIN and not drain_pack(s, m, d):
        return
    if s[d + L.D_LAST]:
        complete(s, L.DR, s[d + L.D_SIGNAL], s[d + L.D_PC])


@inlined
def drain_pack(s, m, d):
    """Put the element into its word, and the word into the O banks when it is full or the row ends; False on a fault."""
    bits = s[d + L.D_BITS]
    pack_column(m.dr_word, m.dr_q, s[L.DR_FILL] * bits, bits)
    s[L.DR_FILL] += 1
    if s[L.DR_FILL] * bits == 16 or s[d + L.D_ROW_END]:
        address = (s[d + L.D_BASE] + s[d + L.D_ROW] * s[d + L.D_PITCH] + s[L.DR_WORDS]) & L.WORD_MASK
        if address >= s[L.O_DEPTH]:
            raise_fault(s, L.RANK_DR, L.BANK_RANGE, s[d + L.D_PC], address)
            return False
        write_line(m.obank, address, m.dr_word)
        s[L.O_WRITES] += s[L.COLS]
        s[L.DR_FILL] = 0
        s[L.DR_WORDS] = 0 if s[d + L.D_ROW_END] else s[L.DR_WORDS] + 1
    return True


@inlined
def drain_d4(s, m):
    slot = stage_slot(s, 4)
    d = L.DR_PIPE + slot * L.D_ENTRY
    if s[d + L.D_VALID] == 0 or s[d + L.D_OPCODE] != L.DRAIN:
        return
    if s[d + L.D_RAW]:
        changed = half_columns(m.dr_q, m.dr_value, m.dr_changed, slot, s[d + L.D_HALF])
    else:
        changed = clamp_column(m.dr_q, m.dr_value, m.dr_changed, slot, s[d + L.D_ZP], s[d + L.D_LO], s[d + L.D_HI])
    s[L.RQ_SATURATIONS] += changed


@inlined
def drain_d3(s, m):
    slot = stage_slot(s, 3)
    d = L.DR_PIPE + slot * L.D_ENTRY
    if s[d + L.D_VALID] == 0:
        return
    if s[d + L.D_OPCODE] == L.SEED:
        seed_columns(m.lfsr, s[d + L.D_VALUE] & L.MASK32)
    elif s[d + L.D_OPCODE] == L.DRAIN:
        stochastic = s[d + L.D_ROUND] == STOCHASTIC
        if stochastic or not s[d + L.D_RAW]:
            divide_columns(m.dr_value, m.dr_params, m.lfsr, slot, s[d + L.D_ROUND], s[d + L.D_RAW], stochastic)


@inlined
def drain_d1(s, m):
    slot = stage_slot(s, 1)
    d = L.DR_PIPE + slot * L.D_ENTRY
    if s[d + L.D_VALID] == 0 or s[d + L.D_OPCODE] != L.DRAIN:
        return
    if not s[d + L.D_RAW]:
        shift = bad_shift(m.dr_params, slot, s[d + L.D_ROUND])
        if shift >= 0:
            raise_fault(s, L.RANK_DR + 4, L.RQ_SHIFT, s[d + L.D_PC], shift)
            drop(s, d)
            return
    accumulate_bias(m.dr_value, m.dr_params, m.dr_changed, slot, s[d + L.D_PRE], s[d + L.D_WIDTH])


@inner
def accumulators_conflict(s):
    """True if an ACC stage, of EX or of NV, writes the bank that is drained in this cycle."""
    if s[L.ACTIVE + L.DR_NV]:
        return s[L.NV_PENDING] == 1 and s[L.NV_ACC_BANK] == s[L.DR_BANK]
    x = L.EX_PIPE + ((s[L.CYCLES] - 3) & (L.EX_RING - 1)) * L.X_ENTRY
    return s[x + L.X_VALID] == 1 and s[x + L.X_STEP] == 1 and s[x + L.X_WRITES] > 0 and s[x + L.X_BANK] == s[L.DR_BANK]


@inlined
def drain_d0(s, m):
    """The visit: read an accumulator and a parameter entry for every column."""
    opcode = s[L.COMMAND + L.DR]
    slot = stage_slot(s, 0)
    d = L.DR_PIPE + slot * L.D_ENTRY
    s[d + L.D_OPCODE] = opcode
    s[d + L.D_PC] = s[L.COMMAND_PC + L.DR]
    s[d + L.D_SIGNAL] = s[L.COMMAND_SIGNAL + L.DR]
    s[d + L.D_VALUE] = s[L.COMMAND_VALUE + L.DR]
    if opcode == L.DRAIN:
        raw, index, lane = s[L.ACTIVE + L.DR_RAW], s[L.DR_I], s[L.DR_LANE]
        entry = s[L.ACTIVE + L.DR_PARAM] + index * s[L.ACTIVE + L.DR_PACC] + (0 if raw else lane * s[L.ACTIVE + L.DR_PLANE])
        if entry >= s[L.P_ENTRIES]:
            raise_fault(s, L.RANK_DR + 5, L.BANK_RANGE, s[L.COMMAND_PC + L.DR], entry)
            return
        if accumulators_conflict(s):
            raise_fault(s, L.RANK_DR + 6, L.ACC_CONFLICT, s[L.COMMAND_PC + L.DR], s[L.DR_BANK])
            return
        width = s[L.ACC_BITS] if raw else s[L.ACC_BITS] // s[L.ACTIVE + L.DR_LANES]
        row = s[L.ACTIVE + L.DR_ROW0] + s[L.DR_R]
        acc = m.nv_acc if s[L.ACTIVE + L.DR_NV] else m.acc
        read_accumulators(m.dr_value, slot, acc, s[L.DR_BANK], s[L.ACTIVE + L.DR_ACC0] + index, row, 0 if raw else lane * width)
        read_entries(m.dr_params, slot, m.pbank, entry)
        drain_entry(s, d, raw, width)
        s[L.RQ_ELEMENTS] += s[L.COLS]
    s[d + L.D_VALID] = 1
    s[L.DR_LIVE] += 1
    drain_advance(s, d)


@inner
def drain_entry(s, d, raw, width):
    """What the stages need to know of this element."""
    s[d + L.D_RAW] = raw
    s[d + L.D_HALF] = s[L.DR_LANE]
    s[d + L.D_WIDTH] = width
    s[d + L.D_PRE] = s[L.ACTIVE + L.DR_PRE]
    s[d + L.D_ROUND] = s[L.ACTIVE + L.DR_ROUND]
    s[d + L.D_ZP] = s[L.ACTIVE + L.DR_ZP]
    s[d + L.D_LO] = s[L.ACTIVE + L.DR_LO]
    s[d + L.D_HI] = s[L.ACTIVE + L.DR_HI]
    s[d + L.D_BITS] = 16 if raw else s[L.ACTIVE + L.DR_BITS]
    s[d + L.D_BASE] = s[L.ACTIVE + L.DR_BASE]
    s[d + L.D_PITCH] = s[L.ACTIVE + L.DR_PITCH]
    s[d + L.D_ROW] = s[L.DR_R]


@inner
def drain_advance(s, d):
    """Go to the next visit; the last one clears busy."""
    s[L.DR_VISITS] += 1
    last = s[L.DR_VISITS] == s[L.DR_N]
    s[d + L.D_LAST] = 1 if last else 0
    s[d + L.D_ROW_END] = 0
    if last:
        s[L.BUSY + L.DR] = 0
    if s[L.COMMAND + L.DR] != L.DRAIN:
        return
    s[L.DR_LANE] += 1
    if s[L.DR_LANE] == drain_lanes(s):
        s[L.DR_LANE] = 0
        s[L.DR_I] += 1
        if s[L.DR_I] == s[L.ACTIVE + L.DR_ACCS]:
            s[L.DR_I] = 0
            s[L.DR_R] += 1
            s[d + L.D_ROW_END] = 1
