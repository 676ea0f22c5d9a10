"""What the network sees: order, shifts, mirrors, scale."""

import dataclasses

import numpy as np
import pytest

from rpa.data import Split
from rpa.models import NETWORKS
from rpa.train.batches import to_input, training_batches
from rpa.train.settings import SETTINGS, Settings

PLAIN = Settings(network="lenet5", data="mnist", epochs=1, batch=4)


def numbered(count=10, size=6):
    """Images whose pixels are all different within an image, and whose label is the image's number."""
    images = (np.arange(size * size).reshape(1, size, size, 1) + np.arange(count).reshape(-1, 1, 1, 1)).astype(np.uint8) + 1
    return Split(images=images, labels=np.arange(count, dtype=np.uint8))


def test_every_image_at_most_once_and_with_its_label():
    seen = []
    for images, labels in training_batches(numbered(), PLAIN, 0):
        assert images.shape == (4, 1, 6, 6)
        assert np.array_equal(images[:, 0, 0, 0].numpy() * 256, labels.numpy() + 1)
        seen += labels.tolist()
    assert len(seen) == 8 and len(set(seen)) == 8  # the last two make no batch


def test_order_is_of_seed_and_epoch():
    def order(seed, epoch):
        return [label for _, labels in training_batches(numbered(), dataclasses.replace(PLAIN, seed=seed), epoch) for label in labels.tolist()]

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1) and order(0, 0) != order(1, 0)


def test_shifts_and_mirrors():
    """Every image is one of the 2 * 5 * 5 windows of its bordered picture, made here by slicing; all kinds occur."""
    split, settings = numbered(), dataclasses.replace(PLAIN, shift=2, flip=True, offset=7, scale=1.0)
    found = set()
    for epoch in range(60):
        for images, labels in training_batches(split, settings, epoch):
            for image, label in zip(images.numpy()[:, 0] + 7, labels.tolist(), strict=True):
                bordered = np.pad(split.images[label, :, :, 0], 2, constant_values=7)
                for top in range(5):
                    for left in range(5):
                        window = bordered[top:top + 6, left:left + 6]
                        found |= {(top, left, flip) for flip in (False, True) if np.array_equal(image, window[:, ::-1] if flip else window)}
    assert len(found) == 50


@pytest.mark.parametrize("name", SETTINGS)
def test_inputs_are_those_of_the_registry(name):
    settings, network = SETTINGS[name], NETWORKS[name]
    assert (settings.offset, settings.scale) == (network.offset, network.scale)
    shape = (2, *network.input_shape[1:], network.input_shape[0])
    images = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    assert np.array_equal(to_input(images, settings).numpy(), network.to_input(images))
