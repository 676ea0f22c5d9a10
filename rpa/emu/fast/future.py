"""What the event loop keeps behind the control state ``s`` of the stepping emulator (`rpa.emu.step.layout`), and its arrays.

A command is carried out whole at its start. ``s`` then tells, as in the stepping emulator, what the control logic can see of
it; the offsets below tell when it ends.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from isa.table import ACC_INDEX_COUNT, CORE_REGISTERS, DIMS, FEEDER_SLOTS
from rpa.arch.config import ArrayConfig
from rpa.arch.jit import VECTOR
from rpa.emu.step import layout as L

EX_DEPTH = 3
"""Stages behind ISSUE: FEED, EXEC, ACC."""
DR_DEPTH = 5
"""Stages behind D0."""
RING = 8
"""Completions of a pipeline that can be under way, by the low bits of their cycles."""

START = L.SIZE
"""Per engine: cycle in which its present command started; LAST: in which it is busy last; LIVE: in which its pipeline holds
an entry last; TODO: 1 if it started and is not carried out yet."""
LAST = START + L.ENGINE_COUNT
LIVE = LAST + L.ENGINE_COUNT
TODO = LIVE + L.ENGINE_COUNT
DUE = TODO + L.ENGINE_COUNT
"""Per engine RING numbers: cycle of a completion; DUE_MASK: engines it gives a token to; DUE_PC: pc of its command."""
DUE_MASK = DUE + L.ENGINE_COUNT * RING
DUE_PC = DUE_MASK + L.ENGINE_COUNT * RING
_END = DUE_PC + L.ENGINE_COUNT * RING
(ENDED, SIMULATED, PATIENCE, READS, PARTIAL, NEXT_NOTE, DR_EVENTS, JOURNALLED) = range(_END, _END + 8)
"""ENDED: an engine ended in this cycle; SIMULATED: cycles not skipped, at most PATIENCE; READS: 1 if the program reads
counters; PARTIAL: 1 if it reads some of the data path; NEXT_NOTE: cycle simulated in which `Scratch.seen` is next noted;
DR_EVENTS: last cycle that is noted in `Scratch.drained`; JOURNALLED: words in the journal."""
SIZE = JOURNALLED + 1

CORE_STATE = L.CORE + CORE_REGISTERS - L.LOOP_START
"""Numbers of the core's loop stack and registers, which stand side by side."""
(N_PC, N_LOOPS, N_CORE, N_COUNTERS) = (0, 1, 2, 2 + CORE_STATE)
FAR = 1 << 60
"""Cycles that no run gets to."""
FIRST_NOTE = 1024
"""A note of the core's state, to recognize endless loops, and the cycle simulated before which none is made."""

(NO_PROBLEM, A_RANGE, W_RANGE, MEM_READ, MEM_READ_ALIGN, BANK_RANGE, BANK_ALIGN, O_READ, P_RANGE, O_WRITE, MEM_WRITE, MEM_WRITE_ALIGN,
 X_RANGE) = range(13)
"""Addresses of a command that would fault."""

(R_A, R_W, R_BANK, R_O, R_MEM, R_P, R_X) = range(0, 21, 3)
"""Reach of a command: for each store whether it is used, and the smallest and largest address (R_MEM: bytes)."""
R_PROBLEM, R_LOW, R_HIGH = 21, 22, 23
"""The problem, and the addresses it is about."""
REACH_WORDS = 24

(T_CYCLE, T_ENGINE, T_OPCODE, T_ARG, T_SLOT, T_VALUE, T_WAIT, T_SIGNAL, T_PC, T_PROBLEM, T_LOW, T_HIGH, T_REGISTERS) = range(13)
"""A row of a trace: one started command. T_ARG: bank or destination, T_SLOT: context slot or source; then its registers."""
WIDEST = max(last - first + 1 for first, last in zip(L.FIRST_REGISTER, L.LAST_REGISTER, strict=True))
TRACE_WORDS = T_REGISTERS + WIDEST

