"""Core, queues and tokens cycle by cycle, as the stepping emulator does them; cycles in which nothing moves are skipped.

The engines' ends are known from their starts (design.md sections 5 to 8), so no datapath runs here.
"""

from __future__ import annotations

from rpa.arch.jit import inner
from rpa.emu.fast import future as F
from rpa.emu.fast.partial import correct_counter, is_partial
from rpa.emu.step import layout as L
from rpa.emu.step.clock import all_quiet, begin_cycle, end_cycle, is_finished, queues_empty, settle_tokens
from rpa.emu.step.common import complete
from rpa.emu.step.core import core_cycle
from rpa.emu.step.drain import drain_front
from rpa.emu.step.execute import execute_front
from rpa.emu.step.load import load_front
from rpa.emu.step.nv import nv_busy_cycles, nv_front, vector_cycles, vectors_of
from rpa.emu.step.store import store_front


@inner
def depth_of(engine):
    """Stages of an engine behind the first."""
    if engine == L.EX:
        return F.EX_DEPTH
    return F.DR_DEPTH if engine == L.DR else 0


@inner
def busy_cycles(s, engine):
    """Cycles for which the command that starts now keeps its engine busy."""
    opcode = s[L.COMMAND + engine]
    if opcode == L.LOAD:
        return s[L.LD_N] + s[L.LD_L]
    if opcode == L.STORE:
        return s[L.ST_N] + 1
    if opcode == L.DRAIN:
        return s[L.DR_N]
    if opcode == L.NVMAC and vectors_of(s, L.ACTIVE) >= F.FAR // vector_cycles(s, L.ACTIVE):
        return F.FAR
    if engine == L.NV:
        return nv_busy_cycles(s, opcode)
    return s[L.EX_N] if opcode == L.RUN else 1


@inner
def note_starts(s, cycle):
    """Settle when the commands that start in this cycle end."""
    for e in range(L.ENGINE_COUNT):
        if s[L.STARTED + e]:
            s[F.START + e] = cycle
            s[F.LAST + e] = cycle + busy_cycles(s, e)
            s[F.TODO + e] = 0 if s[L.COMMAND + e] == L.SYNC else 1


@inner
def note_ends(s, cycle):
    """Engines whose last busy cycle this is, and completions that leave a pipeline."""
    s[F.ENDED] = 0
    for e in range(L.ENGINE_COUNT):
        depth = depth_of(e)
        if s[L.WAS_BUSY + e] and s[F.LAST + e] == cycle:
            s[L.BUSY + e] = 0
            s[F.ENDED] = 1
            due = F.RING * e + (cycle + depth) % F.RING
            s[F.LIVE + e] = s[F.DUE + due] = cycle + depth
            s[F.DUE_MASK + due] = s[L.COMMAND_SIGNAL + e]
            s[F.DUE_PC + due] = s[L.COMMAND_PC + e]
        due = F.RING * e + cycle % F.RING
        if s[F.DUE + due] == cycle:
            complete(s, e, s[F.DUE_MASK + due], s[F.DUE_PC + due])
            s[F.ENDED] = 1


@inner
def control_cycle(s, code, before, drained, operations):
    """One cycle of everything but datapaths; the machine is neither done nor faulted."""
    cycle = s[L.CYCLES] + 1
    s[L.EX_LIVE] = 1 if s[F.LIVE + L.EX] >= cycle else 0
    s[L.DR_LIVE] = 1 if s[F.LIVE + L.DR] >= cycle else 0
    begin_cycle(s)
    was_halted, start_pc = s[L.HALTED], s[L.PC]
    if not is_finished(s):
        if not was_halted:
            counter = is_partial(s, code) if s[F.PARTIAL] else -1
            if counter >= 0:
                missing = correct_counter(s, before, drained, operations, counter, cycle)
                core_cycle(s, code)
                s[L.COUNT + counter] += missing
            else:
                core_cycle(s, code)
        note_ends(s, cycle)
        store_front(s)
        load_front(s)
        execute_front(s)
        drain_front(s)
        nv_front(s)
        note_starts(s, cycle)
        settle_tokens(s, was_halted)
    end_cycle(s, start_pc)
    s[F.SIMULATED] += 1


