"""What a cycle leaves behind for others: a lockstep record (`rpa.arch.lockstep`) and rows of the commit log."""

from __future__ import annotations

from rpa.arch.jit import inner
from rpa.emu.step import layout as L

EVENT_RETIRE, EVENT_START, EVENT_DONE, EVENT_WRITE = range(4)
EVENT_WORDS = 36
"""Columns of an event row: cycle, kind, then
retire: pc, rd (0: no write), value; start and done: engine, pc; write: address, number of words, the words."""


@inner
def record_values(row, at, values, start, count):
    """row[at:at+count] = values[start:start+count]; returns the next column."""
    for i in range(count):
        row[at + i] = values[start + i]
    return at + count


@inner
def record_plane(row, at, plane, mask):
    """Append a (rows, cols) array, row by row."""
    for r in range(plane.shape[0]):
        for c in range(plane.shape[1]):
            row[at] = plane[r, c] & mask
            at += 1
    return at


@inner
def write_record(s, m, row):
    """Fill one record with the registered state, in the column order of `rpa.arch.lockstep`."""
    rows, cols, cycle = s[L.ROWS], s[L.COLS], s[L.CYCLES]
    row[0] = s[L.PC]
    row[1] = s[L.HALTED]
    row[2] = s[L.LOOPS]
    at = record_values(row, 3, s, L.CORE + 1, L.CORE_REGISTERS - 1)
    at = record_values(row, at, s, L.BUSY, L.ENGINE_COUNT)
    at = record_values(row, at, s, L.QUEUE_COUNT, L.ENGINE_COUNT)
    at = record_values(row, at, s, L.TOKEN, L.ENGINE_COUNT * L.ENGINE_COUNT)
    for stage in range(1, 4):
        row[at] = s[L.EX_PIPE + ((cycle - stage) & (L.EX_RING - 1)) * L.X_ENTRY + L.X_VALID]
        at += 1
    at = record_values(row, at, m.abus, 0, rows)
    at = record_values(row, at, m.wbus, 0, cols)
    at = record_plane(row, at, m.out, L.WORD_MASK)
    at = record_plane(row, at, m.flag, 1)
    at = record_plane(row, at, m.reg_sig, L.WORD_MASK)
    at = record_plane(row, at, m.acc_sig, (1 << s[L.ACC_BITS]) - 1)
    for stage in range(1, 6):
        row[at] = s[L.DR_PIPE + ((cycle - stage) & (L.DR_RING - 1)) * L.D_ENTRY + L.D_VALID]
        at += 1
    at = record_values(row, at, m.lfsr, 0, cols)
    at = record_values(row, at, m.dr_q, 0, cols)
    if s[L.ENGINES_BUILT] > L.NV:
        at = record_values(row, at, m.nv_acc_sig, 0, cols)
        row[at] = s[L.NV_CODES_SIG]
        at += 1
    at = record_values(row, at, s, L.COUNT, L.COUNTER_COUNT)
    row[at] = s[L.FAULT]


@inner
def put_event(events, at, cycle, kind, first, second, third):
    events[at, 0] = cycle
    events[at, 1] = kind
    events[at, 2] = first
    events[at, 3] = second
    events[at, 4] = third
    return at + 1


@inner
def emit_events(s, m, events, at):
    """Append the events of the cycle just computed; returns the new number of rows."""
    cycle = s[L.CYCLES]
    if s[L.RETIRED]:
        at = put_event(events, at, cycle, EVENT_RETIRE, s[L.RET_PC], s[L.RET_RD], s[L.RET_VALUE])
    for e in range(L.ENGINE_COUNT):
        if s[L.STARTED + e]:
            at = put_event(events, at, cycle, EVENT_START, e, s[L.COMMAND_PC + e], 0)
    for e in range(L.ENGINE_COUNT):
        if s[L.GIVEN + e]:
            at = put_event(events, at, cycle, EVENT_DONE, e, s[L.GIVEN_PC + e], 0)
    if s[L.OUT_WORDS] > 0:
        at = put_event(events, at, cycle, EVENT_WRITE, s[L.OUT_ADDRESS], s[L.OUT_WORDS], 0)
        for i in range(s[L.OUT_WORDS]):
            events[at - 1, 4 + i] = m.memory[(s[L.OUT_ADDRESS] >> 1) + i]
    return at
