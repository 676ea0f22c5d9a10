"""Which network is meant, with images to calibrate and to test it: an ONNX file, or a network that comes with this package."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from isa.errors import did_you_mean
from rpa import data
from rpa.models import NETWORKS, Network, build, find, load_quantized, quantized_names
from rpa.net.errors import NetError
from rpa.net.graph import Graph
from rpa.net.unquantized import without_quantization
from rpa.report.backends import ReportError
from rpa.report.network_imported import IMPORTED, graph_of

ONNX_SUFFIX = ".onnx"
CALIBRATION_IMAGES, TEST_IMAGES, PICTURES = 100, 500, 8
"""Taken from a data set, at most: its first images to train, and to test; of large pictures so many of both."""
DATA = {"lenet5": ("mnist", "mnist-subset"), "resnet8": ("cifar10",)}
"""Labelled sets of each network, the best first; the last reason counts where none is there. Other networks of images take photographs."""
PHOTOGRAPHS = "photographs"


@dataclass(frozen=True, kw_only=True, eq=False)
class NetworkSource:
    """A float graph, or one that has integers of its own, and images for it."""

    graph: Graph = field(repr=False)
    calibration: np.ndarray | None = field(default=None, repr=False)
    """float32 (N, C, H, W); None for a file whose graph has its own integers, and where no images of such a network are here."""
    test: np.ndarray | None = field(default=None, repr=False)
    """float32 (N, C, H, W): what accuracy and errors are measured on."""
    labels: np.ndarray | None = field(default=None, repr=False)
    """(N,) indices of the right output; None where results cannot be right or wrong."""
    notes: tuple[str, ...] = ()
    """Where weights and images come from."""

    @property
    def name(self) -> str:
        return self.graph.name


def network_names() -> list[str]:
    """What is known by name: networks that come with this package, models with integers of their own, and networks of others."""
    return [*NETWORKS, *quantized_names(), *IMPORTED]


def is_network(name: str) -> bool:
    """Whether a name means a network rather than a kernel."""
    return name.endswith(ONNX_SUFFIX) or name in network_names()


def open_network(name: str, *, calibration: np.ndarray | None = None, test: np.ndarray | None = None, labels: np.ndarray | None = None,
                 called: str | None = None, typical: bool = False, requantize: bool = False) -> NetworkSource:
    """Find a network and its images.

    name: an .onnx file, a network that comes with this package, trained if it comes so, else with random weights, or one of others.
    calibration, test: real numbers (N, C, H, W); by default those of its data set, and for a file the calibration images are the test too.
    labels: (N,), for `test`. called: another name for it. typical: calibration images even for a network that has integers of its own.
    requantize: of such a network take the weights and ranges alone (`rpa.net.unquantized`).
    Raises ReportError for an unknown name and where no images are known; NetError, ModelError and DataError from reading.
    """
    if labels is not None and test is None:
        raise ReportError("labels are for test images, which are not given")
    if name.endswith(ONNX_SUFFIX):
        return _file(name, calibration, test, labels, called, requantize)
    if name not in network_names():
        hint = did_you_mean(name, network_names()) or f"there are {', '.join(network_names())}"
        raise ReportError(f"no network is called `{name}`, and it is no {ONNX_SUFFIX} file; {hint}")
    if name in IMPORTED:
        return _imported(name, calibration, test, labels, called)
    graph, network, note = _shipped(name)
    graph = replace(_asked(graph, requantize), name=called or name)
    notes = [note]
    calibrates = calibration is None and (typical or not graph.quantized)
    found = _images(network, needed=calibrates) if calibrates or test is None else None
    if found is not None:
        notes.append(found.note)
        calibration = found.calibration if calibration is None else calibration
        if test is None:
            test, labels = found.test, found.labels if network.trained else None
    return NetworkSource(graph=graph, calibration=calibration, test=calibration if test is None else test, labels=labels, notes=tuple(notes))


def _imported(name: str, calibration: np.ndarray | None, test: np.ndarray | None, labels: np.ndarray | None, called: str | None) -> NetworkSource:
    graph = replace(graph_of(name), name=called or name)
    notes = [f"weights: trained by others, {data.FOREIGN[name].package}"]
    if calibration is None or test is None:
        own, own_test, own_labels, note = IMPORTED[name].pictures()
        notes.append(note)
        calibration = own if calibration is None else calibration
        if test is None:
            test, labels = own_test, own_labels
    return NetworkSource(graph=graph, calibration=calibration, test=test, labels=labels, notes=tuple(notes))


def _asked(graph: Graph, requantize: bool) -> Graph:
    """The graph, without its own integers if that is wanted."""
    return without_quantization(graph) if requantize and graph.quantized else graph


def _file(name: str, calibration: np.ndarray | None, test: np.ndarray | None, labels: np.ndarray | None, called: str | None,
          requantize: bool) -> NetworkSource:
    from rpa.net.onnx_import import load_onnx

    graph = replace(_asked(load_onnx(name), requantize), name=called or Path(name).stem)
    if calibration is None and not graph.quantized:
        shapes = "; ".join(f"`{one}` is (N, {', '.join(map(str, graph.shapes[one]))})" for one in graph.inputs)
        raise ReportError(f"{name}: has no integers of its own: give typical images, real numbers, "
                          f"that calibrate it (--calibration FILE.npy); {shapes}")
    return NetworkSource(graph=graph, calibration=calibration, test=calibration if test is None else test, labels=labels)


def _shipped(name: str) -> tuple[Graph, Network, str]:
    """The graph, the network that it is a form of, and where the weights come from."""
    if name in NETWORKS:
        network = find(name)
        model = build(name, weights="trained" if network.trained else None)
        note = "weights: trained, they come with this package" if network.trained else "weights: random, of seed 0"
    else:
        network, model = find(next(known for known in NETWORKS if name.startswith(f"{known}_"))), load_quantized(name)
        note = "weights: trained and quantized, they come with this package"
    from rpa.net.onnx_import import load_onnx

    return load_onnx(model), network, note


@dataclass(frozen=True, kw_only=True, eq=False)
class _Images:
    calibration: np.ndarray
    test: np.ndarray
    labels: np.ndarray | None
    note: str


def _images(network: Network, *, needed: bool) -> _Images | None:
    """Images of the network's data set that are here already. Raises ReportError if they are needed and there are none."""
    if network.offset is None:
        if not needed:
            return None
        shape = ", ".join(map(str, network.input_shape))
        raise ReportError(f"`{network.name}` takes features, of which no data set is known here: give typical ones, real numbers (N, {shape}), that "
                          f"calibrate it (--calibration FILE.npy)")
    try:
        return _labelled(network) if network.name in DATA else _photographs(network)
    except data.DataError as error:
        if not needed:
            return None
        shape = ", ".join(map(str, network.input_shape))
        raise ReportError(f"{error}; or give images of your own, real numbers (N, {shape}), that calibrate `{network.name}` "
                          f"(--calibration FILE.npy)") from None


