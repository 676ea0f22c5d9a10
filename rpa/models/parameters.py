"""Where a network's parameters come from: drawn with a seed, or stored."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from rpa.models.errors import ModelError

Draw = Callable[[np.random.Generator], np.ndarray]
FILE_LIMIT = 1 << 30
"""Bytes of the largest file of weights."""


class Parameters(Protocol):
    """Gives each parameter by name."""

    def get(self, name: str, shape: tuple[int, ...], draw: Draw) -> np.ndarray:
        """float32 of ``shape``; ``draw`` makes random values of it."""

    def finish(self) -> None:
        """Called when the network is complete. Raises ModelError if there are parameters that it has no use for."""


class RandomParameters:
    """Each parameter from a generator of its own, of seed and name: the same whatever else the network has."""

    def __init__(self, seed: int) -> None:
        if seed < 0:
            raise ModelError(f"a seed must be 0 or more, not {seed}")
        self.seed = seed

    def get(self, name: str, shape: tuple[int, ...], draw: Draw) -> np.ndarray:
        """Draw ``name``."""
        random = np.random.default_rng((self.seed, zlib.crc32(name.encode())))
        return np.ascontiguousarray(draw(random).reshape(shape), np.float32)

    def finish(self) -> None:
        """Nothing can be left over."""


class StoredParameters:
    """Parameters from a mapping; names and shapes must be those of the network, values must be finite."""

    def __init__(self, tensors: Mapping[str, np.ndarray], where: str) -> None:
        self.tensors, self.where = dict(tensors), where
        self.used: set[str] = set()

    def get(self, name: str, shape: tuple[int, ...], draw: Draw) -> np.ndarray:
        """Return the stored tensor. Raises ModelError if it is missing, of another shape or type, or has a NaN or an infinity."""
        if name not in self.tensors:
            raise ModelError(f"{self.where}: no `{name}`; the network needs it as float {shape}")
        tensor = self.tensors[name]
        if tensor.shape != shape or tensor.dtype.kind != "f":
            raise ModelError(f"{self.where}: `{name}` is {tensor.dtype} {tensor.shape}, must be float {shape}")
        if not np.isfinite(tensor).all():
            raise ModelError(f"{self.where}: `{name}` has values that are not finite")
        self.used.add(name)
        return np.ascontiguousarray(tensor, np.float32)

    def finish(self) -> None:
        """Raises ModelError if a stored tensor was not asked for."""
        left = sorted(self.tensors.keys() - self.used)
        if left:
            raise ModelError(f"{self.where}: the network has no {', '.join(left[:8])}{f' and {len(left) - 8} more' if len(left) > 8 else ''}")


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Return the tensors of a file. Raises ModelError if it cannot be read, is no safetensors file or is larger than :data:`FILE_LIMIT`."""
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load
    except ImportError:
        raise ModelError("reading weights needs `safetensors`, which is not installed: pip install 'rpa-toolchain[net]'") from None
    try:
        if path.stat().st_size > FILE_LIMIT:
            raise ModelError(f"{path}: larger than {FILE_LIMIT} bytes, the most that weights have")
        return load(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from None
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise ModelError(f"{path}: no safetensors file that can be read: {error}") from None
