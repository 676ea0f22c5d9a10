"""How a published set lies in files: which names, and how their bytes become four arrays."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rpa.data import idx
from rpa.data.dataset import Split
from rpa.data.errors import DataError
from rpa.data.files import Contents


@dataclass(frozen=True)
class Layout:
    """Files of a set and what turns them into its training and its test part."""

    names: tuple[str, ...]
    decode: Callable[[Contents], tuple[Split, Split]]


def idx_layout(names: tuple[str, str, str, str]) -> Layout:
    """IDX files: images and labels to train, images and labels to test; images (N, H, W) get a channel axis."""
    def decode(contents: Contents) -> tuple[Split, Split]:
        arrays = [idx.parse(contents[name], name) for name in names]
        return _split(arrays[0], arrays[1]), _split(arrays[2], arrays[3])

    return Layout(names, decode)


def _split(images: np.ndarray, labels: np.ndarray) -> Split:
    return Split(images=images[..., None] if images.ndim == 3 else images, labels=labels)


CIFAR_TRAIN, CIFAR_TEST = tuple(f"data_batch_{number}.png" for number in range(1, 6)), ("test_batch.png",)
CIFAR_TRAIN_LABELS, CIFAR_TEST_LABELS = "train_lables.json", "test_lables.json"
"""Spelled so in the package."""
CIFAR_BATCH, CIFAR_IMAGE = 10_000, (32, 32, 3)


def _cifar_png(contents: Contents) -> tuple[Split, Split]:
    """Pictures of 10,000 rows: a row is an image of 32 x 32 pixels, row by row."""
    def split(names: tuple[str, ...], labels: str) -> Split:
        return Split(images=np.concatenate([_rows(contents[name], name) for name in names]), labels=_json_labels(contents[labels], labels))

    return split(CIFAR_TRAIN, CIFAR_TRAIN_LABELS), split(CIFAR_TEST, CIFAR_TEST_LABELS)


def _rows(data: bytes, name: str) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            wanted = (CIFAR_IMAGE[0] * CIFAR_IMAGE[1], CIFAR_BATCH)
            if picture.size != wanted or picture.mode != "RGB":
                raise DataError(f"{name}: a {picture.mode} picture of {picture.size} pixels, must be RGB of {wanted}")
            return np.asarray(picture).reshape(CIFAR_BATCH, *CIFAR_IMAGE)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise DataError(f"{name}: no PNG picture that can be read: {error}") from None


def _json_labels(data: bytes, name: str) -> np.ndarray:
    try:
        values = json.loads(data)
    except ValueError as error:
        raise DataError(f"{name}: no JSON: {error}") from None
    if not isinstance(values, list) or not all(type(value) is int and 0 <= value < 256 for value in values):
        raise DataError(f"{name}: must be a list of numbers 0..255")
    return np.array(values, np.uint8)


CIFAR_PNG = Layout((*CIFAR_TRAIN, *CIFAR_TEST, CIFAR_TRAIN_LABELS, CIFAR_TEST_LABELS), _cifar_png)
