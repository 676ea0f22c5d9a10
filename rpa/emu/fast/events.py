"""The event loop: control cycle by cycle, every command carried out whole in the cycle in which it starts."""

from __future__ import annotations

from rpa.arch.jit import inlined, inner, jit_entry
from rpa.emu.fast import future as F
from rpa.emu.fast.alone import drain_alone, execute_alone, load_alone, store_alone
from rpa.emu.fast.control import advance
from rpa.emu.fast.copies import copy_load, is_plain
from rpa.emu.fast.hazards import command_words, races
from rpa.emu.fast.macs import all_mac, execute_macs, mark_slots
from rpa.emu.fast.partial import FOREVER, count_command, note_drained_words
from rpa.emu.fast.reach import reach_of
from rpa.emu.step import layout as L
from rpa.emu.step.pe import acc_kind

(GOES_ON, ENDED, TIRED, JOURNAL_FULL, TRACE_FULL, PROBLEM, RACE, FAULT, LATE, MACRO) = range(10)
"""Why the loop returns. ENDED: done, or a fault of the control logic; FAULT: one of a datapath; PROBLEM: addresses that would fault;
LATE: a command of NV ends behind the cycle limit; MACRO: `rpa.emu.fast.nv` is to carry out the command that NV has started."""


@inner
def writes_accumulators(s, ctx, used):
    """True if a working PE writes an accumulator in some step of the run under way, whatever its condition."""
    for slot in range(s[L.CTX_SLOTS]):
        if used[0, slot] == 0:
            continue
        for r in range(min(s[L.ACTIVE + L.EX_ROWS], s[L.ROWS])):
            for c in range(min(s[L.ACTIVE + L.EX_COLS], s[L.COLS])):
                if acc_kind(ctx[slot, r, c] >> L.OP_LO & L.OP_MAX, ctx[slot, r, c] >> L.DST_LO & L.DST_MAX) != L.KIND_NONE:
                    return True
    return False


@inlined
def carry_out(s, m, w, engine):
    """Carry out the command that ``engine`` has started; GOES_ON, or why it cannot be."""
    opcode = s[L.COMMAND + engine]
    if opcode == L.STORE and s[F.JOURNALLED] + s[L.ST_N] * (s[L.ACTIVE + L.ST_UNIT] + F.JOURNAL_WORDS) > w.journal.shape[0]:
        return JOURNAL_FULL
    reach_of(s, engine, w.reach)
    if w.reach[F.R_PROBLEM] != F.NO_PROBLEM:
        return PROBLEM
    by_macs, writes = False, False
    if opcode == L.RUN:
        mark_slots(s, w.used)
        by_macs = all_mac(s, m.uniform, w.used)
        writes = by_macs or writes_accumulators(s, m.ctx, w.used)
    store = races(s, w.accesses, w.news, w.marks, m.places, engine, w.reach, writes)
    if store >= 0:
        w.reach[F.R_LOW] = store
        return RACE
    if engine == L.NV:
        return LATE if 0 < s[L.LIMIT] < s[F.LAST + L.NV] else MACRO
    if engine == L.EX:
        if by_macs:
            execute_macs(s, m, w)
        else:
            execute_alone(s, m)
    elif engine == L.DR:
        drain_alone(s, m, w)
    elif engine == L.ST:
        store_alone(s, m, w)
    elif is_plain(s):
        copy_load(s, m)
    else:
        load_alone(s, m)
    return FAULT if s[L.FAULT] else GOES_ON


@jit_entry
def run_events(s, code, m, w):
    """Run until one of the reasons above; after JOURNAL_FULL it can be called again, with more room in the journal, and after MACRO
    when TODO of NV is 0."""
    while True:
        for e in range(L.ENGINE_COUNT):
            if s[F.TODO + e]:
                why = carry_out(s, m, w, e)
                if why != GOES_ON:
                    return why
                s[F.TODO + e] = 0
        if s[L.DONE] or s[L.FAULT]:
            return ENDED
        if s[F.SIMULATED] >= s[F.PATIENCE]:
            return TIRED
        advance(s, code, w.before, w.drained, w.operations, w.seen)


@inner
def record(s, engine, x, row):
    """Write the command that ``engine`` has started into a row of a trace."""
    arg, slot = command_words(s, engine)
    row[F.T_CYCLE] = s[F.START + engine]
    row[F.T_ENGINE] = engine
    row[F.T_OPCODE] = s[L.COMMAND + engine]
    row[F.T_ARG] = arg
    row[F.T_SLOT] = s[L.COMMAND_SLOT + engine] if s[L.COMMAND + engine] == L.CTXLD else slot
    row[F.T_VALUE] = s[L.COMMAND_VALUE + engine]
    row[F.T_WAIT] = s[L.TAKEN + engine]
    row[F.T_SIGNAL] = s[L.COMMAND_SIGNAL + engine]
    row[F.T_PC] = s[L.COMMAND_PC + engine]
    row[F.T_PROBLEM] = x[F.R_PROBLEM]
    row[F.T_LOW] = x[F.R_LOW]
    row[F.T_HIGH] = x[F.R_HIGH]
    first = L.FIRST_REGISTER[engine]
    for register in range(first, L.LAST_REGISTER[engine] + 1):
        row[F.T_REGISTERS + register - first] = s[L.ACTIVE + register]


@inner
def count_unseen(s, engine, drained, operations):
    """Count a command that is not carried out, as far as that does not depend on data."""
    if s[L.COMMAND + engine] == L.CTXLD:
        op = s[L.COMMAND_VALUE + engine] >> L.OP_LO & L.OP_MAX
        s[L.MAC_SLOT + s[L.COMMAND_SLOT + engine]] = 1 if op == L.PE_MAC or op == L.PE_MACL else 0
    elif s[F.PARTIAL]:
        count_command(s, operations, engine, FOREVER)
        if s[L.COMMAND + engine] == L.DRAIN:
            note_drained_words(s, drained)


@jit_entry
def follow_events(s, code, w, rows, written):
    """As :func:`run_events` without data: every command that starts goes into ``rows`` (n, TRACE_WORDS) from row ``written`` on.

    Returns (reason, rows written); after TRACE_FULL it can be called again, with new rows.
    """
    while True:
        for e in range(L.ENGINE_COUNT):
            if s[L.STARTED + e] and (s[F.TODO + e] or s[L.COMMAND + e] == L.SYNC):
                if written == rows.shape[0]:
                    return TRACE_FULL, written
                reach_of(s, e, w.reach)
                record(s, e, w.reach, rows[written])
                written += 1
                count_unseen(s, e, w.drained, w.operations)
                s[L.STARTED + e] = 0
                s[F.TODO + e] = 0
        if s[L.DONE] or s[L.FAULT]:
            return ENDED, written
        if s[F.SIMULATED] >= s[F.PATIENCE]:
            return TIRED, written
        advance(s, code, w.before, w.drained, w.operations, w.seen)


@jit_entry
def undo(memory, journal, used):
    """Give memory (words) back what the first ``used`` words of a journal say that writes overwrote, the last one first."""
    at = used
    while at > 0:
        first, count = int(journal[at - 3]) | int(journal[at - 2]) << 16, int(journal[at - 1])
        at -= F.JOURNAL_WORDS + count
        for i in range(count):
            memory[first + i] = journal[at + i]
