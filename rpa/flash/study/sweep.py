"""Accuracy of LeNet-5 on MNIST over the bits of weights and activations, on macros of 128 x 128.

Published (Bao et al. 2022, 10.3389/felec.2022.954661, abstract): W4A3 is the best compromise, 98.82 %. Networks of other widths than those that
come with this package are trained here, briefly, and kept in the cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from rpa import data
from rpa.data.store import cache_folder
from rpa.flash import check
from rpa.flash.errors import FlashError
from rpa.flash.spec import Errors
from rpa.flash.study.evaluate import Measures, Subject, field_spec, on_chip, subject_of
from rpa.models import load_quantized, quantized_names
from rpa.net.onnx_import import load_onnx

WEIGHTS, ACTIVATIONS = tuple(range(2, 9)), tuple(range(1, 9))
TRAINING_IMAGES, EPOCHS = 60_000, 1
SHOWN_IMAGES = 500
"""Test images of the accuracy that is shown while training."""
PUBLISHED = {(4, 3): 98.82}


def run(*, images: int = 1000, chips: int = 3, macro: str = "sonos40", adc_bits: int = 8, weights: Sequence[int] = WEIGHTS,
        activations: Sequence[int] = ACTIVATIONS, seed: int = 0) -> list[dict[str, object]]:
    """A row for each pair of widths: accuracy in exact integers, and over several chips with programming and read noise, as programmed."""
    for name, values, known in (("weights", weights, WEIGHTS), ("activations", activations, ACTIVATIONS)):
        for value in values:
            check.integer(f"study sweep: {name}", "bits", value, known[0], known[-1])
    spec = field_spec(macro, adc_bits=adc_bits, errors=Errors.all().only("programming", "read_noise"))
    measures = Measures(remap=False, correct=False, rewrite=False, match=False)
    rows: list[dict[str, object]] = []
    for bits in ((w, a) for w in weights for a in activations):
        one, training = _network(*bits, images)
        accuracies = [on_chip(one, spec, seed=seed + chip, days=0.0, measures=measures) for chip in range(chips)]
        rows.append({"W": bits[0], "A": bits[1], "accuracy [%]": 100 * float(np.mean(accuracies)), "spread [%]": 100 * float(np.std(accuracies)),
                     "exact integers [%]": 100 * one.exact(), "images": images, "chips": chips, "training": training,
                     "published [%]": PUBLISHED.get(bits)})
    return rows


def _network(weights: int, activations: int, images: int) -> tuple[Subject, str]:
    """The network of these widths, and how it was trained."""
    name = f"lenet5_w{weights}a{activations}"
    if name in quantized_names():
        return subject_of(name, load_onnx(load_quantized(name)), images), "with the package"
    path = cache_folder().parent / "sweep" / f"{name}_{TRAINING_IMAGES}_{EPOCHS}.onnx"
    if not path.is_file():
        _train(weights, activations, path)
    return subject_of(name, load_onnx(path), images), f"{EPOCHS} epoch, {TRAINING_IMAGES} images"


def _train(weights: int, activations: int, path: Path) -> None:
    try:
        from rpa.train.qat.network import Widths
        from rpa.train.qat.recipes import RECIPES, Recipe
        from rpa.train.qat.run import train_quantized
    except ModuleNotFoundError as error:
        raise FlashError(f"study sweep trains networks, which needs `{error.name}`: pip install 'rpa-toolchain[net,train]'") from None
    mnist = data.load("mnist")
    part = data.Split(images=mnist.train.images[:TRAINING_IMAGES], labels=mnist.train.labels[:TRAINING_IMAGES])
    shown = data.Split(images=mnist.test.images[:SHOWN_IMAGES], labels=mnist.test.labels[:SHOWN_IMAGES])
    base = RECIPES["lenet5_w4a3"].training
    recipe = Recipe(widths=Widths(weights=weights, activations=activations, input=activations), training=replace(base, epochs=EPOCHS))
    path.parent.mkdir(parents=True, exist_ok=True)
    made = train_quantized(recipe, replace(mnist, train=part, test=shown), path.parent)
    made.rename(path)
