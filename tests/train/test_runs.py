"""Whole runs on a handful of real digits: files, records, and what the commands say when something is missing."""

import dataclasses
import json

import numpy as np
import onnx
import pytest
from safetensors.numpy import load_file

from rpa.data import load
from rpa.models import build, find
from rpa.train.__main__ import main as train_main
from rpa.train.qat.__main__ import main as qat_main
from rpa.train.qat.network import Widths
from rpa.train.qat.recipes import RECIPES, Recipe
from rpa.train.qat.run import onnx_accuracy, train_quantized
from rpa.train.run import train_network
from rpa.train.settings import SETTINGS, Settings
from tests.train.runtime import run

SMALL = Settings(network="lenet5", data="mnist", epochs=2, batch=20, peak_rate=0.02, shift=1)


@pytest.fixture(scope="module")
def subset():
    return load("mnist-subset")


def test_float_run(tmp_path, subset):
    path = train_network(SMALL, subset, tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["lenet5.json", "lenet5.safetensors"]
    record = json.loads(path.with_suffix(".json").read_text())
    assert Settings(**record["settings"]) == SMALL and record["data"]["sha256"] == subset.checksums() and record["parameters"] == 61_706
    scores = run(build("lenet5", weights=path, batch=None), find("lenet5").to_input(subset.test.images))
    assert (scores.argmax(1) == subset.test.labels).mean() == pytest.approx(record["test_accuracy"], abs=0.006)  # of 200: one may change


def test_quantized_run(tmp_path, subset):
    recipe = Recipe(widths=Widths(weights=4, activations=3, input=3), training=SMALL, calibration=50)
    path = train_quantized(recipe, subset, tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"lenet5_w4a3.{end}" for end in ("json", "onnx", "safetensors")]
    record, model = json.loads(path.with_suffix(".json").read_text()), onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert onnx_accuracy(model, subset.test, "lenet5") == record["test_accuracy"]["onnxruntime"] > 0.9
    ways = [record["test_accuracy"][way] for way in ("fake_quantized", "onnxruntime", "integer")]
    assert max(ways) - min(ways) < 0.02
    arrays = load_file(path.with_suffix(".safetensors"))
    for tensor in model.graph.initializer:
        if tensor.name.endswith((".weight_q", ".weight_scale", ".bias_q")):
            assert np.array_equal(onnx.numpy_helper.to_array(tensor), arrays[tensor.name])
    moved = {name: float(np.abs(arrays[f"{name}.weight"] - weight).max()) for name, weight in shipped_weights().items()}
    assert all(0 < distance < 0.5 for distance in moved.values())  # trained from the float weights, not away from them


def shipped_weights():
    model = build("lenet5", weights="trained")
    return {tensor.name.removesuffix(".weight"): onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer
            if tensor.name.endswith(".weight")}


def test_training_wins_back_what_two_bits_cost(tmp_path, subset):
    training = dataclasses.replace(SMALL, epochs=12, peak_rate=0.01, shift=0)
    recipe = Recipe(widths=Widths(weights=2, activations=2, input=2), training=training, calibration=100)
    accuracy = json.loads(train_quantized(recipe, subset, tmp_path).with_suffix(".json").read_text())["test_accuracy"]
    assert accuracy["float"] > 0.97 and accuracy["fake_quantized"] > accuracy["calibrated"] + 0.1


@pytest.fixture
def nothing_fetched(tmp_path, monkeypatch):
    monkeypatch.setenv("RPA_CACHE", str(tmp_path))
    monkeypatch.delenv("RPA_DATA", raising=False)


@pytest.mark.parametrize(("command", "arguments", "message"), [
    (train_main, ["lenet5"], "error: mnist: not in the cache ("),
    (train_main, ["resnet8", "--data", "/nowhere"], "error: /nowhere: no train-images-idx4-ubyte, "),
    (train_main, ["lenet5", "--epochs", "0"], "error: epochs and batch must be at least 1, not 0 and 64\n"),
    (qat_main, ["lenet5_w4a3"], "error: mnist: not in the cache ("),
    (qat_main, ["lenet5_w1a1"], f"error: no recipe is called 'lenet5_w1a1'; there are {', '.join(RECIPES)}\n"),
])
def test_commands_say_what_is_wrong(nothing_fetched, capsys, command, arguments, message):
    assert command(arguments) == 1
    said = capsys.readouterr().err
    assert said.startswith(message) and said.count("\n") == 1


def test_recipes_start_from_networks_that_are_trained():
    assert {recipe.training.network for recipe in RECIPES.values()} == set(SETTINGS)
    assert all(name == recipe.name for name, recipe in RECIPES.items())
