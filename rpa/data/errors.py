"""What can go wrong with a data set."""

from __future__ import annotations

from isa.errors import RpaError


class DataError(RpaError):
    """A data set that is not there, cannot be fetched, or is not what its checksum says."""