def _labelled(network: Network) -> _Images:
    found = _first_there(DATA[network.name])
    calibration, test = found.train.images[:CALIBRATION_IMAGES], found.test.images[:TEST_IMAGES]
    return _Images(calibration=network.to_input(calibration), test=network.to_input(test), labels=found.test.labels[:TEST_IMAGES].astype(np.int64),
                   note=f"images: {found.name}, the first {len(calibration)} for training to calibrate, the first {len(test)} for testing to test")


def _first_there(names: tuple[str, ...]) -> data.Dataset:
    for name in names[:-1]:
        try:
            return data.load(name)
        except data.DataError:
            continue
    return data.load(names[-1])


def _photographs(network: Network) -> _Images:
    from rpa.data.bundled import shrink

    found = data.load(PHOTOGRAPHS)
    images = network.to_input(np.stack([shrink(picture, network.input_shape[1]) for picture in found.test.images[:PICTURES]]))
    return _Images(calibration=images, test=images, labels=None, note=f"images: {len(images)} photographs of scikit-image, to calibrate and to test")


def check_one_input(graph: Graph) -> None:
    """NetError for a network of several inputs, which one array of images cannot feed."""
    if len(graph.inputs) != 1:
        raise NetError(f"`{graph.name}` has the inputs {', '.join(graph.inputs)}; one array of images feeds one: use `rpa.compile` in Python")


