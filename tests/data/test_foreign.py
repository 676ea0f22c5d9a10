"""Networks of others: fetched as one member of a wheel, checked, kept, and refused where they are not what is known."""

import dataclasses
import hashlib
import sys
import zipfile
from pathlib import Path

import pytest

from rpa import data
from rpa.data import foreign, packages
from rpa.data.__main__ import main
from rpa.data.errors import DataError
from rpa.data.foreign import FOREIGN

CONTENT = b"weights of a network"


@pytest.fixture
def small(monkeypatch, tmp_path):
    """`rnet` of twenty bytes, and an empty cache."""
    entry = dataclasses.replace(FOREIGN["rnet"], sha256=hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setitem(FOREIGN, "rnet", entry)
    monkeypatch.setenv("RPA_CACHE", str(tmp_path / "cache"))
    return entry


def wheel(path: Path, content: bytes = CONTENT, member: str = FOREIGN["rnet"].member) -> Path:
    with zipfile.ZipFile(path, "w") as stored:
        stored.writestr(member, content)
    return path


def test_from_a_wheel_into_the_cache(small, tmp_path):
    kept = data.fetch_foreign("rnet", wheel(tmp_path / "one.whl"))
    assert kept == tmp_path / "cache" / "data" / "networks" / "rnet.pt"
    assert data.load_foreign("rnet") == CONTENT


def test_the_client_is_asked_for_one_wheel_and_nothing_else(small, tmp_path, monkeypatch):
    asked = []

    def client(command, folder, output=None):
        asked.append(command)
        wheel(folder / "facenet_pytorch-2.6.0-py3-none-any.whl")

    monkeypatch.setattr(packages, "run", client)
    assert main(["fetch", "rnet"]) == 0
    ((python, *rest),) = asked
    assert python == sys.executable and rest[:3] == ["-m", "pip", "download"]
    assert {"--no-deps", ":all:", "facenet-pytorch==2.6.0"} <= set(rest)
    assert data.load_foreign("rnet") == CONTENT


def test_other_bytes_are_refused_and_the_cache_stays(small, tmp_path):
    data.fetch_foreign("rnet", wheel(tmp_path / "one.whl"))
    with pytest.raises(DataError, match=r"^rnet: Python package facenet-pytorch==2.6.0 has another checksum"):
        data.fetch_foreign("rnet", wheel(tmp_path / "other.whl", CONTENT + b"!"))
    assert data.load_foreign("rnet") == CONTENT
    small.path.write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"rnet\.pt has another checksum.*python -m rpa.data fetch rnet"):
        data.load_foreign("rnet")


def test_what_is_not_there(small, tmp_path):
    with pytest.raises(DataError, match=r"^rnet: not in the cache .*facenet-pytorch==2.6.0, 2 MB.*`python -m rpa.data fetch rnet`"):
        data.load_foreign("rnet")
    with pytest.raises(DataError, match=r"no facenet_pytorch/data/rnet.pt in it"):
        data.fetch_foreign("rnet", wheel(tmp_path / "empty.whl", member="other"))
    (tmp_path / "none.whl").write_bytes(b"no zip")
    with pytest.raises(DataError, match=r"none.whl: no wheel that can be read"):
        data.fetch_foreign("rnet", tmp_path / "none.whl")
    with pytest.raises(DataError, match=r"^no network of others is called 'onet'; there are open_nsfw, text_direction, rnet"):
        foreign.foreign("onet")
    assert not small.path.exists()
