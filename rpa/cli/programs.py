"""The program that a command works on: assembled from a source, or read from a program file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rpa.arch.config import ArrayConfig
from rpa.cli.files import STANDARD, read_bytes
from rpa.cli.options import DEFAULT_PRESET

if TYPE_CHECKING:
    from isa.program import Program

PROGRAM_SUFFIX = ".rpb"


def load_program(name: str, config: ArrayConfig | None = None, defines: Mapping[str, int] | None = None) -> Program:
    """Return the program in ``name``, a source or a program file (told apart by suffix `.rpb` or the file's first bytes).

    A source is assembled for ``config``, by default the preset `default`. A program file brings its machine along; with a
    ``config`` it must be that one (MachineError), and ``defines`` are bad usage.
    """
    from isa.binary import MAGIC
    from isa.program import Program

    data = read_bytes(name)
    if not (name.endswith(PROGRAM_SUFFIX) or data.startswith(MAGIC)):
        return assemble_source(name, data, config, defines)
    if defines:
        raise typer.BadParameter("a program file is assembled already; give them to `rpa asm`", param_hint="-D")
    program = Program.from_bytes(data)
    if config is not None:
        program.check_machine(config)
    return program


def assemble_source(name: str, data: bytes, config: ArrayConfig | None, defines: Mapping[str, int] | None) -> Program:
    """Assemble a source file, or text from standard input, whose includes then are in the current folder."""
    import isa
    from rpa.cli.errors import FileError

    machine = config or ArrayConfig.preset(DEFAULT_PRESET)
    if name != STANDARD:
        return isa.assemble(Path(name), machine, defines=dict(defines or {}))
    try:
        return isa.assemble(data.decode(), machine, defines=dict(defines or {}))
    except UnicodeDecodeError as error:
        raise FileError(f"standard input is neither a program file nor UTF-8 text: {error}") from None
