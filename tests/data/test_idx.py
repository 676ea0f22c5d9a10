"""The IDX reader against files written byte by byte."""

import gzip

import numpy as np
import pytest

from rpa.data import idx
from rpa.data.errors import DataError
from rpa.data.store import idx_bytes

BY_HAND = bytes.fromhex("00000802" "00000002" "00000003" "010203" "fffe00")
"""Two rows of three: the layout that the format's page gives, big-endian sizes behind 0, 0, type 8, number of axes."""


def test_by_hand():
    assert idx.parse(BY_HAND, "x").tolist() == [[1, 2, 3], [255, 254, 0]]


def test_gzip_is_undone():
    assert idx.parse(gzip.compress(BY_HAND), "x").tolist() == [[1, 2, 3], [255, 254, 0]]


@pytest.mark.parametrize("shape", [(0,), (5,), (2, 3), (2, 3, 4), (2, 3, 4, 3)])
def test_written_and_read(shape):
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    assert np.array_equal(idx.parse(idx_bytes(array), "x"), array)


@pytest.mark.parametrize(("data", "message"), [
    (b"", "x: no IDX file of unsigned bytes: it begins with nothing, must begin with 0000080N, N = 1..4"),
    (BY_HAND[:3], "x: no IDX file of unsigned bytes: it begins with 000008, must begin with 0000080N, N = 1..4"),
    (b"\0\0\x0d" + BY_HAND[3:], "x: no IDX file of unsigned bytes: it begins with 00000d02, must begin with 0000080N, N = 1..4"),
    (b"\0\0\x08\x05" + bytes(40), "x: no IDX file of unsigned bytes: it begins with 00000805, must begin with 0000080N, N = 1..4"),
    (BY_HAND[:9], "x: truncated in its header: 9 of 12 bytes"),
    (BY_HAND[:-1], "x: the header says (2, 3), which is 6 bytes; 5 follow it"),
    (BY_HAND + b"\0", "x: the header says (2, 3), which is 6 bytes; 7 follow it"),
    (bytes.fromhex("00000804" + "ffffffff" * 4), f"x: the header says {(2**32 - 1,) * 4}, which is {(2**32 - 1)**4} bytes; 0 follow it"),
    (gzip.compress(BY_HAND, mtime=0)[:-9], "x: truncated gzip data"),
])
def test_bad_files(data, message):
    with pytest.raises(DataError) as caught:
        idx.parse(data, "x")
    assert str(caught.value) == message


def test_gzip_bomb_and_garbage(monkeypatch):
    monkeypatch.setattr(idx, "MAX_BYTES", 1000)
    with pytest.raises(DataError, match="x: unpacks to more than 1000 bytes"):
        idx.parse(gzip.compress(bytes(5000)), "x")
    with pytest.raises(DataError, match="x: damaged gzip data: "):
        idx.parse(b"\x1f\x8b" + b"\xff" * 50, "x")
