"""`--quant`, and what only the host can compute: choices of the quantizer reach what is compiled and measured."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="networks need the extra `net`")

FAST = ("--no-effort",)
SMALL = ("small.onnx", "--calibration", "images.npy", *FAST)


def save(path, nodes, weight):
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, (1, channels, 6, 6)) for name, channels in (("x", 4), ("y", 16))]
    graph = onnx.helper.make_graph(nodes, "anything", ends[:1], ends[1:], [onnx.numpy_helper.from_array(weight, "w")])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)]), path)


@pytest.fixture
def model(tmp_path):
    """conv 3x3 of 4 channels to 16, weights of the channels differ in size, as small.onnx; with a Softmax as last.onnx; eight images, not centred."""
    rng = np.random.default_rng(3)
    weight = rng.standard_normal((16, 4, 3, 3)).astype("f4") * np.geomspace(1, 20, 16, dtype="f4")[:, None, None, None]
    conv = onnx.helper.make_node("Conv", ["x", "w"], ["y"], name="conv", pads=[1, 1, 1, 1])
    save(tmp_path / "small.onnx", [conv], weight)
    conv.output[0] = "logits"
    save(tmp_path / "last.onnx", [conv, onnx.helper.make_node("Softmax", ["logits"], ["y"], name="probabilities", axis=1)], weight)
    images = (rng.standard_normal((8, 4, 6, 6)) + 1.5).astype("f4")
    np.save(tmp_path / "images.npy", images)
    return images


def compiled(rpa, tmp_path, *quant):
    """(input, weights as they lie in memory, report) of the compiled model."""
    arguments = [argument for one in quant for argument in ("--quant", one)]
    done = rpa("compile", *SMALL, *arguments, "-o", "net", "--json")
    assert done.code == 0, done.err
    scales = json.loads((tmp_path / "net" / "small.scales.json").read_text())
    return scales["inputs"]["x"], np.load(tmp_path / "net" / "small.weights.npy")


def test_asymmetric_activations_have_a_zero_point(rpa, model, tmp_path):
    symmetric, _ = compiled(rpa, tmp_path)
    asymmetric, _ = compiled(rpa, tmp_path, "asymmetric=yes")
    assert symmetric["zero_point"] == 0 and symmetric["low"] == -128
    assert asymmetric["zero_point"] == pytest.approx(-model.min() / (model.max() - model.min()) * 255, abs=1)
    assert asymmetric["scale"] == pytest.approx((model.max() - model.min()) / 255, rel=0.01)


def test_scales_are_powers_of_two(rpa, model, tmp_path):
    free, _ = compiled(rpa, tmp_path)
    binary, _ = compiled(rpa, tmp_path, "power-of-two=yes")
    assert math.log2(binary["scale"]) % 1 == 0 != math.log2(free["scale"]) % 1


@pytest.mark.parametrize("choice", ["per_channel=no", "asymmetric_weights=yes", "weight_rounding=stochastic", "power_of_two=yes"])
def test_weights_are_others(rpa, model, tmp_path, choice):
    before, after = compiled(rpa, tmp_path)[1], compiled(rpa, tmp_path, choice)[1]
    assert before.shape != after.shape or (before != after).any()
    assert np.array_equal(after, compiled(rpa, tmp_path, choice)[1])


def test_a_seed_draws_other_weights(rpa, model, tmp_path):
    one, other = (compiled(rpa, tmp_path, "weight_rounding=stochastic", f"seed={seed}")[1] for seed in (1, 2))
    assert (one != other).any()


def test_one_scale_for_all_channels_is_worse(rpa, model):
    errors = [rpa("measure", *SMALL, "--widths", "4", "--quant", f"per_channel={choice}", "--json").data["rows"][1]["relative_error_percent"]
              for choice in ("yes", "no")]
    assert errors[1] > errors[0]


def test_widths_are_chosen_with_the_same_choices(rpa, model, tmp_path):
    done = rpa("widths", "small.onnx", "--calibration", "images.npy", "--error", "50", "--quant", "power_of_two=yes", "-o", "w.toml", "--json")
    assert done.code == 0, done.err
    plain = rpa("widths", "small.onnx", "--calibration", "images.npy", "--error", "50", "-o", "w.toml", "--json")
    assert done.data["relative error [%]"] != plain.data["relative error [%]"]


@pytest.mark.parametrize(("item", "code", "message"), [
    ("asymetric=yes", 1, "there is no choice `asymetric`; did you mean `asymmetric`?"),
    ("weight_rounding=up", 1, "weight_rounding is 'up', must be one of nearest, stochastic, compensated"),
    ("rounding=odd", 1, "rounding is 'odd', must be one of"),
    ("asymmetric=maybe", 2, "asymmetric is `maybe`, must be yes or no"),
    ("seed=x", 2, "seed is `x`, must be a whole number"),
    ("percentile=x", 2, "percentile is `x`, must be a number"),
    ("method=kl", 2, "`method` has an option of its own, --method"),
    ("acc_bits=32", 2, "`acc_bits` is a size of the machine (--config)"),
    ("asymmetric", 2, "`asymmetric`, must be NAME=VALUE"),
])
def test_what_is_no_choice(rpa, model, tmp_path, item, code, message):
    done = rpa("compile", *SMALL, "--quant", item, "-o", "net")
    assert (done.code, done.raw) == (code, b"")
    assert message in " ".join(done.err.replace("│", " ").split()) and "Traceback" not in done.err
    assert not (tmp_path / "net").exists()


def test_the_host_computes_only_what_it_may(rpa, model, tmp_path):
    arguments = ("compile", "last.onnx", "--calibration", "images.npy", *FAST, "-o", "net")
    refused = rpa(*arguments)
    assert (refused.code, refused.raw) == (1, b"") and not (tmp_path / "net").exists()
    assert "softmax behind the array" in refused.err and "--host" in refused.err
    done = rpa(*arguments, "--host")
    assert done.code == 0 and "note: left to the host: softmax" in done.err
    assert [step["op"] for step in rpa(*arguments, "--host", "--json").data["host"]] == ["softmax"]
    assert "softmax" in [step["op"] for step in json.loads((tmp_path / "net" / "last.scales.json").read_text())["host"]]


def test_results_are_the_models(model, tmp_path):
    ort = pytest.importorskip("onnxruntime", reason="the oracle of this test")
    import rpa
    from rpa.compile.errors import CompileError

    with pytest.raises(CompileError, match="softmax behind the array"):
        rpa.compile(tmp_path / "last.onnx", model)
    compiled = rpa.compile(tmp_path / "last.onnx", model, widths="16", effort=False, host=True)
    assert [step.op for step in compiled.left_to_host] == ["softmax"]
    result, = compiled.results(compiled.run(model[0]).outputs).values()
    expected = ort.InferenceSession(str(tmp_path / "last.onnx"), providers=["CPUExecutionProvider"]).run(None, {"x": model[:1]})[0]
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, atol=5e-3)
