"""The program file: a header with magic, versions, length and SHA-256, then the sections in a fixed order.

All numbers are little-endian; a text is its length in bytes (u16) and UTF-8. Header, 48 bytes: magic (8 bytes), format
version (u16), ISA version (u16), bytes behind the header (u32), SHA-256 of these (32 bytes). Behind it:

    name text · configuration, u32 in the order of CONFIG_FIELDS · count u32 and code words u32
    count u32 and segments (address u32, bytes u32, payload)
    count u32 and tensors (name text, role u8, kind u8, bits u8, signed u8, address u32, dimensions u8, each u32, layout u8: 0, or
        1 and for every dimension but the innermost its stride, then offset, words and fill, each u32)
    count u32 and labels (name text, address u32)
    count u32 and file names, then, for every code word if there is a file: file u32, line u32
"""

from __future__ import annotations

import struct
from hashlib import sha256

from isa.errors import (
    ChecksumError,
    ContentError,
    FormatVersionError,
    IsaVersionError,
    MagicError,
    TooLargeError,
    TrailingBytesError,
    TruncatedError,
)
from isa.files import FILE_LIMIT
from isa.layout import Layout
from isa.machine import CONFIG_FIELDS
from isa.program import KINDS, ROLES, Program, Segment, Tensor
from isa.table import ISA_VERSION

MAGIC = b"RPAPROG\n"
FORMAT_VERSION = 2
_VERSIONS = struct.Struct("<HH")
_LENGTH = struct.Struct("<I")
HEADER_BYTES = len(MAGIC) + _VERSIONS.size + _LENGTH.size + 32


class _Reader:
    """Takes numbers, texts and bytes from a section; every count is checked against what is left before it is used."""

    def __init__(self, data: bytes) -> None:
        self.data = memoryview(data)
        self.at = 0

    def take(self, size: int, what: str) -> memoryview:
        if size > len(self.data) - self.at:
            raise ContentError(f"{what} at byte {HEADER_BYTES + self.at} needs {size} bytes, {len(self.data) - self.at} are left")
        self.at += size
        return self.data[self.at - size:self.at]

    def number(self, size: int, what: str) -> int:
        return int.from_bytes(self.take(size, what), "little")

    def count(self, least: int, what: str) -> int:
        """Read a count of things of at least ``least`` bytes each."""
        count = self.number(4, f"the number of {what}")
        if count * least > len(self.data) - self.at:
            raise ContentError(f"{count} {what} need {count * least} bytes or more, {len(self.data) - self.at} are left")
        return count

    def text(self, what: str) -> str:
        raw = bytes(self.take(self.number(2, f"the length of {what}"), what))
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise ContentError(f"{what} is not UTF-8: {raw!r}") from None

    def words(self, count: int, what: str) -> tuple[int, ...]:
        return struct.unpack(f"<{count}I", self.take(4 * count, what))


def _u32(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}I", *values)


def _text(value: str) -> bytes:
    raw = value.encode()
    if len(raw) > 0xFFFF:
        raise TooLargeError(f"the name {value[:40]}... has {len(raw)} bytes, a program file holds 65535")
    return struct.pack("<H", len(raw)) + raw


def _pack_tensor(tensor: Tensor) -> bytes:
    codes = (ROLES.index(tensor.role), KINDS.index(tensor.kind), tensor.bits, tensor.signed)
    head = (_text(tensor.name), struct.pack("<4BIB", *codes, tensor.address, len(tensor.shape)), _u32(*tensor.shape))
    return b"".join((*head, _pack_layout(tensor.layout)))


def _pack_layout(layout: Layout | None) -> bytes:
    return b"\0" if layout is None else b"\1" + _u32(*layout.strides, layout.offset, layout.words, layout.fill)


def _pack_lines(program: Program) -> bytes:
    files = {name: number for number, name in enumerate(dict.fromkeys(file for file, _ in program.lines))}
    parts = [_u32(len(files)), *map(_text, files)]
    parts += [_u32(files[file], line) for file, line in program.lines]
    return b"".join(parts)


def pack_program(program: Program) -> bytes:
    """Return the program file of ``program``. Raises TooLargeError beyond :data:`isa.files.FILE_LIMIT`."""
    parts = [_text(program.name), _u32(*(program.config[key] for key in CONFIG_FIELDS)), _u32(len(program.code), *program.code)]
    parts.append(_u32(len(program.segments)))
    for segment in program.segments:
        parts += [_u32(segment.address, len(segment.payload)), segment.payload]
    parts += [_u32(len(program.tensors)), *map(_pack_tensor, program.tensors.values())]
    parts.append(_u32(len(program.symbols)))
    parts += [_text(name) + _u32(address) for name, address in program.symbols.items()]
    parts.append(_pack_lines(program))
    body = b"".join(parts)
    if HEADER_BYTES + len(body) > FILE_LIMIT:
        raise TooLargeError(f"the program needs {HEADER_BYTES + len(body)} bytes, a program file holds {FILE_LIMIT}")
    return b"".join((MAGIC, _VERSIONS.pack(FORMAT_VERSION, ISA_VERSION), _LENGTH.pack(len(body)), sha256(body).digest(), body))


