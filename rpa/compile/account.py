"""What commands add to the machine's counters, in closed form: accesses of every level, external traffic, MACs."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from math import prod

from isa.table import DIMS
from rpa.arch.config import ArrayConfig
from rpa.compile.commands import Command
from rpa.compile.macro_time import nv_counts
from rpa.compile.timing import visits

Counts = Counter[str]


def counts(command: Command, config: ArrayConfig) -> Counts:
    """Counters of `isa.table.COUNTERS` that do not count cycles, for one command whose contexts multiply (`run`) or which copies."""
    kind = command.text.split()[0]
    if kind == "sync":
        return Counter()
    key = tuple(sorted((name, value) for name, value in command.registers.items() if not name.endswith((".addr", "base", ".param"))))
    return _counts(command.text if kind == "ld" else kind, key, config)


@lru_cache(maxsize=100_000)
def _counts(text: str, registers: tuple[tuple[str, int], ...], config: ArrayConfig) -> Counts:
    values = dict(registers)
    command = Command(text, values)
    kind = text.split()[0]
    if kind == "run":
        return _run(values, config)
    if kind == "drain":
        return _drain(command, config)
    if kind == "st":
        return _store(command, config)
    if kind in ("nvmac", "nvprog"):
        return nv_counts(kind, values, config)
    return _load(command, config)


def _run(values: dict[str, int], config: ArrayConfig) -> Counts:
    rows, cols = min(values.get("ex.rows", 63), config.rows), min(values.get("ex.cols", 63), config.cols)
    lanes = 16 // values.get("ex.cbits", 16)
    steps = prod(values.get(f"ex.n{loop}", 1) for loop in range(DIMS))
    a_words, w_words = (_read(values, operand) if values.get(f"ex.{operand}en", 1) else 0 for operand in "aw")
    a_steps, w_steps = (steps if values.get(f"ex.{operand}en", 1) else 0 for operand in "aw")
    return Counter(a_reads=a_words * rows, w_reads=w_words * cols, a_hits=(a_steps - a_words) * rows, w_hits=(w_steps - w_words) * cols,
                   macs=rows * cols * lanes * steps, mac_slots=config.pes * lanes * steps)


def _read(values: dict[str, int], operand: str) -> int:
    """Steps of a run that read the operand from its bank."""
    n = [values.get(f"ex.n{loop}", 1) for loop in range(DIMS)]
    hold, slide = values.get(f"ex.{operand}hold", 0), values.get(f"ex.{operand}slide", 0)
    outer = prod(count for loop, count in enumerate(n) if loop >= 2 and not hold >> loop & 1)
    inner = 1 if hold & 1 else n[0]
    if hold & 2:
        return outer * inner
    late = inner if not slide else min(n[0], slide) if not hold & 1 else int(n[0] <= slide)
    return outer * (inner + (n[1] - 1) * late)


def _drain(command: Command, config: ArrayConfig) -> Counts:
    values = command.registers
    elements = values.get("dr.accs", 1) * values.get("dr.lanes", 1)
    words = values.get("dr.rows", 1) * -(-elements * values.get("dr.bits", 16) // 16)
    return Counter(o_writes=config.cols * words, rq_elements=config.cols * visits(command, config))


def _store(command: Command, config: ArrayConfig) -> Counts:
    values = command.registers
    per_word = 16 // values.get("st.bits", 16)
    step = values.get("st.xstep", 1)
    lines = values.get("st.rows", 1) * sum(1 for x in range(values.get("st.xs", 1)) if x * step % per_word == 0)
    return Counter(o_reads=config.cols * lines, ext_write_words=visits(command, config) * values.get("st.unit", 1))


def _load(command: Command, config: ArrayConfig) -> Counts:
    values = command.registers
    into, source = (word.strip() for word in command.text.removeprefix("ld").split(","))
    unit = values.get("ld.unit", 1)
    banks = {"a": config.rows, "x": 1}.get(into, config.cols)
    group, sel = values.get("ld.group", 0), values.get("ld.sel", 63)
    first = values.get("ld.j0", 0)
    step, length = values.get("ld.wstep", 0), values.get("ld.wlen", 1)
    taking = 0
    for row in range(first, first + values.get("ld.rows", 1)):
        taking += sum(1 for bank in range(banks) if (sel == 63 or bank % (1 << group) == sel) and 0 <= row - (bank >> group) * step < length)
    found = Counter({f"{into}_writes": taking * values.get("ld.units", 1) * unit * values.get("ld.pack", 16) // 16})
    if source == "mem":
        found["ext_read_words"] = visits(command, config) * unit
    return found
