"""Reading and writing what the command line names: `-` is standard input or output, files are written whole or not at all."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from isa.files import write_atomic
from rpa.cli.errors import FileError

if TYPE_CHECKING:
    import numpy as np

STANDARD = "-"


def read_bytes(name: str) -> bytes:
    """Return all bytes of a file, or of standard input for `-`."""
    if name == STANDARD:
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise FileError(f"{name}: cannot be read: {error.strerror}") from None


def write_bytes(name: str, data: bytes) -> None:
    """Write a file through a temporary one and a rename; devices and pipes directly, `-` to standard output."""
    if name == STANDARD:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    path = Path(name)
    if path.exists() and not path.is_file():
        try:
            path.write_bytes(data)
        except OSError as error:
            raise FileError(f"{name}: cannot be written: {error.strerror}") from None
    else:
        write_atomic(path, data)


def write_text(name: str, text: str) -> None:
    """`write_bytes` of UTF-8."""
    write_bytes(name, text.encode())


def read_toml(name: str) -> dict:
    """Return the contents of a TOML file or raise FileError with the place of its fault."""
    try:
        return tomllib.loads(read_bytes(name).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FileError(f"{name}: not a TOML file: {error}") from None


def read_array(name: str) -> np.ndarray:
    """Return the array of a `.npy` file; pickled objects and archives are refused."""
    from io import BytesIO

    import numpy as np

    data = read_bytes(name)
    try:
        array = np.load(BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise FileError(f"{name}: not a .npy file: {error}") from None
    if not isinstance(array, np.ndarray):
        raise FileError(f"{name}: an archive of arrays (.npz), must be one array (.npy)")
    return array


def write_array(name: str, array: np.ndarray) -> None:
    """Write one array as `.npy`."""
    from io import BytesIO

    import numpy as np

    buffer = BytesIO()
    np.save(buffer, array, allow_pickle=False)
    write_bytes(name, buffer.getvalue())
