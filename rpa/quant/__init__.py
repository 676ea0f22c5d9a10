"""Quantization: from a network of floats and some calibration images to an integer network, with a report of what it costs.

`quantize(graph, images, "w4a8", method="mse")` is the front door; `Calibrated` keeps what calibration saw for several widths.
"""

from __future__ import annotations

from rpa.quant.errors import QuantError
from rpa.quant.front import Calibrated, Quantized, quantize
from rpa.quant.options import Options
from rpa.quant.report import Comparison, LayerReport, Report
from rpa.quant.widths import Width, WidthTable, parse_table, parse_widths

__all__ = ["Calibrated", "Comparison", "LayerReport", "Options", "QuantError", "Quantized", "Report", "Width", "WidthTable", "parse_table",
           "parse_widths", "quantize"]
