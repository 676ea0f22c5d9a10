"""ONNX's own tests of operators, compiled and run by the machine: those on integers as they are, those on real numbers at 16 bits."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the tests come with the package: the extra `net`")

from rpa.compile.compiled import compile_net
from rpa.compile.errors import CompileError
from rpa.compile.front import compile_model
from rpa.net import reference
from rpa.net.border import arrays_of, features_of
from rpa.net.errors import NetError
from rpa.net.float_run import model_inputs
from rpa.net.integer import Lookup
from rpa.net.qdq import to_integer
from rpa.quant.errors import QuantError
from tests.net.backend import cases, translate
from tests.net.test_onnx_backend import INTEGER_FLOOR, integer_node_tests

REAL_FLOOR = 100
"""Tests on real numbers that must pass at 16 bits."""
NEAR, NEAR_OF_TABLES, NEAR_OF_SOFTMAX = 0.002, 0.01, 0.05
"""Relative error at most: what 16 bits leave where a result is a difference of large sums, 8 bits of a table, and small errors of an exponent."""


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


def at_16_bits(graph, inputs, expected) -> str:
    """What is wrong with the results of the machine; nothing if its integers are the reference's and as real numbers near what ONNX expects."""
    images = model_inputs(graph, inputs)
    model = compile_model(graph, images, widths="16", effort=False, host=True)
    near = NEAR_OF_SOFTMAX if model.left_to_host else NEAR_OF_TABLES if any(isinstance(node, Lookup) for node in model.net.nodes) else NEAR
    outputs: list[dict[str, np.ndarray]] = []
    for index in range(len(next(iter(images.values())))):
        image = model.integers({name: values[index] for name, values in images.items()})
        run, wanted = model.compiled.run(image), reference.run(model.net, image)
        if any(not np.array_equal(values, wanted[name]) for name, values in run.features.items()):
            return "integers differ from the reference's"
        outputs.append(run.outputs)
    results = arrays_of(graph, model.net, {name: np.stack([one[name] for one in outputs]) for name in model.net.outputs})
    for result, array in zip(results.values(), expected, strict=False):
        error = np.linalg.norm(result - array.astype(np.float64)) / max(np.linalg.norm(array), 1e-9)
        if result.shape != array.shape or error > near:
            return f"shape {result.shape} for {array.shape}, relative error {error:.2g}"
    return ""


def test_real_node_tests_on_the_machine(capsys):
    found = {}
    for case in cases("node"):
        try:
            graph, inputs, expected = translate(case)
        except NetError as error:
            found[case.name] = ("refused", str(error))
            continue
        if graph.codes or any(node.op == "Quant" for node in graph.nodes):
            continue
        try:
            wrong = at_16_bits(graph, inputs, expected)
            found[case.name] = ("failed", wrong) if wrong else ("passed", "")
        except (NetError, QuantError, CompileError) as error:
            found[case.name] = ("refused", str(error))
    counts = Counter(kind for kind, _ in found.values())
    with capsys.disabled():
        print(f"\nONNX node, real numbers on the machine: {counts['passed']} passed, {counts['refused']} refused, {counts['failed']} failed")
    assert not [f"{name}: {text}" for name, (kind, text) in found.items() if kind == "failed"]
    assert counts["passed"] >= REAL_FLOOR
