"""LeNet-5 on a chip, with each mitigation left out in turn.

Published (Han et al. 2025, 10.1007/s11432-023-4021-y, abstract): a flash chip, LeNet, MNIST: 99.6 % of the software's accuracy.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rpa.flash.study.evaluate import Measures, Subject, field_spec, on_chip, subject

PLAIN, AWARE = "lenet5_w4a3", "lenet5_w4a3_sonos40"
PUBLISHED = 99.6
"""Per cent of the software's accuracy."""
OFF = Measures(remap=False, correct=False, rewrite=False, match=False)
NAMES = {"remap": "repair around defects", "correct": "weights corrected for wires", "rewrite": "write-verify", "match": "outputs matched"}


def run(*, images: int = 10_000, chips: int = 3, macro: str = "sonos40", days: float = 5.0, adc_bits: int = 8,
        seed: int = 0) -> list[dict[str, object]]:
    """A row for each way: accuracy over several chips, and its share of the float network's. images: of MNIST's test set."""
    spec = field_spec(macro, adc_bits=adc_bits)
    aware, plain = subject(AWARE, images), subject(PLAIN, images)
    return [_row(what, one, [on_chip(one, spec, seed=seed + chip, days=days, measures=measures) for chip in range(chips)])
            for what, one, measures in _ways(aware, plain)]


def _ways(aware: Subject, plain: Subject) -> Iterator[tuple[str, Subject, Measures]]:
    yield "everything", aware, Measures()
    for name, what in NAMES.items():
        yield f"without: {what}", aware, Measures().without(name)
    yield "without: training with errors", plain, Measures()
    yield "nothing", plain, OFF


def _row(what: str, one: Subject, accuracies: list[float]) -> dict[str, object]:
    mean = float(np.mean(accuracies))
    return {"mitigation": what, "network": one.name, "images": len(one.labels), "chips": len(accuracies), "accuracy [%]": 100 * mean,
            "spread [%]": 100 * float(np.std(accuracies)), "worst chip [%]": 100 * min(accuracies), "exact integers [%]": 100 * one.exact(),
            "float, same images [%]": 100 * one.float_accuracy, "of the software [%]": 100 * mean / one.float_accuracy,
            "published [%]": PUBLISHED if what == "everything" else None}
