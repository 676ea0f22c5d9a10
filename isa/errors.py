"""The root of every error that a user's input can cause. Command lines print these without a traceback."""

from __future__ import annotations


class RpaError(Exception):
    """A fault in the input. ``code`` is stable and documented; ``str()`` says where, what came, what is allowed, what to do."""

    code = "E000"
