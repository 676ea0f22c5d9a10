"""A `run` that does `mac a, w` in every PE and step: outer products of feeder words, a vector of columns at a time.

The sums of a run are kept beside the accumulators, as int32 for operands of up to 8 bits and as float64 for 16 bits, and
added to them before they could leave what these hold exactly.
"""

from __future__ import annotations

from isa.table import ACC_INDEX_COUNT, FEEDER_SLOTS
from rpa.arch.jit import VECTOR, add_scaled, add_scaled_pair, inlined, inner
from rpa.emu.fast import future as F
from rpa.emu.fast.partial import count_run
from rpa.emu.step import layout as L
from rpa.emu.step.pe import lane_of

STEPS_32 = (1 << 14) - 1
"""Steps whose sums int32 holds: at 8 bits one adds at most 2 * 255^2 < 2^17."""
STEPS_64 = 1 << 20
"""Steps whose sums float64 holds exactly: one adds less than 2^32."""
EMPTY, READY, NEW = range(3)
"""States of a feeder slot."""


@inner
def mark_slots(s, used):
    """used[0, slot] = 1 for every context slot of the run."""
    slots = s[L.CTX_SLOTS]
    for i in range(slots):
        used[0, i] = 0
    used[0, s[L.ACTIVE + L.EX_SBASE] & (slots - 1)] = 1
    for d in range(L.DIMS):
        step = s[L.ACTIVE + L.EX_SS0 + d]
        if step == 0:
            continue
        for i in range(slots):
            used[1, i] = used[0, i]
        for index in range(1, min(s[L.ACTIVE + L.EX_N0 + d], slots)):
            for i in range(slots):
                if used[1, i]:
                    used[0, (i + index * step) & (slots - 1)] = 1


@inner
def all_mac(s, uniform, used):
    """True if every PE does `mac a, w` in every marked slot."""
    for slot in range(s[L.CTX_SLOTS]):
        if used[0, slot] and (uniform[slot] < 0 or uniform[slot] & L.NOT_IMM != L.MAC_AW):
            return False
    return True


@inner
def stream_counts(s, hold, slide):
    """(steps that read, steps that take the feeder's word) of a stream that is on."""
    steps = reads = 1
    for d in range(2, L.DIMS):
        reads *= 1 if hold >> d & 1 else s[L.ACTIVE + L.EX_N0 + d]
    for d in range(L.DIMS):
        steps *= s[L.ACTIVE + L.EX_N0 + d]
    n0, n1 = s[L.ACTIVE + L.EX_N0], 1 if hold >> 1 & 1 else s[L.ACTIVE + L.EX_N0 + 1]
    later = n0 if slide == 0 else min(slide, n0)
    if hold & 1:
        later = 1 if later == n0 else 0
    reads *= (1 if hold & 1 else n0) + (n1 - 1) * later
    return reads, steps - reads


@inner
def count_macs(s, used):
    """Count the whole run under way, as `partial.count_run` would."""
    every = True
    for slot in range(s[L.CTX_SLOTS]):
        if used[0, slot] and s[L.MAC_SLOT + slot] == 0:
            every = False
    steps = s[F.LAST + L.EX] - s[F.START + L.EX]
    if not every:
        count_run(s, steps)
        return
    rows, cols, lanes = min(s[L.ACTIVE + L.EX_ROWS], s[L.ROWS]), min(s[L.ACTIVE + L.EX_COLS], s[L.COLS]), 16 // s[L.ACTIVE + L.EX_CBITS]
    if s[L.ACTIVE + L.EX_AEN]:
        reads, hits = stream_counts(s, s[L.ACTIVE + L.EX_AHOLD], s[L.ACTIVE + L.EX_ASLIDE])
        s[L.A_READS] += rows * reads
        s[L.A_HITS] += rows * hits
    if s[L.ACTIVE + L.EX_WEN]:
        reads, hits = stream_counts(s, s[L.ACTIVE + L.EX_WHOLD], s[L.ACTIVE + L.EX_WSLIDE])
        s[L.W_READS] += cols * reads
        s[L.W_HITS] += cols * hits
    s[L.MAC_SLOTS] += steps * s[L.ROWS] * s[L.COLS] * lanes
    s[L.MACS] += steps * rows * cols * lanes


