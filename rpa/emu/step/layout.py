"""Where every scalar of the machine stands in the control state ``s``, and the codes that the control logic compares with.

``s`` is one int64 array in the compiled path and a Python list in the plain one, so that the same source indexes both
quickly. The numbers of the instruction set are taken from `isa.table`; nothing here repeats one.
"""

from __future__ import annotations

from isa.table import (
    ACC_INDEX_COUNT,
    CONTEXT_FIELDS,
    CONTEXT_RESERVED,
    CORE_REGISTERS,
    COUNTERS,
    DESTS,
    DIMS,
    ENGINES,
    FAULTS,
    INSTRUCTIONS,
    LOOP_DEPTH,
    NV_DIMS,
    PARAM_WORDS,
    PE_CONDS,
    PE_DESTS,
    PE_OPS,
    PE_ROUTES,
    PE_SOURCES,
    REGISTERS,
    SOURCES,
    TOKEN_MAX,
)

ENGINE_COUNT = len(ENGINES)
LD, EX, DR, ST, NV = (engine.code for engine in ENGINES)
TOKEN_LIMIT = TOKEN_MAX
ENTRY_WORDS = PARAM_WORDS
MAX_QUEUE = 16
"""Largest `queue_depth`: stride of the queues in ``s``."""
LD_RING = 256
"""Visits of LD that can be under way: more than the largest latency."""
EX_RING = 4
DR_RING = 8
"""Entries of a pipeline stay where they are, at (cycle of their first stage) modulo the ring."""

# -- control state: offsets into s ------------------------------------------------------------------------------------

(ROWS, COLS, ACC_BITS, A_DEPTH, W_DEPTH, O_DEPTH, P_ENTRIES, CTX_SLOTS, QUEUE_DEPTH, MEM_LATENCY, MEM_BYTES, CODE_WORDS, LIMIT,
 RECORDING) = range(14)
"""Configuration; LIMIT: cycle limit or 0; RECORDING: signatures are kept."""
(PC, HALTED, LOOPS, DONE, FAULT, FAULT_PC, FAULT_AUX, FAULT_RANK) = range(14, 22)
"""Core and fault. FAULT_RANK: rank of the fault found so far in this cycle; the lowest counts."""
(PUSHED, BLOCKED, MOVED, RETIRED, RET_PC, RET_RD, RET_VALUE, OUT_WORDS, OUT_ADDRESS) = range(22, 31)
"""Wires of this cycle. PUSHED: engine + 1 that gets an entry; MOVED: some engine started or popped; RETIRED: an instruction
completed, with its write (RET_RD 0: none); OUT_WORDS: words written to external memory at OUT_ADDRESS."""

(LD_J, LD_U, LD_AGE, LD_VISITS, LD_N, LD_L, LD_SOURCE, LD_DEST) = range(31, 39)
"""LD_AGE: cycles since the start; LD_VISITS: visits made; LD_N: visits of the command; LD_L: latency of the source."""
(ST_J, ST_X, ST_W, ST_VISITS, ST_N, ST_OUT, ST_OUT_ADDRESS) = range(39, 46)
"""ST_OUT: number of words on their way to memory, written at the end of the next cycle."""
(DR_R, DR_I, DR_LANE, DR_VISITS, DR_N, DR_BANK, DR_LIVE) = range(46, 53)
"""DR_LIVE: entries in the pipeline; likewise EX_LIVE."""
(DR_FILL, DR_WORDS) = range(53, 55)
"""Elements in the word that D5 packs, and words written before in this row."""
(EX_VISITS, EX_N, EX_BANK, EX_NONZERO, EX_A, EX_W, EX_C, EX_S, EX_FRESH, EX_AVALID, EX_WVALID, EX_LIVE) = range(55, 67)
"""EX_NONZERO: bit d if index d is not 0; EX_A, EX_W, EX_C, EX_S: current addresses, accumulator, slot; EX_FRESH: the next
step issued is the first of its run; EX_AVALID, EX_WVALID: feeder slots filled in this run."""


def _region(start: int, length: int) -> tuple[int, int]:
    return start, start + length


