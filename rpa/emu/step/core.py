"""The control core, one instruction a cycle (design.md section 2)."""

from __future__ import annotations

from rpa.arch.jit import inner
from rpa.emu.step import layout as L
from rpa.emu.step.common import raise_fault


@inner
def signed32(value):
    return (value ^ 0x80000000) - 0x80000000


@inner
def arithmetic(op, a, b):
    """Result of an arithmetic instruction on unsigned 32-bit operands; -1 if ``op`` is none."""
    if op == L.ADD or op == L.ADDI:
        return (a + b) & L.MASK32
    if op == L.SUB:
        return (a - b) & L.MASK32
    if op == L.MUL:
        return ((a * (b & 0xFFFF)) + ((a * (b >> 16) & 0xFFFF) << 16)) & L.MASK32
    if op == L.AND or op == L.ANDI:
        return a & b
    if op == L.OR or op == L.ORI:
        return a | b
    if op == L.XOR:
        return a ^ b
    if op == L.SLL or op == L.SLLI:
        return (a << (b & 31)) & L.MASK32
    if op == L.SRL or op == L.SRLI:
        return a >> (b & 31)
    if op == L.SRA or op == L.SRAI:
        return (signed32(a) >> (b & 31)) & L.MASK32
    if op == L.SLT:
        return 1 if signed32(a) < signed32(b) else 0
    if op == L.LUI:
        return (b << 16) & L.MASK32
    return -1


@inner
def branch_taken(op, a, b):
    """True if a branch instruction jumps, on unsigned 32-bit operands; False if ``op`` is none."""
    if op == L.BEQ:
        return a == b
    if op == L.BNE:
        return a != b
    if op == L.BLT:
        return signed32(a) < signed32(b)
    if op == L.BGE:
        return signed32(a) >= signed32(b)
    if op == L.BLTU:
        return a < b
    if op == L.BGEU:
        return a >= b
    return False


@inner
def context_is_legal(word):
    """True if every PE can hold this context word."""
    op = word >> L.OP_LO & L.OP_MAX
    dst = word >> L.DST_LO & L.DST_MAX
    return (word & L.RESERVED == 0 and L.OPS_LEGAL >> op & 1 == 1 and L.DSTS_LEGAL >> dst & 1 == 1
            and L.CONDS_LEGAL >> (word >> L.COND_LO & L.COND_MAX) & 1 == 1 and (dst == L.DST_NONE or L.OPS_RESULT >> op & 1 == 1))


@inner
def setting_is_legal(s, register, value):
    """True if `set` takes ``value`` (signed 32 bit) for this register; limits come from `Register.accepts`."""
    if value < s[L.LOW + register] or value > s[L.HIGH + register]:
        return False
    return s[L.CHOICES + register] == 0 or s[L.CHOICES + register] >> value & 1 == 1


@inner
def core_fault(s, code, row, a, rt):
    """Find a fault of this instruction; True if there is one."""
    op, pc = code[row + L.C_OPCODE], s[L.PC]
    if code[row + L.C_LEGAL] == 0:
        raise_fault(s, L.RANK_CORE, L.ILLEGAL_OPCODE, pc, code[row + L.C_WORD])
        return True
    if op == L.SET or op == L.SETR:
        value = code[row + L.C_IMM] if op == L.SET else signed32(rt)
        if not setting_is_legal(s, code[row + L.C_ARG], value):
            raise_fault(s, L.RANK_CORE, L.ILLEGAL_CONFIG, pc, value)
            return True
    elif op == L.CTXLD:
        slot = code[row + L.C_SLOT]
        if slot >= s[L.CTX_SLOTS] or not context_is_legal(a):
            raise_fault(s, L.RANK_CORE, L.ILLEGAL_CONTEXT, pc, slot if slot >= s[L.CTX_SLOTS] else a)
            return True
    elif op == L.LOOP or op == L.LOOPI:
        count = a if op == L.LOOP else code[row + L.C_IMM]
        if count != 0 and s[L.LOOPS] == L.LOOP_DEPTH:
            raise_fault(s, L.RANK_CORE, L.LOOP_OVERFLOW, pc, 0)
            return True
    return False


