"""A labelled set of images in memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from rpa.data.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Split:
    """Images and their labels, in the order in which the set was published."""

    images: np.ndarray
    """uint8 (N, H, W, C)."""
    labels: np.ndarray
    """uint8 (N,), each an index into the set's class names."""

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != np.uint8:
            raise DataError(f"images are {self.images.dtype} {self.images.shape}, must be uint8 (N, H, W, C)")
        if self.labels.dtype != np.uint8 or self.labels.shape != self.images.shape[:1]:
            raise DataError(f"labels are {self.labels.dtype} {self.labels.shape}, must be uint8 ({len(self.images)},), one an image")

    def __len__(self) -> int:
        return len(self.images)

    def sha256(self) -> tuple[str, str]:
        """Digests of the images' and of the labels' bytes, in C order."""
        return digest(self.images), digest(self.labels)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A set with its training and its test part; either may be empty, and is then (0, H, W, C)."""

    name: str
    """As `load` knows it; a part of a published set has `subset` in its name."""
    source: str
    """Where these bytes came from: a folder, the cache, a package with its version."""
    train: Split
    test: Split
    classes: tuple[str, ...]
    """What a label means."""

    def __post_init__(self) -> None:
        if self.train.images.shape[1:] != self.test.images.shape[1:]:
            raise DataError(f"{self.name}: images of {self.train.images.shape[1:]} to train and of {self.test.images.shape[1:]} to test")
        for part, split in (("train", self.train), ("test", self.test)):
            if len(split) and int(split.labels.max()) >= len(self.classes):
                raise DataError(f"{self.name}: a label of {part} is {int(split.labels.max())}, must be 0..{len(self.classes) - 1}")

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        height, width, channels = self.train.images.shape[1:]
        return height, width, channels

    def checksums(self) -> dict[str, str]:
        """sha256 of each array, by `train.images`, `train.labels`, `test.images`, `test.labels`."""
        names = [f"{part}.{kind}" for part in ("train", "test") for kind in ("images", "labels")]
        return dict(zip(names, self.train.sha256() + self.test.sha256(), strict=True))


def digest(array: np.ndarray) -> str:
    """sha256 of an array's bytes in C order."""
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
