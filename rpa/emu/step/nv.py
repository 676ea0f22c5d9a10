"""NV: vectors of the X bank through NOR-flash macros into the NV accumulators (design.md section 15).

The macro itself is asked outside: a START or a programmed word leaves a request in ``s``, for which `run_cycles` returns.
"""

from __future__ import annotations

from rpa.arch.jit import inlined, inner
from rpa.emu.step import layout as L
from rpa.emu.step.common import accept_command, apply_setting, complete, count_engine, head_of, raise_fault, tokens_cover
from rpa.emu.step.nv_math import add_line, bit_length, shift_line, split_word, sum_reference, take_digits

FIRST, LAST = L.FIRST_REGISTER[L.NV], L.LAST_REGISTER[L.NV]


@inner
def lines_of_a_group(s, registers):
    """Lines of one group of outputs: a line per slice, twice that with differential cells. registers: L.SHADOW or L.ACTIVE."""
    return s[registers + L.NV_SLICES] * (2 if s[registers + L.NV_ENCODING] == L.DIFFERENTIAL else 1)


@inner
def groups_of(s, registers):
    return (s[registers + L.NV_OUTS] + s[L.COLS] - 1) // s[L.COLS]


@inner
def lines_of(s, registers):
    """Lines that a layer takes, with the one of the reference."""
    reference = 1 if s[registers + L.NV_ENCODING] == L.REFERENCE else 0
    return groups_of(s, registers) * lines_of_a_group(s, registers) + reference


@inner
def words_of(s, registers):
    """Words of one vector."""
    return s[registers + L.NV_K0] * s[registers + L.NV_K0 + 1] * s[registers + L.NV_K0 + 2]


@inner
def passes_of(s, registers):
    signed = s[registers + L.NV_ASIGNED]
    return (s[registers + L.NV_ABITS] - signed + s[L.DAC_BITS] - 1) // s[L.DAC_BITS] + signed


@inner
def combine_visits(s, registers):
    reference = s[registers + L.NV_SLICES] if s[registers + L.NV_ENCODING] == L.REFERENCE else 0
    return reference + groups_of(s, registers) * lines_of_a_group(s, registers)


@inner
def macro_cycles(s, registers):
    """Cycles from `start` to `done`."""
    return s[L.SETTLE] + (lines_of(s, registers) * s[L.COLS] + s[L.ADCS] - 1) // s[L.ADCS] * s[L.ADC_CYCLES]


@inner
def vector_cycles(s, registers):
    """Cycles of one vector of an `nvmac`."""
    one_pass = 1 + macro_cycles(s, registers) + combine_visits(s, registers)
    return words_of(s, registers) + 1 + passes_of(s, registers) * one_pass


@inner
def vectors_of(s, registers):
    return s[registers + L.NV_N0] * s[registers + L.NV_N0 + 1] * s[registers + L.NV_N0 + 2]


@inner
def nv_busy_cycles(s, opcode):
    """Cycles for which a command with the active registers keeps NV busy."""
    if opcode == L.NVMAC:
        return vectors_of(s, L.ACTIVE) * vector_cycles(s, L.ACTIVE) + 1
    if opcode == L.NVPROG:
        return s[L.ACTIVE + L.NV_ROWS] * (s[L.ACTIVE + L.NV_K0] + 1 + s[L.PROG_CYCLES])
    return 1