@inner
def widen(lanes_of, at, stride, bank, address, count, bits, lanes, signed, part):
    """lanes_of[at + lane * stride + i] = that lane of slice ``part`` of the word at ``address`` of bank i."""
    for lane in range(lanes):
        for i in range(count):
            lanes_of[at + lane * stride + i] = lane_of(bank[address, i] | 0, part * lanes + lane, bits, signed)


@inner
def multiply(sums, at, bank, address, rows, bits, part, signed, w, w_at, stride, lanes):
    """sums += outer product of slice ``part`` of the A banks' words at ``address`` with the lanes in ``w``, summed over lanes."""
    for lane in range(0, lanes, 2):
        number, y = part * lanes + lane, w_at + lane * stride
        for r in range(rows):
            word, here = bank[address, r] | 0, at + r * stride
            x = lane_of(word, number, bits, signed)
            if lanes == 1:
                for c in range(0, stride, VECTOR):
                    add_scaled(sums, here + c, x, w, y + c)
            else:
                x_next = lane_of(word, number + 1, bits, signed)
                for c in range(0, stride, VECTOR):
                    add_scaled_pair(sums, here + c, x, w, y + c, x_next, y + stride + c)


@inner
def settle(s, acc, sums, written, rows, cols, size, stride):
    """Add the sums to the accumulators of the run's bank and begin new ones."""
    mask = (1 << s[L.ACC_BITS]) - 1
    for index in range(ACC_INDEX_COUNT):
        if written[0, index] == 0:
            continue
        for r in range(rows):
            for c in range(cols):
                at = index * size + r * stride + c
                before = 0 if written[1, index] else acc[s[L.EX_BANK], index, r, c]
                acc[s[L.EX_BANK], index, r, c] = (before + int(sums[at])) & mask
                sums[at] = 0
        written[0, index] = written[1, index] = 0


@inner
def clear(sums, at, size):
    for i in range(at, at + size):
        sums[i] = 0


@inner
def next_outer(s, index):
    """Go on by one in the loops 1..; returns bit d for every index that is not 0."""
    for d in range(1, L.DIMS):
        index[d] += 1
        if index[d] < s[L.ACTIVE + L.EX_N0 + d]:
            break
        index[d] = 0
    nonzero = 0
    for d in range(1, L.DIMS):
        nonzero |= (1 << d) * (index[d] != 0)
    return nonzero


@inner
def outer_offset(s, index, first_step):
    total = 0
    for d in range(1, L.DIMS):
        total += index[d] * s[L.ACTIVE + first_step + d]
    return total


@inner
def present(fed, side, slot, reads, address, part):
    """What a feeder slot of ``side`` (0 A, 1 W) gives in this step: nothing, lanes that it has, or lanes to be widened first."""
    if not reads:
        address = fed[side, 0, slot]
        if address < 0:
            return EMPTY
    if fed[side, 0, slot] == address and fed[side, 1, slot] == part:
        return READY
    fed[side, 0, slot] = address
    fed[side, 1, slot] = part
    return NEW


@inner
def outer_part(index, dimension, pieces):
    """Slice chosen by a loop other than 0, or 0."""
    return index[dimension] % pieces if 1 <= dimension < L.DIMS else 0


