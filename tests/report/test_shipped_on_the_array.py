"""The models trained with quantization that come with this package: on the array, by the reference, in onnxruntime, and as their records say."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

pytest.importorskip("onnx", reason="networks need the extra `net`")
pytest.importorskip("skimage", reason="images where CIFAR-10 is not there are scikit-image's")
pytest.importorskip("onnxruntime", reason="the oracle of these models")

import onnxruntime as ort

from rpa import data
from rpa.compile.front import CompiledModel
from rpa.data.bundled import shrink
from rpa.models import find, load_quantized, quantized_names, record
from rpa.net import reference
from rpa.net.integer import Mac
from rpa.report.network_files import compile_source
from rpa.report.network_source import open_network

ON_THE_ARRAY = 4
SIDE_BY_SIDE = 500


@cache
def images_of(network: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Images to test with, and labels: MNIST or its subset; CIFAR-10, or photographs of no class of it."""
    sets = {"lenet5": ("mnist", "mnist-subset"), "resnet8": ("cifar10", "photographs")}[network]
    for name in sets:
        try:
            found = data.load(name).test
        except data.DataError:
            continue
        if name == "photographs":
            return find(network).to_input(np.stack([shrink(picture, 32) for picture in found.images])), None
        return find(network).to_input(found.images[:SIDE_BY_SIDE]), found.labels[:SIDE_BY_SIDE]
    raise AssertionError("the last one comes with a package")


@cache
def compiled(name: str) -> CompiledModel:
    return compile_source(open_network(name), effort=False)


def batch(model: CompiledModel, images: np.ndarray) -> dict[str, np.ndarray]:
    each = [model.integers(image) for image in images]
    return {key: np.stack([one[key] for one in each]) for key in each[0]}


def in_onnxruntime(name: str, images: np.ndarray) -> np.ndarray:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(load_quantized(name).SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"input": images})[0]


@pytest.mark.parametrize("name", quantized_names())
def test_the_array_computes_the_reference(name):
    model, (images, _) = compiled(name), images_of(name.split("_w")[0])
    for image in images[:ON_THE_ARRAY]:
        inputs = model.integers(image)
        run, expected = model.compiled.run(inputs), reference.run(model.net, inputs)
        assert [key for key, values in run.features.items() if not np.array_equal(values, expected[key])] == []
        assert run.result.cycles == model.compiled.report.cycles


@pytest.mark.parametrize("name", quantized_names())
def test_widths_on_the_array_are_those_trained(name):
    """In the smallest container; weights of a shortcut were multiplied by a ratio of scales and may need the next."""
    widths, net = record(name)["recipe"]["widths"], compiled(name).net
    container = {2: 2, 3: 4, 4: 4, 8: 8}
    weights = {node.terms[0].weight_bits for node in net.nodes if isinstance(node, Mac) and node.terms[0].groups == 1}
    hidden = {net.features[key].bits for key in net.features if key not in (*net.inputs, *net.outputs)}
    assert weights == {container[widths["weights"]]}
    assert hidden == {container[widths["activations"]]}
    assert net.features[net.inputs[0]].bits == container[widths["input"]]


@pytest.mark.parametrize("name", quantized_names())
def test_integers_are_the_models_own_and_as_right_as_recorded(name):
    """The model in onnxruntime computes in float32, so an answer may differ where two scores are all but equal."""
    model, (images, labels) = compiled(name), images_of(name.split("_w")[0])
    scores = reference.run_many(model.net, batch(model, images))[model.net.outputs[0]].reshape(len(images), -1)
    theirs = in_onnxruntime(name, images)
    assert (scores.argmax(axis=1) != theirs.argmax(axis=1)).sum() <= 1
    if labels is None:
        pytest.skip("cifar10 is not fetched: python -m rpa.data fetch cifar10")
    found, recorded = (scores.argmax(axis=1) == labels).mean(), record(name)["test_accuracy"]
    for way in ("integer", "fake_quantized"):
        deviation = np.sqrt(recorded[way] * (1 - recorded[way]) / len(images))
        assert abs(found - recorded[way]) < 4 * deviation + 1 / len(images)
