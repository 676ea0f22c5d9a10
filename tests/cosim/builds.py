"""Builds that test processes share: a folder by the hash of its sources, one builder at a time."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def digest_of(*texts: str) -> str:
    """Return a folder name for these sources."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:24]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold ``folder``, which is made if it is not there, against other processes."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
