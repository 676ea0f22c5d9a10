"""Errors of quantization."""

from __future__ import annotations

from isa.errors import RpaError


class QuantError(RpaError):
    """A network, calibration data or a table of widths that cannot be quantized; the message names node or tensor, what came, what is allowed."""
