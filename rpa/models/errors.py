"""What can go wrong when a network is built."""

from __future__ import annotations

from isa.errors import RpaError


class ModelError(RpaError):
    """A network that is not known, or weights that are not its own."""
