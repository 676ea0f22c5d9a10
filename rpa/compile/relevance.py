"""Which registers a command looks at: others may hold anything when it starts."""

from __future__ import annotations

from functools import cache

from isa.table import ENGINES, REGISTERS

_OF_ENGINE = {engine.name: frozenset(r.name for r in REGISTERS if r.engine == engine.name) for engine in ENGINES}
_MASKS = frozenset({"ex.rmask", "ex.cmask"})
"""Only `ctxld` looks at them; `ctx` leaves them at their reset values."""
_OF_PROGRAMMING = frozenset(f"nv.{name}" for name in ("macro", "row0", "rows", "line0", "k0", "xbase", "xv0"))
_OF_SOURCE = {
    "mem": frozenset({"ld.addr", "ld.sstride", "ld.sstep"}),
    "fill": frozenset({"ld.fill"}),
    "o": frozenset({"ld.obits", "ld.obase", "ld.opitch"}),
}


@cache
def relevant(text: str) -> frozenset[str]:
    """The registers that decide what a command, written as in `Command.text`, does."""
    words = text.replace(",", " ").split()
    if words[0] == "sync":
        return frozenset()
    if words[0] == "ld":
        unused = frozenset().union(*(names for source, names in _OF_SOURCE.items() if source != words[2]))
        return _OF_ENGINE["ld"] - unused
    return {"run": _OF_ENGINE["ex"] - _MASKS, "drain": _OF_ENGINE["dr"], "st": _OF_ENGINE["st"], "nvmac": _OF_ENGINE["nv"],
            "nvprog": _OF_PROGRAMMING}[words[0]]
