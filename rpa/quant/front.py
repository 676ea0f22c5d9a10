"""The front door: a float graph, calibration images and widths in, an integer network and a report out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rpa.net.graph import Graph
from rpa.net.integer import IntNet
from rpa.quant.calibrate import calibrate, checked_images
from rpa.quant.compensate import Factors, factors_of, patch_moments
from rpa.quant.convert import Converted, convert, layers_of
from rpa.quant.fuse import fuse
from rpa.quant.options import Options
from rpa.quant.report import Comparison, Report, compare, layer_reports, to_integers, to_real, weight_bytes
from rpa.quant.statistics import Observed
from rpa.quant.widths import Width, WidthTable, parse_widths

REPORT_IMAGES = 32
"""Calibration images that the report's errors are measured on, at most."""
Images = np.ndarray | Mapping[str, np.ndarray]


@dataclass(frozen=True, kw_only=True, eq=False)
class Quantized:
    """An integer network with everything that ties it to the float graph."""

    graph: Graph = field(repr=False)
    converted: Converted = field(repr=False)
    table: WidthTable
    report: Report

    @property
    def net(self) -> IntNet:
        return self.converted.net

    def to_integers(self, images: Images) -> dict[str, np.ndarray]:
        """Real images (N, C, H, W) as what the network takes: integers (N, H, W, C) by name."""
        return to_integers(self.converted, checked_images(self.graph, images, "images"))

    def to_real(self, outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Integers (N, H, W, C) of features as real numbers (N, C, H, W)."""
        return {name: to_real(self.converted, name, values) for name, values in outputs.items()}

    def compare(self, images: Images, labels: np.ndarray | None = None) -> Comparison:
        """Float, fake-quantized and integer network on images (and labels) of a test set."""
        return compare(self.graph, self.converted, checked_images(self.graph, images, "images"), labels)


class Calibrated:
    """A graph with its statistics, to be quantized several times."""

    def __init__(self, graph: Graph, calibration: Images) -> None:
        """Raises QuantError for a network without an integer form and for data that do not fit it."""
        self.graph = graph
        self.blocks = fuse(graph)
        self.images = checked_images(graph, calibration)
        self.observed: dict[str, Observed] = calibrate(graph, self.blocks, self.images)
        self._factors: Factors | None = None

    @property
    def layers(self) -> tuple[str, ...]:
        """Names that a table of widths can have."""
        return layers_of(self.blocks)

    def convert(self, widths: str | int | Path | Width | WidthTable, options: Options) -> Converted:
        """The integer network alone."""
        if options.weight_rounding == "compensated" and self._factors is None:
            moments = patch_moments(self.graph, self.blocks, self.images)
            self._factors = {key: factors_of(one) for key, one in moments.items()}
        return convert(self.graph, self.observed, parse_widths(widths), options, self._factors)

    def quantize(self, widths: str | int | Path | Width | WidthTable = "8", options: Options | None = None) -> Quantized:
        """The integer network and its report."""
        options = options or Options()
        converted = self.convert(widths, options)
        few = {name: values[:REPORT_IMAGES] for name, values in self.images.items()}
        packed, floats = weight_bytes(converted)
        report = Report(network=self.graph.name, options=options, layers=layer_reports(self.graph, converted, few),
                        comparison=compare(self.graph, converted, few), weight_bytes=packed, float_weight_bytes=floats, notes=converted.notes)
        return Quantized(graph=self.graph, converted=converted, table=parse_widths(widths), report=report)


def quantize(graph: Graph, calibration: Images, widths: str | int | Path | Width | WidthTable = "8", *, options: Options | None = None,
             **choices: object) -> Quantized:
    """Quantize a float graph.

    calibration: real numbers (N, C, H, W), typical inputs of the network. widths: "8", "w4a8", a table, or its .toml file.
    choices: fields of :class:`rpa.quant.options.Options`, such as method="mse", instead of `options`.
    Raises QuantError, naming node or limit: data that are empty, constant, not finite or of another shape; widths, layers and
    choices that do not exist; operators without an integer form; accumulators that could overflow.
    """
    return Calibrated(graph, calibration).quantize(widths, options or Options.of(choices))
