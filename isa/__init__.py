"""The instruction set of RPA and its tools: assembler, disassembler, program file, manual. Needs only lark.

The parser is loaded when the first name that needs it is used, so that `isa.table` and `isa.errors` stay cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from isa.selfcheck import check_table

if TYPE_CHECKING:
    from isa.assembler import assemble
    from isa.disassembler import disassemble
    from isa.errors import AsmError, RpaError
    from isa.program import Program, Segment, Tensor

check_table()

__all__ = ["AsmError", "Program", "RpaError", "Segment", "Tensor", "assemble", "disassemble"]

_HOME = {"assemble": "isa.assembler", "disassemble": "isa.disassembler", "AsmError": "isa.errors", "RpaError": "isa.errors",
         "Program": "isa.program", "Segment": "isa.program", "Tensor": "isa.program"}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module `isa` has no attribute `{name}`")
    return getattr(import_module(_HOME[name]), name)