def _check_header(data: bytes) -> bytes:
    """Return the bytes behind the header, checked."""
    if data[:len(MAGIC)] != MAGIC[:len(data)]:
        raise MagicError(f"not a program file: it starts with {data[:len(MAGIC)]!r}, must start with {MAGIC!r}")
    if len(data) < HEADER_BYTES:
        raise TruncatedError(f"the program file is truncated: {len(data)} bytes, the header alone has {HEADER_BYTES}")
    version, isa_version = _VERSIONS.unpack_from(data, len(MAGIC))
    if version != FORMAT_VERSION:
        raise FormatVersionError(f"program file of format version {version}, this is version {FORMAT_VERSION}; assemble the source again")
    if isa_version != ISA_VERSION:
        raise IsaVersionError(f"program for instruction set version {isa_version}, this is version {ISA_VERSION}; assemble the source again")
    (length,) = _LENGTH.unpack_from(data, len(MAGIC) + _VERSIONS.size)
    body = data[HEADER_BYTES:]
    if len(body) < length:
        raise TruncatedError(f"the program file is truncated: {len(data)} of {HEADER_BYTES + length} bytes")
    if len(body) > length:
        raise TrailingBytesError(f"the program file has {len(body) - length} bytes behind its end at byte {HEADER_BYTES + length}")
    if sha256(body).digest() != data[HEADER_BYTES - 32:HEADER_BYTES]:
        raise ChecksumError("the program file's checksum does not match its contents; it was changed or damaged")
    return body


def _read_segments(reader: _Reader) -> tuple[Segment, ...]:
    segments = []
    for _ in range(reader.count(8, "segments")):
        address, size = reader.words(2, "a segment")
        segments.append(Segment(address, bytes(reader.take(size, "a segment's payload"))))
    return tuple(segments)


def _read_tensor(reader: _Reader) -> Tensor:
    name = reader.text("a tensor's name")
    role, kind, bits, signed = (reader.number(1, f"tensor `{name}`") for _ in range(4))
    if role >= len(ROLES) or kind >= len(KINDS) or signed > 1:
        raise ContentError(f"tensor `{name}` has role {role}, kind {kind}, signed {signed}")
    address = reader.number(4, f"tensor `{name}`")
    shape = reader.words(reader.number(1, f"tensor `{name}`"), f"the shape of `{name}`")
    return Tensor(name, ROLES[role], KINDS[kind], address, shape, bits, bool(signed), _read_layout(reader, name, len(shape)))


def _read_layout(reader: _Reader, name: str, dimensions: int) -> Layout | None:
    present = reader.number(1, f"the layout of `{name}`")
    if present > 1:
        raise ContentError(f"tensor `{name}` has layout {present}, must be 0 or 1")
    if not present or not dimensions:
        return None
    *strides, offset, words, fill = reader.words(dimensions + 2, f"the layout of `{name}`")
    return Layout(tuple(strides), offset, words, fill)


def _read_lines(reader: _Reader, words: int) -> tuple[tuple[str, int], ...]:
    files = [reader.text("a file name") for _ in range(reader.count(2, "file names"))]
    if not files:
        return ()
    numbers = reader.words(2 * words, "the source map")
    for number in numbers[::2]:
        if number >= len(files):
            raise ContentError(f"the source map names file {number}, there are {len(files)}")
    return tuple((files[number], line) for number, line in zip(numbers[::2], numbers[1::2], strict=True))


def unpack_program(data: bytes) -> Program:
    """Read a program file; each thing that can be wrong with it has its own ProgramFileError."""
    if len(data) > FILE_LIMIT:
        raise TooLargeError(f"the program file has {len(data)} bytes, the most is {FILE_LIMIT}")
    reader = _Reader(_check_header(data))
    name = reader.text("the program's name")
    config = dict(zip(CONFIG_FIELDS, reader.words(len(CONFIG_FIELDS), "the configuration"), strict=True))
    code = reader.words(reader.count(4, "code words"), "the code")
    segments = _read_segments(reader)
    tensors = [_read_tensor(reader) for _ in range(reader.count(12, "tensors"))]
    labels = [(reader.text("a label"), reader.number(4, "a label's address")) for _ in range(reader.count(6, "labels"))]
    lines = _read_lines(reader, len(code))
    if reader.at != len(reader.data):
        raise ContentError(f"{len(reader.data) - reader.at} bytes behind the last section")
    for kind, names in (("tensor", [tensor.name for tensor in tensors]), ("label", [label for label, _ in labels])):
        if len(set(names)) != len(names):
            raise ContentError(f"a {kind} name occurs twice")
    return Program(config, code, segments, {tensor.name: tensor for tensor in tensors}, dict(labels), lines, name)
