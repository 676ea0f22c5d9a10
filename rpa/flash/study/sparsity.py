"""Sparsity-aware conversion on LeNet-5 and MNIST: energy of converters and of everything, before and after.

Published (Bao et al. 2022, 10.3389/felec.2022.954661, abstract): ADC energy -79 % at W8A8 and -53 % at W4A3, system efficiency x2.98 and x1.15, with
arrays of 128 x 128. Every code is the same before and after. Converters tell all sums of 128 word lines apart, activations come in bit by bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import product

import numpy as np

from rpa import data
from rpa.flash.constants import Technology
from rpa.flash.counts import LayerCounts
from rpa.flash.energy import Split, macro_energy, saved
from rpa.flash.errors import FlashError
from rpa.flash.mapping import Encoding
from rpa.flash.network import FlashNet, Placement, with_ideal_converters
from rpa.flash.spec import MacroSpec
from rpa.models import build, find, load_quantized
from rpa.net.border import features_of
from rpa.net.integer import IntNet, Mac
from rpa.net.onnx_import import load_onnx
from rpa.net.qdq import to_integer
from rpa.quant.front import quantize

CALIBRATION_IMAGES = 100
PUBLISHED = {"W8A8": (79.0, 2.98), "W4A3": (53.0, 1.15)}
"""Per cent of ADC energy saved, and how much more is computed per joule."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """A network with images."""

    name: str
    net: IntNet = field(repr=False)
    inputs: dict[str, np.ndarray] = field(repr=False)


def run(*, images: int = 500, cell_bits: Sequence[int] = (2, 4), encoding: Encoding = Encoding.DIFFERENTIAL, technology: Technology | None = None,
        cases: tuple[Case, ...] | None = None) -> list[dict[str, object]]:
    """Rows by network, bits of a cell and layer, and one for the whole network beside what was published; energies per image.

    images: of the test set of MNIST. cell_bits: of a cell, what was published does not say. cases: other networks than LeNet-5 at W8A8 (quantized
    here) and W4A3 (trained so).
    """
    technology = technology or Technology()
    rows = []
    for case, bits in product(lenet_cases(images) if cases is None else cases, cell_bits):
        spec = replace(with_ideal_converters(MacroSpec.preset("ideal")), cell_bits=bits)
        wanted = {node.name: Placement(encoding=encoding, log2_lsb=0) for node in case.net.nodes if isinstance(node, Mac)}
        flash = FlashNet(case.net, wanted, spec)
        flash.run_many(case.inputs)
        rows += [_row(case.name, bits, (counts,), technology) for counts in flash.counts.values()]
        rows.append(_row(case.name, bits, tuple(flash.counts.values()), technology))
    return rows


def _row(name: str, cell_bits: int, layers: tuple[LayerCounts, ...], technology: Technology) -> dict[str, object]:
    """Per image; several layers are a whole network."""
    images, resolution = layers[0].images, layers[0].resolution
    before = sum((macro_energy(one, technology, aware=False) for one in layers), Split()) * (1e-3 / images)
    after = sum((macro_energy(one, technology, aware=True) for one in layers), Split()) * (1e-3 / images)
    lines = replace(after, adc=sum(technology.adc_pj(one.resolution) * one.adc_bits_lines / one.resolution for one in layers) * 1e-3 / images)
    made, left_out = (sum(getattr(one, what) for one in layers) / images for what in ("conversions", "skipped"))
    whole = len(layers) > 1
    row = {"network": name, "cell bits": cell_bits, "layer": "all" if whole else layers[0].name, "ADC bits": resolution,
           "conversions": made, "skipped": left_out,
           "bits decided [%]": 100 * sum(one.adc_bits for one in layers) / sum(one.adc_bits_full for one in layers),
           "ADC before [nJ]": before.adc, "ADC after [nJ]": after.adc, "ADC saved [%]": saved(before.adc, after.adc),
           "saved, cells known [%]": saved(before.adc, lines.adc), "all before [nJ]": before.total, "all after [nJ]": after.total,
           "efficiency [x]": before.total / after.total, "efficiency, cells known [x]": before.total / lines.total,
           "ADC share before [%]": 100 * before.adc / before.total}
    published = PUBLISHED.get(name, (None, None)) if whole else (None, None)
    row |= dict(zip(("published saved [%]", "published efficiency [x]"), published, strict=True))
    return row | {f"{each.name} after [nJ]": getattr(after, each.name) for each in fields(Split)}


def lenet_cases(images: int) -> tuple[Case, ...]:
    """LeNet-5 with the first `images` test images of MNIST: W8A8 quantized after training, W4A3 trained with quantization."""
    network, mnist = find("lenet5"), data.load("mnist")
    if not 1 <= images <= len(mnist.test):
        raise FlashError(f"study sparsity: `images` is {images}, must be 1..{len(mnist.test)}, the test images of MNIST")
    pictures = network.to_input(mnist.test.images[:images])
    wide = quantize(load_onnx(build("lenet5", weights="trained")), network.to_input(mnist.train.images[:CALIBRATION_IMAGES]), "8")
    graph = load_onnx(load_quantized("lenet5_w4a3"))
    narrow = to_integer(graph)
    return (Case(name="W8A8", net=wide.net, inputs=wide.to_integers(pictures)),
            Case(name="W4A3", net=narrow, inputs=features_of(graph, narrow, {graph.inputs[0]: pictures})))
