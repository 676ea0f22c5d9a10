"""Errors of networks."""

from __future__ import annotations

from isa.errors import RpaError


class NetError(RpaError):
    """A network, a model file or its data is not what it must be; the message names node or tensor, what came, and what is allowed."""
