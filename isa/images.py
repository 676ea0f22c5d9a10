"""Code as a Verilog ROM or plain bytes, and the initial contents of external memory."""

from __future__ import annotations

from isa.disassembler import format_instruction
from isa.program import Program


def to_hex(program: Program) -> str:
    """Return the code for `$readmemh`: eight hexadecimal digits a line, from address 0."""
    return "".join(f"{word:08x}\n" for word in program.code)


def to_mem(program: Program) -> str:
    """Return the code for `$readmemh` with its address and every instruction as a comment."""
    lines = [f"// {program.name}: {len(program.code)} words", "@00000000"]
    lines += [f"{word:08x} // {address}: {format_instruction(word, address) or 'illegal'}" for address, word in enumerate(program.code)]
    return "\n".join(lines) + "\n"


def to_bin(program: Program) -> bytes:
    """Return the code as little-endian 32-bit words."""
    return b"".join(word.to_bytes(4, "little") for word in program.code)


def data_image(program: Program) -> bytes:
    """Return external memory from byte 0 to the end of the last segment; gaps are 0."""
    image = bytearray(program.segments[-1].end if program.segments else 0)
    for segment in program.segments:
        image[segment.address:segment.end] = segment.payload
    return bytes(image)
