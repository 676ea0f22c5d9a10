"""What training exports becomes the integer network that the array computes, with no gap: same integers as the naive reference."""

import numpy as np
import pytest

from rpa.net.onnx_import import load_onnx
from rpa.net.qdq import to_integer
from rpa.net.reference import run_many
from rpa.train.qat.export import integers, tensors, to_onnx
from tests.train.integer_reference import NETWORKS, Numbers
from tests.train.test_export import BITS, IMAGES, calibrated


@pytest.mark.parametrize("bits", BITS, ids=str)
@pytest.mark.parametrize("name", NETWORKS)
def test_integer_network(name, bits):
    """Scores are 16-bit integers: within half a step, but for images in which float32 turned a rounding over."""
    network, inputs = calibrated(name, bits)
    values = integers(network)
    net = to_integer(load_onnx(to_onnx(network, values, name, {})))
    numbers = Numbers(tensors(network, values), {tensor: point.high for tensor, point in values.points.items()})
    plain = np.array([NETWORKS[name](numbers, image.astype(np.float64)) for image in inputs])
    entered = np.array([numbers.enter(image.astype(np.float64), "input") for image in inputs]).transpose(0, 2, 3, 1)
    output = net.features[net.outputs[0]]
    scores = run_many(net, {net.inputs[0]: entered})[output.name].reshape(IMAGES, -1) * output.scale
    assert (np.abs(scores - plain).max(1) <= 0.51 * output.scale).sum() >= IMAGES - 1


@pytest.mark.parametrize(("bits", "words"), [((4, 4, 8), 4), ((4, 3, 3), 4), ((2, 2, 2), 2)])
def test_words_are_as_narrow_as_the_numbers(bits, words):
    """Narrow numbers are stored as int8 in the model and travel in narrow words on the array; a residual's ratios need 8 bits."""
    network, _ = calibrated("resnet8", bits)
    net = to_integer(load_onnx(to_onnx(network, integers(network), "resnet8", {})))
    hidden = [feature for name, feature in net.features.items() if name not in (*net.inputs, *net.outputs)]
    assert {feature.bits for feature in hidden} == {words} and {(feature.low, feature.high) for feature in hidden} == {(0, 2 ** bits[1] - 1)}
    added = [node for node in net.nodes if len(getattr(node, "terms", ())) == 2]
    assert [node.terms[0].weight_bits for node in added] == [bits[0]] * 3 and {node.terms[1].weight_bits for node in added} <= {2, 4, 8}
    assert [node.terms[0].weight_bits for node in net.nodes if len(node.terms) == 1 and "mean" not in node.name] == [bits[0]] * 5
