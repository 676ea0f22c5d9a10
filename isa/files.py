"""Reading and writing program files on disk, with our own errors."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from isa.errors import ProgramFileError, TooLargeError

FILE_LIMIT = 1 << 30
"""Bytes of the largest program file."""


def read_limited(path: Path) -> bytes:
    """Return a file's bytes. Raises ProgramFileError if it cannot be read, TooLargeError beyond :data:`FILE_LIMIT`."""
    try:
        with path.open("rb") as stream:
            data = stream.read(FILE_LIMIT + 1)
    except OSError as error:
        raise ProgramFileError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > FILE_LIMIT:
        raise TooLargeError(f"{path}: larger than {FILE_LIMIT} bytes, the most that a program file has")
    return data


def write_atomic(path: Path, data: bytes) -> None:
    """Write through a temporary file in the same folder and a rename, so that no reader sees half a file."""
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise ProgramFileError(f"{path}: cannot be written: {error.strerror}") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
