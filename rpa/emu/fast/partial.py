"""Counters of the data path in the middle of commands: what `rdctr` reads while an engine is at work.

Commands are counted whole when they start; for a program that reads such counters, what has not happened yet is taken off.
"""

from __future__ import annotations

from rpa.arch.jit import inner
from rpa.emu.fast import future as F
from rpa.emu.step import layout as L
from rpa.emu.step.execute import count_step, is_hit, next_point, start_streams
from rpa.emu.step.load import banks_of
from rpa.emu.step.nv import combine_visits, macro_cycles, passes_of, vector_cycles, vectors_of, words_of

FOREVER = 1 << 60


@inner
def is_partial(s, code):
    """The data path's counter that the core's instruction reads, or -1."""
    if s[L.PC] >= s[L.CODE_WORDS]:
        return -1
    row = s[L.PC] * L.C_ENTRY
    op, counter = code[row + L.C_OPCODE], code[row + L.C_IMM]
    if code[row + L.C_LEGAL] == 0 or (op != L.RDCTR and op != L.RDCTRH):
        return -1
    return counter if L.COUNT + counter >= L.A_READS else -1


@inner
def count_run(s, steps):
    """Count the first ``steps`` steps of the run that EX works on."""
    rows, cols = min(s[L.ACTIVE + L.EX_ROWS], s[L.ROWS]), min(s[L.ACTIVE + L.EX_COLS], s[L.COLS])
    a_on, w_on = s[L.ACTIVE + L.EX_AEN] == 1, s[L.ACTIVE + L.EX_WEN] == 1
    s[L.EX_N] = 1
    start_streams(s)
    for _ in range(steps):
        a_hit = a_on and is_hit(s, s[L.ACTIVE + L.EX_AHOLD], s[L.ACTIVE + L.EX_ASLIDE])
        w_hit = w_on and is_hit(s, s[L.ACTIVE + L.EX_WHOLD], s[L.ACTIVE + L.EX_WSLIDE])
        count_step(s, a_on and not a_hit, a_hit, w_on and not w_hit, w_hit, rows, cols)
        next_point(s)


@inner
def takers(s, banks, row):
    """How many of ``banks`` banks take this row of the load."""
    group, sel, count = s[L.ACTIVE + L.LD_GROUP], s[L.ACTIVE + L.LD_SEL], 0
    for b in range(banks):
        q = b >> group
        if 0 <= row - q * s[L.ACTIVE + L.LD_WSTEP] < s[L.ACTIVE + L.LD_WLEN] and (sel == L.EVERY_LANE or sel == b - (q << group)):
            count += 1
    return count


@inner
def writes_of(dest):
    """The counter of writes to the banks of a destination."""
    if dest == L.TO_A:
        return L.A_WRITES
    if dest == L.TO_W:
        return L.W_WRITES
    return L.XBANK_WRITES if dest == L.TO_X else L.P_WRITES


@inner
def count_load(s, reads, writes):
    """Count the first ``reads`` visits and the bank writes of the first ``writes`` visits of the load under way."""
    unit, units, source = s[L.ACTIVE + L.LD_UNIT], s[L.ACTIVE + L.LD_UNITS], s[L.LD_SOURCE]
    if source == L.FROM_MEM:
        s[L.EXT_READ] += unit * reads
    elif source == L.FROM_O:
        for visit in range(reads):
            if visit % units * unit % s[L.COLS] == 0:
                s[L.O_READS] += s[L.COLS]
    counter, banks = writes_of(s[L.LD_DEST]), banks_of(s, s[L.LD_DEST])
    words = unit * s[L.ACTIVE + L.LD_PACK] // 16
    visit = 0
    while visit < writes:
        row = visit // units
        many = min(units, writes - visit)
        s[counter] += many * words * takers(s, banks, s[L.ACTIVE + L.LD_J0] + row)
        visit += many