@inner
def next_event(s):
    """The first cycle after this one in which an engine ends, a pipeline is empty or the limit is reached; 0 if none is known."""
    cycle, first = s[L.CYCLES], 0
    for e in range(L.ENGINE_COUNT):
        if s[L.BUSY + e] and (first == 0 or s[F.LAST + e] < first):
            first = s[F.LAST + e]
        for i in range(F.RING):
            due = s[F.DUE + F.RING * e + i]
            if due > cycle and (first == 0 or due < first):
                first = due
    if s[L.LIMIT] > 0 and (first == 0 or s[L.LIMIT] < first):
        first = s[L.LIMIT]
    return first


@inner
def skip_cycles(s, code, before, drained, operations):
    """After a cycle in which nothing moved: go to just before the next event, counting as that cycle did."""
    first = next_event(s)
    count = first - s[L.CYCLES] - 1
    if count < 2:
        return
    for i in range(L.COUNTER_COUNT):
        before[i] = s[L.COUNT + i]
    control_cycle(s, code, before, drained, operations)
    for i in range(L.COUNTER_COUNT):
        s[L.COUNT + i] += (s[L.COUNT + i] - before[i]) * (count - 1)


@inner
def is_repeated(s, seen):
    """True if the core is where it was when ``seen`` was noted, and no engine has worked since."""
    if seen[F.N_PC] != s[L.PC] or seen[F.N_LOOPS] != s[L.LOOPS]:
        return False
    for i in range(F.CORE_STATE):
        if seen[F.N_CORE + i] != s[L.LOOP_START + i]:
            return False
    for e in range(L.ENGINE_COUNT):
        at = 4 * e + L.RUN_COUNTER
        if seen[F.N_COUNTERS + L.ENGINE_COUNTERS - L.COUNT + at] != s[L.ENGINE_COUNTERS + at]:
            return False
    return True


@inner
def skip_periods(s, seen):
    """In a loop that repeats the core's whole state while every engine rests, move on by whole periods, to just before the limit."""
    if is_repeated(s, seen):
        count = (s[L.LIMIT] - 1 - s[L.CYCLES]) // (s[L.CYCLES] - seen[F.N_COUNTERS])
        for i in range(L.COUNTER_COUNT):
            s[L.COUNT + i] += (s[L.COUNT + i] - seen[F.N_COUNTERS + i]) * count
    elif s[F.SIMULATED] >= s[F.NEXT_NOTE]:
        s[F.NEXT_NOTE] = 2 * s[F.SIMULATED]
        seen[F.N_PC] = s[L.PC]
        seen[F.N_LOOPS] = s[L.LOOPS]
        for i in range(F.CORE_STATE):
            seen[F.N_CORE + i] = s[L.LOOP_START + i]
        for i in range(L.COUNTER_COUNT):
            seen[F.N_COUNTERS + i] = s[L.COUNT + i]


@inner
def may_repeat(s):
    """True if the core has jumped back, with every engine at rest, in a program that reads no counters."""
    return (s[L.LIMIT] > 0 and s[F.READS] == 0 and s[L.RETIRED] == 1 and s[L.PC] <= s[L.RET_PC] and s[F.SIMULATED] >= F.FIRST_NOTE
            and all_quiet(s) and queues_empty(s))


@inner
def advance(s, code, before, drained, operations, seen):
    """Cycles until a command starts, the machine is done or faults, or patience ends."""
    while s[F.SIMULATED] < s[F.PATIENCE]:
        control_cycle(s, code, before, drained, operations)
        if s[L.DONE] or s[L.FAULT] or s[F.TODO] + s[F.TODO + 1] + s[F.TODO + 2] + s[F.TODO + 3] + s[F.TODO + 4] > 0:
            return
        if s[L.RETIRED] + s[L.MOVED] + s[F.ENDED] == 0:
            skip_cycles(s, code, before, drained, operations)
            if s[L.DONE] or s[L.FAULT]:
                return
        elif may_repeat(s):
            skip_periods(s, seen)
