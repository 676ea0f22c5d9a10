"""Networks that others trained, from the cache: graph, pictures that calibrate them, and pictures to test them with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rpa import data
from rpa.data import Dataset, load_foreign

if TYPE_CHECKING:
    from rpa.net.graph import Graph

NSFW_MEANS = np.array([104, 117, 123], np.float32)
"""Of blue, green and red, which `open_nsfw` was trained with taken off."""
FACE = 24
"""Pixels that `rnet` looks at: of the 25 of `lfw_subset` all but the last row and column."""
CALIBRATION = 40


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A network with the images that it is tried on."""

    title: str
    images: str
    """Data set."""
    to_input: Callable[[np.ndarray], np.ndarray]
    """uint8 (N, H, W, C) -> float32 (N, C, H, W) as those who trained it prepare pixels."""
    read: Callable[[bytes], Graph]
    labelled: bool = True
    """The data set's labels are what the network tells apart."""
    everything: bool = False
    """Calibration images are tested too: those who trained the network saw none of the set."""

    def pictures(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, str]:
        """Images that calibrate, images to test, labels if there are, and what these are. Raises DataError."""
        found: Dataset = data.load(self.images)
        if not len(found.train):
            images = self.to_input(found.test.images)
            return images, images, None, f"images: {len(images)} of {found.name}, to calibrate and to test"
        few = np.linspace(0, len(found.train) - 1, min(CALIBRATION, len(found.train))).astype(int)
        test, labels = found.test.images, found.test.labels
        if self.everything:
            test, labels = np.concatenate([found.train.images, test]), np.concatenate([found.train.labels, labels])
        note = f"images: {found.name}, {len(few)} calibrate, {len(test)} test" + (" (those that calibrate are among them)" if self.everything else "")
        return self.to_input(found.train.images[few]), self.to_input(test), labels.astype(np.int64) if self.labelled else None, note


def _to_nsfw(images: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray((images[..., ::-1].astype(np.float32) - NSFW_MEANS).transpose(0, 3, 1, 2))


def _to_text(images: np.ndarray) -> np.ndarray:
    return np.repeat(images.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1, 3, axis=1)


def _to_face(images: np.ndarray) -> np.ndarray:
    return np.repeat((images[:, :FACE, :FACE].transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 128, 3, axis=1)


def _onnx(content: bytes) -> Graph:
    from rpa.net.onnx_import import load_onnx

    return load_onnx(content)


def _text(content: bytes) -> Graph:
    from rpa.net.onnx_import import load_onnx

    return load_onnx(content, shapes={"x": (1, 3, 48, 192)})       # the file leaves height and width open


def _rnet(content: bytes) -> Graph:
    from rpa.models.rnet import rnet
    from rpa.models.torch_file import read_torch
    from rpa.net.onnx_import import load_onnx

    return load_onnx(rnet(read_torch(content)))


IMPORTED = {
    "open_nsfw": Imported(title="a thin ResNet-50 that looks for nudity", images="photographs", to_input=_to_nsfw, read=_onnx, labelled=False),
    "text_direction": Imported(title="text upright or upside down", images="text_lines", to_input=_to_text, read=_text),
    "rnet": Imported(title="face or no face", images="lfw_subset", to_input=_to_face, read=_rnet, everything=True),
}


def graph_of(name: str) -> Graph:
    """The float graph of a network in the cache. Raises DataError, with the command that fetches it, if it is not there."""
    return IMPORTED[name].read(load_foreign(name))
