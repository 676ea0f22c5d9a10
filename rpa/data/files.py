"""The files of a published set, from a folder or from an unpacked package: bytes by name, nothing else."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from rpa.data.errors import DataError

FILE_LIMIT = 1 << 28
"""Bytes of the largest file that is read."""
Contents = Mapping[str, bytes]
"""File name -> what is in it."""


def read_folder(folder: Path, names: Iterable[str]) -> dict[str, bytes]:
    """Return the contents of the files ``names`` in ``folder``, each also found as `NAME.gz`.

    Raises DataError with all that is missing, or if a file is larger than :data:`FILE_LIMIT`.
    """
    names = list(names)
    paths = {name: next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None) for name in names}
    missing = [name for name, path in paths.items() if path is None]
    if missing:
        raise DataError(f"{folder}: no {', '.join(missing)}; the set is made of {', '.join(names)} (each may end in .gz)")
    return {name: _read(path) for name, path in paths.items() if path is not None}


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > FILE_LIMIT:
            raise DataError(f"{path}: larger than {FILE_LIMIT} bytes")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def read_archive(archive: Path, prefix: str, names: Iterable[str]) -> dict[str, bytes]:
    """Return the contents of the regular files ``prefix + name`` of a tar archive. Nothing is unpacked to disk. Raises DataError."""
    try:
        with tarfile.open(archive) as tar:
            return {name: _member(tar, archive, prefix + name) for name in names}
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(f"{archive}: no tar archive that can be read: {error}") from None


def _member(tar: tarfile.TarFile, archive: Path, name: str) -> bytes:
    try:
        member = tar.getmember(name)
    except KeyError:
        raise DataError(f"{archive}: no {name} in it") from None
    if not member.isreg() or member.size > FILE_LIMIT:
        raise DataError(f"{archive}: {name} must be a regular file of at most {FILE_LIMIT} bytes")
    stream = tar.extractfile(member)
    assert stream is not None, "a regular member opens"
    return stream.read()


def holds_any(folder: Path, names: Iterable[str]) -> bool:
    """Whether a folder has at least one of the files."""
    return any((folder / name).is_file() or (folder / f"{name}.gz").is_file() for name in names)
