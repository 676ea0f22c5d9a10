"""Hardware-aware training of a quantized network: where it begins, what it sees, and what it leaves, on a handful of digits."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra `train`")

from safetensors.numpy import load_file

from rpa.data import load
from rpa.flash.torch.aware import AWARE, Aware, train_aware
from rpa.models.registry import WEIGHTS
from rpa.net.onnx_import import load_onnx
from rpa.net.qdq import to_integer
from rpa.train.qat.recipes import RECIPES

PLAIN = "lenet5_w4a3"


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A function that trains on the digits that come with this package: (record, arrays, integer network)."""
    recipe = RECIPES[PLAIN]
    monkeypatch.setitem(RECIPES, PLAIN, replace(recipe, training=replace(recipe.training, batch=20), calibration=50))

    def train(aware: Aware):
        path = train_aware(aware, load("mnist-subset"), tmp_path)
        return json.loads(path.with_suffix(".json").read_text()), load_file(path.with_suffix(".safetensors")), to_integer(load_onnx(path))
    return train


def test_it_goes_on_from_the_plain_network_and_leaves_out_the_least_integer(trained):
    record, arrays, net = trained(Aware(recipe=PLAIN, epochs=1, peak_rate=0.001, cell_bits=3, seed=2))
    before = load_file(WEIGHTS / f"{PLAIN}.safetensors")
    moved = [np.abs(arrays[name] - before[name]).max() for name in before if name.endswith(".weight")]
    assert len(moved) == 5 and all(0 < distance < 0.05 for distance in moved)
    assert any((before[name] == -8).any() for name in before if name.endswith(".weight_q"))
    assert all(np.abs(term.weight).max() <= 7 for node in net.nodes if hasattr(node, "terms") for term in node.terms)
    assert record["script"] == "python -m rpa.flash.torch lenet5_w4a3_sonos40" and record["start"] == f"{PLAIN}.safetensors"
    assert (record["errors"]["cell_bits"], record["errors"]["days"], record["errors"]["encoding"]) == (3, 5.0, "differential")
    assert record["test_accuracy"]["integer"] > 0.9


def test_errors_change_what_is_learned(trained):
    """The same steps with and without errors of cells end elsewhere; the same seed repeats itself."""
    aware = Aware(recipe=PLAIN, epochs=1, peak_rate=0.01, schedule=replace(AWARE[f"{PLAIN}_sonos40"].schedule, end=0.0))
    with_errors, again = trained(aware)[1], trained(aware)[1]
    without = trained(replace(aware, schedule=replace(aware.schedule, full=0.0)))[1]
    assert all(np.array_equal(with_errors[name], again[name]) for name in with_errors)
    assert any((with_errors[name] != without[name]).any() for name in with_errors if name.endswith(".weight"))


def test_the_macro_that_training_sees():
    spec = AWARE["resnet8_w4a4_sonos40"].spec
    assert (spec.cell_bits, spec.errors.drift_days, spec.errors.stuck_on) == (3, 5.0, 0.0005)
    assert Aware(recipe=PLAIN, epochs=1, peak_rate=0.1).spec.errors.stuck_off == "ideal"
