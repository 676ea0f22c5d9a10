"""The real sets: statistics that others published, on what comes with packages, and on what is in the cache where it is."""

import io

import numpy as np
import pytest

from rpa import data
from rpa.data import bundled, layouts
from rpa.data.errors import DataError


def cached(name):
    if not (data.cache_folder() / name).is_dir():
        pytest.skip(f"{name} is not fetched: python -m rpa.data fetch {name}")
    return data.load(name)


def test_mnist_subset_is_the_beginning_of_mnist():
    subset = data.load("mnist-subset")
    assert subset.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]  # the first ten of the training set, as everyone shows them
    assert subset.test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert (len(subset.train), len(subset.test), subset.image_shape) == (100, 200, (28, 28, 1))


@pytest.mark.parametrize(("name", "means", "deviations", "to_train"), [
    ("mnist", [33.3184], [78.5675], 60_000),  # 0.1307 and 0.3081 of 255
    ("fashion-mnist", [0.2860 * 255], [0.3530 * 255], 60_000),
    ("cifar10", [0.4914 * 255, 0.4822 * 255, 0.4465 * 255], [0.2470 * 255, 0.2435 * 255, 0.2616 * 255], 50_000),
])
def test_published_statistics(name, means, deviations, to_train):
    loaded = cached(name)
    assert (len(loaded.train), len(loaded.test)) == (to_train, 10_000)
    assert loaded.train.images.mean((0, 1, 2)) == pytest.approx(means, abs=0.02)
    assert loaded.train.images.std((0, 1, 2)) == pytest.approx(deviations, abs=0.02)
    assert np.bincount(loaded.test.labels, minlength=10).sum() == 10_000 and len(np.unique(loaded.test.labels)) == 10


def test_mnist_subset_against_the_whole_set():
    whole, subset = cached("mnist"), data.load("mnist-subset")
    assert np.array_equal(whole.train.images[:100], subset.train.images) and np.array_equal(whole.test.images[:200], subset.test.images)
    assert np.array_equal(whole.test.labels[:200], subset.test.labels)


def test_digits():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    loaded = data.load("digits")
    assert (len(loaded.train), len(loaded.test), loaded.image_shape) == (1437, 360, (8, 8, 1))
    assert int(loaded.train.images.max()) == 16
    every = np.concatenate([loaded.train.labels, loaded.test.labels])
    assert np.bincount(every).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]  # as the UCI page counts them


def test_faces_and_photographs():
    pytest.importorskip("skimage", reason="scikit-image is not installed")
    faces = data.load("lfw_subset")
    assert np.bincount(faces.train.labels).tolist() == [80, 80] and np.bincount(faces.test.labels).tolist() == [20, 20]
    photographs = data.load("photographs")
    assert photographs.test.images.shape == (8, 224, 224, 3) and len(photographs.train) == 0


def test_other_bytes_in_a_package_are_refused(monkeypatch):
    entry = bundled.BUNDLED["mnist-subset"]
    monkeypatch.setitem(bundled.BUNDLED, "mnist-subset", bundled.Bundled(entry.read, entry.comes_with, ("0" * 64, *entry.checksums[1:])))
    with pytest.raises(DataError, match=r"^mnist-subset: train\.images of rpa-toolchain: a subset of MNIST have another checksum"):
        data.load("mnist-subset")


@pytest.mark.parametrize(("height", "width", "size"), [(5, 5, 5), (6, 6, 3), (7, 9, 4), (300, 451, 224)])
def test_shrinking_against_exact_repetition(height, width, size):
    picture = np.random.default_rng(3).integers(0, 256, (height, width, 3)).astype(np.uint8)
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = picture[top:top + side, left:left + side].astype(np.int64)
    rows = square.repeat(size, axis=0).reshape(size, side, side, 3).sum(1)  # every pixel `size` times, then blocks of `side`
    exact = rows.repeat(size, axis=1).reshape(size, size, side, 3).sum(2)
    assert np.array_equal(bundled.shrink(picture, size), np.floor(exact / side**2 + 0.5).astype(np.uint8))


def png(array) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


def test_cifar_pictures(monkeypatch):
    """Rows of a picture are images, pixels from left to right and top to bottom."""
    pytest.importorskip("PIL", reason="pillow is not installed")
    monkeypatch.setattr(layouts, "CIFAR_BATCH", 2)
    images = np.random.default_rng(5).integers(0, 256, (12, 32, 32, 3)).astype(np.uint8)
    contents = {f"data_batch_{n + 1}.png": png(images[2 * n:2 * n + 2].reshape(2, 1024, 3)) for n in range(5)}
    contents |= {"test_batch.png": png(images[10:].reshape(2, 1024, 3)), "train_lables.json": b"[0,1,2,3,4,5,6,7,8,9]", "test_lables.json": b"[3,4]"}
    train, test = layouts.CIFAR_PNG.decode(contents)
    assert np.array_equal(train.images, images[:10]) and np.array_equal(test.images, images[10:]) and test.labels.tolist() == [3, 4]
    for name, content, message in [
        ("test_batch.png", b"GIF89a", "test_batch.png: no PNG picture that can be read"),
        ("test_batch.png", png(images[0]), r"test_batch.png: a RGB picture of \(32, 32\) pixels, must be RGB of \(1024, 2\)"),
        ("test_batch.png", contents["test_batch.png"][:200], "test_batch.png: no PNG picture that can be read"),
        ("test_lables.json", b"[3,", "test_lables.json: no JSON"),
        ("test_lables.json", b"[3,256]", r"test_lables.json: must be a list of numbers 0..255"),
        ("test_lables.json", b"[3,true]", r"test_lables.json: must be a list of numbers 0..255"),
        ("test_lables.json", b"[3]", r"labels are uint8 \(1,\), must be uint8 \(2,\), one an image"),
    ]:
        with pytest.raises(DataError, match=message):
            layouts.CIFAR_PNG.decode(contents | {name: content})
