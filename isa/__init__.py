"""The instruction set of RPA and its tools: assembler, disassembler, program file, manual. Needs only lark."""

from isa.assembler import assemble
from isa.disassembler import disassemble
from isa.errors import AsmError, RpaError
from isa.program import Program, Segment, Tensor
from isa.selfcheck import check_table

check_table()

__all__ = ["AsmError", "Program", "RpaError", "Segment", "Tensor", "assemble", "disassemble"]