@inner
def run_macs(s, abank, wbank, acc, sums, w_lanes, fed, written, index, longest):
    """All steps of the run under way, whose addresses are inside the banks. longest: steps whose sums are exact."""
    n0, rows, cols = s[L.ACTIVE + L.EX_N0], min(s[L.ACTIVE + L.EX_ROWS], s[L.ROWS]), min(s[L.ACTIVE + L.EX_COLS], s[L.COLS])
    cbits, abits, wbits = s[L.ACTIVE + L.EX_CBITS], s[L.ACTIVE + L.EX_ABITS], s[L.ACTIVE + L.EX_WBITS]
    stride = (s[L.COLS] + VECTOR - 1) // VECTOR * VECTOR
    lanes, size = 16 // cbits, s[L.ROWS] * stride
    a_on, w_on = s[L.ACTIVE + L.EX_AEN] == 1, s[L.ACTIVE + L.EX_WEN] == 1
    a_hold, w_hold, a_slide, w_slide = (s[L.ACTIVE + L.EX_AHOLD], s[L.ACTIVE + L.EX_WHOLD], s[L.ACTIVE + L.EX_ASLIDE], s[L.ACTIVE + L.EX_WSLIDE])
    a_signed, w_signed = s[L.ACTIVE + L.EX_ASIGNED] == 1, s[L.ACTIVE + L.EX_WSIGNED] == 1
    a_slice, w_slice, red, keep = s[L.ACTIVE + L.EX_ASLICE], s[L.ACTIVE + L.EX_WSLICE], s[L.ACTIVE + L.EX_RED], s[L.ACTIVE + L.EX_KEEP] == 1
    a_step, w_step, c_step = s[L.ACTIVE + L.EX_AS0], s[L.ACTIVE + L.EX_WS0], s[L.ACTIVE + L.EX_CS0]
    a_use, w_use = s[L.ACTIVE + L.EX_AU0], s[L.ACTIVE + L.EX_WU0]
    for slot in range(FEEDER_SLOTS):
        fed[0, 0, slot] = fed[1, 0, slot] = -1
    for d in range(L.DIMS):
        index[d] = 0
    outer, since, nonzero = (s[F.LAST + L.EX] - s[F.START + L.EX]) // n0, 0, 0
    for _ in range(outer):
        if since + n0 > longest:
            settle(s, acc, sums, written, rows, cols, size, stride)
            since = 0
        since += n0
        a_at = s[L.ACTIVE + L.EX_ABASE] + outer_offset(s, index, L.EX_AS0)
        w_at = s[L.ACTIVE + L.EX_WBASE] + outer_offset(s, index, L.EX_WS0)
        c_at = s[L.ACTIVE + L.EX_CBASE] + outer_offset(s, index, L.EX_CS0)
        a_part, w_part = outer_part(index, a_slice, cbits // abits), outer_part(index, w_slice, cbits // wbits)
        a_slot, w_slot = index[1] * s[L.ACTIVE + L.EX_AU1], index[1] * s[L.ACTIVE + L.EX_WU1]
        for i0 in range(n0):
            all_nonzero = nonzero | (i0 > 0)
            i = (c_at + i0 * c_step) & L.ACC_MASK
            written[0, i] = 1
            if not keep and all_nonzero & red == 0:
                written[1, i] = 1
                clear(sums, i * size, size)
            if not a_on or not w_on:
                continue
            reads = all_nonzero & a_hold == 0 and (a_slide == 0 or index[1] == 0 or i0 >= n0 - a_slide)
            part = i0 % (cbits // abits) if a_slice == 0 else a_part
            a_here = (a_slot + i0 * a_use) % FEEDER_SLOTS
            a_state, a_now = present(fed, 0, a_here, reads, (a_at + i0 * a_step) & L.WORD_MASK, part), part
            reads = all_nonzero & w_hold == 0 and (w_slide == 0 or index[1] == 0 or i0 >= n0 - w_slide)
            part = i0 % (cbits // wbits) if w_slice == 0 else w_part
            w_here = (w_slot + i0 * w_use) % FEEDER_SLOTS
            w_state = present(fed, 1, w_here, reads, (w_at + i0 * w_step) & L.WORD_MASK, part)
            if w_state == NEW:
                widen(w_lanes, w_here * lanes * stride, stride, wbank, fed[1, 0, w_here], cols, wbits, lanes, w_signed, part)
            if a_state != EMPTY and w_state != EMPTY:
                multiply(sums, i * size, abank, fed[0, 0, a_here], rows, abits, a_now, a_signed, w_lanes, w_here * lanes * stride, stride, lanes)
        nonzero = next_outer(s, index)
    settle(s, acc, sums, written, rows, cols, size, stride)


@inlined
def execute_macs(s, m, w):
    """Carry out and count the run under way, for which :func:`all_mac` holds and whose reach has no problem."""
    count_macs(s, w.used)
    if s[L.ACTIVE + L.EX_CBITS] == 16:
        run_macs(s, m.abank, m.wbank, m.acc, w.sums64, w.w64, w.fed, w.written, w.indices, STEPS_64)
    else:
        run_macs(s, m.abank, m.wbank, m.acc, w.sums32, w.w32, w.fed, w.written, w.indices, STEPS_32)
