"""ONNX's own tests of integer operators, compiled and run by the machine."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the tests come with the package: the extra `net`")

from rpa.compile.compiled import compile_net
from rpa.compile.errors import CompileError
from rpa.net.border import arrays_of, features_of
from rpa.net.errors import NetError
from rpa.net.qdq import to_integer
from tests.net.test_onnx_backend import INTEGER_FLOOR, integer_node_tests


def machine_run(graph, inputs):
    """Every image of the batch through a compiled network."""
    net = to_integer(graph)
    try:
        compiled = compile_net(net, effort=False)
    except CompileError as error:
        raise NetError(str(error)) from error
    batch = features_of(graph, net, inputs)
    count = len(next(iter(batch.values())))
    runs = [compiled.run({name: values[index] for name, values in batch.items()}).features for index in range(count)]
    return arrays_of(graph, net, {name: np.stack([run[name] for run in runs]) for name in net.features})


def test_quantized_node_tests_on_the_machine(capsys):
    assert integer_node_tests(machine_run, "on the machine", capsys)["passed"] >= INTEGER_FLOOR
