"""The command line `rpa`. Exit codes: 0, 1 (a fault in the input, a machine fault included), 2 (usage)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run one command and leave with its exit code. ``argv`` is without the program's name."""
    from rpa.cli.app import execute

    sys.exit(execute(list(sys.argv[1:] if argv is None else argv)))
