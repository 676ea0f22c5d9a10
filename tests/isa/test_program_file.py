"""The program file: what is written is read back, and everything that can be wrong with it has its own error."""

from __future__ import annotations

import dataclasses
import stat
from hashlib import sha256

import pytest

import isa
from isa import Program, Segment, Tensor
from isa.binary import FORMAT_VERSION, HEADER_BYTES, MAGIC
from isa.errors import (
    ChecksumError,
    ContentError,
    FormatVersionError,
    IsaVersionError,
    MachineError,
    MagicError,
    ProgramFileError,
    TooLargeError,
    TrailingBytesError,
    TruncatedError,
)
from isa.files import FILE_LIMIT
from isa.machine import config_dict
from isa.table import ISA_VERSION
from tests.isa.machines import MACHINE, Machine

SOURCE = """
.input act shape(2, 3) bits 8
.data taps shape(3) bits 4 unsigned = 1, 2, 3
.params scale shape(1) = 1, 2, 3
start: li r1, 0x12345678
loop r1, done
nop
done: halt
"""


@pytest.fixture(scope="module")
def program():
    return isa.assemble(SOURCE, MACHINE)


@pytest.fixture(scope="module")
def data(program):
    return program.to_bytes()


def sealed(body: bytes) -> bytes:
    """A file with this body and a header that fits it."""
    head = MAGIC + FORMAT_VERSION.to_bytes(2, "little") + ISA_VERSION.to_bytes(2, "little") + len(body).to_bytes(4, "little")
    return head + sha256(body).digest() + body


def test_what_is_written_is_read_back(program, data):
    assert Program.from_bytes(data) == program
    assert Program.from_bytes(data).to_bytes() == data


def test_header_by_hand(data):
    assert data[:8] == b"RPAPROG\n"
    assert data[8:12] == bytes([2, 0, ISA_VERSION, 0])
    assert int.from_bytes(data[12:16], "little") == len(data) - 48
    assert data[16:48] == sha256(data[48:]).digest()
    assert data[48:54] == b"\4\0text"


def test_truncated_at_every_byte(data):
    for size in range(len(data)):
        with pytest.raises(TruncatedError, match="is truncated"):
            Program.from_bytes(data[:size])


def test_every_bit_matters(data):
    for at in range(len(data)):
        broken = bytearray(data)
        broken[at] ^= 1 << at % 8
        with pytest.raises(ProgramFileError):
            Program.from_bytes(bytes(broken))


@pytest.mark.parametrize(("change", "error", "message"), [
    (lambda data: b"\x7fELF" + data[4:], MagicError, r"not a program file: it starts with b'\x7fELFROG\n', must start with b'RPAPROG\n'"),
    (lambda data: b"halt", MagicError, r"not a program file: it starts with b'halt', must start with b'RPAPROG\n'"),
    (lambda data: data[:8] + b"\x01" + data[9:], FormatVersionError,
     "program file of format version 1, this is version 2; assemble the source again"),
    (lambda data: data[:10] + b"\x63" + data[11:], IsaVersionError,
     f"program for instruction set version 99, this is version {ISA_VERSION}; assemble the source again"),
    (lambda data: data + b"ab", TrailingBytesError, "the program file has 2 bytes behind its end at byte {size}"),
    (lambda data: data[:-1] + bytes([data[-1] ^ 1]), ChecksumError,
     "the program file's checksum does not match its contents; it was changed or damaged"),
])
def test_wrong_file(data, change, error, message):
    with pytest.raises(error) as caught:
        Program.from_bytes(change(data))
    assert str(caught.value) == message.format(size=len(data))
    assert caught.value.code == error.code


def test_bodies_cut_short_behind_a_correct_header(data):
    body = data[HEADER_BYTES:]
    for size in range(len(body)):
        with pytest.raises(ContentError):
            Program.from_bytes(sealed(body[:size]))
    with pytest.raises(ContentError, match="3 bytes behind the last section"):
        Program.from_bytes(sealed(body + b"abc"))


def test_counts_beyond_the_file(data):
    body = bytearray(data[HEADER_BYTES:])
    at = 2 + 4 + 24 * 4
    body[at:at + 4] = b"\xff\xff\xff\xff"
    with pytest.raises(ContentError, match="4294967295 code words need 17179869180 bytes or more"):
        Program.from_bytes(sealed(bytes(body)))


def make(**changes):
    base = {"config": config_dict(MACHINE), "code": (0, 0)}
    return Program(**{**base, **changes})


X = Tensor("x", "input", "tensor", 0, (4,), 16, True)