ENGINES_BUILT, _end = _region(67, 1)
"""Engines of this machine: all, or all but NV."""
BUSY, _end = _region(_end, ENGINE_COUNT)
QUEUE_HEAD, _end = _region(_end, ENGINE_COUNT)
QUEUE_COUNT, _end = _region(_end, ENGINE_COUNT)
COMMAND, _end = _region(_end, ENGINE_COUNT)
"""Opcode of the command that an engine works on."""
COMMAND_PC, _end = _region(_end, ENGINE_COUNT)
COMMAND_SIGNAL, _end = _region(_end, ENGINE_COUNT)
COMMAND_VALUE, _end = _region(_end, ENGINE_COUNT)
COMMAND_SLOT, _end = _region(_end, ENGINE_COUNT)
WAS_BUSY, _end = _region(_end, ENGINE_COUNT)
"""Registered `busy` while a cycle is computed; likewise WAS_QUIET."""
WAS_QUIET, _end = _region(_end, ENGINE_COUNT)
STARTED, _end = _region(_end, ENGINE_COUNT)
TAKEN, _end = _region(_end, ENGINE_COUNT)
"""Wait mask of the command that starts in this cycle."""
GIVEN, _end = _region(_end, ENGINE_COUNT)
"""1 if a command completes in this cycle, its signal mask and pc."""
GIVEN_MASK, _end = _region(_end, ENGINE_COUNT)
GIVEN_PC, _end = _region(_end, ENGINE_COUNT)
LOOP_START, _end = _region(_end, LOOP_DEPTH)
LOOP_END, _end = _region(_end, LOOP_DEPTH)
LOOP_COUNT, _end = _region(_end, LOOP_DEPTH)
CORE, _end = _region(_end, CORE_REGISTERS)
TOKEN, _end = _region(_end, ENGINE_COUNT * ENGINE_COUNT)
COUNTER_COUNT = len(COUNTERS)
COUNT, _end = _region(_end, COUNTER_COUNT)
REGISTER_SPAN = max(register.index for register in REGISTERS) + 1
SHADOW, _end = _region(_end, REGISTER_SPAN)
ACTIVE, _end = _region(_end, REGISTER_SPAN)
LOW, _end = _region(_end, REGISTER_SPAN)
"""Smallest value that `setr` takes; likewise HIGH, and CHOICES: 0 or a mask of the values allowed."""
HIGH, _end = _region(_end, REGISTER_SPAN)
CHOICES, _end = _region(_end, REGISTER_SPAN)
RESET, _end = _region(_end, REGISTER_SPAN)
EX_INDEX, _end = _region(_end, DIMS)
EX_DA, _end = _region(_end, DIMS)
"""Change of the A address when dimension d counts and those inside it start again; likewise EX_DW, EX_DC, EX_DS."""
EX_DW, _end = _region(_end, DIMS)
EX_DC, _end = _region(_end, DIMS)
EX_DS, _end = _region(_end, DIMS)

(Q_KIND, Q_REGISTER, Q_VALUE, Q_OPCODE, Q_ARG, Q_SLOT, Q_WAIT, Q_SIGNAL, Q_PC) = range(9)
"""Queue entry. Q_ARG: bank or dest; Q_SLOT: context slot or source."""
Q_ENTRY = 9
KIND_SET, KIND_RESET, KIND_COMMAND = range(3)
MAC_SLOT, _end = _region(_end, 64)
"""1 if the last context word issued for the slot is a mac or macl."""
QUEUE, _end = _region(_end, ENGINE_COUNT * MAX_QUEUE * Q_ENTRY)

(X_VALID, X_STEP, X_OPCODE, X_LAST, X_PC, X_SIGNAL, X_SLOT, X_VALUE, X_BANK, X_INDEX, X_FIRST, X_FRESH, X_AREAD, X_AHIT, X_AFEED,
 X_ASLICE, X_WREAD, X_WHIT, X_WFEED, X_WSLICE, X_ROWS, X_COLS, X_CBITS, X_ASIGNED, X_WSIGNED, X_WRITES) = range(26)
"""Entry of the EX pipeline. X_AREAD, X_AHIT: the A word was read, or is in the feeder, at slot X_AFEED; X_WRITES: 0 none,
1 plain `mac` in every PE, 2 kinds per PE."""
X_ENTRY = 26
EX_PIPE, _end = _region(_end, EX_RING * X_ENTRY)

(D_VALID, D_OPCODE, D_LAST, D_PC, D_SIGNAL, D_VALUE, D_RAW, D_HALF, D_WIDTH, D_PRE, D_ROUND, D_ZP, D_LO, D_HI, D_BITS, D_ROW,
 D_ROW_END, D_BASE, D_PITCH) = range(19)
"""Entry of the DR pipeline. D_HALF: half of a raw value; D_WIDTH: bits of the accumulator's lane; D_ROW_END: last of its row."""
D_ENTRY = 19
DR_PIPE, _end = _region(_end, DR_RING * D_ENTRY)

