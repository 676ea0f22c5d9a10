"""Tensors of an old `torch.save` file without torch, and without running anything that is in it.

Before its zip format torch wrote five pickles (magic number, protocol, sizes of types, the state, keys of its storages), then the storages
themselves: a count of elements, then the elements. The unpickler here knows three names and refuses all others.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rpa.models.errors import ModelError

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


@dataclass(frozen=True)
class _Tensor:
    """What the state says of a tensor; its elements come later in the file."""

    key: str
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def _rebuild(storage: object, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: object) -> _Tensor:
    return _Tensor(str(storage), offset, shape, stride)


def _float_storage() -> None:
    """Stands for the type of a storage; float32 is the only one that is known."""


KNOWN: dict[tuple[str, str], Callable[..., object]] = {
    ("collections", "OrderedDict"): OrderedDict, ("torch._utils", "_rebuild_tensor_v2"): _rebuild, ("torch", "FloatStorage"): _float_storage}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Callable[..., object]:
        if (module, name) not in KNOWN:
            raise ModelError(f"it wants `{module}.{name}`; only dictionaries of float32 tensors are read")
        return KNOWN[module, name]

    def persistent_load(self, found: object) -> str:
        if not (isinstance(found, tuple) and len(found) >= 3 and found[0] == "storage" and found[1] is _float_storage):
            raise ModelError("a storage that holds no float32")
        return str(found[2])


def read_torch(content: bytes) -> dict[str, np.ndarray]:
    """Return the float32 tensors of a state that torch saved before its version 1.6, by name. Raises ModelError for anything else."""
    stream = io.BytesIO(content)
    try:
        head = [_Unpickler(stream).load() for _ in range(3)]
        if head[:2] != [MAGIC, PROTOCOL]:
            raise ModelError("no file that torch wrote before its version 1.6")
        state = _Unpickler(stream).load()
        storages = {str(key): _storage(stream) for key in _Unpickler(stream).load()}
        return {name: _array(tensor, storages[tensor.key]) for name, tensor in state.items()}
    except (pickle.UnpicklingError, EOFError, struct.error, ValueError, KeyError, IndexError, AttributeError, TypeError, ImportError,
            MemoryError, OverflowError) as error:
        raise ModelError(f"no state of float32 tensors that can be read: {type(error).__name__}: {error}") from None


def _storage(stream: io.BytesIO) -> np.ndarray:
    (count,) = struct.unpack("<q", stream.read(8))
    return np.frombuffer(stream.read(4 * count), "<f4", count)


def _array(tensor: _Tensor, storage: np.ndarray) -> np.ndarray:
    """A copy in C order. ValueError for elements beyond the storage."""
    numbers = (tensor.offset, *tensor.shape, *tensor.stride)
    if len(tensor.shape) != len(tensor.stride) or not all(isinstance(number, int) and number >= 0 for number in numbers):
        raise ValueError(f"a tensor of shape {tensor.shape} with strides {tensor.stride} at {tensor.offset}")
    last = tensor.offset + sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride, strict=True))
    if 0 in tensor.shape or last >= storage.size:
        raise ValueError(f"a tensor of shape {tensor.shape} ends at element {last} of {storage.size}")
    indices = sum((np.arange(size) * step).reshape(-1, *(1,) * (len(tensor.shape) - axis - 1))
                  for axis, (size, step) in enumerate(zip(tensor.shape, tensor.stride, strict=True)))
    return storage[tensor.offset + indices]
