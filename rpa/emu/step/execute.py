"""EX: streams, and the control of the pipeline ISSUE, FEED, EXEC, ACC (design.md section 6)."""

from __future__ import annotations

from rpa.arch.jit import inlined, inner
from rpa.emu.step import layout as L
from rpa.emu.step.array import accumulate, accumulate_plain, exec_mac, exec_step, feed_bus, load_context, read_banks
from rpa.emu.step.common import accept_command, apply_setting, complete, count_engine, head_of, raise_fault, tokens_cover

FIRST, LAST = L.FIRST_REGISTER[L.EX], L.LAST_REGISTER[L.EX]


@inner
def stage_entry(s, stage):
    """Offset of the entry in stage 0 ISSUE, 1 FEED, 2 EXEC, 3 ACC in this cycle."""
    return L.EX_PIPE + ((s[L.CYCLES] - stage) & (L.EX_RING - 1)) * L.X_ENTRY


@inner
def execute_front(s):
    """Pop a setting or start a command. FEED of this cycle, which uses the active registers, must have run."""
    head = head_of(s, L.EX)
    if head >= 0:
        if s[head + L.Q_KIND] != L.KIND_COMMAND:
            apply_setting(s, L.EX, head, FIRST, LAST)
        elif s[L.WAS_BUSY + L.EX] == 0 and tokens_cover(s, L.EX, s[head + L.Q_WAIT]):
            execute_start(s, head)
    count_engine(s, L.EX, head)


@inner
def execute_start(s, head):
    is_run, cbits = s[head + L.Q_OPCODE] == L.RUN, s[L.SHADOW + L.EX_CBITS]
    if is_run and (cbits < s[L.SHADOW + L.EX_ABITS] or cbits < s[L.SHADOW + L.EX_WBITS]):
        raise_fault(s, L.RANK_EX + 8, L.ILLEGAL_CONFIG, s[head + L.Q_PC], L.EX)
        return
    bank = s[head + L.Q_ARG]
    accept_command(s, L.EX, head, FIRST, LAST)
    s[L.EX_BANK] = bank
    s[L.EX_VISITS] = 0
    s[L.EX_N] = 1
    if is_run:
        start_streams(s)


@inner
def start_streams(s):
    """Indices to 0; per dimension how each stream changes when it counts and the dimensions inside it start again."""
    a = w = c = slot = 0
    for d in range(L.DIMS):
        n = s[L.ACTIVE + L.EX_N0 + d]
        step_a, step_w = s[L.ACTIVE + L.EX_AS0 + d], s[L.ACTIVE + L.EX_WS0 + d]
        step_c, step_s = s[L.ACTIVE + L.EX_CS0 + d], s[L.ACTIVE + L.EX_SS0 + d]
        s[L.EX_INDEX + d] = 0
        s[L.EX_DA + d] = step_a - a
        s[L.EX_DW + d] = step_w - w
        s[L.EX_DC + d] = step_c - c
        s[L.EX_DS + d] = step_s - slot
        a += (n - 1) * step_a
        w += (n - 1) * step_w
        c += (n - 1) * step_c
        slot += (n - 1) * step_s
        s[L.EX_N] *= n
    s[L.EX_NONZERO] = 0
    s[L.EX_A] = s[L.ACTIVE + L.EX_ABASE]
    s[L.EX_W] = s[L.ACTIVE + L.EX_WBASE]
    s[L.EX_C] = s[L.ACTIVE + L.EX_CBASE]
    s[L.EX_S] = s[L.ACTIVE + L.EX_SBASE] & (s[L.CTX_SLOTS] - 1)
    s[L.EX_FRESH] = 1


@inner
def next_point(s):
    """Go to the next point of the loop nest."""
    for d in range(L.DIMS):
        index = s[L.EX_INDEX + d] + 1
        if index < s[L.ACTIVE + L.EX_N0 + d]:
            s[L.EX_INDEX + d] = index
            s[L.EX_NONZERO] = (s[L.EX_NONZERO] >> d | 1) << d
            s[L.EX_A] = (s[L.EX_A] + s[L.EX_DA + d]) & L.WORD_MASK
            s[L.EX_W] = (s[L.EX_W] + s[L.EX_DW + d]) & L.WORD_MASK
            s[L.EX_C] = (s[L.EX_C] + s[L.EX_DC + d]) & L.ACC_MASK
            s[L.EX_S] = (s[L.EX_S] + s[L.EX_DS + d]) & (s[L.CTX_SLOTS] - 1)
            return
        s[L.EX_INDEX + d] = 0


@inner
def is_hit(s, hold, slide):
    """True if this point's word is in the feeder."""
    if s[L.EX_NONZERO] & hold != 0:
        return True
    return slide != 0 and s[L.EX_INDEX + 1] != 0 and s[L.EX_INDEX] < s[L.ACTIVE + L.EX_N0] - slide


