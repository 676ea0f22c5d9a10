"""`python -m rpa.data list | fetch NAME`: what there is, and bringing a published set into the cache."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from isa.errors import RpaError
from rpa.data import cache_folder, fetch
from rpa.data.bundled import BUNDLED
from rpa.data.catalogue import PUBLISHED


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m rpa.data", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="the sets, where they come from, and which are fetched")
    fetching = commands.add_parser("fetch", help="bring a published set into the cache")
    fetching.add_argument("name", choices=list(PUBLISHED))
    fetching.add_argument("--archive", type=Path, help="the package's archive, already here (.tgz; for a Debian package the tar of its files)")
    options = parser.parse_args(arguments)
    try:
        _list() if options.command == "list" else print(fetch(options.name, options.archive))
    except RpaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _list() -> None:
    for entry in PUBLISHED.values():
        state = "in the cache" if (cache_folder() / entry.name).is_dir() else "not fetched"
        print(f"{entry.name:14} {entry.package}, {entry.megabytes} MB, {state}; {entry.licence}")
    for name, stored in BUNDLED.items():
        print(f"{name:14} {stored.comes_with}")


if __name__ == "__main__":
    sys.exit(main())
