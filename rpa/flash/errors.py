"""Errors of the flash model."""

from __future__ import annotations

from isa.errors import RpaError


class FlashError(RpaError):
    """A parameter, table, mask or operand of the flash model is not what it must be; the message names it, what came, and what is allowed."""