@inner
def push_entry(s, code, row, a, rt):
    """Put an engine's instruction into its queue; False, and one more `full` cycle, if there is no room."""
    engine, op = code[row + L.C_ENGINE], code[row + L.C_OPCODE]
    count = s[L.QUEUE_COUNT + engine]
    if count >= s[L.QUEUE_DEPTH]:
        s[L.ENGINE_COUNTERS + 4 * engine + L.FULL_COUNTER] += 1
        return False
    position = s[L.QUEUE_HEAD + engine] + count
    if position >= s[L.QUEUE_DEPTH]:
        position -= s[L.QUEUE_DEPTH]
    entry = L.QUEUE + (engine * L.MAX_QUEUE + position) * L.Q_ENTRY
    value = 0
    kind = L.KIND_COMMAND
    if op == L.SET:
        kind, value = L.KIND_SET, code[row + L.C_IMM]
    elif op == L.SETR:
        kind, value = L.KIND_SET, signed32(rt)
    elif op == L.RESET_ENGINE:
        kind = L.KIND_RESET
    elif op == L.CTXLD:
        value = a
    elif op == L.SEED:
        value = rt
    s[entry + L.Q_KIND] = kind
    s[entry + L.Q_REGISTER] = code[row + L.C_ARG]
    s[entry + L.Q_VALUE] = value
    s[entry + L.Q_OPCODE] = op
    s[entry + L.Q_ARG] = code[row + L.C_ARG]
    s[entry + L.Q_SLOT] = code[row + L.C_SLOT]
    s[entry + L.Q_WAIT] = code[row + L.C_WAIT]
    s[entry + L.Q_SIGNAL] = code[row + L.C_SIGNAL]
    s[entry + L.Q_PC] = s[L.PC]
    s[L.QUEUE_COUNT + engine] = count + 1
    s[L.PUSHED] = engine + 1
    return True


@inner
def fence_holds(s, mask):
    """True if an engine of ``mask`` is not quiescent."""
    for engine in range(L.ENGINE_COUNT):
        if mask >> engine & 1 and (s[L.QUEUE_COUNT + engine] > 0 or s[L.WAS_QUIET + engine] == 0):
            return True
    return False


@inner
def next_pc(s):
    """Sequential successor of the pc, or the start of the loop whose body ends there; the top loop counts or leaves."""
    after = s[L.PC] + 1
    top = s[L.LOOPS] - 1
    if top >= 0 and s[L.LOOP_END + top] == after:
        if s[L.LOOP_COUNT + top] > 1:
            s[L.LOOP_COUNT + top] -= 1
            return s[L.LOOP_START + top]
        s[L.LOOPS] = top
    return after


@inner
def begin_loop(s, count, end):
    """pc after `loop`: past the body for count 0, else into it, with an entry on the stack."""
    if count == 0:
        return end
    top = s[L.LOOPS]
    s[L.LOOP_START + top] = s[L.PC] + 1
    s[L.LOOP_END + top] = end
    s[L.LOOP_COUNT + top] = count
    s[L.LOOPS] = top + 1
    return s[L.PC] + 1


@inner
def retire(s, rd, value, pc):
    """Finish an instruction: write rd (0: none), go to ``pc``."""
    s[L.RETIRED] = 1
    s[L.RET_PC] = s[L.PC]
    s[L.RET_RD] = rd
    s[L.RET_VALUE] = value
    if rd != 0:
        s[L.CORE + rd] = value
    s[L.PC] = pc
    s[L.INSTRUCTIONS_DONE] += 1


@inner
def control(s, code, row, op, a, rt):
    """Instructions that are neither arithmetic nor for an engine."""
    pc, rd, imm = s[L.PC], code[row + L.C_RD], code[row + L.C_IMM]
    target = (pc + code[row + L.C_OFFSET]) & L.MASK32
    if op == L.HALT:
        s[L.HALTED] = 1
        retire(s, 0, 0, next_pc(s))
    elif op == L.FENCE:
        if fence_holds(s, imm):
            s[L.BLOCKED] = 1
            s[L.FENCE_STALL] += 1
        else:
            retire(s, 0, 0, next_pc(s))
    elif op == L.LOOP:
        retire(s, 0, 0, begin_loop(s, a, target))
    elif op == L.LOOPI:
        retire(s, 0, 0, begin_loop(s, imm, target))
    elif op == L.JAL:
        retire(s, rd, pc + 1, target)
    elif op == L.JALR:
        retire(s, rd, pc + 1, (a + imm) & L.MASK32)
    elif op == L.RDCTR:
        retire(s, rd, s[L.COUNT + imm] & L.MASK32, next_pc(s))
    elif op == L.RDCTRH:
        retire(s, rd, s[L.COUNT + imm] >> 32 & L.WORD_MASK, next_pc(s))
    elif branch_taken(op, a, rt):
        retire(s, 0, 0, target)
    else:
        retire(s, 0, 0, next_pc(s))


@inner
def core_cycle(s, code):
    """One cycle of the core, which is not halted."""
    pc = s[L.PC]
    if pc >= s[L.CODE_WORDS]:
        raise_fault(s, L.RANK_CORE, L.FETCH, pc, pc)
        return
    row = pc * L.C_ENTRY
    a = s[L.CORE + code[row + L.C_RS]]
    rt = s[L.CORE + code[row + L.C_RT]]
    if core_fault(s, code, row, a, rt):
        return
    op = code[row + L.C_OPCODE]
    if code[row + L.C_ENGINE] >= 0:
        if push_entry(s, code, row, a, rt):
            retire(s, 0, 0, next_pc(s))
        else:
            s[L.BLOCKED] = 1
        return
    result = arithmetic(op, a, rt + code[row + L.C_IMM])  # an arithmetic instruction has one of them, the other is 0
    if result >= 0:
        retire(s, code[row + L.C_RD], result, next_pc(s))
    else:
        control(s, code, row, op, a, rt)
