"""Widths layer by layer, chosen by the compiler's cycles."""

from __future__ import annotations

import pytest

pytest.importorskip("onnx", reason="networks come as ONNX models: the extra `net`")

from rpa.quant.errors import QuantError
from rpa.quant.widths import parse_widths
from rpa.report.backends import ReportError
from rpa.report.network_files import compile_source
from rpa.report.network_source import open_network
from rpa.report.network_widths import candidates_of, choose


@pytest.fixture(scope="module")
def lenet5():
    return open_network("lenet5")


def test_budget_is_kept_and_cycles_are_saved(lenet5):
    chosen = choose(lenet5, ("8", "4"), loss=0.02, error=None, images=50)
    assert chosen.cycles < chosen.uniform["8"] < chosen.uniform["16"]
    found = chosen.mixed.comparison
    assert found.accuracy_integer is not None and found.accuracy_float is not None
    assert found.accuracy_integer >= found.accuracy_float - 0.02


def test_cycles_are_compared_at_the_same_effort(lenet5):
    """With a single candidate, what is chosen is that width in every layer, and costs what it does."""
    chosen = choose(lenet5, ("8",), loss=None, error=0.5, images=8)
    assert chosen.cycles == chosen.uniform["8"]


def test_a_budget_too_tight_is_refused(lenet5):
    with pytest.raises(QuantError):
        choose(lenet5, ("2",), loss=None, error=1e-6, images=8)


def test_labels_are_needed_for_accuracy():
    with pytest.raises(ReportError, match="has no labels to measure accuracy with"):
        choose(open_network("mobilenet_v1_025"), ("8",), loss=0.01, error=None, images=8)


def test_candidates():
    assert candidates_of("8, 4,w4a8") == ("8", "4", "w4a8")
    assert parse_widths("w4a8").default.act_bits == 8
    with pytest.raises(QuantError):
        candidates_of("8,5")


@pytest.mark.parametrize("widths", ["8", "4"])
def test_trials_of_mappings_never_cost_cycles(lenet5, widths):
    """Here the mappings that were better beside their neighbours alone were worse in the network."""
    with_trials, without = (compile_source(lenet5, widths, effort=effort).compiled.report.cycles for effort in (True, False))
    assert with_trials <= without
