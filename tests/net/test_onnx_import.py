"""The importer: whole networks against onnxruntime, and what normalisation leaves."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the extra `net` brings onnx")
pytest.importorskip("onnxruntime", reason="the extra `net` brings onnxruntime")

from rpa.net.errors import NetError
from rpa.net.float_run import model_inputs, run_float, run_model
from rpa.net.graph import OPERATORS
from rpa.net.onnx_import import load_onnx, summary

from .ort import TensorProto, helper, model, run
from .quantized_models import Builder, residual


def ops(graph):
    return [node.op for node in graph.nodes]


def check(the_model, shape, *, count=1, seed=0, tolerance=1e-4):
    """Ours equals onnxruntime's on random images; returns the graph."""
    graph = load_onnx(the_model)
    x = np.random.default_rng(seed).normal(0, 1, (count, *shape)).astype(np.float32)
    theirs = run(the_model, {"x": x})
    mine = run_model(graph, {"x": x})
    for (name, expected), result in zip(theirs.items(), mine.values(), strict=True):
        assert result.shape == expected.shape, name
        np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance)
    assert all(node.op in OPERATORS for node in graph.nodes)
    return graph


@pytest.mark.parametrize("activation", ["Relu", "HardSwish", "LeakyRelu", "Sigmoid", "Tanh", "HardSigmoid"])
def test_residual_network_equals_onnxruntime(activation):
    graph = check(residual(1, activation=activation), (3, 16, 16), count=7)
    if activation == "Relu":
        assert ops(graph) == ["Conv", "Conv", "Conv", "Conv", "Add", "Conv", "MaxPool", "GlobalAveragePool", "Gemm"]
        assert [node.attributes["clip"] for node in graph.nodes[:5]] == [(0, np.inf), (0, np.inf), None, None, (0, np.inf)]
        assert summary(graph).startswith("test: 5 Conv, 1 Add, 1 MaxPool, 1 GlobalAveragePool, 1 Gemm; ")


def test_intermediate_activations_by_name():
    the_model = residual(2)
    x = np.random.default_rng(0).normal(0, 1, (3, 3, 16, 16)).astype(np.float32)
    graph = load_onnx(the_model)
    wanted = graph.nodes[4].output
    result = run_float(graph, model_inputs(graph, {"x": x}), wanted=[wanted, "x"])
    assert set(result) == {wanted, "x"} and np.array_equal(result["x"], x)
    the_model.graph.output.add(name=wanted)
    np.testing.assert_allclose(result[wanted], run(the_model, {"x": x})[wanted], rtol=1e-4, atol=1e-5)


def test_channels_last_network():
    """As TensorFlow's converter writes them: (N, H, W, C) outside, transpositions, a flatten in that order."""
    b = Builder(3)
    x = b.add("Transpose", "x", perm=[0, 3, 1, 2])
    x = b.add("Relu", b.conv(x, 6, (3, 3), 4, auto_pad="SAME_UPPER", strides=[2, 2]))
    x = b.add("Transpose", x, perm=[0, 2, 3, 1])
    x = b.add("Add", x, b.keep("per_channel", b.rng.normal(0, 1, 6).astype(np.float32)))
    x = b.add("Reshape", x, b.keep("shape", np.array([-1, 5 * 4 * 6])))
    x = b.add("MatMul", x, b.keep("matrix", b.rng.normal(0, 0.1, (120, 7)).astype(np.float32)))
    the_model = b.model((9, 8, 4), b.add("Softmax", b.add("Add", x, b.keep("bias", np.arange(7, dtype=np.float32))), axis=1))
    graph = check(the_model, (9, 8, 4), count=3)
    assert graph.shapes["x"] == (4, 9, 8) and graph.layouts["x"].axes == (0, 2, 3, 1)
    assert ops(graph) == ["Conv", "Gemm"] and [step.op for step in graph.host] == ["softmax"]


