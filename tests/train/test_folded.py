"""Folding batch norm, and where a network is rounded."""

import numpy as np
import onnx
import pytest
import torch
from onnx import helper

from rpa.models import NETWORKS, build
from rpa.train.qat.folded import fold
from rpa.train.qat.network import QatNetwork, Widths
from rpa.train.qat.plan import Join, plan
from rpa.train.settings import TrainingError
from tests.train.runtime import run

WIDTHS = Widths(weights=4, activations=4)
SMALL = ["lenet5", "resnet8", "ds_cnn", "mobilenet_v1_025", "autoencoder"]


@pytest.mark.parametrize("name", SMALL)
def test_without_quantization_it_is_the_network(name):
    """Folded, and run by our interpreter in torch: what onnxruntime computes with batch norm in place."""
    model = build(name, seed=2, batch=None)
    net = fold(model)
    network = QatNetwork(net, plan(net), WIDTHS, 1 / 128, True)
    inputs = np.random.default_rng(3).standard_normal((2, *NETWORKS[name].input_shape), np.float32)
    with torch.no_grad(), network.in_float():
        found = network(torch.from_numpy(inputs)).numpy()
    assert found == pytest.approx(run(model, inputs), abs=1e-3)
    assert not any(node.operator == "BatchNormalization" for node in net.nodes)


def test_lenet_is_rounded_after_every_relu():
    chosen = plan(fold(build("lenet5")))
    assert chosen.points == ("input", "conv1.relu", "conv2.relu", "fc1.relu", "fc2.relu")
    assert chosen.sources == {"conv1.relu.pool": "conv1.relu", "conv2.relu.pool": "conv2.relu", "conv2.relu.pool.flat": "conv2.relu"}
    assert chosen.joins == () and chosen.non_negative == set(chosen.points[1:])


def test_resnet_adds_in_the_accumulator():
    chosen = plan(fold(build("resnet8")))
    blocks = [name for number in (1, 2, 3) for name in (f"stack{number}.bn1.relu", f"stack{number}.add.relu")]
    assert chosen.points == ("input", "bn1.relu", *blocks, "stack3.add.relu.mean")
    assert chosen.joins == (Join("stack1.add", "stack1.conv2", "bn1.relu", False),
                            Join("stack2.add", "stack2.conv2", "stack2.shortcut", True), Join("stack3.add", "stack3.conv2", "stack3.shortcut", True))
    assert chosen.non_negative == set(chosen.points[1:])


def small(nodes, weights=(), shape=(2, 4, 4), output=(2, 4, 4)):
    """A model of one's own."""
    ports = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, *size]) for name, size in (("x", shape), ("y", output))]
    graph = helper.make_graph(nodes, "small", ports[:1], ports[1:], [onnx.numpy_helper.from_array(np.asarray(value, np.float32), name)
                                                                      for name, value in dict(weights).items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=10)


ONES = np.ones((2, 2, 1, 1))
NORM = {f"n{part}": np.ones(2) for part in range(4)}


@pytest.mark.parametrize(("nodes", "weights", "message"), [
    ([helper.make_node("Sigmoid", ["x"], ["y"], "s")], {}, "s: Sigmoid cannot be trained with quantization; these can: Conv, Gemm, Relu, "),
    ([helper.make_node("BatchNormalization", ["x", *NORM], ["y"], "n")], NORM, "n: a batch norm can be folded only where it alone reads "),
    ([helper.make_node("Conv", ["x", "w"], ["c"], "c"), helper.make_node("Relu", ["c"], ["r"], "r"),
      helper.make_node("BatchNormalization", ["c", *NORM], ["n"], "n"), helper.make_node("Add", ["r", "n"], ["y"], "a")], {"w": ONES, **NORM},
     "n: a batch norm can be folded only where it alone reads "),
])
def test_what_cannot_be_folded(nodes, weights, message):
    with pytest.raises(TrainingError) as caught:
        fold(small(nodes, weights))
    assert str(caught.value).startswith(message)


def test_an_addition_of_rounded_tensors_is_refused():
    nodes = [helper.make_node("Relu", ["x"], ["r"], "r"), helper.make_node("Add", ["r", "x"], ["y"], "a")]
    with pytest.raises(TrainingError, match=r"^a: an addition of two rounded tensors cannot be trained"):
        plan(fold(small(nodes)))


def test_weights_of_a_product_that_is_not_transposed():
    weight = np.arange(12.0).reshape(3, 4)
    net = fold(small([helper.make_node("Gemm", ["x", "w"], ["y"], "g")], {"w": weight}, (3,), (4,)))
    assert np.array_equal(net.weights["g"], weight.T) and np.array_equal(net.biases["g"], np.zeros(4))


@pytest.mark.parametrize(("widths", "message"), [
    ({"weights": 1, "activations": 4}, r"^weights of 1 bits cannot be trained, must be 2\.\.8$"),
    ({"weights": 4, "activations": 16}, r"^activations of 16 bits cannot be trained, must be 1\.\.8$"),
    ({"weights": 4, "activations": 4, "input": 9}, r"^input of 9 bits cannot be trained, must be 1\.\.8$"),
])
def test_widths_that_are_not_trained(widths, message):
    with pytest.raises(TrainingError, match=message):
        Widths(**widths)
