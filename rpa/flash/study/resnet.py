"""ResNet-8 with 4-bit weights and asymmetric 4-bit activations on a chip with all errors, CIFAR-10.

Published (Chen and Huang 2021, 10.19358/j.issn.2096-5133.2021.06.007, abstract): 4-bit asymmetric training, the NOR array in circuit simulation,
2.25 % below float on CIFAR-10 (networks of their own: AlexNet, VGG, ResNet). It is not said how many bits the images have. Here they have 4 with a
zero point in the first network, and the 8 of the data set in the others; activations behind them are 0..15 for 0 and more.
"""

from __future__ import annotations

import numpy as np

from rpa.flash.study.evaluate import Measures, Subject, field_spec, on_chip, subject

CELL_BITS = {"resnet8_w4a4_asymmetric": 4, "resnet8_w4a4": 4, "resnet8_w4a4_sonos40": 3}
"""By network. 4-bit weights without -8, as that one has that was trained with errors, are pairs of 3-bit cells."""
PUBLISHED = 2.25
"""Per cent below float."""


def run(*, images: int = 10_000, chips: int = 2, macro: str = "sonos40", days: float = 5.0, adc_bits: int = 8,
        seed: int = 0) -> list[dict[str, object]]:
    """Rows: exact integers, and the chip with everything done against its errors. images: of CIFAR-10's test set."""
    rows = []
    for name, cell_bits in CELL_BITS.items():
        one, spec = subject(name, images), field_spec(macro, adc_bits=adc_bits, cell_bits=cell_bits)
        accuracies = [on_chip(one, spec, seed=seed + chip, days=days, measures=Measures()) for chip in range(chips)]
        rows += [_row(one, "exact integers", [one.exact()], None),
                 _row(one, f"{chips} chip{'s' if chips > 1 else ''}, all errors", accuracies, PUBLISHED)]
    return rows


def _row(one: Subject, where: str, accuracies: list[float], published: float | None) -> dict[str, object]:
    mean = float(np.mean(accuracies))
    return {"network": one.name, "computed by": where, "images": len(one.labels), "accuracy [%]": 100 * mean,
            "spread [%]": 100 * float(np.std(accuracies)) if len(accuracies) > 1 else None, "float, same images [%]": 100 * one.float_accuracy,
            "below float [%]": 100 * (one.float_accuracy - mean), "published [%]": published}
