"""The IDX format of MNIST and Fashion-MNIST: a big-endian header, then unsigned bytes."""

from __future__ import annotations

import gzip
import math
import struct
import zlib

import numpy as np

from rpa.data.errors import DataError

UNSIGNED_BYTE = 0x08
MAX_BYTES = 1 << 26
"""Bytes of the largest array that is read: the training images of MNIST are 47 million."""


def parse(data: bytes, where: str) -> np.ndarray:
    """Return the uint8 array in the bytes of an IDX file; gzip is undone. ``where`` names the file in errors.

    Raises DataError unless the header is one of unsigned bytes and as many of them follow as it says.
    """
    if data[:2] == b"\x1f\x8b":
        data = _gunzip(data, where)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] != UNSIGNED_BYTE or not 1 <= data[3] <= 4:
        raise DataError(f"{where}: no IDX file of unsigned bytes: it begins with {data[:4].hex() or 'nothing'}, must begin with 0000080N, N = 1..4")
    header = 4 + 4 * data[3]
    if len(data) < header:
        raise DataError(f"{where}: truncated in its header: {len(data)} of {header} bytes")
    shape = struct.unpack(f">{data[3]}I", data[4:header])
    if math.prod(shape) != len(data) - header:
        raise DataError(f"{where}: the header says {shape}, which is {math.prod(shape)} bytes; {len(data) - header} follow it")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def _gunzip(data: bytes, where: str) -> bytes:
    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        result = unpacker.decompress(data, MAX_BYTES)
    except (zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{where}: damaged gzip data: {error}") from None
    if unpacker.unconsumed_tail:
        raise DataError(f"{where}: unpacks to more than {MAX_BYTES} bytes")
    if not unpacker.eof:
        raise DataError(f"{where}: truncated gzip data")
    return result
