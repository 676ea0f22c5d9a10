"""Errors of networks."""

from __future__ import annotations

import re
from collections.abc import Iterable

from isa.errors import RpaError

_NAMED = re.compile(r"`([^`]+)`((?: \(\w+\))?:? )(.*)", re.DOTALL)
_LINE = 120
"""Characters of a line of names, about."""


class NetError(RpaError):
    """A network, a model file or its data is not what it must be; the message names node or tensor, what came, and what is allowed."""


def grouped(faults: Iterable[str], indent: str = "  ") -> str:
    """Lines such as "`conv1`: too wide", one for each reason: where several begin with a name and go on alike, the names stand below."""
    groups: dict[tuple[str, str], list[str]] = {}
    for fault in dict.fromkeys(faults):
        match = _NAMED.fullmatch(fault)
        key = (match[2], match[3]) if match else ("", fault)
        groups.setdefault(key, []).append(match[1] if match else "")
    return "\n".join(line for (between, reason), names in groups.items() for line in _lines(names, between, reason, indent))


def _lines(names: list[str], between: str, reason: str, indent: str) -> list[str]:
    if len(names) == 1:
        return [indent + (f"`{names[0]}`{between}{reason}" if between else reason)]
    lines, line = [f"{indent}each of {len(names)}{between}{reason}:"], ""
    for name in names:
        if line and len(line) + len(name) > _LINE:
            lines.append(f"{indent}  {line.rstrip()}")
            line = ""
        line += f"`{name}`, "
    return [*lines, f"{indent}  {line.removesuffix(', ')}"]
