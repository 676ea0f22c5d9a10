"""Accuracy of a quantized network on a chip: what studies of several mitigations and networks share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from rpa import data
from rpa.flash import check
from rpa.flash.calibrate import calibrate
from rpa.flash.chip import Chip
from rpa.flash.errors import FlashError
from rpa.flash.mapping import Encoding
from rpa.flash.mitigate import network as mitigate
from rpa.flash.mitigate.match import match_outputs
from rpa.flash.network import FlashNet, Placement, joins_channels
from rpa.flash.spec import Errors, MacroSpec, spec_named
from rpa.models import build, find, load_quantized
from rpa.models.registry import NETWORKS, Network
from rpa.models.shipped import record
from rpa.net.border import features_of
from rpa.net.float_run import run_model
from rpa.net.graph import Graph
from rpa.net.integer import IntNet, Mac
from rpa.net.onnx_import import load_onnx
from rpa.net.qdq import to_integer
from rpa.net.reference import run_many

CALIBRATION_IMAGES = 64
"""Training images that ranges of converters, and mean inputs of word lines, are measured on."""
MATCHING_IMAGES = 256
"""Training images that outputs are matched on."""
TOLERANCE = 0.1
"""Cell codes within which write-verify leaves a cell."""
DATA = {"lenet5": "mnist", "resnet8": "cifar10"}
Images = Mapping[str, np.ndarray]


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """A trained integer network with images of its test set, and some of its training set."""

    name: str
    net: IntNet = field(repr=False)
    calibration: dict[str, np.ndarray] = field(repr=False)
    test: dict[str, np.ndarray] = field(repr=False)
    labels: np.ndarray = field(repr=False)
    float_accuracy: float
    """Of the float network that it comes from, on the same test images."""

    def right(self, outputs: Images) -> float:
        """Share of right answers of outputs (N, 1, 1, classes)."""
        scores = outputs[self.net.outputs[0]].reshape(len(self.labels), -1)
        return float((scores.argmax(1) == self.labels).mean())

    def exact(self) -> float:
        """Share of right answers in exact integers."""
        return self.right(run_many(self.net, self.test))


def subject(name: str, images: int) -> Subject:
    """A quantized network that comes with this package, with the first `images` test images of its data set. FlashError, ModelError, DataError."""
    return subject_of(name, load_onnx(load_quantized(name)), images)


def subject_of(name: str, graph: Graph, images: int) -> Subject:
    """The same of any quantized form of LeNet-5 or ResNet-8, as its name says."""
    network = find(next(known for known in NETWORKS if name.startswith(known)))
    pictures = data.load(DATA[network.name])
    check.integer("study", "images", images, 1, len(pictures.test))
    net = to_integer(graph)
    ready = [features_of(graph, net, {graph.inputs[0]: network.to_input(part)})
             for part in (pictures.train.images[:MATCHING_IMAGES], pictures.test.images[:images])]
    return Subject(name=name, net=net, calibration=ready[0], test=ready[1], labels=pictures.test.labels[:images],
                   float_accuracy=_in_float(network, pictures.test, images))


def _in_float(network: Network, test: data.Split, images: int) -> float:
    """Share of right answers of the float network: on all images what its record says, on fewer computed here."""
    if images == len(test):
        return float(record(network.name)["test_accuracy"])
    graph = load_onnx(build(network.name, weights="trained"))
    scores = run_model(graph, {graph.inputs[0]: network.to_input(test.images[:images])})[graph.outputs[0]]
    return float((scores.reshape(images, -1).argmax(1) == test.labels[:images]).mean())


@dataclass(frozen=True, kw_only=True)
class Measures:
    """What is done against errors."""

    remap: bool = True
    """Repair around defects, word lines in a better order."""
    correct: bool = True
    """Weights corrected for wires before programming."""
    rewrite: bool = True
    """Write-verify."""
    match: bool = True
    """Gain and offset of every output channel set again in the field."""

    def without(self, name: str) -> Measures:
        return replace(self, **{name: False})


def field_spec(macro: str, *, adc_bits: int = 8, cell_bits: int | None = None, stuck: float = 0.01, errors: Errors | None = None) -> MacroSpec:
    """A macro as it is used: programming and read noise, defects, wires and drift. Its age is the chip's: cells begin at 0 days.

    cell_bits: fewer than the device can hold; steps are larger then, and errors smaller beside them.
    """
    spec = spec_named(macro)
    if errors is None:
        errors = replace(spec.errors, stuck_off=stuck, stuck_on=stuck, ir_drop="ideal" if spec.wires == "ideal" else "factor", drift_days=0.0)
    return replace(spec, errors=errors, adc=replace(spec.adc, bits=adc_bits), cell_bits=cell_bits or spec.cell_bits)


def on_chip(one: Subject, spec: MacroSpec, *, seed: int, days: float, measures: Measures, encoding: Encoding = Encoding.DIFFERENTIAL) -> float:
    """Share of right answers of a network on one chip, `days` after it was programmed."""
    placed = {node.name: Placement(encoding=encoding) for node in one.net.nodes if isinstance(node, Mac) and any(map(joins_channels, node.terms))}
    flash = FlashNet(one.net, placed, spec, seed=seed)
    chip = flash.chip
    if not isinstance(chip, Chip):
        raise FlashError(f"study: the network runs on a {type(chip).__name__}, must be on a Chip")
    few = {name: images[:CALIBRATION_IMAGES] for name, images in one.calibration.items()}
    if measures.remap:
        mitigate.remap(flash)
    if measures.correct and spec.errors.ir_drop != "ideal":
        mitigate.correct(flash, mitigate.measure_activity(flash, few))
    if measures.rewrite:
        mitigate.rewrite(flash, tolerance=TOLERANCE)
    chip.age(days)
    calibrate(flash, few)
    if measures.match:
        match_outputs(flash, one.calibration)
    return one.right(flash.run_many(one.test))
