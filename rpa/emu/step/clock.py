"""One clock cycle of the whole machine, and runs of cycles (design.md sections 2, 3 and 9)."""

from __future__ import annotations

from rpa.arch.jit import inlined, inner, jit_entry
from rpa.emu.step import layout as L
from rpa.emu.step.common import raise_fault
from rpa.emu.step.core import core_cycle
from rpa.emu.step.drain import drain_cycle, drain_front
from rpa.emu.step.execute import execute_cycle, execute_front
from rpa.emu.step.load import load_front, load_visit, load_write
from rpa.emu.step.nv import nv_cycle, nv_front
from rpa.emu.step.record import emit_events, write_record
from rpa.emu.step.store import store_front, store_visit, store_write

EVENT_MARGIN = 2 + 2 * L.ENGINE_COUNT
"""Rows of the event buffer that one cycle can need: a retirement, a start and a completion of every engine, a memory write."""


@inner
def begin_cycle(s):
    """Note the registered state that units look at after others have moved, and clear the wires."""
    for e in range(L.ENGINE_COUNT):
        s[L.WAS_BUSY + e] = s[L.BUSY + e]
        s[L.WAS_QUIET + e] = 1 - s[L.BUSY + e]
        s[L.STARTED + e] = 0
        s[L.GIVEN + e] = 0
    if s[L.EX_LIVE] > 0:
        s[L.WAS_QUIET + L.EX] = 0
    if s[L.DR_LIVE] > 0:
        s[L.WAS_QUIET + L.DR] = 0
    s[L.PUSHED] = 0
    s[L.BLOCKED] = 0
    s[L.MOVED] = 0
    s[L.RETIRED] = 0
    s[L.OUT_WORDS] = 0
    s[L.FAULT_RANK] = L.RANK_NONE


@inner
def all_quiet(s):
    """True if no engine is busy and no pipeline holds an entry (registered)."""
    return s[L.WAS_QUIET] + s[L.WAS_QUIET + 1] + s[L.WAS_QUIET + 2] + s[L.WAS_QUIET + 3] + s[L.WAS_QUIET + 4] == L.ENGINE_COUNT


@inner
def queues_empty(s):
    return s[L.QUEUE_COUNT] + s[L.QUEUE_COUNT + 1] + s[L.QUEUE_COUNT + 2] + s[L.QUEUE_COUNT + 3] + s[L.QUEUE_COUNT + 4] == 0


@inner
def move_tokens(s):
    """Take the tokens of the commands that started and add those that completed commands give."""
    for giver in range(L.ENGINE_COUNT):
        given = s[L.GIVEN_MASK + giver] if s[L.GIVEN + giver] else 0
        for taker in range(L.ENGINE_COUNT):
            more = given >> taker & 1
            less = s[L.TAKEN + taker] >> giver & 1 if s[L.STARTED + taker] else 0
            if more == less:
                continue
            at = L.TOKEN + giver * L.ENGINE_COUNT + taker
            if more == 1 and s[at] == L.TOKEN_LIMIT:
                rank = L.RANK_LD + giver * L.RANKS_PER_UNIT + L.RANK_TOKEN
                raise_fault(s, rank, L.TOKEN_OVERFLOW, s[L.GIVEN_PC + giver], 16 * giver + taker)
            else:
                s[at] += more - less


@inner
def check_deadlock(s, was_halted):
    """Fault DEADLOCK if nothing can ever move again."""
    if not (was_halted or s[L.BLOCKED]) or s[L.MOVED] or not all_quiet(s) or queues_empty(s):
        return
    mask, pc = 0, 0
    for e in range(L.ENGINE_COUNT - 1, -1, -1):
        if s[L.QUEUE_COUNT + e] > 0:
            mask |= 1 << e
            pc = s[L.QUEUE + (e * L.MAX_QUEUE + s[L.QUEUE_HEAD + e]) * L.Q_ENTRY + L.Q_PC]
    raise_fault(s, L.RANK_DEADLOCK, L.DEADLOCK, pc, mask)


@inlined
def engines_cycle(s, m):
    """Engines and array, in an order in which every value is read before it is written."""
    if s[L.WAS_BUSY + L.LD]:
        load_visit(s, m)
    if s[L.WAS_BUSY + L.ST]:
        store_write(s, m)
        store_visit(s, m)
    if s[L.DR_LIVE] > 0 or s[L.WAS_BUSY + L.DR]:
        drain_cycle(s, m)
    if s[L.EX_LIVE] > 0 or s[L.WAS_BUSY + L.EX]:
        execute_cycle(s, m)
    if s[L.WAS_BUSY + L.NV]:
        nv_cycle(s, m)
    if s[L.WAS_BUSY + L.LD]:
        load_write(s, m)
    store_front(s)
    load_front(s)
    execute_front(s)
    drain_front(s)
    nv_front(s)


@inner
def is_finished(s):
    """True in the cycle that sees a halted core, empty queues and quiescent engines (registered); counts it."""
    if s[L.HALTED] == 0 or not queues_empty(s) or not all_quiet(s):
        return False
    s[L.DONE] = 1
    for e in range(s[L.ENGINES_BUILT]):
        s[L.ENGINE_COUNTERS + 4 * e + L.IDLE_COUNTER] += 1
    return True


@inner
def settle_tokens(s, was_halted):
    """What follows from all that units did in this cycle: tokens, and whether anything can still move."""
    if s[L.GIVEN] + s[L.GIVEN + 1] + s[L.GIVEN + 2] + s[L.GIVEN + 3] + s[L.GIVEN + 4] > 0 or s[L.MOVED]:
        move_tokens(s)
    check_deadlock(s, was_halted)


@inner
def end_cycle(s, start_pc):
    """Count the cycle, which began at ``start_pc``, and hold it against the limit."""
    s[L.CYCLES] += 1
    if s[L.CYCLES] == s[L.LIMIT] and not s[L.DONE]:
        raise_fault(s, L.RANK_LIMIT, L.CYCLE_LIMIT, start_pc, s[L.LIMIT])


@inlined
def clock(s, code, m):
    """One cycle; the machine is neither done nor faulted."""
    begin_cycle(s)
    was_halted, start_pc = s[L.HALTED], s[L.PC]
    if not is_finished(s):
        if not was_halted:
            core_cycle(s, code)
        engines_cycle(s, m)
        settle_tokens(s, was_halted)
    end_cycle(s, start_pc)


@jit_entry
def run_cycles(s, code, m, cycles, records, events):
    """Up to ``cycles`` cycles, until the machine is done, faults, asks for a macro, or a buffer is full.

    records: uint64 (n, columns), a row per cycle is written while there are rows; events: int64 (n, EVENT_WORDS), the
    commit log. Pass arrays of no rows for what is not wanted. Returns (cycles run, events written).
    """
    written = 0
    for done in range(cycles):
        if s[L.DONE] or s[L.FAULT] or s[L.NV_REQUEST] or (events.shape[0] > 0 and written + EVENT_MARGIN > events.shape[0]):
            return done, written
        clock(s, code, m)
        if done < records.shape[0]:
            write_record(s, m, records[done])
        if events.shape[0] > 0:
            written = emit_events(s, m, events, written)
    return cycles, written