(MACROS, WORD_LINES, BIT_LINES, CELL_BITS, DAC_BITS, ADC_BITS, ADCS, SETTLE, ADC_CYCLES, PROG_CYCLES, X_DEPTH) = range(_end, _end + 11)
"""Configuration of the NOR-flash macros."""
(NV_BANK, NV_PHASE, NV_VECTOR, NV_WORD, NV_PASS, NV_TIMER, NV_VISIT, NV_SUM, NV_LIMIT, NV_CODES_SIG) = range(_end + 11, _end + 21)
"""NV_VECTOR: vectors done, or rows programmed; NV_WORD: words of this one; NV_SUM: the reference; NV_LIMIT: largest code of the operation."""
(NV_PENDING, NV_ACC_BANK, NV_ACC_INDEX, NV_ACC_FIRST) = range(_end + 21, _end + 25)
"""The line that NV's ACC stage adds in the next cycle."""
(NV_REQUEST, NV_READ, NV_CELL_ROW, NV_CELL_COLUMN) = range(_end + 25, _end + 29)
"""What the macro is asked for: nothing, CONVERT of the digits, or PROGRAM of a word of cells. NV_READ: the X bank's word read last."""
CONVERT, PROGRAM = 1, 2
SIZE = _end + 29
NV_LOAD, NV_LOADED, NV_START, NV_WAIT, NV_COMBINE, NV_LAST = range(6)
NV_PHASES = ("load", "loaded", "start", "wait", "combine", "last")
"""Phases of NV. NV_LAST: the last ACC stage is under way."""
PLAIN, DIFFERENTIAL, REFERENCE = range(3)
"""Values of nv.encoding."""

# -- a row of predecoded code -----------------------------------------------------------------------------------------

(C_LEGAL, C_OPCODE, C_RD, C_RS, C_RT, C_IMM, C_OFFSET, C_ENGINE, C_WAIT, C_SIGNAL, C_ARG, C_SLOT, C_WORD) = range(13)
"""C_IMM: immediate, shift amount, count, register value, counter, fence mask; C_ARG: bank, dest, engine register; C_SLOT: slot, source."""
C_ENTRY = 13

# -- codes ------------------------------------------------------------------------------------------------------------

_OP = {instruction.name: instruction.opcode for instruction in INSTRUCTIONS}
(HALT, ADD, SUB, MUL, AND, OR, XOR, SLL, SRL, SRA, SLT, ADDI, ANDI, ORI, SLLI, SRLI, SRAI, LUI) = (
    _OP[name] for name in ("halt", "add", "sub", "mul", "and", "or", "xor", "sll", "srl", "sra", "slt", "addi", "andi", "ori", "slli",
                           "srli", "srai", "lui"))
(BEQ, BNE, BLT, BGE, BLTU, BGEU, JAL, JALR, LOOP, LOOPI, SET, SETR, RESET_ENGINE) = (
    _OP[name] for name in ("beq", "bne", "blt", "bge", "bltu", "bgeu", "jal", "jalr", "loop", "loopi", "set", "setr", "reset"))
(LOAD, RUN, CTXLD, DRAIN, SEED, STORE, SYNC, NVPROG, NVMAC, FENCE, RDCTR, RDCTRH) = (
    _OP[name] for name in ("ld", "run", "ctxld", "drain", "seed", "st", "sync", "nvprog", "nvmac", "fence", "rdctr", "rdctrh"))

_FAULT = {fault.name: fault.code for fault in FAULTS}
(ILLEGAL_OPCODE, ILLEGAL_CONTEXT, ILLEGAL_CONFIG, FETCH, LOOP_OVERFLOW, MEM_RANGE, MISALIGNED, BANK_RANGE, RQ_SHIFT, ACC_CONFLICT,
 TOKEN_OVERFLOW, DEADLOCK, CYCLE_LIMIT) = (
    _FAULT[name] for name in ("ILLEGAL_OPCODE", "ILLEGAL_CONTEXT", "ILLEGAL_CONFIG", "FETCH", "LOOP_DEPTH", "MEM_RANGE", "MISALIGNED",
                              "BANK_RANGE", "RQ_SHIFT", "ACC_CONFLICT", "TOKEN_OVERFLOW", "DEADLOCK", "CYCLE_LIMIT"))
RANKS_PER_UNIT = 16
RANK_CORE, RANK_LD, RANK_EX, RANK_DR, RANK_ST, RANK_NV, RANK_DEADLOCK, RANK_LIMIT, RANK_NONE = (RANKS_PER_UNIT * i for i in range(9))
RANK_TOKEN = RANKS_PER_UNIT - 1
"""Ranks order the faults of one cycle: the unit, then the stage within it, then TOKEN_OVERFLOW."""

