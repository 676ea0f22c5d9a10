"""`Program`: what the assembler makes and every backend runs: code, data image, tensors, symbols, source lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from pathlib import Path

from isa.errors import ContentError, MachineError, TooLargeError
from isa.layout import Layout, contiguous
from isa.machine import CONFIG_FIELDS, MachineConfig, config_dict
from isa.table import PARAM_WORDS

ROLES = ("input", "output", "data")
KINDS = ("tensor", "params")
WIDTHS = (2, 4, 8, 16)
TENSOR_ALIGN = 64
"""Bytes; every tensor starts at a multiple."""


@dataclass(frozen=True)
class Segment:
    """Bytes that are in external memory before the first cycle."""

    address: int
    payload: bytes = field(repr=False)

    @property
    def end(self) -> int:
        return self.address + len(self.payload)


@dataclass(frozen=True)
class Tensor:
    """A named array in external memory.

    ``kind`` tensor: elements of ``bits`` bits, the innermost dimension padded to whole 16-bit words, packed low first.
    ``kind`` params: ``shape`` is (M,), each an entry of 8 words: 48-bit bias, 31-bit multiplier, shift.
    """

    name: str
    role: str
    kind: str
    address: int
    shape: tuple[int, ...]
    bits: int = 16
    signed: bool = True
    layout: Layout | None = None
    """Where its rows lie from `address` on, if they do not follow each other; never for params."""

    @property
    def row_words(self) -> int:
        """16-bit words of one row of the innermost dimension; of one entry for params."""
        if self.kind == "params":
            return PARAM_WORDS
        return -(-self.shape[-1] * self.bits // 16)

    @property
    def placement(self) -> Layout:
        """Where its rows lie, also if they follow each other."""
        return self.layout or contiguous(self.shape, self.row_words)

    @property
    def words(self) -> int:
        """16-bit words of the buffer, with what lies between the rows."""
        if self.layout is not None:
            return self.layout.words
        rows = prod(self.shape) if self.kind == "params" else prod(self.shape[:-1])
        return rows * self.row_words

    @property
    def size_bytes(self) -> int:
        return 2 * self.words

    @property
    def end(self) -> int:
        return self.address + self.size_bytes


@dataclass(frozen=True)
class Program:
    """A program for one machine. Execution starts at address 0. Raises ProgramFileError if its parts contradict each other."""

    config: dict[str, int]
    """Sizes of the machine it was built for, the keys of `isa.machine.CONFIG_FIELDS`."""
    code: tuple[int, ...]
    """Instruction words, unsigned 32 bits."""
    segments: tuple[Segment, ...] = ()
    """Initial external memory, by ascending address; the rest is 0."""
    tensors: dict[str, Tensor] = field(default_factory=dict)
    symbols: dict[str, int] = field(default_factory=dict)
    """Labels: code addresses."""
    lines: tuple[tuple[str, int], ...] = ()
    """(file, line) of every word of code, or empty; files are relative to the source's folder."""
    name: str = "program"

    def __post_init__(self) -> None:
        if tuple(sorted(self.config)) != tuple(sorted(CONFIG_FIELDS)):
            raise ContentError(f"the program's configuration has the keys {', '.join(sorted(self.config))}, must have {', '.join(CONFIG_FIELDS)}")
        self._check_code()
        self._check_segments()
        self._check_tensors()

    def _check_code(self) -> None:
        if len(self.code) > self.config["imem_words"]:
            raise TooLargeError(f"the program has {len(self.code)} words of code, the machine's imem_words is {self.config['imem_words']}")
        for address, word in enumerate(self.code):
            if not 0 <= word < 1 << 32:
                raise ContentError(f"the word at code address {address} is {word}, must be an unsigned 32-bit number")
        if self.lines and len(self.lines) != len(self.code):
            raise ContentError(f"the source map has {len(self.lines)} lines for {len(self.code)} words of code")
        for name, address in self.symbols.items():
            if not 0 <= address <= len(self.code):
                raise ContentError(f"label `{name}` is {address}, must be 0..{len(self.code)}")

    def _check_segments(self) -> None:
        end = 0
        for segment in self.segments:
            if segment.address < end:
                raise ContentError(f"the data segment at {segment.address:#x} overlaps or precedes the one that ends at {end:#x}")
            end = segment.end
        if end > self.config["mem_bytes"]:
            raise TooLargeError(f"data ends at {end:#x}, the machine's mem_bytes is {self.config['mem_bytes']:#x}")

    def _check_tensors(self) -> None:
        end, before = 0, ""
        for tensor in sorted(self.tensors.values(), key=lambda tensor: tensor.address):
            if tensor.role not in ROLES or tensor.kind not in KINDS or tensor.bits not in WIDTHS or not tensor.shape or min(tensor.shape) < 1:
                raise ContentError(f"tensor `{tensor.name}` has role {tensor.role}, kind {tensor.kind}, shape {tensor.shape}, {tensor.bits} bits")
            if tensor.layout is not None:
                problem = "params cannot have a layout" if tensor.kind == "params" else tensor.layout.problem(tensor.shape, tensor.row_words)
                if problem is not None:
                    raise ContentError(f"tensor `{tensor.name}`: {problem}")
            if tensor.address < end:
                raise ContentError(f"tensor `{tensor.name}` at {tensor.address:#x} overlaps `{before}`, which ends at {end:#x}")
            end, before = tensor.end, tensor.name
        if end > self.config["mem_bytes"]:
            raise TooLargeError(f"tensor `{before}` ends at {end:#x}, the machine's mem_bytes is {self.config['mem_bytes']:#x}")
        for name, tensor in self.tensors.items():
            if name != tensor.name:
                raise ContentError(f"tensor `{tensor.name}` is filed under `{name}`")

    def inputs(self) -> tuple[Tensor, ...]:
        return tuple(tensor for tensor in self.tensors.values() if tensor.role == "input")

    def outputs(self) -> tuple[Tensor, ...]:
        return tuple(tensor for tensor in self.tensors.values() if tensor.role == "output")

    def check_machine(self, config: MachineConfig) -> None:
        """Raise MachineError, naming every difference, unless ``config`` is the machine that the program was built for."""
        other = config_dict(config)
        differing = [f"{key} {self.config[key]} (here {other[key]})" for key in CONFIG_FIELDS if self.config[key] != other[key]]
        if differing:
            raise MachineError(f"`{self.name}` was built for another machine: {', '.join(differing)}; assemble it for this one")

    def to_bytes(self) -> bytes:
        """Return the program file's bytes; the same program gives the same bytes."""
        from isa.binary import pack_program

        return pack_program(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Program:
        """Read a program file. Raises a ProgramFileError of its own kind for whatever is wrong with it."""
        from isa.binary import unpack_program

        return unpack_program(data)

    def save(self, path: str | Path) -> None:
        """Write the program file; the file is complete or, on an error, as it was before."""
        from isa.files import write_atomic

        write_atomic(Path(path), self.to_bytes())

    @classmethod
    def load(cls, path: str | Path, config: MachineConfig | None = None) -> Program:
        """Read a program file and, if ``config`` is given, refuse it unless it was built for that machine."""
        from isa.files import read_limited

        program = cls.from_bytes(read_limited(Path(path)))
        if config is not None:
            program.check_machine(config)
        return program
