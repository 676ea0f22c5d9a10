"""Networks that others trained, through importer, quantizer, compiler and machine; skipped where they are not in the cache.

`python -m rpa.data fetch rnet` (2 MB), `text_direction` (27 MB), `open_nsfw` (22 MB).
"""

from __future__ import annotations

import io
from functools import cache

import numpy as np
import pytest

pytest.importorskip("onnx", reason="networks need the extra `net`")
pytest.importorskip("skimage", reason="the images are scikit-image's")
pytest.importorskip("onnxruntime", reason="the oracle of these networks in float")

import onnxruntime as ort

from rpa import data
from rpa.compile.front import CompiledModel
from rpa.net import reference
from rpa.net.float_run import run_float
from rpa.report.network_files import compile_source
from rpa.report.network_imported import IMPORTED
from rpa.report.network_source import NetworkSource, open_network


@cache
def source(name: str) -> NetworkSource:
    try:
        return open_network(name)
    except data.DataError as error:
        pytest.skip(str(error))


@cache
def compiled(name: str, widths: str) -> CompiledModel:
    return compile_source(source(name), widths, effort=False)


def floats(name: str) -> np.ndarray:
    """What the first output is in float, before the softmax: (N, classes)."""
    found = source(name)
    return run_float(found.graph, {found.graph.inputs[0]: found.test})[found.graph.outputs[0]].reshape(len(found.test), -1)


def integers(name: str, widths: str) -> np.ndarray:
    """The first output of the integer network, by its reference, as real numbers: (N, classes)."""
    model, images = compiled(name, widths), source(name).test
    output = model.net.outputs[0]
    exact = reference.run_many(model.net, model.quantized.to_integers(images), wanted=[output])
    return model.quantized.to_real(exact)[output].reshape(len(images), -1)


def equal_on_the_array(name: str, widths: str, images: int) -> None:
    """Every feature of the first images, and the cycles that were predicted."""
    model = compiled(name, widths)
    for image in source(name).test[:images]:
        inputs = model.integers(image)
        run, expected = model.compiled.run(inputs), reference.run(model.net, inputs)
        assert [key for key, values in run.features.items() if not np.array_equal(values, expected[key])] == []
        assert run.result.cycles == model.compiled.report.cycles


def softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_names():
    assert IMPORTED.keys() == data.FOREIGN.keys()


@pytest.mark.parametrize("name", ["open_nsfw", "text_direction"])
def test_the_file_in_onnxruntime_gives_our_floats(name):
    ours, images = floats(name), source(name).test
    session = ort.InferenceSession(data.load_foreign(name), providers=["CPUExecutionProvider"])
    port = session.get_inputs()[0]
    theirs = session.run(None, {port.name: images.transpose(0, 2, 3, 1) if port.shape[3] == 3 else images})[0]
    np.testing.assert_allclose(softmax(ours), theirs, atol=2e-5)


def test_rnet_is_the_published_network():
    """Written down once more as its authors did, in torch, with torch's own reader of the file."""
    torch = pytest.importorskip("torch", reason="the extra `train` brings torch")
    images, ours = torch.from_numpy(source("rnet").test), floats("rnet")
    state = torch.load(io.BytesIO(data.load_foreign("rnet")), weights_only=True)
    pool = torch.nn.MaxPool2d(3, 2, ceil_mode=True)

    def layer(x, name, number):
        operation = torch.nn.functional.conv2d if name.startswith("conv") else torch.nn.functional.linear
        return torch.nn.functional.prelu(operation(x, state[f"{name}.weight"], state[f"{name}.bias"]), state[f"prelu{number}.weight"])

    x = layer(pool(layer(pool(layer(images, "conv1", 1)), "conv2", 2)), "conv3", 3).permute(0, 3, 2, 1).flatten(1)
    theirs = torch.nn.functional.linear(layer(x, "dense4", 4), state["dense5_1.weight"], state["dense5_1.bias"])
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("widths", "right"), [("16", 200), ("8", 200), ("w4a8", 200), ("4", 180)])
def test_faces(widths, right):
    """100 faces and 100 pictures of none: all right in float, and at 8 bits."""
    labels = source("rnet").labels
    assert (floats("rnet").argmax(axis=1) == labels).sum() == len(labels) == 200
    assert (integers("rnet", widths).argmax(axis=1) == labels).sum() >= right
    equal_on_the_array("rnet", widths, 3 if widths != "16" else 1)


@pytest.mark.parametrize(("widths", "lost"), [("8", 2), pytest.param("w4a8", 8, marks=pytest.mark.soak)])
def test_direction_of_text(widths, lost):
    labels = source("text_direction").labels
    in_float = (floats("text_direction").argmax(axis=1) == labels).sum()
    assert in_float >= 84 and len(labels) == 90
    assert (integers("text_direction", widths).argmax(axis=1) == labels).sum() >= in_float - lost
    equal_on_the_array("text_direction", widths, 1)


@pytest.mark.soak
@pytest.mark.parametrize("widths", ["16", "4"])
def test_direction_of_text_at_other_widths(widths):
    equal_on_the_array("text_direction", widths, 1)


@pytest.mark.soak
@pytest.mark.parametrize(("widths", "cosine"), [("16", 0.99999), ("8", 0.999), ("w4a8", 0.96), ("4", 0.9)])
def test_photographs(widths, cosine):
    """All eight are harmless, in float and in integers; outputs before the softmax point the same way."""
    in_float, found = floats("open_nsfw"), integers("open_nsfw", widths)
    assert (in_float.argmax(axis=1) == 0).all() and (found.argmax(axis=1) == 0).all()
    assert (found * in_float).sum() > cosine * np.linalg.norm(found) * np.linalg.norm(in_float)
    equal_on_the_array("open_nsfw", widths, 1)
