"""A machine for the tests of `isa`, with sizes of its own so that no limit is hit by chance."""

from __future__ import annotations

from dataclasses import dataclass

import isa


@dataclass(frozen=True)
class Machine:
    """Attributes as `ArrayConfig` has them; `isa` takes any object with these."""

    rows: int = 4
    cols: int = 4
    acc_bits: int = 48
    a_depth: int = 1024
    w_depth: int = 512
    o_depth: int = 256
    p_entries: int = 16
    ctx_slots: int = 16
    imem_words: int = 1024
    queue_depth: int = 4
    bus_words: int = 4
    mem_latency: int = 8
    mem_bytes: int = 1 << 16
    nv_engine: int = 1
    nv_macros: int = 2
    nv_rows: int = 32
    nv_cols: int = 16
    nv_cell_bits: int = 2
    nv_dac_bits: int = 1
    nv_adc_bits: int = 6
    nv_adc_share: int = 2
    nv_settle: int = 1
    nv_adc_cycles: int = 7
    nv_prog_cycles: int = 10
    x_depth: int = 128


MACHINE = Machine()
LARGE = Machine(imem_words=1 << 16)


def words(text: str, machine: Machine = MACHINE) -> tuple[int, ...]:
    """Return the code of a text that stands in front of a `halt`, without the `halt`."""
    return isa.assemble(text + "\nhalt\n", machine).code[:-1]
