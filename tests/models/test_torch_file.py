"""Old torch files without torch: what torch reads of them, and files that want more than numbers."""

import io
import pickle
import struct

import numpy as np
import pytest

from rpa.models.errors import ModelError
from rpa.models.torch_file import MAGIC, PROTOCOL, read_torch

VALUES = np.arange(6, dtype="<f4") - 2.5
TENSOR = (b"ctorch._utils\n_rebuild_tensor_v2\n(" b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06NtQ"
          b"K\x00%s%s\x89ccollections\nOrderedDict\n)RtR")
"""Opcodes of a tensor: its function, (the storage, offset 0, shape, strides, no gradient, no hooks)."""


def pair(first: int, second: int) -> bytes:
    return b"K%cK%c\x86" % (first, second)


def state(tensor: bytes) -> bytes:
    return b"\x80\x02ccollections\nOrderedDict\n)R(X\x01\x00\x00\x00w" + tensor + b"u."


def file_of(pickled_state: bytes, *, magic: int = MAGIC, storage: bytes | None = None) -> bytes:
    heads = b"".join(pickle.dumps(value, 2) for value in (magic, PROTOCOL, {}))
    return heads + pickled_state + pickle.dumps(["0"], 2) + (struct.pack("<q", 6) + VALUES.tobytes() if storage is None else storage)


@pytest.mark.parametrize(("shape", "stride", "expected"), [
    ((2, 3), (3, 1), VALUES.reshape(2, 3)), ((3, 2), (1, 3), VALUES.reshape(2, 3).T), ((2, 2), (1, 1), [[-2.5, -1.5], [-1.5, -0.5]])])
def test_by_hand(shape, stride, expected):
    found = read_torch(file_of(state(TENSOR % (pair(*shape), pair(*stride)))))
    assert list(found) == ["w"] and found["w"].dtype == np.float32
    np.testing.assert_array_equal(found["w"], expected)


def test_equals_torch():
    torch = pytest.importorskip("torch", reason="the extra `train` brings torch")
    random = torch.Generator().manual_seed(1)
    tensors = {"a": torch.randn(4, 3, 2, 2, generator=random), "b.c": torch.randn(5, 7, generator=random).T,
               "d": torch.randn(9, generator=random)[2:6]}
    stream = io.BytesIO()
    torch.save(tensors, stream, _use_new_zipfile_serialization=False)
    found = read_torch(stream.getvalue())
    assert list(found) == list(tensors)
    assert all(np.array_equal(found[name], tensor.numpy()) for name, tensor in tensors.items())


class Hostile:
    def __reduce__(self):
        return exec, ("raise AssertionError('this ran')",)


@pytest.mark.parametrize(("content", "message"), [
    (pickle.dumps(Hostile(), 2), "it wants `__builtin__.exec`"),
    (file_of(pickle.dumps(Hostile(), 2)), "it wants `__builtin__.exec`"),
    (file_of(state(b"ctorch\nDoubleStorage\n")), "it wants `torch.DoubleStorage`"),
    (file_of(state(TENSOR % (pair(2, 3), pair(3, 1))), magic=7), "no file that torch wrote before its version 1.6"),
    (file_of(state(TENSOR % (pair(2, 3), pair(4, 1)))), r"of shape \(2, 3\) ends at element 6 of 6"),
    (file_of(state(TENSOR % (pair(0, 3), pair(3, 1)))), "ends at element"),
    (file_of(state(TENSOR % (pair(2, 3), pair(3, 1))), storage=b"\x06"), "no state of float32 tensors"),
    (file_of(state(TENSOR % (pair(2, 3), pair(3, 1))), storage=struct.pack("<q", 1 << 60)), "no state of float32 tensors"),
    (b"PK\x03\x04", "no state of float32 tensors"), (b"", "no state of float32 tensors")])
def test_refused(content, message):
    with pytest.raises(ModelError, match=message):
        read_torch(content)
