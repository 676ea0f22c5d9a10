"""What all units of the stepping emulator share: faults and the front of an engine's queue (design.md section 3)."""

from __future__ import annotations

from rpa.arch.jit import inner
from rpa.emu.step import layout as L


@inner
def raise_fault(s, rank, cause, pc, aux):
    """Note a fault of this cycle; of several the one with the lowest rank counts."""
    if rank < s[L.FAULT_RANK]:
        s[L.FAULT_RANK] = rank
        s[L.FAULT] = cause
        s[L.FAULT_PC] = pc
        s[L.FAULT_AUX] = aux & L.MASK32


@inner
def complete(s, engine, mask, pc):
    """A command of ``engine`` completes in this cycle and gives a token to each engine of ``mask``."""
    s[L.GIVEN + engine] = 1
    s[L.GIVEN_MASK + engine] = mask
    s[L.GIVEN_PC + engine] = pc


@inner
def tokens_cover(s, engine, wait):
    """True if every engine of ``wait`` has given ``engine`` at least one token (registered counts)."""
    for giver in range(L.ENGINE_COUNT):
        if wait >> giver & 1 and s[L.TOKEN + giver * L.ENGINE_COUNT + engine] == 0:
            return False
    return True


@inner
def pop(s, engine):
    """Remove the head of the queue; the core's push of this cycle is added elsewhere, so the count stays exact."""
    head = s[L.QUEUE_HEAD + engine] + 1
    s[L.QUEUE_HEAD + engine] = 0 if head == s[L.QUEUE_DEPTH] else head
    s[L.QUEUE_COUNT + engine] -= 1
    s[L.MOVED] = 1


@inner
def head_of(s, engine):
    """Offset of the queue's oldest entry in ``s``, or -1 if the queue was empty at the start of the cycle."""
    count = s[L.QUEUE_COUNT + engine]
    if s[L.PUSHED] == engine + 1:
        count -= 1
    if count == 0:
        return -1
    return L.QUEUE + (engine * L.MAX_QUEUE + s[L.QUEUE_HEAD + engine]) * L.Q_ENTRY


@inner
def apply_setting(s, engine, head, first, last):
    """Apply the `set` or `reset` at the head to the shadow registers and remove it."""
    if s[head + L.Q_KIND] == L.KIND_SET:
        s[L.SHADOW + s[head + L.Q_REGISTER]] = s[head + L.Q_VALUE]
    else:
        for register in range(first, last + 1):
            s[L.SHADOW + register] = s[L.RESET + register]
    pop(s, engine)


@inner
def accept_command(s, engine, head, first, last):
    """Start the command at the head: take its tokens, make the shadow registers active, be busy from the next cycle."""
    for register in range(first, last + 1):
        s[L.ACTIVE + register] = s[L.SHADOW + register]
    s[L.COMMAND + engine] = s[head + L.Q_OPCODE]
    s[L.COMMAND_PC + engine] = s[head + L.Q_PC]
    s[L.COMMAND_SIGNAL + engine] = s[head + L.Q_SIGNAL]
    s[L.COMMAND_VALUE + engine] = s[head + L.Q_VALUE]
    s[L.COMMAND_SLOT + engine] = s[head + L.Q_SLOT]
    s[L.TAKEN + engine] = s[head + L.Q_WAIT]
    s[L.STARTED + engine] = 1
    s[L.BUSY + engine] = 1
    pop(s, engine)


@inner
def count_engine(s, engine, head):
    """Count this cycle of the engine as run, wait or idle. ``head``: of :func:`head_of`, before it was removed."""
    if s[L.WAS_BUSY + engine] or s[L.STARTED + engine]:
        kind = L.RUN_COUNTER
    elif head >= 0 and s[head + L.Q_KIND] == L.KIND_COMMAND:
        kind = L.WAIT_COUNTER
    else:
        kind = L.IDLE_COUNTER
    s[L.ENGINE_COUNTERS + 4 * engine + kind] += 1