@inner
def slice_part(s, dimension, bits, cbits):
    """Which slice of the operand's word this point uses."""
    return s[L.EX_INDEX + dimension] % (cbits // bits) if dimension < L.DIMS else 0


@inlined
def execute_cycle(s, m):
    """EXEC, ACC, FEED, ISSUE, in this order so that each sees registered values; the drain must have read accumulators."""
    if s[L.EX_LIVE] > 0:
        x = stage_entry(s, 2)
        if s[x + L.X_VALID] and s[x + L.X_STEP]:
            execute_step(s, m, x)
        x = stage_entry(s, 3)
        if s[x + L.X_VALID]:
            execute_acc(s, m, x)
        x = stage_entry(s, 1)
        if s[x + L.X_VALID]:
            execute_feed(s, m, x)
    if s[L.WAS_BUSY + L.EX]:
        execute_issue(s, m, stage_entry(s, 0))


@inlined
def execute_issue(s, m, x):
    opcode = s[L.COMMAND + L.EX]
    s[x + L.X_OPCODE] = opcode
    s[x + L.X_STEP] = 1 if opcode == L.RUN else 0
    s[x + L.X_PC] = s[L.COMMAND_PC + L.EX]
    s[x + L.X_SIGNAL] = s[L.COMMAND_SIGNAL + L.EX]
    if opcode == L.RUN:
        if not issue_step(s, m, x):
            return
    else:
        s[x + L.X_SLOT] = s[L.COMMAND_SLOT + L.EX]
        s[x + L.X_VALUE] = s[L.COMMAND_VALUE + L.EX]
        if opcode == L.CTXLD:
            op = s[x + L.X_VALUE] >> L.OP_LO & L.OP_MAX
            s[L.MAC_SLOT + s[x + L.X_SLOT]] = 1 if op == L.PE_MAC or op == L.PE_MACL else 0
    s[x + L.X_VALID] = 1
    s[L.EX_LIVE] += 1
    s[L.EX_VISITS] += 1
    last = s[L.EX_VISITS] == s[L.EX_N]
    s[x + L.X_LAST] = 1 if last else 0
    if last:
        s[L.BUSY + L.EX] = 0
    elif opcode == L.RUN:
        next_point(s)


@inlined
def issue_step(s, m, x):
    """Read the banks for one step and note everything that the later stages need; False on a fault."""
    a, w = s[L.EX_A], s[L.EX_W]
    a_on, w_on = s[L.ACTIVE + L.EX_AEN] == 1, s[L.ACTIVE + L.EX_WEN] == 1
    a_hit = a_on and is_hit(s, s[L.ACTIVE + L.EX_AHOLD], s[L.ACTIVE + L.EX_ASLIDE])
    w_hit = w_on and is_hit(s, s[L.ACTIVE + L.EX_WHOLD], s[L.ACTIVE + L.EX_WSLIDE])
    a_read, w_read = a_on and not a_hit, w_on and not w_hit
    if a_read and a >= s[L.A_DEPTH]:
        raise_fault(s, L.RANK_EX, L.BANK_RANGE, s[L.COMMAND_PC + L.EX], a)
        return False
    if w_read and w >= s[L.W_DEPTH]:
        raise_fault(s, L.RANK_EX, L.BANK_RANGE, s[L.COMMAND_PC + L.EX], w)
        return False
    rows, cols = min(s[L.ACTIVE + L.EX_ROWS], s[L.ROWS]), min(s[L.ACTIVE + L.EX_COLS], s[L.COLS])
    if a_read:
        read_banks(m.aword, m.abank, a)
    if w_read:
        read_banks(m.wword, m.wbank, w)
    count_step(s, a_read, a_hit, w_read, w_hit, rows, cols)
    s[x + L.X_ROWS] = rows
    s[x + L.X_COLS] = cols
    issue_operands(s, x, a_read, a_hit, w_read, w_hit)
    return True


@inner
def count_step(s, a_read, a_hit, w_read, w_hit, rows, cols):
    """Count the step at this point of the loop nest."""
    if a_read:
        s[L.A_READS] += rows
    elif a_hit:
        s[L.A_HITS] += rows
    if w_read:
        s[L.W_READS] += cols
    elif w_hit:
        s[L.W_HITS] += cols
    lanes = 16 // s[L.ACTIVE + L.EX_CBITS]
    s[L.MAC_SLOTS] += s[L.ROWS] * s[L.COLS] * lanes
    if s[L.MAC_SLOT + s[L.EX_S]]:
        s[L.MACS] += rows * cols * lanes


@inner
def issue_operands(s, x, a_read, a_hit, w_read, w_hit):
    i0, i1, cbits = s[L.EX_INDEX], s[L.EX_INDEX + 1], s[L.ACTIVE + L.EX_CBITS]
    s[x + L.X_AREAD] = 1 if a_read else 0
    s[x + L.X_AHIT] = 1 if a_hit else 0
    s[x + L.X_AFEED] = (i0 * s[L.ACTIVE + L.EX_AU0] + i1 * s[L.ACTIVE + L.EX_AU1]) & 7
    s[x + L.X_ASLICE] = slice_part(s, s[L.ACTIVE + L.EX_ASLICE], s[L.ACTIVE + L.EX_ABITS], cbits)
    s[x + L.X_WREAD] = 1 if w_read else 0
    s[x + L.X_WHIT] = 1 if w_hit else 0
    s[x + L.X_WFEED] = (i0 * s[L.ACTIVE + L.EX_WU0] + i1 * s[L.ACTIVE + L.EX_WU1]) & 7
    s[x + L.X_WSLICE] = slice_part(s, s[L.ACTIVE + L.EX_WSLICE], s[L.ACTIVE + L.EX_WBITS], cbits)
    s[x + L.X_BANK] = s[L.EX_BANK]
    s[x + L.X_INDEX] = s[L.EX_C]
    s[x + L.X_SLOT] = s[L.EX_S]
    s[x + L.X_FIRST] = 1 if s[L.ACTIVE + L.EX_KEEP] == 0 and s[L.EX_NONZERO] & s[L.ACTIVE + L.EX_RED] == 0 else 0
    s[x + L.X_FRESH] = s[L.EX_FRESH]
    s[L.EX_FRESH] = 0
    s[x + L.X_CBITS] = cbits
    s[x + L.X_ASIGNED] = s[L.ACTIVE + L.EX_ASIGNED]
    s[x + L.X_WSIGNED] = s[L.ACTIVE + L.EX_WSIGNED]
    s[x + L.X_WRITES] = 0


@inlined
def execute_feed(s, m, x):
    """FEED: operands onto the buses; `ctxld` writes contexts."""
    if s[x + L.X_OPCODE] == L.CTXLD:
        load_context(m.ctx, m.uniform, s[x + L.X_SLOT], s[x + L.X_VALUE], s[L.ACTIVE + L.EX_RMASK] & L.MASK32, s[L.ACTIVE + L.EX_CMASK] & L.MASK32)
        return
    if s[x + L.X_STEP] == 0:
        return
    if s[x + L.X_FRESH]:
        s[L.EX_AVALID] = 0
        s[L.EX_WVALID] = 0
    cbits = s[x + L.X_CBITS]
    slot = s[x + L.X_AFEED]
    if s[x + L.X_AREAD]:
        s[L.EX_AVALID] |= 1 << slot
    filled = s[x + L.X_AHIT] == 1 and s[L.EX_AVALID] >> slot & 1 == 1
    feed_bus(m.abus, m.afeed, m.aword, s[x + L.X_ROWS], s[x + L.X_AREAD] == 1, filled, slot, s[L.ACTIVE + L.EX_ABITS], cbits,
             s[x + L.X_ASIGNED], s[x + L.X_ASLICE])
    slot = s[x + L.X_WFEED]
    if s[x + L.X_WREAD]:
        s[L.EX_WVALID] |= 1 << slot
    filled = s[x + L.X_WHIT] == 1 and s[L.EX_WVALID] >> slot & 1 == 1
    feed_bus(m.wbus, m.wfeed, m.wword, s[x + L.X_COLS], s[x + L.X_WREAD] == 1, filled, slot, s[L.ACTIVE + L.EX_WBITS], cbits,
             s[x + L.X_WSIGNED], s[x + L.X_WSLICE])


@inlined
def execute_step(s, m, x):
    """EXEC of a step: what every PE does; results for ACC go to one of two buffers, by the entry's place in the ring."""
    slot, half = s[x + L.X_SLOT], s[L.CYCLES] & 1
    if m.uniform[slot] & L.NOT_IMM == L.MAC_AW and m.uniform[slot] >= 0:
        exec_mac(m.given, half, m.abus, m.wbus, s[x + L.X_ROWS], s[x + L.X_COLS], s[x + L.X_CBITS], s[x + L.X_ASIGNED], s[x + L.X_WSIGNED])
        s[x + L.X_WRITES] = 1
    else:
        writes = exec_step(m, half, slot, s[x + L.X_BANK], s[x + L.X_INDEX], s[x + L.X_ROWS], s[x + L.X_COLS], s[x + L.X_CBITS],
                           s[x + L.X_ASIGNED], s[x + L.X_WSIGNED], s[L.ACC_BITS], s[L.RECORDING])
        s[x + L.X_WRITES] = 2 if writes else 0


@inlined
def execute_acc(s, m, x):
    """ACC: accumulators take what EXEC gave one cycle ago; the command completes with its last entry."""
    s[x + L.X_VALID] = 0
    s[L.EX_LIVE] -= 1
    half = (s[L.CYCLES] & 1) ^ 1
    if s[x + L.X_STEP] and s[x + L.X_WRITES] > 0:
        bank, index, rows, cols = s[x + L.X_BANK], s[x + L.X_INDEX], s[x + L.X_ROWS], s[x + L.X_COLS]
        if s[x + L.X_WRITES] == 1:
            accumulate_plain(m.acc, m.acc_sig, m.given, half, bank, index, rows, cols, s[x + L.X_FIRST], s[L.ACC_BITS], s[L.RECORDING])
        else:
            accumulate(m.acc, m.acc_sig, m.given, m.kind, half, bank, index, rows, cols, s[x + L.X_FIRST], s[L.ACC_BITS],
                       16 // s[x + L.X_CBITS], s[L.RECORDING])
    if s[x + L.X_LAST]:
        complete(s, L.EX, s[x + L.X_SIGNAL], s[x + L.X_PC])
