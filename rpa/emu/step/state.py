"""The state of a machine: the control state ``s`` and the arrays ``m``, as they are after reset."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from isa.table import ACC_BANKS, ACC_INDEX_COUNT, FEEDER_SLOTS, PARAM_WORDS, PE_REGISTERS, REGISTERS
from rpa.arch.config import ArrayConfig
from rpa.arch.lfsr import LFSR_RESET
from rpa.emu.step import layout as L


class Arrays(NamedTuple):
    """Everything that is wide. R rows, C columns. Banks are uint16 with the address first, so that one address of all
    banks is a row; all else is int64 unless noted."""

    memory: np.ndarray
    """External memory, uint16 (mem_bytes/2,)."""
    abank: np.ndarray
    """(a_depth, R)"""
    wbank: np.ndarray
    """(w_depth, C)"""
    pbank: np.ndarray
    """(8*p_entries, C)"""
    obank: np.ndarray
    """(o_depth, C)"""
    aword: np.ndarray
    """Words read in ISSUE: (R,), and wword (C,)."""
    wword: np.ndarray
    afeed: np.ndarray
    """Feeders (8, R), (8, C)."""
    wfeed: np.ndarray
    abus: np.ndarray
    wbus: np.ndarray
    ctx: np.ndarray
    """Context words (slots, R, C)."""
    uniform: np.ndarray
    """(slots,): the context word if every PE has the same, else -1."""
    out: np.ndarray
    next_out: np.ndarray
    flag: np.ndarray
    regs: np.ndarray
    """(8, R, C)"""
    acc: np.ndarray
    """(2, 16, R, C), the low acc_bits."""
    given: np.ndarray
    """What EXEC hands to ACC, (2, R, C): two buffers by the cycle's parity; likewise kind."""
    kind: np.ndarray
    reg_sig: np.ndarray
    acc_sig: np.ndarray
    dr_value: np.ndarray
    """(DR_RING, C): accumulator, v, quotient of each entry."""
    dr_params: np.ndarray
    """(DR_RING, 8, C): words of the parameter entries."""
    dr_changed: np.ndarray
    dr_q: np.ndarray
    dr_word: np.ndarray
    lfsr: np.ndarray
    ld_line: np.ndarray
    st_line: np.ndarray
    st_out: np.ndarray
    fetched: np.ndarray
    packed: np.ndarray
    """Words of the visits of LD under way, (LD_RING, 32), and where each bank takes them, (LD_RING, banks)."""
    places: np.ndarray
    xbank: np.ndarray
    """(x_depth, 1); one word where the machine has no NOR-flash macros, and so for what follows."""
    nv_acts: np.ndarray
    """Activations on the word lines, (nv_rows,), and the digits of the operation under way."""
    nv_digits: np.ndarray
    nv_codes: np.ndarray
    """Codes of the last operation, (nv_cols,)."""
    nv_value: np.ndarray
    """The line on its way to the accumulators, (C,)."""
    nv_acc: np.ndarray
    """(2, 16, 1, C), the low acc_bits."""
    nv_acc_sig: np.ndarray


def new_arrays(config: ArrayConfig, memory: np.ndarray) -> Arrays:
    """Reset values, with ``memory``, uint8 (mem_bytes,), itself."""
    rows, cols = config.rows, config.cols
    widest, macros = 32, config.nv_engine

    def words(*shape: int) -> np.ndarray:
        return np.zeros(shape, np.uint16)

    def zeros(*shape: int) -> np.ndarray:
        return np.zeros(shape, np.int64)

    return Arrays(
        memory=memory.view("<u2"), abank=words(config.a_depth, rows), wbank=words(config.w_depth, cols),
        pbank=words(PARAM_WORDS * config.p_entries, cols), obank=words(config.o_depth, cols), aword=zeros(rows), wword=zeros(cols),
        afeed=zeros(FEEDER_SLOTS, rows), wfeed=zeros(FEEDER_SLOTS, cols), abus=zeros(rows), wbus=zeros(cols),
        ctx=zeros(config.ctx_slots, rows, cols), uniform=zeros(config.ctx_slots), out=zeros(rows, cols), next_out=zeros(rows, cols),
        flag=zeros(rows, cols), regs=zeros(PE_REGISTERS, rows, cols), acc=zeros(ACC_BANKS, ACC_INDEX_COUNT, rows, cols),
        given=zeros(2, rows, cols), kind=zeros(2, rows, cols), reg_sig=zeros(rows, cols), acc_sig=zeros(rows, cols),
        dr_value=zeros(L.DR_RING, cols), dr_params=zeros(L.DR_RING, PARAM_WORDS, cols), dr_changed=zeros(L.DR_RING, cols), dr_q=zeros(cols),
        dr_word=zeros(cols), lfsr=np.full(cols, LFSR_RESET, np.int64), ld_line=zeros(cols), st_line=zeros(cols), st_out=zeros(widest),
        fetched=zeros(widest), packed=zeros(L.LD_RING, widest), places=zeros(L.LD_RING, max(rows, cols)),
        xbank=words(config.x_depth if macros else 1, 1), nv_acts=zeros(config.nv_rows * macros), nv_digits=zeros(config.nv_rows * macros),
        nv_codes=zeros(config.nv_cols * macros), nv_value=zeros(cols), nv_acc=zeros(ACC_BANKS, ACC_INDEX_COUNT, 1, cols), nv_acc_sig=zeros(cols))


def _set_register_rules(s: list[int], config: ArrayConfig) -> None:
    for register in REGISTERS:
        index, (low, high) = register.index, register.limits(config)
        s[L.RESET + index] = s[L.SHADOW + index] = s[L.ACTIVE + index] = register.reset
        if register.bits == 32 and not register.signed:
            low, high = -(1 << 31), (1 << 31) - 1
        s[L.LOW + index], s[L.HIGH + index] = low, high
        s[L.CHOICES + index] = sum(1 << choice for choice in register.choices or () if choice <= high)


def new_control(config: ArrayConfig, code_words: int, limit: int, recording: bool) -> list[int]:
    """The control state after reset."""
    s = [0] * L.SIZE
    for offset, name in ((L.ROWS, "rows"), (L.COLS, "cols"), (L.ACC_BITS, "acc_bits"), (L.A_DEPTH, "a_depth"), (L.W_DEPTH, "w_depth"),
                         (L.O_DEPTH, "o_depth"), (L.P_ENTRIES, "p_entries"), (L.CTX_SLOTS, "ctx_slots"), (L.QUEUE_DEPTH, "queue_depth"),
                         (L.MEM_LATENCY, "mem_latency"), (L.MEM_BYTES, "mem_bytes"), (L.MACROS, "nv_macros"), (L.WORD_LINES, "nv_rows"),
                         (L.BIT_LINES, "nv_cols"), (L.CELL_BITS, "nv_cell_bits"), (L.DAC_BITS, "nv_dac_bits"), (L.ADC_BITS, "nv_adc_bits"),
                         (L.ADCS, "nv_adcs"), (L.SETTLE, "nv_settle"), (L.ADC_CYCLES, "nv_adc_cycles"), (L.PROG_CYCLES, "nv_prog_cycles"),
                         (L.X_DEPTH, "x_depth")):
        s[offset] = getattr(config, name)
    s[L.ENGINES_BUILT] = L.ENGINE_COUNT if config.nv_engine else L.NV
    s[L.CODE_WORDS], s[L.LIMIT], s[L.RECORDING] = code_words, limit, int(recording)
    _set_register_rules(s, config)
    return s


def as_int64(values: Any) -> np.ndarray:
    return np.array(values, np.int64)
