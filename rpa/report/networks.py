"""What each bit width buys a whole network: cycles, accesses, size and accuracy, against the same network at 16 bits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rpa.arch.config import ArrayConfig
from rpa.compile.compiled import NetRun
from rpa.compile.front import CompiledModel
from rpa.net import reference
from rpa.report.backends import ReportError
from rpa.report.network_files import compile_source
from rpa.report.network_source import NetworkSource
from rpa.runner import Result

BASE, OWN = "16", "own"
"""Widths that everything is compared with; what stands for widths where a model brings its own integers."""


@dataclass(frozen=True, kw_only=True)
class NetRow:
    """One network at one choice of widths on one machine. Percentages are changes against 16 bits, None without such a row."""

    widths: str
    cycles: int
    speedup: float | None
    """Cycles at 16 bits over these."""
    utilisation_percent: float
    """Cycles that the MACs would take with every lane of every PE at work, of all cycles."""
    ex_run_percent: float
    """Share of cycles in which the array has a command."""
    ex_wait_percent: float
    """In which its next command waits for operands or a free accumulator."""
    ex_idle_percent: float
    """In which it has none."""
    bank_words: int
    """16-bit words read from and written into A, W, P and O banks."""
    bank_change_percent: float | None
    bank_change_no_reuse_percent: float | None
    """Against 16 bits where every step reads both operands from the banks."""
    external_bytes: int
    external_change_percent: float | None
    weight_bytes: int
    """Packed, of all layers."""
    weight_change_percent: float | None
    accuracy_percent: float | None
    """Of the integer network on the labelled test images; None without labels."""
    relative_error_percent: float | None
    """Of its outputs against float; None for a model that has its own integers."""
    integer_equal: bool
    """Every feature that the array stored is that of the integer reference."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All rows of one network, and what they are measured on."""

    network: str
    machine: str
    images: int
    """That accuracy and error are measured on."""
    accuracy_float_percent: float | None
    rows: tuple[NetRow, ...]
    notes: tuple[str, ...]

    @property
    def baseline(self) -> str:
        if self.rows[0].widths == OWN:
            return f"none, `{self.network}` has integers of its own and is measured with them, whatever widths were asked for"
        return f"`{self.network}` at 16 bits on the same array ({self.machine}), mapped by the same policy; one image, from and to external memory"


@dataclass(frozen=True, kw_only=True)
class _Cost:
    """Sums that rows are compared by."""

    cycles: int
    bank_words: int
    bank_words_no_reuse: int
    external_bytes: int
    weight_bytes: int


def measure_network(source: NetworkSource, widths: Sequence[str], config: ArrayConfig | None = None, *, effort: bool = True,
                    choices: Mapping[str, Any] | None = None) -> Measured:
    """Quantize, compile, run and check a network at each of the widths, and at 16 bits first.

    choices: fields of `rpa.quant.options.Options`.
    Raises ReportError without images to test with; what compiling raises.
    """
    config = config or ArrayConfig.preset("default")
    if source.test is None:
        raise ReportError(f"`{source.name}`: no images to measure it with; give some (--test FILE.npy)")
    names = [OWN] if source.graph.quantized else list(dict.fromkeys((BASE, *widths)))
    rows: list[NetRow] = []
    base: _Cost | None = None
    accuracy = None
    for name in names:
        model = compile_source(source, name, config, effort=effort, **(choices or {}))
        row, cost, accuracy = _row(source, name, model, base)
        base = cost if name == BASE else base
        rows.append(row)
    return Measured(network=source.name, machine=f"{config.rows} x {config.cols} PEs", images=len(source.test), accuracy_float_percent=accuracy,
                    rows=tuple(rows), notes=source.notes)


