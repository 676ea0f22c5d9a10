"""Banks, accumulators, contexts and PE registers of one machine, as arrays that whole commands work on."""

from __future__ import annotations

import numpy as np

from isa.table import ACC_BANKS, ACC_INDEX_COUNT, PARAM_WORDS, PE_REGISTERS
from rpa.arch.config import ArrayConfig
from rpa.arch.lfsr import LFSR_RESET


class State:
    """Data of the machine. Banks are (depth, banks) uint16, so that one address of every bank is one row.

    Accumulators are int64 (ACC_BANKS, ACC_INDEX_COUNT, rows, cols), the acc_bits-wide pattern sign-extended.
    ``memory`` is changed in place; :meth:`undo` restores it.
    """

    def __init__(self, config: ArrayConfig, memory: np.ndarray) -> None:
        rows, cols = config.rows, config.cols
        self.config = config
        self.memory = memory
        self.words = memory.view("<u2")
        self.a = np.zeros((config.a_depth, rows), dtype=np.uint16)
        self.w = np.zeros((config.w_depth, cols), dtype=np.uint16)
        self.p = np.zeros((config.p_entries * PARAM_WORDS, cols), dtype=np.uint16)
        self.p_version = 0
        """Counts the commands that wrote the P banks."""
        self.o = np.zeros((config.o_depth, cols), dtype=np.uint16)
        self.acc = np.zeros((ACC_BANKS, ACC_INDEX_COUNT, rows, cols), dtype=np.int64)
        self.contexts = np.zeros((config.ctx_slots, rows, cols), dtype=np.uint32)
        self.context_version = 0
        self.slot_is_mac = np.zeros(config.ctx_slots, dtype=bool)
        """Whether the last context word issued for a slot holds a MAC, whichever PEs it went to."""
        self.pe_registers = np.zeros((PE_REGISTERS, rows, cols), dtype=np.int64)
        self.flags = np.zeros((rows, cols), dtype=np.int64)
        self.out = np.zeros((rows + 2, cols + 2), dtype=np.int64)
        """Output registers of the PEs, with a border of zeros: what a PE at the edge sees of its missing neighbours."""
        self.lfsr = np.full(cols, LFSR_RESET, dtype=np.int64)
        self._journal: list[tuple[np.ndarray, np.ndarray]] = []

    def write_memory(self, index: np.ndarray, values: np.ndarray) -> None:
        """Write 16-bit words at distinct word indices, remembering what was there."""
        self._journal.append((index, self.words[index]))
        self.words[index] = values

    def undo(self) -> None:
        """Give ``memory`` its contents from before the run."""
        while self._journal:
            index, old = self._journal.pop()
            self.words[index] = old


def sign_extend(values: np.ndarray, bits: int) -> np.ndarray:
    """int64 array, modulo 2^bits, as signed ``bits``-wide integers."""
    shift = 64 - bits
    return (values << shift) >> shift