_COUNTER = {counter.name: counter.index for counter in COUNTERS}
CYCLES, INSTRUCTIONS_DONE, FENCE_STALL = (COUNT + _COUNTER[name] for name in ("cycles", "instructions", "fence"))
ENGINE_COUNTERS = COUNT + _COUNTER[f"{ENGINES[0].name}_run"]
"""Counters of engine e are at ENGINE_COUNTERS + 4e, in the order of the next four."""
RUN_COUNTER, WAIT_COUNTER, IDLE_COUNTER, FULL_COUNTER = range(4)
(A_READS, W_READS, A_HITS, W_HITS, A_WRITES, W_WRITES, P_WRITES, O_WRITES, O_READS, EXT_READ, EXT_WRITE, MAC_SLOTS, MACS, RQ_ELEMENTS,
 RQ_SATURATIONS) = (
    COUNT + _COUNTER[name] for name in ("a_reads", "w_reads", "a_hits", "w_hits", "a_writes", "w_writes", "p_writes", "o_writes", "o_reads",
                                        "ext_read_words", "ext_write_words", "mac_slots", "macs", "rq_elements", "rq_saturations"))
(XBANK_WRITES, XBANK_READS, NV_OPERATIONS, NV_ACTIVE, NV_CONVERSIONS, NV_SKIPPED, NV_ADC_BITS, NV_MACS, NV_PROGRAMMED) = (
    COUNT + _COUNTER[name] for name in ("x_writes", "x_reads", "nv_operations", "nv_active", "nv_conversions", "nv_skipped", "nv_adc_bits",
                                        "nv_macs", "nv_programmed"))

_REG = {register.name: register.index for register in REGISTERS}
FIRST_REGISTER = tuple(min(r.index for r in REGISTERS if r.engine == engine.name) for engine in ENGINES)
LAST_REGISTER = tuple(max(r.index for r in REGISTERS if r.engine == engine.name) for engine in ENGINES)
(LD_ADDR, LD_ROWS, LD_UNITS, LD_UNIT, LD_SSTRIDE, LD_SSTEP, LD_J0, LD_BASE, LD_PITCH, LD_DSTEP, LD_WSTEP, LD_WLEN, LD_BSTEP, LD_GROUP,
 LD_SEL, LD_PACK, LD_FILL, LD_OBITS, LD_OBASE, LD_OPITCH) = (
    _REG[f"ld.{name}"] for name in ("addr", "rows", "units", "unit", "sstride", "sstep", "j0", "base", "pitch", "dstep", "wstep", "wlen",
                                    "bstep", "group", "sel", "pack", "fill", "obits", "obase", "opitch"))
(EX_N0, EX_AS0, EX_WS0, EX_CS0, EX_SS0, EX_ABASE, EX_WBASE, EX_CBASE, EX_SBASE, EX_ABITS, EX_WBITS, EX_CBITS, EX_ASIGNED, EX_WSIGNED,
 EX_ASLICE, EX_WSLICE, EX_AEN, EX_WEN, EX_AU0, EX_AU1, EX_ASLIDE, EX_AHOLD, EX_WU0, EX_WU1, EX_WSLIDE, EX_WHOLD, EX_RED, EX_KEEP,
 EX_ROWS, EX_COLS, EX_RMASK, EX_CMASK) = (
    _REG[f"ex.{name}"] for name in ("n0", "as0", "ws0", "cs0", "ss0", "abase", "wbase", "cbase", "sbase", "abits", "wbits", "cbits", "asigned",
                                    "wsigned", "aslice", "wslice", "aen", "wen", "au0", "au1", "aslide", "ahold", "wu0", "wu1", "wslide",
                                    "whold", "red", "keep", "rows", "cols", "rmask", "cmask"))
(DR_ROW0, DR_ROWS, DR_ACC0, DR_ACCS, DR_LANES, DR_BASE, DR_PITCH, DR_PARAM, DR_PACC, DR_PLANE, DR_PRE, DR_ROUND, DR_ZP, DR_LO, DR_HI,
 DR_BITS, DR_RAW, DR_NV) = (
    _REG[f"dr.{name}"] for name in ("row0", "rows", "acc0", "accs", "lanes", "base", "pitch", "param", "pacc", "plane", "pre", "round", "zp",
                                    "lo", "hi", "bits", "raw", "nv"))
(ST_ADDR, ST_ROWS, ST_XS, ST_WS, ST_XSTEP, ST_UNIT, ST_BASE, ST_PITCH, ST_BITS, ST_COL0, ST_RSTRIDE, ST_XSTRIDE, ST_WSTRIDE) = (
    _REG[f"st.{name}"] for name in ("addr", "rows", "xs", "ws", "xstep", "unit", "base", "pitch", "bits", "col0", "rstride", "xstride",
                                    "wstride"))
