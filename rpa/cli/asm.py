"""`rpa asm` and `rpa dis`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rpa.cli.files import STANDARD, read_bytes, write_bytes
from rpa.cli.options import ConfigFile, Defines, Preset, defines, machine
from rpa.cli.programs import PROGRAM_SUFFIX, assemble_source, load_program

if TYPE_CHECKING:
    from isa.program import Program


class Format(StrEnum):
    """What `rpa asm` can write."""

    PROGRAM = "program"
    MEM = "mem"
    HEX = "hex"
    BIN = "bin"
    LISTING = "listing"


SUFFIXES = {Format.PROGRAM: PROGRAM_SUFFIX, Format.MEM: ".mem", Format.HEX: ".hex", Format.BIN: ".bin", Format.LISTING: ".lst"}


def assemble(
    source: Annotated[str, typer.Argument(metavar="FILE", help="Assembly source; `-` is standard input.")],
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="FILE", help="By default beside FILE; `-` is standard output.")] = None,
    form: Annotated[Format, typer.Option("--format", help="Program file, Verilog ROM, or annotated listing.")] = Format.PROGRAM,
    preset: Preset = None,
    config: ConfigFile = None,
    define: Defines = None,
) -> None:
    """Assemble a source for one machine."""
    program = assemble_source(source, read_bytes(source), machine(preset, config), defines(define))
    if output is None:
        output = STANDARD if source == STANDARD else str(Path(source).with_suffix(SUFFIXES[form]))
    write_bytes(output, encode(program, form, None if source == STANDARD else Path(source).parent))


def encode(program: Program, form: Format, folder: Path | None = None) -> bytes:
    """Return the bytes of a program in one of the formats; ``folder`` is where the listing finds the source."""
    if form is Format.PROGRAM:
        return program.to_bytes()
    from isa import images
    from isa.listing import listing

    if form is Format.BIN:
        return images.to_bin(program)
    if form is Format.LISTING:
        return listing(program, folder).encode()
    return (images.to_mem(program) if form is Format.MEM else images.to_hex(program)).encode()


def disassemble(
    program: Annotated[str, typer.Argument(metavar="PROGRAM", help="Program file, or a source, which is assembled first; `-` is standard input.")],
    output: Annotated[str, typer.Option("-o", "--output", metavar="FILE", help="Where to.")] = STANDARD,
    preset: Preset = None,
    config: ConfigFile = None,
    define: Defines = None,
) -> None:
    """Turn a program into source text that assembles to the same words."""
    import isa

    text = isa.disassemble(load_program(program, machine(preset, config), defines(define)))
    write_bytes(output, text.encode())
