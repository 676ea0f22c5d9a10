"""Batches of a training set, shifted and mirrored, in an order that depends on seed and epoch alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from rpa.data import Split
from rpa.train.settings import Settings


def to_input(images: np.ndarray, settings: Settings) -> torch.Tensor:
    """uint8 (N, H, W, C) -> float32 (N, C, H, W), channels last in memory: (pixel - offset) * scale."""
    return torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2).sub_(settings.offset).mul_(settings.scale)


def training_batches(split: Split, settings: Settings, epoch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """One pass over the set: (images, labels) of ``settings.batch``; what is left over at the end is not used."""
    random = np.random.default_rng((settings.seed, epoch))
    border = settings.shift
    padded = np.pad(split.images, ((0, 0), (border, border), (border, border), (0, 0)), constant_values=settings.offset)
    order = random.permutation(len(split))
    for start in range(0, len(order) - settings.batch + 1, settings.batch):
        chosen = order[start:start + settings.batch]
        images = augment(padded, chosen, split.images.shape[1:3], settings, random)
        yield to_input(images, settings), torch.from_numpy(split.labels[chosen].astype(np.int64))


def augment(padded: np.ndarray, chosen: np.ndarray, size: tuple[int, ...], settings: Settings, random: np.random.Generator) -> np.ndarray:
    """Cut a window of ``size`` at a random place out of each chosen image with its border, mirroring half of them if wanted."""
    count, (height, width) = len(chosen), size
    top, left = random.integers(0, 2 * settings.shift + 1, (2, count, 1))
    rows, columns = top + np.arange(height), left + np.arange(width)
    if settings.flip:
        columns = np.where(random.random((count, 1)) < 0.5, columns[:, ::-1], columns)
    return padded[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]
