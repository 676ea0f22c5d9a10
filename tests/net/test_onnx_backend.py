"""ONNX's own node tests: our importer and float execution on the models and data that ship in the `onnx` package.

Where a model is quantized, its integer network is run too. What the array cannot do must be refused with a NetError that says why;
the counts are printed, and a floor under what passes keeps a renamed filter from passing with nothing.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the extra `net` brings onnx")

from rpa.net.border import arrays_of, features_of
from rpa.net.errors import NetError
from rpa.net.float_run import run_model
from rpa.net.qdq import to_integer
from rpa.net.reference import run_many

from .backend import cases, translate

FLOORS = {"node": 135, "pytorch-converted": 45, "pytorch-operator": 10, "simple": 1}
"""Tests that must pass, of each folder."""
INTEGER_FLOOR = 22
"""Tests of quantized operators that must pass as integer networks."""


def differs(result: np.ndarray, expected: np.ndarray) -> str:
    """What is wrong with a result; nothing if it is right. Integers must be equal."""
    if result.shape != expected.shape:
        return f"shape {result.shape}, must be {expected.shape}"
    if result.dtype.kind in "iu":
        wrong = np.count_nonzero(result != expected.astype(np.int64))
        return f"{wrong} of {result.size} integers differ" if wrong else ""
    close = np.allclose(result, expected.astype(np.float32), rtol=1e-3, atol=1e-5)
    return "" if close else f"largest difference {np.abs(result - expected).max()}"


def verdict(case, execute) -> tuple[str, str]:
    try:
        graph, inputs, expected = translate(case)
        results = list(execute(graph, inputs).values())
    except NetError as error:
        return "refused", str(error)
    wrong = [differs(result, array) for result, array in zip(results, expected, strict=False)]
    return ("failed", "; ".join(wrong)) if any(wrong) else ("passed", "")


def integer_run(graph, inputs):
    net = to_integer(graph)
    return arrays_of(graph, net, run_many(net, features_of(graph, net, inputs)))


@pytest.mark.parametrize("group", FLOORS)
def test_node_tests(group, capsys):
    found = {case.name: verdict(case, run_model) for case in cases(group)}
    counts = Counter(kind for kind, _ in found.values())
    with capsys.disabled():
        print(f"\nONNX {group}: {counts['passed']} passed, {counts['refused']} refused, {counts['failed']} failed")
    assert not [f"{name}: {text}" for name, (kind, text) in found.items() if kind == "failed"]
    assert all(len(text) > 20 for kind, text in found.values() if kind == "refused")
    assert counts["passed"] >= FLOORS[group]


def integer_node_tests(execute, title: str, capsys) -> Counter[str]:
    """QLinearConv, QLinearMatMul, ConvInteger, MatMulInteger, QuantizeLinear, DequantizeLinear, MaxPool on integers, ...: counts by verdict."""
    found = {}
    for case in cases("node"):
        try:
            graph, *_ = translate(case)
        except NetError:
            continue
        if graph.codes or any(node.op == "Quant" for node in graph.nodes):
            found[case.name] = verdict(case, execute)
    counts = Counter(kind for kind, _ in found.values())
    with capsys.disabled():
        print(f"\nONNX node, {title}: {counts['passed']} passed, {counts['refused']} refused, {counts['failed']} failed")
        print("".join(f"  {name}: {text[:200]}\n" for name, (kind, text) in found.items() if kind != "passed"))
    assert not [f"{name}: {text}" for name, (kind, text) in found.items() if kind == "failed"]
    return counts


def test_quantized_node_tests_as_integers(capsys):
    assert integer_node_tests(integer_run, "as integer networks", capsys)["passed"] >= INTEGER_FLOOR
