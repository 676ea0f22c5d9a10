"""The exported model: the fake-quantized network in torch, the QDQ model in onnxruntime and plain integers agree."""

import numpy as np
import onnx
import pytest
import torch

from rpa.data import load
from rpa.models import build, find
from rpa.train.qat.calibrate import calibrate
from rpa.train.qat.export import integers, tensors, to_onnx
from rpa.train.qat.network import Widths
from rpa.train.qat.run import network_of
from tests.train.integer_reference import NETWORKS, Numbers
from tests.train.runtime import run

BITS = [(4, 3, 3), (4, 4, 8), (2, 2, 2), (8, 8, 8)]
IMAGES = 6


def images_for(name):
    if name == "lenet5":
        return load("mnist-subset").test.images[:IMAGES]
    return np.random.default_rng(0).integers(0, 256, (IMAGES, 32, 32, 3)).astype(np.uint8)


def calibrated(name, bits, **options):
    entry = find(name)
    widths = Widths(weights=bits[0], activations=bits[1], input=bits[2], **options)
    network = network_of(build(name, seed=1), widths, entry.scale, entry.offset > 0)
    inputs = entry.to_input(images_for(name))
    calibrate(network, torch.from_numpy(inputs))
    network.eval()
    return network, inputs


@pytest.mark.parametrize("bits", BITS, ids=str)
@pytest.mark.parametrize("name", NETWORKS)
def test_three_ways_agree(name, bits):
    """Scores may differ by what float32 sums differ by. Where that turns a rounding over, an image's scores change by steps; few images may."""
    network, inputs = calibrated(name, bits)
    values = integers(network)
    model = to_onnx(network, values, name, {"widths": bits})
    onnx.checker.check_model(model, full_check=True)
    with torch.no_grad():
        fake = network(torch.from_numpy(inputs)).numpy()
    numbers = Numbers(tensors(network, values), {tensor: point.high for tensor, point in values.points.items()})
    plain = np.array([NETWORKS[name](numbers, image.astype(np.float64)) for image in inputs])
    onnx_scores = run(model, inputs)
    for found in (onnx_scores, fake):
        differs = np.abs(found - plain).max(1)
        assert (differs < 1e-5).sum() >= IMAGES - 2, differs
    assert plain.std() > 0.1  # the scores are not all alike


@pytest.mark.parametrize("bits", BITS, ids=str)
def test_joined_scales_are_whole_multiples(bits):
    network, _ = calibrated("resnet8", bits)
    arrays = tensors(network, integers(network))
    for stack, before in (("stack1", "bn1.relu"), ("stack2", "stack1.add.relu"), ("stack3", "stack2.add.relu")):
        main = arrays[f"{stack}.bn1.relu.scale"].astype(np.float64) * arrays[f"{stack}.conv2.weight_scale"]
        other = arrays[f"{before}.scale"].astype(np.float64) * (arrays[f"{stack}.shortcut.weight_scale"] if stack != "stack1" else 1)
        assert other / main == pytest.approx(arrays[f"{stack}.add.ratio"], rel=1e-6)
        largest = np.abs(arrays[f"{stack}.shortcut.weight_q"].astype(int)).max() if stack != "stack1" else 1
        assert 1 <= arrays[f"{stack}.add.ratio"].min() and largest * arrays[f"{stack}.add.ratio"].max() <= (128 if bits[0] < 8 else 32768)


def test_every_integer_is_within_its_width():
    network, inputs = calibrated("resnet8", (4, 3, 4))
    values = integers(network)
    for weight in values.weights.values():
        assert weight.dtype == np.int8 and -8 <= weight.min() and weight.max() <= 7
    model = to_onnx(network, values, "x", {})
    rounded = [node.output[0] for node in model.graph.node if node.op_type == "QuantizeLinear"]
    for name in rounded:
        kind = onnx.TensorProto.INT8 if name.startswith("input") else onnx.TensorProto.UINT8
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, kind, None))
    import onnxruntime as ort

    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for name, array in zip(rounded, session.run(rounded, {"input": inputs}), strict=True):
        assert (-8, 7) >= (array.min(), array.max()) if name.startswith("input") else 0 <= array.min() <= array.max() <= 7


def test_asymmetric_input():
    """A tensor with negative values gets a zero point, and zero stays exact."""
    network, inputs = calibrated("resnet8", (4, 4, 4), asymmetric=True)
    point = integers(network).points["input"]
    assert (point.low, point.high) == (0, 15) and 5 <= point.zero_point <= 10
    model = to_onnx(network, integers(network), "x", {})
    with torch.no_grad():
        fake = network(torch.from_numpy(inputs)).numpy()
    scores = run(model, inputs)
    assert np.abs(scores - fake).max() < 0.3 and np.median(np.abs(scores - fake)) < 0.02
