"""One command on a machine whose banks and registers a test has filled."""

from __future__ import annotations

from typing import Any

import numpy as np

from isa.table import ACC_BANKS, ACC_INDEX_COUNT, COUNTERS, PARAM_WORDS, PE_REGISTERS
from rpa.arch.config import ArrayConfig
from rpa.arch.lfsr import LFSR_RESET
from rpa.emu.fast import events
from rpa.emu.fast.future import new_scratch
from rpa.emu.fast.layout import ENGINE_CODE
from rpa.emu.fast.machine import new_state, runnable
from rpa.emu.step import layout as L
from rpa.emu.step.state import new_arrays
from tests.emu_fast.build import Code

ENGINE = {"ld": "ld", "run": "ex", "drain": "dr", "st": "st"}


class State:
    """Data of a machine. Accumulators are signed; banks are (depth, banks)."""

    def __init__(self, config: ArrayConfig, memory: np.ndarray) -> None:
        self.config, self.memory = config, memory
        self.a = np.zeros((config.a_depth, config.rows), np.uint16)
        self.w = np.zeros((config.w_depth, config.cols), np.uint16)
        self.p = np.zeros((PARAM_WORDS * config.p_entries, config.cols), np.uint16)
        self.o = np.zeros((config.o_depth, config.cols), np.uint16)
        self.acc = np.zeros((ACC_BANKS, ACC_INDEX_COUNT, config.rows, config.cols), np.int64)
        self.contexts = np.zeros((config.ctx_slots, config.rows, config.cols), np.int64)
        self.pe_registers = np.zeros((PE_REGISTERS, config.rows, config.cols), np.int64)
        self.flags = np.zeros((config.rows, config.cols), np.int64)
        self.out = np.zeros((config.rows, config.cols), np.int64)
        self.lfsr = np.full(config.cols, LFSR_RESET, np.int64)


def carry_out(state: State, name: str, registers: Any, bank: int = 0, dest: str = "a", source: str = "mem") -> dict[str, int] | None:
    """Do one command with these engine registers, in place; its counters by name, or None if the event loop would have it stepped."""
    code, config = Code(state.config), state.config
    code = code.ld(dest, source) if name == "ld" else code.command(name, **({} if name == "st" else {"bank": bank}))
    s, words = new_state(code.halt().program(), 1 << 40, 1 << 40)
    engine = ENGINE_CODE[ENGINE[name]]
    for index, value in zip(range(L.FIRST_REGISTER[engine], L.LAST_REGISTER[engine] + 1), registers, strict=True):
        s[L.SHADOW + index] = value
    mask, half = (1 << config.acc_bits) - 1, 1 << (config.acc_bits - 1)
    m = new_arrays(config, state.memory)
    pairs = ((m.abank, state.a), (m.wbank, state.w), (m.pbank, state.p), (m.obank, state.o), (m.acc, state.acc & mask), (m.ctx, state.contexts),
             (m.lfsr, state.lfsr))
    for mine, theirs in pairs:
        mine[:] = theirs
    m.uniform[:] = [slot[0, 0] if (slot == slot[0, 0]).all() else -1 for slot in state.contexts]
    if runnable(events.run_events)(s, words, m, new_scratch(config, 1 << 16)) != events.ENDED or s[L.FAULT]:
        return None
    for mine, theirs in ((m.abank, state.a), (m.wbank, state.w), (m.pbank, state.p), (m.obank, state.o), ((m.acc ^ half) - half, state.acc),
                         (m.regs, state.pe_registers), (m.flag, state.flags), (m.out, state.out), (m.lfsr, state.lfsr)):
        theirs[:] = mine
    return {counter.name: int(s[L.COUNT + counter.index]) for counter in COUNTERS}
