"""A whole command by the stepping emulator's datapath of its engine, which runs alone: no other unit, no queue.

Each function leaves the control state as the command's start left it, but for what the command counts; a fault stays in
``s[L.FAULT]``.
"""

from __future__ import annotations

from rpa.arch.jit import inlined, inner
from rpa.emu.fast import future as F
from rpa.emu.step import layout as L
from rpa.emu.step.drain import drain_cycle
from rpa.emu.step.execute import execute_cycle, start_streams
from rpa.emu.step.load import load_visit, load_write
from rpa.emu.step.store import store_visit, store_write


@inner
def next_cycle(s, engine):
    """Begin the next cycle of an engine that runs alone."""
    s[L.CYCLES] += 1
    s[L.WAS_BUSY + engine] = s[L.BUSY + engine]


@inner
def restore(s, engine, cycles):
    """Be in the cycle of the command's start again."""
    s[L.CYCLES] = cycles
    s[L.BUSY + engine] = 1
    s[L.GIVEN + engine] = 0


@inlined
def load_alone(s, m):
    cycles = s[L.CYCLES]
    while s[L.BUSY + L.LD] and s[L.FAULT] == 0:
        next_cycle(s, L.LD)
        load_visit(s, m)
        load_write(s, m)
    restore(s, L.LD, cycles)


@inlined
def execute_alone(s, m):
    cycles = s[L.CYCLES]
    s[L.EX_N] = 1
    if s[L.COMMAND + L.EX] == L.RUN:
        start_streams(s)
    s[L.EX_LIVE] = 0
    while (s[L.BUSY + L.EX] or s[L.EX_LIVE] > 0) and s[L.FAULT] == 0:
        next_cycle(s, L.EX)
        execute_cycle(s, m)
    restore(s, L.EX, cycles)


@inlined
def drain_alone(s, m, w):
    """A drain or a seed. Of a drain ``w.drained`` notes what each cycle counts, if the program reads such counters."""
    cycles = s[L.CYCLES]
    s[L.DR_LIVE] = 0
    for cycle in range(max(s[F.DR_EVENTS] + 1, cycles - F.DRAINED // 2), cycles + 1):
        w.drained[0, cycle % F.DRAINED] = w.drained[1, cycle % F.DRAINED] = 0
    while (s[L.BUSY + L.DR] or s[L.DR_LIVE] > 0) and s[L.FAULT] == 0:
        saturations, words = s[L.RQ_SATURATIONS], s[L.O_WRITES]
        next_cycle(s, L.DR)
        drain_cycle(s, m)
        if s[F.PARTIAL] and s[L.CYCLES] > s[F.DR_EVENTS]:
            w.drained[0, s[L.CYCLES] % F.DRAINED] = s[L.RQ_SATURATIONS] - saturations
            w.drained[1, s[L.CYCLES] % F.DRAINED] = s[L.O_WRITES] - words
    s[F.DR_EVENTS] = s[L.CYCLES]
    restore(s, L.DR, cycles)


@inner
def note_overwritten(s, memory, journal):
    """Put into the journal what the words on their way to memory overwrite."""
    at, first, count = s[F.JOURNALLED], s[L.ST_OUT_ADDRESS] >> 1, s[L.ST_OUT]
    for i in range(count):
        journal[at + i] = memory[first + i]
    at += count
    journal[at] = first & L.WORD_MASK
    journal[at + 1] = first >> 16
    journal[at + 2] = count
    s[F.JOURNALLED] = at + F.JOURNAL_WORDS


@inlined
def store_alone(s, m, w):
    """``w.journal`` must have room for all words of the store, and `future.JOURNAL_WORDS` for each of its visits."""
    cycles = s[L.CYCLES]
    while s[L.BUSY + L.ST] and s[L.FAULT] == 0:
        next_cycle(s, L.ST)
        if s[L.ST_OUT] > 0:
            note_overwritten(s, m.memory, w.journal)
        store_write(s, m)
        store_visit(s, m)
    restore(s, L.ST, cycles)
