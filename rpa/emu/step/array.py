"""The PE array and its feeders, compiled: loops over rows and columns. Their NumPy forms are in `vector`.

Arrays: ctx int64 (slots, R, C), uniform int64 (slots,): the context word that every PE has, or -1; out, flag (R, C);
regs (8, R, C); acc (2, 16, R, C), masked to acc_bits; given, kind (2, R, C): what EXEC hands to ACC, two buffers.
"""

from __future__ import annotations

from rpa.arch.jit import inlined, inner
from rpa.emu.step import layout as L
from rpa.emu.step.pe import (
    acc_kind,
    acc_value,
    add_lanes,
    alu,
    compare,
    immediate_word,
    lane_of,
    rotate_left,
    slice_word,
)


@inner
def load_context(ctx, uniform, slot, word, rmask, cmask):
    """Write a context word into the PEs of the masks."""
    same = True
    for r in range(ctx.shape[1]):
        for c in range(ctx.shape[2]):
            if rmask >> r & 1 and cmask >> c & 1:
                ctx[slot, r, c] = word
            if ctx[slot, r, c] != ctx[slot, 0, 0]:
                same = False
    uniform[slot] = ctx[slot, 0, 0] if same else -1


@inner
def read_banks(words, bank, address):
    """words = the word at ``address`` of every bank."""
    for i in range(words.shape[0]):
        words[i] = bank[address, i]


@inner
def feed_bus(bus, feeder, words, count, read, filled, slot, bits, cbits, signed, part):
    """Drive one bus: from the bank's words (which enter the feeder), from a filled feeder slot, or 0."""
    for i in range(bus.shape[0]):
        word = 0
        if i < count:
            if read:
                word = words[i] | 0
                feeder[slot, i] = word
            elif filled:
                word = feeder[slot, i]
        bus[i] = slice_word(word, bits, cbits, signed == 1, part)


