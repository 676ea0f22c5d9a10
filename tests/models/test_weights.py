"""Weights from files and mappings: taken as they are, or refused by name."""

import subprocess
import sys

import numpy as np
import onnx
import pytest
from safetensors.numpy import save

from rpa.models import ModelError, build

ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


@pytest.fixture
def weights():
    return {tensor.name: onnx.numpy_helper.to_array(tensor).copy() for tensor in build("lenet5", seed=3).graph.initializer}


def test_a_file_gives_the_same_network(weights, tmp_path):
    path = tmp_path / "lenet5.safetensors"
    path.write_bytes(save(weights))
    assert build("lenet5", weights=path).SerializeToString(deterministic=True) == build("lenet5", seed=3).SerializeToString(deterministic=True)


def test_half_precision_is_widened(weights):
    halves = {name: value.astype(np.float16) for name, value in weights.items()}
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in build("lenet5", weights=halves).graph.initializer}
    assert all(stored[name].dtype == np.float32 and np.array_equal(stored[name], halves[name].astype(np.float32)) for name in halves)


def change(weights, name, value):
    return {key: tensor for key, tensor in {**weights, name: value}.items() if tensor is not None}


@pytest.mark.parametrize(("name", "value", "message"), [
    ("fc2.bias", None, "weights: no `fc2.bias`; the network needs it as float (84,)"),
    ("fc2.bias", np.zeros(85, np.float32), "weights: `fc2.bias` is float32 (85,), must be float (84,)"),
    ("fc2.bias", np.zeros(84, np.int64), "weights: `fc2.bias` is int64 (84,), must be float (84,)"),
    ("fc2.bias", np.full(84, np.nan, np.float32), "weights: `fc2.bias` has values that are not finite"),
    ("conv9.weight", np.zeros(1, np.float32), "weights: the network has no conv9.weight"),
])
def test_weights_that_do_not_fit(weights, name, value, message):
    with pytest.raises(ModelError) as caught:
        build("lenet5", weights=change(weights, name, value))
    assert str(caught.value) == message


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:7], lambda data: data[:200], lambda data: data[:-1],
                                    lambda data: b"\xff" * 64, lambda data: data[:8] + b"[" + data[9:]])
def test_damaged_files(weights, tmp_path, damage):
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(damage(save(weights)))
    with pytest.raises(ModelError, match=f"^{path}: no safetensors file that can be read: "):
        build("lenet5", weights=path)


def test_lenet5_against_numpy(weights):
    """The whole network in float64, loop by loop."""
    image = np.random.default_rng(1).random((1, 28, 28))
    x = image
    for name, pad in (("conv1", 2), ("conv2", 0)):
        x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
        windows = np.lib.stride_tricks.sliding_window_view(x, (5, 5), axis=(1, 2))
        x = np.einsum("cyxrs,mcrs->myx", windows, weights[f"{name}.weight"].astype(float)) + weights[f"{name}.bias"][:, None, None]
        x = np.maximum(x, 0)
        x = x.reshape(len(x), x.shape[1] // 2, 2, x.shape[2] // 2, 2).max((2, 4))
    x = x.reshape(-1)
    for name in ("fc1", "fc2", "fc3"):
        x = weights[f"{name}.weight"].astype(float) @ x + weights[f"{name}.bias"]
        x = x if name == "fc3" else np.maximum(x, 0)
    session = ort.InferenceSession(build("lenet5", seed=3).SerializeToString(), providers=["CPUExecutionProvider"])
    assert session.run(None, {"input": image[None].astype(np.float32)})[0][0] == pytest.approx(x, abs=1e-4)


@pytest.mark.parametrize(("missing", "code", "message"), [
    ("onnx", "rpa.models.build('lenet5')", "building a network needs `onnx`, which is not installed: pip install 'rpa-toolchain[net]'"),
    ("onnx", "rpa.models.load_quantized('lenet5_w4a3')", "loading a model needs `onnx`, which is not installed: pip install 'rpa-toolchain[net]'"),
    ("safetensors", "rpa.models.build('lenet5', weights='trained')",
     "reading weights needs `safetensors`, which is not installed: pip install 'rpa-toolchain[net]'"),
])
def test_packages_that_are_not_there(missing, code, message):
    script = f"import sys; sys.modules[{missing!r}] = None\nimport rpa.models\ntry: {code}\nexcept rpa.models.ModelError as error: print(error)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == (message, "")
