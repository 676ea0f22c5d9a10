"""Errors of the compiler."""

from __future__ import annotations

from isa.errors import RpaError


class CompileError(RpaError):
    """A network that this machine cannot run; the message names every node concerned, the limit, and what to do."""


class CodeTooLong(CompileError):
    """A program of more instructions than any instruction memory holds."""