def test_flat_input_is_seen_as_an_image():
    b = Builder(4)
    x = b.add("Reshape", "x", b.keep("shape", np.array([-1, 1, 28, 28])))
    x = b.add("MaxPool", b.conv(x, 4, (5, 5), 1), kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    graph = check(b.model((784,), b.gemm(b.add("Flatten", x), 10, 4 * 12 * 12)), (784,), count=2)
    assert graph.shapes["x"] == (1, 28, 28) and graph.layouts["x"].shape == (1, 784)


def test_shapes_computed_in_the_graph():
    """Shape, Gather, Unsqueeze, Concat, Reshape, as torch used to write `view`."""
    b = Builder(5)
    x = b.conv("x", 4, (3, 3), 2)
    size = b.add("Unsqueeze", b.add("Gather", b.add("Shape", x), b.keep("zero", np.array(0)), axis=0), b.keep("axes", np.array([0])))
    target = b.add("Concat", size, b.keep("rest", np.array([-1])), axis=0)
    graph = check(b.model((2, 6, 6), b.gemm(b.add("Reshape", x, target), 5, 64)), (2, 6, 6), count=4)
    assert ops(graph) == ["Conv", "Gemm"]


def test_pads_fold_into_their_readers():
    b = Builder(6)
    pads = b.keep("pads", np.array([0, 0, 1, 0, 0, 0, 2, 1]))
    x = b.add("Relu", b.conv(b.add("Pad", "x", pads), 4, (3, 3), 2, pads=[1, 1, 0, 0]))
    y = b.add("MaxPool", b.add("Pad", x, pads), kernel_shape=[3, 3])
    z = b.add("AveragePool", b.add("Pad", x, pads), kernel_shape=[3, 3])
    graph = check(b.model((2, 8, 7), b.add("Add", y, z)), (2, 8, 7))
    assert ops(graph) == ["Conv", "MaxPool", "AveragePool", "Add"]
    assert [node.attributes["pads"] for node in graph.nodes[:3]] == [(2, 1, 2, 1), (1, 0, 2, 1), (1, 0, 2, 1)]
    assert graph.nodes[2].attributes["count_include_pad"]


def test_a_pad_of_signed_values_stays_before_a_maximum():
    b = Builder(7)
    x = b.add("Pad", "x", b.keep("pads", np.array([0, 0, 1, 1, 0, 0, 1, 1])))
    graph = check(b.model((2, 5, 5), b.add("MaxPool", x, kernel_shape=[3, 3])), (2, 5, 5))
    assert ops(graph) == ["Conv", "MaxPool"] and graph.nodes[0].attributes["groups"] == 2


@pytest.mark.parametrize("padded, left", [(False, ["Conv"]), (True, ["Conv", "Conv"])])
def test_normalised_inputs_fold_where_nothing_is_padded(padded, left):
    b = Builder(8)
    x = b.add("Div", b.add("Sub", "x", b.keep("mean", np.float32([[[0.3]], [[-0.2]]]))), b.keep("deviation", np.float32([[[0.5]], [[2]]])))
    graph = check(b.model((2, 6, 6), b.conv(x, 4, (3, 3), 2, pads=[int(padded)] * 4)), (2, 6, 6))
    assert ops(graph) == left


def test_gates_and_slopes():
    b = Builder(9)
    x = b.conv("x", 4, (3, 3), 2)
    swish = b.add("Mul", x, b.add("Sigmoid", x))
    hard = b.add("Mul", x, b.add("HardSigmoid", x, alpha=1 / 6, beta=0.5))
    slopes = b.add("PRelu", x, b.keep("slopes", np.float32([0.1, -0.5, 0.3, 2]).reshape(4, 1, 1)))
    squeezed = b.add("Sigmoid", b.add("ReduceMean", x, b.keep("axes", np.array([2, 3]))))
    gated = b.add("Mul", squeezed, b.add("Concat", slopes, axis=1))
    y = b.add("Concat", swish, hard, gated, b.add("Sub", x, slopes), axis=1)
    graph = check(b.model((2, 7, 7), y), (2, 7, 7), count=2)
    assert sorted(set(ops(graph))) == ["Add", "Concat", "Conv", "GlobalAveragePool", "HardSwish", "Mul", "PRelu", "Sigmoid", "Silu"]


@pytest.mark.parametrize("attributes", [
    {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}, {"kernel_shape": [3, 3], "pads": [1] * 4, "count_include_pad": 1},
    {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}, {"kernel_shape": [2, 2], "dilations": [2, 3]},
    {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1] * 4, "ceil_mode": 1}, {"kernel_shape": [8, 9]},
    {"kernel_shape": [3, 3], "auto_pad": "SAME_LOWER", "strides": [2, 2]}])
def test_average_pools(attributes):
    b = Builder(10)
    graph = check(b.model((3, 8, 9), b.add("AveragePool", "x", **attributes)), (3, 8, 9))
    assert ops(graph) in (["AveragePool"], ["GlobalAveragePool"], ["Conv"])