(NV_MACRO, NV_ROW0, NV_ROWS, NV_LINE0, NV_OUTS, NV_SLICES, NV_ENCODING, NV_EBITS, NV_ABITS, NV_ASIGNED, NV_RANGE, NV_KEEP, NV_XBASE, NV_K0,
 NV_XK0, NV_N0, NV_XV0, NV_CV0, NV_CG, NV_CBASE) = (
    _REG[f"nv.{name}"] for name in ("macro", "row0", "rows", "line0", "outs", "slices", "encoding", "ebits", "abits", "asigned", "range", "keep",
                                    "xbase", "k0", "xk0", "n0", "xv0", "cv0", "cg", "cbase"))
NV_LOOPS = NV_DIMS

_DEST = {code.name: code.code for code in DESTS}
TO_A, TO_W, TO_P, TO_X = (_DEST[name] for name in ("a", "w", "p", "x"))
_SOURCE = {code.name: code.code for code in SOURCES}
FROM_MEM, FROM_FILL, FROM_O = (_SOURCE[name] for name in ("mem", "fill", "o"))
EVERY_LANE = 63
WORD_MASK = (1 << 16) - 1
MASK32 = (1 << 32) - 1
ACC_MASK = ACC_INDEX_COUNT - 1

# -- PE contexts ------------------------------------------------------------------------------------------------------

_FIELD = {field.name: field for field in CONTEXT_FIELDS}
OP_LO, X_LO, Y_LO, DST_LO, ROUTE_LO, COND_LO, IMM_LO = (_FIELD[name].lo for name in ("op", "x", "y", "dst", "route", "cond", "imm"))
OP_MAX, X_MAX, Y_MAX, DST_MAX, ROUTE_MAX, COND_MAX, IMM_MAX = (
    (1 << _FIELD[name].bits) - 1 for name in ("op", "x", "y", "dst", "route", "cond", "imm"))
RESERVED = CONTEXT_RESERVED
IMM_BITS = _FIELD["imm"].bits
_PE = {op.name: op.code for op in PE_OPS}
(PE_NOP, PE_MAC, PE_MACL, PE_MOV, PE_ADD, PE_SUB, PE_MUL, PE_MIN, PE_MAX, PE_ABS, PE_AND, PE_OR, PE_XOR, PE_SHL, PE_SHR, PE_SRA, PE_SEL,
 PE_CEQ, PE_CLT) = (
    _PE[name] for name in ("nop", "mac", "macl", "mov", "add", "sub", "mul", "min", "max", "abs", "and", "or", "xor", "shl", "shr", "sra",
                           "sel", "ceq", "clt"))
_SRC = {code.name: code.code for code in PE_SOURCES}
SRC_A, SRC_W, SRC_NORTH, SRC_EAST, SRC_SOUTH, SRC_WEST, SRC_ACC, SRC_IMM, SRC_R0 = (
    _SRC[name] for name in ("a", "w", "north", "east", "south", "west", "acc", "imm", "r0"))
_DST = {code.name: code.code for code in PE_DESTS}
DST_NONE, DST_ACC, DST_ACCA, DST_R0 = (_DST[name] for name in ("none", "acc", "acca", "r0"))
_ROUTE = {code.name: code.code for code in PE_ROUTES}
(ROUTE_HOLD, ROUTE_RESULT, ROUTE_X, ROUTE_A, ROUTE_NORTH, ROUTE_EAST, ROUTE_SOUTH, ROUTE_WEST) = (
    _ROUTE[name] for name in ("hold", "result", "x", "a", "north", "east", "south", "west"))
_COND = {code.name: code.code for code in PE_CONDS}
COND_ALWAYS, COND_P, COND_NP = (_COND[name] for name in ("always", "p", "np"))
OPS_LEGAL = sum(1 << op.code for op in PE_OPS)
OPS_RESULT = sum(1 << op.code for op in PE_OPS if op.writes == "result")
DSTS_LEGAL = sum(1 << code.code for code in PE_DESTS)
CONDS_LEGAL = sum(1 << code.code for code in PE_CONDS)
NOT_IMM = ~_FIELD["imm"].mask & MASK32
MAC_AW = PE_MAC << OP_LO | SRC_A << X_LO | SRC_W << Y_LO
"""The context `mac a, w` without anything else, which has a kernel of its own."""
KIND_NONE, KIND_ADD, KIND_ADD_LANES, KIND_STORE = range(4)
"""What a PE hands to ACC."""