def _row(source: NetworkSource, widths: str, model: CompiledModel, base: _Cost | None) -> tuple[NetRow, _Cost, float | None]:
    """The row, its sums, and the accuracy of the float network in percent."""
    run, equal = _checked_run(source, model)
    cost = _cost(run.result, model)
    base = cost if widths == BASE else base
    error, accuracy, accuracy_float = _quality(source, model)
    counters = run.result.counters
    shares: dict[str, Any] = {f"ex_{what}_percent": 100 * counters[f"ex_{what}"] / cost.cycles for what in ("run", "wait", "idle")}
    return NetRow(
        widths=widths, cycles=cost.cycles, speedup=None if base is None else base.cycles / cost.cycles,
        utilisation_percent=100 * model.compiled.report.utilisation, bank_words=cost.bank_words, external_bytes=cost.external_bytes,
        weight_bytes=cost.weight_bytes, accuracy_percent=accuracy, relative_error_percent=error, integer_equal=equal,
        **shares, **_changes(cost, base)), cost, accuracy_float


def _changes(cost: _Cost, base: _Cost | None) -> dict[str, Any]:
    """The fields of a row that compare it with 16 bits."""
    keys = ("bank_change_percent", "bank_change_no_reuse_percent", "external_change_percent", "weight_change_percent")
    if base is None:
        return dict.fromkeys(keys)
    pairs = ((cost.bank_words, base.bank_words), (cost.bank_words, base.bank_words_no_reuse), (cost.external_bytes, base.external_bytes),
             (cost.weight_bytes, base.weight_bytes))
    return {key: change(*pair) for key, pair in zip(keys, pairs, strict=True)}


def change(now: int, before: int) -> float | None:
    """Percent that a figure changes by: -50.0 where it halves; None if there was nothing."""
    return 100 * (now / before - 1) if before else None


def _checked_run(source: NetworkSource, model: CompiledModel) -> tuple[NetRun, bool]:
    """The first test image through the array, and whether every stored feature is the reference's."""
    assert source.test is not None
    inputs = model.integers(source.test[0])
    run = model.compiled.run(inputs)
    expected = reference.run(model.net, inputs, states=model.compiled.states)
    return run, all(np.array_equal(values, expected[name]) for name, values in run.features.items())


def _cost(result: Result, model: CompiledModel) -> _Cost:
    counters = result.counters
    words = result.bank_reads + result.bank_writes
    return _Cost(cycles=result.cycles, bank_words=words, bank_words_no_reuse=words + counters["a_hits"] + counters["w_hits"],
                 external_bytes=result.ext_read_bytes + result.ext_write_bytes, weight_bytes=weight_bytes(model))


def weight_bytes(model: CompiledModel) -> int:
    """Packed, of all layers."""
    if model.quantized is not None:
        return model.quantized.report.weight_bytes
    return sum((term.weight.size * term.weight_bits + 7) // 8 for node in model.net.nodes for term in getattr(node, "terms", ()))


def _quality(source: NetworkSource, model: CompiledModel) -> tuple[float | None, float | None, float | None]:
    """Relative error, accuracy, and accuracy of the float network, in percent, where they are known."""
    assert source.test is not None
    if model.quantized is not None:
        found = model.quantized.compare(source.test, source.labels)
        return 100 * found.relative_error_integer, _percent(found.accuracy_integer), _percent(found.accuracy_float)
    if source.labels is None:
        return None, None, None
    images = [model.integers(image) for image in source.test]
    batch = {name: np.stack([image[name] for image in images]) for name in images[0]}
    output = reference.run_many(model.net, batch)[model.net.outputs[0]].reshape(len(images), -1)
    return None, _percent(float((output.argmax(axis=1) == source.labels).mean())), None


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def split_widths(text: str) -> list[str]:
    """Widths between commas. ReportError if there are none."""
    found = [part.strip() for part in text.split(",") if part.strip()]
    if not found:
        raise ReportError(f"widths are `{text}`, must be names such as 16,8,w4a8 or tables FILE.toml, with commas between")
    return found


def all_equal(rows: Iterable[NetRow]) -> bool:
    return all(row.integer_equal for row in rows)
