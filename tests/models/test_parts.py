"""Shapes, padding, moments and counts of the graph builder, by hand."""

import numpy as np
import onnx
import pytest

from rpa.models import ModelError
from rpa.models.count import count_layers
from rpa.models.graph import Graph, same_pads
from rpa.models.moments import Moments
from rpa.models.parameters import RandomParameters


@pytest.mark.parametrize(("size", "kernel", "stride", "pads"), [
    ((96, 96), (3, 3), (2, 2), (0, 0, 1, 1)), ((32, 32), (3, 3), (1, 1), (1, 1, 1, 1)), ((49, 10), (10, 4), (2, 2), (4, 1, 5, 1)),
    ((5, 5), (1, 1), (2, 2), (0, 0, 0, 0)),
])
def test_same_padding(size, kernel, stride, pads):
    """As TensorFlow's page works it out: out = ceil(in / stride), padding = max(0, (out - 1) * stride + kernel - in), the odd one behind."""
    assert same_pads(size, kernel, stride) == pads


@pytest.mark.parametrize(("mean", "variance"), [(0.0, 1.0), (0.7, 2.0), (-1.5, 0.5)])
def test_rectified_moments_against_sampling(mean, variance):
    values = np.maximum(np.random.default_rng(2).normal(mean, np.sqrt(variance), 2_000_000), 0)
    found = Moments(mean, variance).rectified()
    assert found.mean == pytest.approx(values.mean(), abs=2e-3) and found.variance == pytest.approx(values.var(), abs=4e-3)


def test_shapes_and_counts_of_a_small_graph():
    """Shapes that the builder works out are those of ONNX's own inference; counts by hand."""
    graph = Graph("small", (3, 9, 8), RandomParameters(0))
    x = graph.conv(graph.input, "a", 4, (3, 2), stride=(2, 1), pads=(1, 0, 0, 1))  # (9 + 1 - 3) // 2 + 1 = 4 rows, 8 + 1 - 2 + 1 = 8 columns
    x = graph.max_pool(graph.relu(x), 3, stride=2, pads=1)  # (4 + 2 - 3) // 2 + 1 = 2, (8 + 2 - 3) // 2 + 1 = 4
    x = graph.conv(x, "b", 4, 3, pads=1, groups=4, bias=False)
    y = graph.linear(graph.flatten(x), "c", 5)
    assert [graph.shapes[name] for name in ("a", "a.relu.pool", "b", "c")] == [(4, 4, 8), (4, 2, 4), (4, 2, 4), (5,)]
    model = graph.finish(y)
    onnx.checker.check_model(model, full_check=True)
    assert [(layer.name, layer.macs, layer.parameters) for layer in count_layers(model)] == [
        ("a", 4 * 8 * 4 * 3 * 3 * 2, 4 * 18 + 4), ("b", 2 * 4 * 4 * 9, 36), ("c", 32 * 5, 165)]


def test_weights_that_no_initializer_holds_are_not_counted():
    graph = Graph("small", (4,), RandomParameters(0))
    model = graph.finish(graph.linear(graph.input, "c", 5))
    del model.graph.initializer[0]
    with pytest.raises(ModelError, match=r"^c: its weights must be an initializer"):
        count_layers(model)