@inner
def exec_mac(given, half, abus, wbus, rows, cols, cbits, asigned, wsigned):
    """`mac a, w` in every PE: given[half] = dot products of the buses."""
    for r in range(rows):
        x = lane_of(abus[r], 0, cbits, asigned == 1)
        for c in range(cols):
            given[half, r, c] = x * lane_of(wbus[c], 0, cbits, wsigned == 1)
    for lane in range(1, 16 // cbits):
        for r in range(rows):
            x = lane_of(abus[r], lane, cbits, asigned == 1)
            for c in range(cols):
                given[half, r, c] += x * lane_of(wbus[c], lane, cbits, wsigned == 1)


@inner
def neighbour(out, r, c, direction):
    """`out` of a neighbour, as a PE_SOURCES direction; 0 outside the array."""
    if direction == L.SRC_NORTH:
        r -= 1
    elif direction == L.SRC_SOUTH:
        r += 1
    elif direction == L.SRC_WEST:
        c -= 1
    else:
        c += 1
    if r < 0 or c < 0 or r >= out.shape[0] or c >= out.shape[1]:
        return 0
    return out[r, c]


@inlined
def operand(m, source, word, r, c, bank, index, cbits):
    """Value of an operand of PE (r, c)."""
    if source == L.SRC_A:
        return m.abus[r]
    if source == L.SRC_W:
        return m.wbus[c]
    if source >= L.SRC_R0:
        return m.regs[source - L.SRC_R0, r, c]
    if source == L.SRC_ACC:
        return m.acc[bank, index, r, c] & L.WORD_MASK
    if source == L.SRC_IMM:
        return immediate_word(word, cbits)
    return neighbour(m.out, r, c, source)


@inlined
def routed(m, route, r, c, x, result):
    """New value of the output register of PE (r, c), which the route does not hold."""
    if route == L.ROUTE_RESULT:
        return result
    if route == L.ROUTE_X:
        return x
    if route == L.ROUTE_A:
        return m.abus[r]
    if route == L.ROUTE_NORTH:
        return neighbour(m.out, r, c, L.SRC_NORTH)
    if route == L.ROUTE_EAST:
        return neighbour(m.out, r, c, L.SRC_EAST)
    if route == L.ROUTE_SOUTH:
        return neighbour(m.out, r, c, L.SRC_SOUTH)
    return neighbour(m.out, r, c, L.SRC_WEST)


@inlined
def exec_step(m, half, slot, bank, index, rows, cols, cbits, asigned, wsigned, acc_bits, recording):
    """Every PE executes its own context; given and kind [half] are what ACC gets. True if some PE has a kind."""
    writes, moves, word, op, dst, kind = False, False, -1, 0, 0, 0
    condition = x_source = y_source = route = 0
    for r in range(rows):
        for c in range(cols):
            if m.ctx[slot, r, c] != word:  # mostly the neighbour's
                word = m.ctx[slot, r, c]
                op, dst = word >> L.OP_LO & L.OP_MAX, word >> L.DST_LO & L.DST_MAX
                x_source, y_source = word >> L.X_LO & L.X_MAX, word >> L.Y_LO & L.Y_MAX
                condition, route = word >> L.COND_LO & L.COND_MAX, word >> L.ROUTE_LO & L.ROUTE_MAX
                kind = acc_kind(op, dst)
                writes = writes or kind != L.KIND_NONE
                moves = moves or route != L.ROUTE_HOLD
            flag = m.flag[r, c]
            m.kind[half, r, c] = L.KIND_NONE
            m.next_out[r, c] = m.out[r, c]
            if (condition == L.COND_P and flag == 0) or (condition == L.COND_NP and flag == 1):
                continue
            if op == L.PE_NOP:  # it has no operands, but the route may take x
                x = operand(m, x_source, word, r, c, bank, index, cbits) if route == L.ROUTE_X else 0
                m.next_out[r, c] = routed(m, route, r, c, x, 0) if route != L.ROUTE_HOLD else m.out[r, c]
                continue
            x = operand(m, x_source, word, r, c, bank, index, cbits)
            y = operand(m, y_source, word, r, c, bank, index, cbits)
            result = 0
            if kind == L.KIND_NONE or kind == L.KIND_STORE or dst != L.DST_NONE:
                result = alu(op, x, y, flag, cbits, asigned, wsigned)
            if route != L.ROUTE_HOLD:
                m.next_out[r, c] = routed(m, route, r, c, x, result)
            if kind != L.KIND_NONE:
                m.kind[half, r, c] = kind
                m.given[half, r, c] = acc_value(op, x, y, result, cbits, asigned, wsigned, acc_bits)
            if op == L.PE_CEQ or op == L.PE_CLT:
                m.flag[r, c] = compare(op, x, y, asigned)
            if dst >= L.DST_R0:
                m.regs[dst - L.DST_R0, r, c] = result
                if recording:
                    m.reg_sig[r, c] = rotate_left(m.reg_sig[r, c], 16) ^ result ^ (dst - L.DST_R0) << 8
    if moves:
        for r in range(rows):
            for c in range(cols):
                m.out[r, c] = m.next_out[r, c]
    return writes


@inner
def accumulate_plain(acc, acc_sig, given, half, bank, index, rows, cols, first, acc_bits, recording):
    """ACC after :func:`exec_mac`."""
    mask = (1 << acc_bits) - 1
    keep = 0 if first else mask
    for r in range(rows):
        for c in range(cols):
            acc[bank, index, r, c] = ((acc[bank, index, r, c] & keep) + given[half, r, c]) & mask
    if recording:
        for r in range(rows):
            for c in range(cols):
                acc_sig[r, c] = rotate_left(acc_sig[r, c], acc_bits) ^ acc[bank, index, r, c] ^ (bank << 4 | index)


@inner
def accumulate(acc, acc_sig, given, kind, half, bank, index, rows, cols, first, acc_bits, lanes, recording):
    """ACC after :func:`exec_step`."""
    mask = (1 << acc_bits) - 1
    for r in range(rows):
        for c in range(cols):
            if kind[half, r, c] == L.KIND_NONE:
                continue
            value, old = given[half, r, c], 0 if first else acc[bank, index, r, c]
            if kind[half, r, c] == L.KIND_ADD or (kind[half, r, c] == L.KIND_ADD_LANES and lanes == 1):
                value = (old + value) & mask
            elif kind[half, r, c] == L.KIND_ADD_LANES:
                value = add_lanes(old, value, lanes, acc_bits)
            acc[bank, index, r, c] = value
            if recording:
                acc_sig[r, c] = rotate_left(acc_sig[r, c], acc_bits) ^ value ^ (bank << 4 | index)