@inner
def nv_contradicts(s, opcode):
    """True if the shadow registers contradict each other for this command."""
    q = L.SHADOW
    start = s[q + L.NV_LINE0] * s[L.COLS]
    if s[q + L.NV_MACRO] >= s[L.MACROS] or s[q + L.NV_ROW0] + s[q + L.NV_ROWS] > s[L.WORD_LINES]:
        return True
    if opcode == L.NVPROG:
        return start % 4 != 0 or start + 4 * s[q + L.NV_K0] > s[L.BIT_LINES]
    if s[q + L.NV_ABITS] > s[q + L.NV_EBITS] or words_of(s, q) * (16 // s[q + L.NV_EBITS]) < s[q + L.NV_ROWS]:
        return True
    if s[L.CELL_BITS] * s[q + L.NV_SLICES] > 16 or (s[q + L.NV_ENCODING] == L.REFERENCE and s[q + L.NV_SLICES] > s[L.COLS]):
        return True
    return start + lines_of(s, q) * s[L.COLS] > s[L.BIT_LINES]


@inner
def nv_front(s):
    """Pop a setting or start a command."""
    if s[L.ENGINES_BUILT] <= L.NV:
        return
    head = head_of(s, L.NV)
    if head >= 0:
        if s[head + L.Q_KIND] != L.KIND_COMMAND:
            apply_setting(s, L.NV, head, FIRST, LAST)
        elif s[L.WAS_BUSY + L.NV] == 0 and tokens_cover(s, L.NV, s[head + L.Q_WAIT]):
            nv_start(s, head)
    count_engine(s, L.NV, head)


@inner
def nv_start(s, head):
    opcode = s[head + L.Q_OPCODE]
    if opcode != L.SYNC and nv_contradicts(s, opcode):
        raise_fault(s, L.RANK_NV + 8, L.ILLEGAL_CONFIG, s[head + L.Q_PC], L.NV)
        return
    bank = s[head + L.Q_ARG]
    accept_command(s, L.NV, head, FIRST, LAST)
    s[L.NV_BANK] = bank
    s[L.NV_VECTOR] = 0
    s[L.NV_WORD] = 0
    s[L.NV_PASS] = 0
    s[L.NV_PHASE] = L.NV_LOAD


@inlined
def nv_cycle(s, m):
    """One cycle of a busy NV: the ACC stage, then the visit. The drain's visit of this cycle must have read its accumulators."""
    if s[L.NV_PENDING]:
        s[L.NV_PENDING] = 0
        add_line(m.nv_acc, m.nv_acc_sig, m.nv_value, s[L.NV_ACC_BANK], s[L.NV_ACC_INDEX], s[L.NV_ACC_FIRST], s[L.ACC_BITS])
    opcode = s[L.COMMAND + L.NV]
    if opcode == L.NVMAC:
        mac_visit(s, m)
    elif opcode == L.NVPROG:
        program_visit(s, m)
    else:
        finish(s)


@inner
def finish(s):
    s[L.BUSY + L.NV] = 0
    complete(s, L.NV, s[L.COMMAND_SIGNAL + L.NV], s[L.COMMAND_PC + L.NV])


@inlined
def mac_visit(s, m):
    phase = s[L.NV_PHASE]
    if phase == L.NV_LOAD:
        load_word(s, m)
    elif phase == L.NV_LOADED:
        s[L.NV_PHASE] = L.NV_START
    elif phase == L.NV_START:
        start_pass(s, m)
    elif phase == L.NV_WAIT:
        s[L.NV_TIMER] -= 1
        if s[L.NV_TIMER] == 0:
            s[L.NV_PHASE] = L.NV_COMBINE
            s[L.NV_VISIT] = 0
            s[L.NV_SUM] = 0
    elif phase == L.NV_COMBINE:
        combine(s, m)
    else:
        finish(s)


@inner
def walk(s, number, counts, strides):
    """Sum of index * stride of a nest of NV_DIMS loops, innermost first, at its step ``number``."""
    total = 0
    for d in range(L.NV_LOOPS):
        total += number % s[L.ACTIVE + counts + d] * s[L.ACTIVE + strides + d]
        number //= s[L.ACTIVE + counts + d]
    return total


@inlined
def read_x(s, m, address):
    """Read the X bank into NV_READ; False on a fault."""
    if address >= s[L.X_DEPTH]:
        raise_fault(s, L.RANK_NV, L.BANK_RANGE, s[L.COMMAND_PC + L.NV], address)
        return False
    s[L.XBANK_READS] += 1
    s[L.NV_READ] = m.xbank[address, 0]
    return True


@inlined
def load_word(s, m):
    """A visit of LOAD: one word of the vector to its word lines."""
    base = s[L.ACTIVE + L.NV_XBASE] + walk(s, s[L.NV_VECTOR], L.NV_N0, L.NV_XV0)
    if not read_x(s, m, (base + walk(s, s[L.NV_WORD], L.NV_K0, L.NV_XK0)) & L.WORD_MASK):
        return
    if s[L.NV_WORD] == 0:
        for row in range(s[L.WORD_LINES]):
            m.nv_acts[row] = 0
    split_word(m.nv_acts, s[L.NV_READ], s[L.NV_WORD], s[L.ACTIVE + L.NV_EBITS], s[L.ACTIVE + L.NV_ROW0], s[L.ACTIVE + L.NV_ROWS])
    s[L.NV_WORD] += 1
    if s[L.NV_WORD] == words_of(s, L.ACTIVE):
        s[L.NV_WORD] = 0
        s[L.NV_PHASE] = L.NV_LOADED


@inner
def is_sign_pass(s):
    return s[L.ACTIVE + L.NV_ASIGNED] == 1 and s[L.NV_PASS] == passes_of(s, L.ACTIVE) - 1


@inner
def pass_shift(s):
    """log2 of the weight of this pass's digits."""
    return s[L.ACTIVE + L.NV_ABITS] - 1 if is_sign_pass(s) else s[L.NV_PASS] * s[L.DAC_BITS]


@inlined
def start_pass(s, m):
    """START: digits to the word lines, and the counters of this operation."""
    low = pass_shift(s)
    width = 1 if is_sign_pass(s) else min(s[L.DAC_BITS], s[L.ACTIVE + L.NV_ABITS] - s[L.ACTIVE + L.NV_ASIGNED] - low)
    active = take_digits(m.nv_digits, m.nv_acts, low, width, s[L.WORD_LINES])
    count_operation(s, active)
    s[L.NV_TIMER] = macro_cycles(s, L.ACTIVE)
    s[L.NV_PHASE] = L.NV_WAIT
    s[L.NV_REQUEST] = L.CONVERT


@inner
def count_operation(s, active):
    lsb = s[L.ACTIVE + L.NV_RANGE]
    largest = (active * ((1 << s[L.DAC_BITS]) - 1) * ((1 << s[L.CELL_BITS]) - 1) + ((1 << lsb) >> 1)) >> lsb
    bits = min(bit_length(largest), s[L.ADC_BITS])
    conversions = lines_of(s, L.ACTIVE) * s[L.COLS]
    s[L.NV_LIMIT] = (1 << bits) - 1
    s[L.NV_OPERATIONS] += 1
    s[L.NV_ACTIVE] += active
    s[L.NV_CONVERSIONS] += conversions if bits > 0 else 0
    s[L.NV_SKIPPED] += 0 if bits > 0 else conversions
    s[L.NV_ADC_BITS] += bits * conversions
    if s[L.NV_PASS] == passes_of(s, L.ACTIVE) - 1:
        s[L.NV_MACS] += s[L.ACTIVE + L.NV_ROWS] * s[L.ACTIVE + L.NV_OUTS]


@inlined
def combine(s, m):
    """A visit of COMBINE: a line of codes, shifted, on its way to the accumulators, or a digit of the reference."""
    visit, slices, cols = s[L.NV_VISIT], s[L.ACTIVE + L.NV_SLICES], s[L.COLS]
    per_group, line0 = lines_of_a_group(s, L.ACTIVE), s[L.ACTIVE + L.NV_LINE0]
    digits = slices if s[L.ACTIVE + L.NV_ENCODING] == L.REFERENCE else 0
    if visit < digits:
        line = line0 + groups_of(s, L.ACTIVE) * per_group
        s[L.NV_SUM] += sum_reference(m.nv_codes, line * cols + visit, s[L.CELL_BITS] * visit)
    else:
        group, k = (visit - digits) // per_group, (visit - digits) % per_group
        line = line0 + group * per_group + k
        negative = is_sign_pass(s) != (k >= slices)
        shift = s[L.ACTIVE + L.NV_RANGE] + pass_shift(s)
        minus = s[L.NV_SUM] if k == 0 else 0
        shift_line(m.nv_value, m.nv_codes, line * cols, cols, s[L.CELL_BITS] * (k % slices), minus, shift, negative)
        s[L.NV_PENDING] = 1
        s[L.NV_ACC_BANK] = s[L.NV_BANK]
        s[L.NV_ACC_INDEX] = (s[L.ACTIVE + L.NV_CBASE] + walk(s, s[L.NV_VECTOR], L.NV_N0, L.NV_CV0) + group * s[L.ACTIVE + L.NV_CG]) & L.ACC_MASK
        s[L.NV_ACC_FIRST] = 1 if s[L.ACTIVE + L.NV_KEEP] == 0 and s[L.NV_PASS] == 0 and k == 0 else 0
    for lane in range(cols):
        s[L.NV_CODES_SIG] = (s[L.NV_CODES_SIG] << 1 & L.WORD_MASK | s[L.NV_CODES_SIG] >> 15) ^ m.nv_codes[line * cols + lane]
    s[L.NV_VISIT] = visit + 1
    if visit + 1 == combine_visits(s, L.ACTIVE):
        next_pass(s)


@inner
def next_pass(s):
    """Behind the last visit of a pass: the next pass, the next vector, or the end behind the last ACC stage."""
    s[L.NV_PASS] += 1
    s[L.NV_PHASE] = L.NV_START
    if s[L.NV_PASS] == passes_of(s, L.ACTIVE):
        s[L.NV_PASS] = 0
        s[L.NV_VECTOR] += 1
        s[L.NV_PHASE] = L.NV_LOAD if s[L.NV_VECTOR] < vectors_of(s, L.ACTIVE) else L.NV_LAST


@inlined
def program_visit(s, m):
    """A cycle of `nvprog`: a word of cells to the macro, or waiting while a row is programmed."""
    if s[L.NV_PHASE] == L.NV_WAIT:
        s[L.NV_TIMER] -= 1
        if s[L.NV_TIMER] == 0:
            s[L.NV_VECTOR] += 1
            s[L.NV_PHASE] = L.NV_LOAD
            if s[L.NV_VECTOR] == s[L.ACTIVE + L.NV_ROWS]:
                finish(s)
        return
    if not read_x(s, m, (s[L.ACTIVE + L.NV_XBASE] + s[L.NV_VECTOR] * s[L.ACTIVE + L.NV_XV0] + s[L.NV_WORD]) & L.WORD_MASK):
        return
    s[L.NV_CELL_ROW] = s[L.ACTIVE + L.NV_ROW0] + s[L.NV_VECTOR]
    s[L.NV_CELL_COLUMN] = s[L.ACTIVE + L.NV_LINE0] * s[L.COLS] + 4 * s[L.NV_WORD]
    s[L.NV_REQUEST] = L.PROGRAM
    s[L.NV_PROGRAMMED] += 4
    s[L.NV_WORD] += 1
    if s[L.NV_WORD] == s[L.ACTIVE + L.NV_K0]:
        s[L.NV_WORD] = 0
        s[L.NV_TIMER] = 1 + s[L.PROG_CYCLES]
        s[L.NV_PHASE] = L.NV_WAIT
