"""`.npy` files of whole numbers, read with the standard library alone: no pickles, no trust in sizes."""

from __future__ import annotations

import ast
import struct
import sys
from array import array
from math import prod
from pathlib import Path

from isa.errors import RpaError

MAGIC = b"\x93NUMPY"
HEADER_LIMIT = 4096
"""Bytes; an array of numbers needs about 100."""
_CODES = {"i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "i8": "q", "u8": "Q"}
_NAMES = {"f": "floating point", "c": "complex", "b": "boolean", "O": "Python objects", "S": "bytes", "U": "text", "V": "records"}


class NpyError(RpaError):
    """A .npy file that is damaged, or of another type or shape than wanted."""

    code = "E114"


def _header(stream) -> dict[str, object]:
    lead = stream.read(8)
    if lead[:6] != MAGIC:
        raise NpyError("not a .npy file")
    if len(lead) < 8 or lead[6] not in (1, 2, 3):
        raise NpyError("a .npy file of an unknown version")
    size_format = "<H" if lead[6] == 1 else "<I"
    raw = stream.read(struct.calcsize(size_format))
    if len(raw) < struct.calcsize(size_format):
        raise NpyError("the .npy header is truncated")
    (size,) = struct.unpack(size_format, raw)
    if size > HEADER_LIMIT:
        raise NpyError(f"a .npy header of {size} bytes, at most {HEADER_LIMIT} are allowed")
    text = stream.read(size)
    if len(text) < size:
        raise NpyError("the .npy header is truncated")
    try:
        header = ast.literal_eval(text.decode("utf-8" if lead[6] == 3 else "latin-1").strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        raise NpyError("the .npy header does not parse") from None
    if not isinstance(header, dict) or set(header) != {"descr", "fortran_order", "shape"}:
        raise NpyError("the .npy header does not have descr, fortran_order and shape")
    return header


def _typecode(descr: object) -> tuple[str, str]:
    """Return byte order and array type code of an integer dtype."""
    if not isinstance(descr, str) or len(descr) < 2 or descr[0] not in "<>|=":
        raise NpyError(f"dtype {str(descr)[:40]!r}, must be whole numbers (int8..int64, uint8..uint64)")
    if descr[1:] not in _CODES:
        name = _NAMES.get(descr[1], "unknown")
        raise NpyError(f"dtype {descr[:40]!r} ({name}), must be whole numbers (int8..int64, uint8..uint64)")
    return descr[0], _CODES[descr[1:]]


def read_npy(path: Path, shape: tuple[int, ...]) -> list[int]:
    """Return the elements of an integer array in C order. Raises NpyError unless it has exactly this shape; OSError."""
    with path.open("rb") as stream:
        header = _header(stream)
        order, code = _typecode(header["descr"])
        if header["shape"] != shape:
            raise NpyError(f"shape {str(header['shape'])[:80]}, must be {shape}")
        if header["fortran_order"] and len(shape) > 1:
            raise NpyError("stored in Fortran order; save `numpy.ascontiguousarray(x)`")
        values = array(code)
        wanted = prod(shape) * values.itemsize
        size = path.stat().st_size - stream.tell()
        if size != wanted:
            raise NpyError(f"{size} bytes of data, shape and dtype need {wanted}")
        values.frombytes(stream.read(wanted))
    if order == ">" or (order == "<" and sys.byteorder == "big"):
        values.byteswap()
    return values.tolist()