(H_STORE, H_ENGINE, H_WRITE, H_FIRST, H_LAST, H_LOW, H_HIGH, H_ARG, H_SLOT, H_REGISTERS) = range(10)
"""An access (`hazards`): store, or -1 for a free row; who uses it, how, in which cycles, at which addresses; the command."""
(P_STORE, P_WRITE, P_FIRST, P_LAST, P_LOW, P_HIGH) = range(6)
"""An access of the command that starts, before it is kept."""
ACCESS_WORDS = H_REGISTERS + WIDEST
ACCESSES = 64
S_A, S_W, S_P, S_X = L.TO_A, L.TO_W, L.TO_P, L.TO_X
S_O, S_MEM, S_ACC, S_NV_ACC = 4, 5, 6, 8
"""Stores; S_ACC + bank, S_NV_ACC + bank."""
MARKS = 1 << 16
"""Addresses that are compared at a time."""
DRAINED = 1 << 13
"""Cycles of which `Scratch.drained` knows: more than the visits of a drain."""
MOST_LANES = 8
JOURNAL_WORDS = 3
"""Words of the journal for every write, beside those that it overwrote."""


class Scratch(NamedTuple):
    """Arrays that the event loop works with; cp: columns in whole vectors."""

    reach: np.ndarray
    accesses: np.ndarray
    """(ACCESSES, ACCESS_WORDS)"""
    news: np.ndarray
    """(3, 6): accesses of the command that starts."""
    marks: np.ndarray
    """uint8 (MARKS,)"""
    used: np.ndarray
    """(2, slots): context slots of a run."""
    indices: np.ndarray
    """(DIMS,) indices of a run's loops."""
    fed: np.ndarray
    """(2, 2, FEEDER_SLOTS): for A and W the address of the word in each feeder slot, or -1, and its slice."""
    written: np.ndarray
    """(2, 16): accumulators that the run touched, and those that it started from 0."""
    drained: np.ndarray
    """(2, DRAINED): saturations and O words of a cycle, by its low bits."""
    operations: np.ndarray
    """(4, n): what the first i operations of the `nvmac` carried out last count as nv_active, nv_conversions, nv_skipped and
    nv_adc_bits, for a program that reads counters; without data (4, 1) zeros."""
    before: np.ndarray
    """Counters, put aside."""
    seen: np.ndarray
    """A note of the core's state."""
    sums32: np.ndarray
    """int32 (16 * R * cp,): accumulators of a run at up to 8 bits; sums64: float64, at 16 bits."""
    sums64: np.ndarray
    w32: np.ndarray
    """Lanes of the words in the W feeders, (FEEDER_SLOTS * lanes * cp,); w64: as float64."""
    w64: np.ndarray
    journal: np.ndarray
    """uint16 (n,): what `st` overwrote: words, then the first one's number (2 words, low first) and their count."""


def new_scratch(config: ArrayConfig, journal_words: int) -> Scratch:
    rows, padded = config.rows, -(-config.cols // VECTOR) * VECTOR

    def zeros(*shape: int) -> np.ndarray:
        return np.zeros(shape, np.int64)

    accesses = zeros(ACCESSES, ACCESS_WORDS)
    accesses[:, H_STORE] = -1
    sums, w = ACC_INDEX_COUNT * rows * padded, FEEDER_SLOTS * MOST_LANES * padded
    return Scratch(
        reach=zeros(REACH_WORDS), accesses=accesses, news=zeros(3, 6), marks=np.zeros(MARKS, np.uint8), used=zeros(2, config.ctx_slots),
        indices=zeros(DIMS), fed=zeros(2, 2, FEEDER_SLOTS), written=zeros(2, ACC_INDEX_COUNT), drained=zeros(2, DRAINED), operations=zeros(4, 1),
        before=zeros(L.COUNTER_COUNT), seen=zeros(N_COUNTERS + L.COUNTER_COUNT) - 1, sums32=np.zeros(sums, np.int32), sums64=np.zeros(sums),
        w32=np.zeros(w, np.int32), w64=np.zeros(w), journal=np.zeros(journal_words, np.uint16))
