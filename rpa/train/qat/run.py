"""One quantization-aware training from a recipe to files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from safetensors.numpy import save

from isa.files import write_atomic
from rpa.data import Dataset, Split
from rpa.models import build, find
from rpa.net.onnx_import import load_onnx
from rpa.net.qdq import to_integer
from rpa.net.reference import run_many
from rpa.train.batches import to_input
from rpa.train.loop import TEST_BATCH, BeforeStep, accuracy, train
from rpa.train.qat.calibrate import calibrate
from rpa.train.qat.export import Integers, integers, tensors, to_onnx
from rpa.train.qat.folded import fold
from rpa.train.qat.network import QatNetwork, Widths
from rpa.train.qat.plan import plan
from rpa.train.qat.recipes import Recipe
from rpa.train.run import log


def network_of(model: onnx.ModelProto, widths: Widths, input_scale: float, input_signed: bool) -> QatNetwork:
    """A float ONNX model ready for calibration."""
    net = fold(model)
    return QatNetwork(net, plan(net), widths, input_scale, input_signed)


@dataclass(frozen=True)
class Variant:
    """A training that differs from its recipe: it begins with a network of the recipe's widths, and something happens before every step."""

    name: str
    script: str
    prepare: Callable[[QatNetwork], None]
    before_step: BeforeStep
    notes: dict[str, object]
    """For the record."""


def train_quantized(recipe: Recipe, data: Dataset, out: Path, *, weights: Path | str = "trained", checkpoint: Path | None = None,
                    threads: int = 1, variant: Variant | None = None) -> Path:
    """Calibrate, train and write `NAME.onnx`, `NAME.safetensors` and the record `NAME.json` into ``out``; return the path of the model."""
    name = recipe.name if variant is None else variant.name
    torch.set_num_threads(threads)
    torch.manual_seed(recipe.training.seed)
    settings = recipe.training
    entry = find(settings.network)
    network = network_of(build(entry.name, weights=weights), recipe.widths, settings.scale, settings.offset > 0)
    in_float = float_accuracy(network, data, recipe)
    log(f"{name}: float and folded {_percent(in_float)}")
    calibrate(network, to_input(data.train.images[:recipe.calibration], settings))
    calibrated = accuracy(network, data.test, settings)
    log(f"{name}: calibrated {_percent(calibrated)}")
    if variant is not None:
        variant.prepare(network)
    train(network, data, settings, checkpoint=checkpoint, report=log, before_step=None if variant is None else variant.before_step)
    values = integers(network)
    model = to_onnx(network, values, name, {"widths": recipe.as_dict()["widths"]})
    record: dict[str, object] = {
        "script": f"python -m rpa.train.qat {name}" if variant is None else variant.script, **({} if variant is None else variant.notes),
        "recipe": recipe.as_dict(), "torch": torch.__version__,
        "data": {"name": data.name, "source": data.source, "train": len(data.train), "test": len(data.test), "sha256": data.checksums()},
        "input": {"offset": settings.offset, "scale": settings.scale},
        "test_accuracy": {"float": in_float, "calibrated": calibrated, "fake_quantized": accuracy(network, data.test, settings),
                          "onnxruntime": onnx_accuracy(model, data.test, entry.name),
                          "integer": integer_accuracy(model, data.test, entry.name)},
        "quantization": describe(network, values),
    }
    return _write(out / name, model, tensors(network, values), record)


def float_accuracy(network: QatNetwork, data: Dataset, recipe: Recipe) -> float:
    """Of the folded network without quantization."""
    with network.in_float():
        return accuracy(network, data.test, recipe.training)


def onnx_accuracy(model: onnx.ModelProto, split: Split, network: str) -> float:
    """Share of right answers of the exported model in onnxruntime, its nodes as they are (no fusion)."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    entry, right = find(network), 0
    for start in range(0, len(split), TEST_BATCH):
        part = slice(start, start + TEST_BATCH)
        scores = session.run(None, {model.graph.input[0].name: entry.to_input(split.images[part])})[0]
        right += int((np.argmax(scores, 1) == split.labels[part]).sum())
    return right / len(split)


def integer_accuracy(model: onnx.ModelProto, split: Split, network: str) -> float:
    """Share of right answers of the integer network that the array computes, by its reference in exact integers."""
    net, entry, right = to_integer(load_onnx(model)), find(network), 0
    enters = net.features[net.inputs[0]]
    for start in range(0, len(split), TEST_BATCH):
        part = slice(start, start + TEST_BATCH)
        steps = np.rint(entry.to_input(split.images[part]) / np.float32(enters.scale)) + enters.zero_point
        images = np.clip(steps, enters.low, enters.high).astype(np.int64).transpose(0, 2, 3, 1)
        scores = run_many(net, {enters.name: images})[net.outputs[0]].reshape(len(images), -1)
        right += int((scores.argmax(1) == split.labels[part]).sum())
    return right / len(split)


def describe(network: QatNetwork, values: Integers) -> dict[str, object]:
    """What the integers are, for the record: tensors, weights and joins."""
    return {
        "tensors": {name: {"bits": point.bits, "low": point.low, "high": point.high, "scale": float(point.scale), "zero_point": point.zero_point}
                    for name, point in values.points.items()},
        "weights": {name: {"bits": network.widths.weights, "low": int(weight.min()), "high": int(weight.max()), "scale": values.scales[name].tolist()}
                    for name, weight in values.weights.items()},
        "joins": {join.output: {"main": join.main, "other": join.other, "ratio": values.ratios[join.output].tolist()} for join in network.plan.joins},
    }


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _write(stem: Path, model: onnx.ModelProto, arrays: dict[str, np.ndarray], record: dict[str, object]) -> Path:
    write_atomic(stem.with_suffix(".onnx"), model.SerializeToString(deterministic=True))
    write_atomic(stem.with_suffix(".safetensors"), save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))
    write_atomic(stem.with_suffix(".json"), (json.dumps(record, indent=1) + "\n").encode())
    return stem.with_suffix(".onnx")