def test_all_refusals_come_in_one_error():
    b = Builder(11)
    x = b.add("ConvTranspose", "x", b.keep("w", np.ones((2, 3, 3, 3), np.float32)))
    y = b.add("Erf", b.add("Relu", x))
    z = b.add("Conv", "x", b.keep("v", np.ones((4, 3, 1, 1), np.float32)))
    b.add("Softmax", b.add("Einsum", z, equation="abcd->abcd"))
    the_model = b.model((2, 5, 5), b.add("Softsign", y))
    with pytest.raises(NetError) as caught:
        load_onnx(the_model)
    lines = str(caught.value).splitlines()
    assert lines[0] == "the model: 5 of 7 nodes cannot be translated:"
    assert lines[1:] == ["  `convtranspose0_node` (ConvTranspose): transposed convolutions are not supported",
                         "  `erf2_node` (Erf): operator is not supported",
                         "  `conv3_node` (Conv): weights (4, 3, 1, 1) in 1 groups do not take 2 channels",
                         "  `einsum4_node` (Einsum): operator is not supported",
                         "  `softsign6_node` (Softsign): operator is not supported"]


def test_softmax_must_be_last():
    b = Builder(12)
    x = b.add("Relu", b.add("Softmax", b.gemm("x", 4, 6)))
    with pytest.raises(NetError, match="is computed by the host after the array is done, so it must be last"):
        load_onnx(b.model((6,), x))


@pytest.mark.parametrize("shared", [False, True])
def test_hard_swish_in_pieces(shared):
    """x * clip(x + 3, 0, 6) / 6; what is read elsewhere as well stays."""
    b = Builder(13)
    x = b.conv("x", 4, (3, 3), 2)
    gate = b.add("Clip", b.add("Add", x, b.keep("three", np.float32(3))), b.keep("zero", np.float32(0)), b.keep("six", np.float32(6)))
    y = b.add("Div", b.add("Mul", x, gate), "six")
    graph = check(b.model((2, 6, 6), b.add("Add", y, gate) if shared else y), (2, 6, 6))
    assert ops(graph) == (["Conv", "Conv", "Mul", "Conv", "Add"] if shared else ["Conv", "HardSwish"])


def test_softmax_may_be_handed_on():
    b = Builder(14)
    graph = check(b.model((6,), b.add("Identity", b.add("Softmax", b.gemm("x", 4, 6)))), (6,), count=3)
    assert [(step.op, step.source, step.attributes) for step in graph.host] == [("softmax", graph.outputs[0], {"axes": (1,)})]


def test_open_sizes_can_be_given():
    b = Builder(15)
    y = b.conv("x", 4, (3, 3), 2)
    the_model = b.model((2, "height", "width"), y)
    with pytest.raises(NetError, match=r"input `x` has shape \(n, 2, height, width\), must be fixed but for the batch; give its shape"):
        load_onnx(the_model)
    assert load_onnx(the_model, shapes={"x": (1, 2, 9, 7)}).shapes["x"] == (2, 9, 7)
    for shape, message in (((1, 3, 9, 7), r"input `x` has shape \(n, 2, height, width\), cannot be \(1, 3, 9, 7\)"), ((2, 9), "cannot be")):
        with pytest.raises(NetError, match=message):
            load_onnx(the_model, shapes={"x": shape})
    with pytest.raises(NetError, match="has no input `z`, must be one of x"):
        load_onnx(the_model, shapes={"z": (1,)})


def test_inputs_can_be_given_as_constants():
    kind = TensorProto.FLOAT
    the_model = model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": (kind, [1, 3]), "w": (kind, [3, 2])}, {"y": (kind, [1, 2])})
    weight = np.arange(6, dtype=np.float32).reshape(3, 2)
    graph = load_onnx(the_model, constants={"w": weight})
    assert graph.inputs == ("x",) and run_model(graph, {"x": np.float32([[1, 2, 3]])})["y"].tolist() == [[16, 22]]


@pytest.mark.parametrize("arrays, message", [
    ({"x": np.zeros((2, 3, 16, 15), np.float32)}, r"array has shape \(2, 3, 16, 15\), must be \(1, 3, 16, 16\) with any number of images first"),
    ({"x": np.full((1, 3, 16, 16), np.nan)}, "input `x` holds numbers that are NaN, infinite or beyond float32"),
    ({"z": np.zeros((1, 3, 16, 16), np.float32)}, "`z` is not an input of `test`, must be one of x"),
    ({}, "inputs are none, `test` takes x"),
])
def test_bad_arrays(arrays, message):
    with pytest.raises(NetError, match=message):
        run_model(load_onnx(residual()), arrays)
