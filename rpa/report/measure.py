"""`measure`: what each kernel costs at each bit width, one row per pair of widths."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace

from isa import Program
from isa.table import COUNTERS
from rpa.arch.config import ArrayConfig
from rpa.arch.outcome import Outcome
from rpa.report.accuracy import relative_error
from rpa.report.backends import ReportError, run_program
from rpa.report.kernels import KERNELS, Kernel, differences

READ_COUNTERS = ("a_reads", "w_reads", "o_reads")
WRITE_COUNTERS = ("a_writes", "w_writes", "p_writes", "o_writes")
WORD_BYTES = 2
_INDEX = {counter.name: counter.index for counter in COUNTERS}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One kernel at one pair of widths on one machine."""

    name: str
    act_bits: int
    weight_bits: int
    cycles: int
    """Clock cycles of the whole program; of its timed part where the kernel has one (`conv3x3`: operands in the banks)."""
    utilisation: float | None
    """Useful operations / (cycles * rows * cols * lanes at the wider width); None for a kernel that computes nothing."""
    speedup: float | None
    """Cycles per operation (per input element, where nothing is computed) of the 16-bit row of the same kernel over those of this
    one; None if no 16-bit row was measured. Where both work on the same shape it is the ratio of their cycles."""
    bank_reads: int
    """Words read from A, W and O banks, in the whole program."""
    bank_writes: int
    """Words written into A, W, P and O banks, in the whole program."""
    external_bytes: int
    """Bytes moved to and from external memory, in the whole program."""
    relative_error: float | None
    """||output - float64|| / ||float64|| on smooth real data, see `rpa.report.accuracy`; None where there is no real formula."""
    backend_equal: bool | None
    """True if all backends asked for agree on cycles, counters, registers, faults and memory; None if only one was asked for."""

    def to_dict(self) -> dict[str, str | int | float | bool | None]:
        return asdict(self)


def counter(outcome: Outcome, name: str) -> int:
    """Value of a counter of `isa.table.COUNTERS` by name."""
    return int(outcome.counters[_INDEX[name]])


def measure(kernels: Iterable[str | Kernel], widths: Sequence[tuple[int, int]] | None = None, config: ArrayConfig | None = None,
            backends: Sequence[str] = ("fast", "step"), *, defines: dict[str, int] | None = None, seed: int = 0) -> list[Row]:
    """Run kernels, check their outputs against the golden values, and report what they cost.

    ``widths``: (act_bits, weight_bits) pairs; None for those of each kernel. Pairs that a kernel does not have are left out, and so
    are widths that the machine cannot run. Raises ReportError for an unknown kernel or backend, or a wrong result; RpaError if a kernel
    does not assemble for the machine.
    """
    if not backends:
        raise ReportError("no backend to measure with")
    config = config or ArrayConfig.preset("default")
    rows: list[Row] = []
    for kernel in map(find_kernel, kernels):
        pairs = [pair for pair in kernel.widths if (widths is None or pair in widths) and kernel.fits(config, pair[0])]
        rows += _with_speedup([_measure_one(kernel, pair, config, backends, defines or {}, seed) for pair in pairs])
    return rows


def find_kernel(kernel: str | Kernel) -> Kernel:
    """Return a kernel by name. Raises ReportError for an unknown one."""
    if isinstance(kernel, Kernel):
        return kernel
    if kernel not in KERNELS:
        raise ReportError(f"no kernel `{kernel}`; there are {', '.join(KERNELS)}")
    return KERNELS[kernel]


def _measure_one(kernel: Kernel, pair: tuple[int, int], config: ArrayConfig, backends: Sequence[str], defines: dict[str, int],
                 seed: int) -> tuple[Row, float]:
    """The row without its speed-up, and cycles per operation or element."""
    program = kernel.assemble(config, *pair, **defines)
    case = kernel.case(program, seed)
    outcomes = []
    for backend in backends:
        outcome, outputs = run_program(program, case.inputs, backend)
        wrong = differences(case, outputs)
        if wrong:
            raise ReportError(f"{kernel.name} at {pair[0]}/{pair[1]} bits on `{backend}`: {wrong[0]}")
        outcomes.append(outcome)
    first = outcomes[0]
    cycles = first.registers[1] if kernel.timed_part else first.cycles
    slots = cycles * config.rows * config.cols * (16 // max(pair))
    row = Row(name=kernel.name, act_bits=pair[0], weight_bits=pair[1], cycles=cycles,
              utilisation=kernel.formula.work(program) / slots if kernel.formula else None, speedup=None,
              bank_reads=sum(counter(first, name) for name in READ_COUNTERS),
              bank_writes=sum(counter(first, name) for name in WRITE_COUNTERS),
              external_bytes=WORD_BYTES * (counter(first, "ext_read_words") + counter(first, "ext_write_words")),
              relative_error=_error(kernel, program, backends[0], seed),
              backend_equal=all(first.first_difference(other) is None for other in outcomes[1:]) if outcomes[1:] else None)
    elements = sum(array.size for array in case.inputs.values())
    return row, cycles / (kernel.formula.work(program) if kernel.formula else elements)


def _error(kernel: Kernel, program: Program, backend: str, seed: int) -> float | None:
    formula = kernel.formula
    if formula is None:
        return None
    return relative_error(formula, program, lambda inputs: run_program(program, inputs, backend)[1][formula.output], seed)


def _with_speedup(measured: list[tuple[Row, float]]) -> list[Row]:
    base = next((cost for row, cost in measured if row.act_bits == row.weight_bits == 16), None)
    return [replace(row, speedup=base / cost if base else None) for row, cost in measured]