@inner
def count_store(s, reads, writes):
    """Count the lines read in the first ``reads`` visits and the memory writes of the first ``writes`` of the store under way."""
    s[L.EXT_WRITE] += s[L.ACTIVE + L.ST_UNIT] * writes
    for visit in range(reads):
        x = visit // s[L.ACTIVE + L.ST_WS] % s[L.ACTIVE + L.ST_XS]
        if visit % s[L.ACTIVE + L.ST_WS] == 0 and x * s[L.ACTIVE + L.ST_XSTEP] % (16 // s[L.ACTIVE + L.ST_BITS]) == 0:
            s[L.O_READS] += s[L.COLS]


@inner
def count_cells(s, past):
    """Count what the `nvprog` under way did in the ``past`` cycles after its start."""
    words, rows = s[L.ACTIVE + L.NV_K0], s[L.ACTIVE + L.NV_ROWS]
    each = words + 1 + s[L.PROG_CYCLES]
    done = rows * words if past >= rows * each else past // each * words + min(past % each, words)
    s[L.XBANK_READS] += done
    s[L.NV_PROGRAMMED] += 4 * done


@inner
def count_vectors(s, operations, past):
    """Count what the `nvmac` under way did in the ``past`` cycles after its start."""
    words, passes, each, vectors = words_of(s, L.ACTIVE), passes_of(s, L.ACTIVE), vector_cycles(s, L.ACTIVE), vectors_of(s, L.ACTIVE)
    whole = min(past // each, vectors)
    rest = past - whole * each if whole < vectors else 0
    s[L.XBANK_READS] += whole * words + min(rest, words)
    begun = 0 if rest < words + 2 else (rest - words - 2) // (1 + macro_cycles(s, L.ACTIVE) + combine_visits(s, L.ACTIVE)) + 1
    count = whole * passes + begun
    s[L.NV_OPERATIONS] += count
    s[L.NV_MACS] += count // passes * s[L.ACTIVE + L.NV_ROWS] * s[L.ACTIVE + L.NV_OUTS]
    at = min(count, operations.shape[1] - 1)
    s[L.NV_ACTIVE] += operations[0, at]
    s[L.NV_CONVERSIONS] += operations[1, at]
    s[L.NV_SKIPPED] += operations[2, at]
    s[L.NV_ADC_BITS] += operations[3, at]


@inner
def clip(value, high):
    return max(0, min(value, high))


@inner
def count_command(s, operations, engine, past):
    """Count what the command under way did in the ``past`` cycles after its start, but for what a drain counts late."""
    opcode = s[L.COMMAND + engine]
    if opcode == L.LOAD:
        count_load(s, clip(past, s[L.LD_N]), clip(past - s[L.LD_L], s[L.LD_N]))
    elif opcode == L.RUN:
        count_run(s, clip(past, s[F.LAST + engine] - s[F.START + engine]))
    elif opcode == L.DRAIN:
        s[L.RQ_ELEMENTS] += s[L.COLS] * clip(past, s[L.DR_N])
    elif opcode == L.STORE:
        count_store(s, clip(past, s[L.ST_N]), clip(past - 1, s[L.ST_N]))
    elif opcode == L.NVPROG:
        count_cells(s, past)
    elif opcode == L.NVMAC:
        count_vectors(s, operations, past)


@inner
def count_under_way(s, operations, cycle, whole):
    """Count what the commands under way did before ``cycle``, or what they do in all."""
    for e in range(L.ENGINE_COUNT):
        if s[L.WAS_BUSY + e]:
            count_command(s, operations, e, FOREVER if whole else cycle - 1 - s[F.START + e])


@inner
def note_drained_words(s, drained):
    """Note and count the O words of the drain under way without carrying it out."""
    bits, lanes = s[L.ACTIVE + L.DR_BITS], s[L.ACTIVE + L.DR_LANES]
    if s[L.ACTIVE + L.DR_RAW]:
        bits, lanes = 16, 2
    elements = s[L.ACTIVE + L.DR_ACCS] * lanes
    for visit in range(s[L.DR_N]):
        cycle, place = s[F.START + L.DR] + 1 + visit + F.DR_DEPTH, visit % elements
        words = s[L.COLS] if (place + 1) * bits % 16 == 0 or place + 1 == elements else 0
        drained[0, cycle % F.DRAINED] = 0
        drained[1, cycle % F.DRAINED] = words
        s[L.O_WRITES] += words
    s[F.DR_EVENTS] = s[F.START + L.DR] + s[L.DR_N] + F.DR_DEPTH


@inner
def correct_counter(s, before, drained, operations, counter, cycle):
    """Set the counter to its value at the start of ``cycle``; returns what must be added afterwards."""
    total = s[L.COUNT + counter]
    for i in range(L.COUNTER_COUNT):
        before[i] = s[L.COUNT + i]
    count_under_way(s, operations, cycle, True)
    missing = s[L.COUNT + counter] - total
    count_under_way(s, operations, cycle, False)
    missing -= s[L.COUNT + counter] - total - missing
    for i in range(L.COUNTER_COUNT):
        s[L.COUNT + i] = before[i]
    for later in range(cycle, s[F.DR_EVENTS] + 1):
        if L.COUNT + counter == L.RQ_SATURATIONS:
            missing += drained[0, later % F.DRAINED]
        elif L.COUNT + counter == L.O_WRITES:
            missing += drained[1, later % F.DRAINED]
    s[L.COUNT + counter] = total - missing
    return missing
