"""Widths layer by layer: the cheapest in the compiler's cycles within an error budget, as a table to edit and give back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rpa.arch.config import ArrayConfig
from rpa.compile.compiled import compile_net
from rpa.compile.explain import NetReport
from rpa.quant.front import Calibrated
from rpa.quant.mixed import Cost, Mixed, choose_widths
from rpa.quant.options import Options
from rpa.quant.widths import Width, parse_widths
from rpa.report.backends import ReportError
from rpa.report.network_source import NetworkSource


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Widths and what they cost on the array."""

    mixed: Mixed
    images: int
    cycles: int
    """Of the compiled network with these widths."""
    uniform: dict[str, int]
    """Cycles of the network at each candidate width, and at 16 bits."""


def choose(source: NetworkSource, candidates: Sequence[str], *, loss: float | None, error: float | None, images: int,
           config: ArrayConfig | None = None, options: Options | None = None) -> Chosen:
    """Search for widths.

    loss: of accuracy on the first `images` test images, a share (0.01 is one per cent); error: relative error of the outputs. One is needed.
    Raises ReportError if the network has integers of its own or no labels, QuantError as `rpa.quant.mixed.choose_widths` does.
    """
    if source.graph.quantized:
        raise ReportError(f"`{source.name}` has integers of its own, their widths are given; `--requantize` takes its weights and ranges alone")
    if loss is not None and source.labels is None:
        raise ReportError(f"`{source.name}` has no labels to measure accuracy with; give a budget of relative error instead (--error)")
    assert source.calibration is not None and source.test is not None       # what has no integers comes with images
    calibrated, options = Calibrated(source.graph, source.calibration), options or Options()
    reports = {text: _report(calibrated, text, options, config) for text in dict.fromkeys(("16", *candidates))}
    labels = None if loss is None or source.labels is None else source.labels[:images]
    mixed = choose_widths(calibrated, list(candidates), max_relative_error=error, max_accuracy_loss=loss, images=source.test[:images], labels=labels,
                          cost=layer_cycles(reports), options=options)
    chosen = compile_net(calibrated.convert(mixed.table, options).net, config).report.cycles
    return Chosen(mixed=mixed, images=min(images, len(source.test)), cycles=chosen, uniform={text: report.cycles for text, report in reports.items()})


def _report(calibrated: Calibrated, widths: str, options: Options, config: ArrayConfig | None) -> NetReport:
    return compile_net(calibrated.convert(widths, options).net, config).report


def layer_cycles(reports: dict[str, NetReport]) -> Cost:
    """Cycles that a layer takes in the network compiled at a width; a shortcut that runs with another layer costs nothing."""
    known = {(layer.name, parse_widths(text).default): layer.cycles for text, report in reports.items() for layer in report.layers}

    def cost(layer: str, width: Width) -> float:
        return known.get((layer, width), 0)

    return cost


def candidates_of(text: str) -> tuple[str, ...]:
    """`8,4,2` as names of widths. Raises QuantError for one that does not exist."""
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in names:
        parse_widths(name)
    return names