@pytest.mark.parametrize(("changes", "error", "message"), [
    ({"code": (0,) * 1025}, TooLargeError, "the program has 1025 words of code, the machine's imem_words is 1024"),
    ({"code": (1 << 32,)}, ContentError, "the word at code address 0 is 4294967296, must be an unsigned 32-bit number"),
    ({"code": (-1,)}, ContentError, "the word at code address 0 is -1, must be an unsigned 32-bit number"),
    ({"lines": (("a", 1),)}, ContentError, "the source map has 1 lines for 2 words of code"),
    ({"symbols": {"x": 3}}, ContentError, "label `x` is 3, must be 0..2"),
    ({"segments": (Segment(0, b"abcd"), Segment(2, b"ab"))}, ContentError,
     "the data segment at 0x2 overlaps or precedes the one that ends at 0x4"),
    ({"segments": (Segment(8, b"abcd"), Segment(0, b"ab"))}, ContentError,
     "the data segment at 0x0 overlaps or precedes the one that ends at 0xc"),
    ({"segments": (Segment(65535, b"ab"),)}, TooLargeError, "data ends at 0x10001, the machine's mem_bytes is 0x10000"),
    ({"tensors": {"x": X, "y": dataclasses.replace(X, name="y", address=6)}}, ContentError, "tensor `y` at 0x6 overlaps `x`, which ends at 0x8"),
    ({"tensors": {"x": dataclasses.replace(X, address=65532)}}, TooLargeError, "tensor `x` ends at 0x10004, the machine's mem_bytes is 0x10000"),
    ({"tensors": {"y": X}}, ContentError, "tensor `x` is filed under `y`"),
    ({"tensors": {"x": dataclasses.replace(X, bits=3)}}, ContentError, "tensor `x` has role input, kind tensor, shape (4,), 3 bits"),
    ({"tensors": {"x": dataclasses.replace(X, shape=())}}, ContentError, "tensor `x` has role input, kind tensor, shape (), 16 bits"),
    ({"tensors": {"x": dataclasses.replace(X, shape=(0,))}}, ContentError, "tensor `x` has role input, kind tensor, shape (0,), 16 bits"),
])
def test_contradicting_programs(changes, error, message):
    with pytest.raises(error) as caught:
        make(**changes)
    assert str(caught.value) == message


def test_configuration_keys():
    with pytest.raises(ContentError, match="the program's configuration has the keys rows, must have rows, cols, "):
        make(config={"rows": 2})


def test_contradictions_in_a_file_are_refused_too():
    good = make(tensors={"x": X, "y": dataclasses.replace(X, name="y", address=64)}, symbols={"a": 0, "b": 1}).to_bytes()[HEADER_BYTES:]
    with pytest.raises(ContentError, match="a tensor name occurs twice"):
        Program.from_bytes(sealed(good.replace(b"\1\0y", b"\1\0x")))
    with pytest.raises(ContentError, match="a label name occurs twice"):
        Program.from_bytes(sealed(good.replace(b"\1\0b", b"\1\0a")))
    with pytest.raises(ContentError, match="is not UTF-8"):
        Program.from_bytes(sealed(good.replace(b"\1\0b", b"\1\0\xff")))
    with pytest.raises(ContentError, match=r"tensor `x` has role 9, kind 0, signed 1"):
        Program.from_bytes(sealed(good.replace(b"\1\0x\0", b"\1\0x\x09")))


def test_another_machine(program):
    other = Machine(rows=8, mem_latency=9)
    with pytest.raises(MachineError) as caught:
        program.check_machine(other)
    assert str(caught.value) == ("`text` was built for another machine: rows 4 (here 8), mem_latency 8 (here 9); assemble it for this one")
    program.check_machine(MACHINE)


def test_save_and_load(program, tmp_path):
    path = tmp_path / "p.rpb"
    program.save(path)
    assert Program.load(path) == program == Program.load(str(path), MACHINE)
    with pytest.raises(MachineError):
        Program.load(path, Machine(cols=8))
    assert [entry.name for entry in tmp_path.iterdir()] == ["p.rpb"]
    assert path.stat().st_mode & stat.S_IRUSR


def test_saving_where_it_cannot_be(program, tmp_path):
    with pytest.raises(ProgramFileError) as caught:
        program.save(tmp_path / "none" / "p.rpb")
    assert str(caught.value) == f"{tmp_path}/none/p.rpb: cannot be written: No such file or directory"
    (tmp_path / "folder").mkdir()
    with pytest.raises(ProgramFileError, match="cannot be written: Is a directory"):
        program.save(tmp_path / "folder")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_a_failed_save_leaves_the_old_file(program, tmp_path, monkeypatch):
    path = tmp_path / "p.rpb"
    path.write_bytes(b"old")

    def fail(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(ProgramFileError, match="No space left on device"):
        program.save(path)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["p.rpb"]


def test_loading_what_is_not_there(tmp_path):
    with pytest.raises(ProgramFileError, match="cannot be read: No such file or directory"):
        Program.load(tmp_path / "p.rpb")
    huge = tmp_path / "huge.rpb"
    with huge.open("wb") as stream:
        stream.truncate(FILE_LIMIT + 1)
    with pytest.raises(TooLargeError, match="larger than 1073741824 bytes"):
        Program.load(huge)


def test_names_that_are_too_long():
    with pytest.raises(TooLargeError, match="a program file holds 65535"):
        make(name="x" * 70_000).to_bytes()
