"""Errors that a user's input can cause in `rpa`; every one of them derives from `isa.errors.RpaError`."""

from __future__ import annotations

from isa.errors import RpaError


class ConfigError(RpaError):
    """A configuration value that no machine can have."""


class NumericsError(RpaError):
    """An operand of a numeric function outside its range."""


class InputError(RpaError):
    """An array given to a program that does not fit the tensor it is for."""
