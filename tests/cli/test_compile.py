"""`rpa compile`, `rpa measure` of networks, and `rpa run` of what was compiled."""

from __future__ import annotations

import builtins
import csv
import io
import json
import sys

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="networks need the extra `net`")

SHAPE = (4, 6, 6)


@pytest.fixture
def model(tmp_path):
    """conv 3x3 of 4 channels to 16, Relu, as small.onnx; eight images of it as images.npy."""
    rng = np.random.default_rng(3)
    weight = rng.standard_normal((16, 4, 3, 3)).astype("f4")
    nodes = [onnx.helper.make_node("Conv", ["x", "w"], ["c"], name="conv", pads=[1, 1, 1, 1]),
             onnx.helper.make_node("Relu", ["c"], ["y"], name="relu")]
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, (1, channels, 6, 6)) for name, channels in (("x", 4), ("y", 16))]
    graph = onnx.helper.make_graph(nodes, "anything", ends[:1], ends[1:], [onnx.numpy_helper.from_array(weight, "w")])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)]), tmp_path / "small.onnx")
    images = rng.standard_normal((8, *SHAPE)).astype("f4")
    np.save(tmp_path / "images.npy", images)
    return weight, images


FAST = ("--no-effort",)
SMALL = ("small.onnx", "--calibration", "images.npy", *FAST)


def convolved(images: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """float64 3x3 convolution with padding 1 and Relu: (N, C, H, W) -> (N, M, H, W)."""
    padded = np.pad(images.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    height, width = images.shape[2:]
    taps = [np.einsum("nchw,mc->nmhw", padded[:, :, r:r + height, s:s + width], weight[:, :, r, s]) for r in range(3) for s in range(3)]
    return np.maximum(0, sum(taps))


def test_compiled_and_run_it_computes_the_convolution(rpa, model, tmp_path):
    weight, images = model
    done = rpa("compile", *SMALL, "--widths", "16", "-o", "net")
    assert done.code == 0, done.err
    names = {"small.rpa", "small.rpb", "small.weights.npy", "small.widths.toml", "small.scales.json"}
    assert {path.name for path in (tmp_path / "net").iterdir()} == names
    assert all(f"net/{name}" in done.out for name in names)
    scales = json.loads((tmp_path / "net" / "small.scales.json").read_text())
    (end,), (out,) = scales["inputs"].values(), scales["outputs"].values()
    codes = np.clip(np.rint(images[0] / end["scale"]) + end["zero_point"], end["low"], end["high"]).astype(int).transpose(1, 2, 0)
    np.save(tmp_path / "x.npy", codes)
    for program in ("net/small.rpb", "net/small.rpa"):
        ran = rpa("run", program, "--input", "x.npy", "--output", "y.npy", "--json")
        assert ran.code == 0, ran.err
        real = (np.load(tmp_path / "y.npy") - out["zero_point"]) * out["scale"]
        expected = convolved(images[:1], weight)[0].transpose(1, 2, 0)
        assert np.abs(real - expected).max() < 1e-3 * np.abs(expected).max()


def test_a_table_of_widths_is_written_edited_and_used(rpa, model, tmp_path):
    assert rpa("compile", *SMALL, "-o", "net").code == 0
    table = (tmp_path / "net" / "small.widths.toml").read_text()
    assert '[layers."conv"]\nact_bits = 8\nweight_bits = 8' in table
    (tmp_path / "mine.toml").write_text(table.replace("weight_bits = 8", "weight_bits = 4"))
    layer, = rpa("compile", *SMALL, "--widths", "mine.toml", "-o", "mine", "--json").data["layers"]
    assert layer["widths"] == "8x4"
    assert (tmp_path / "mine" / "small.widths.toml").read_text().count("weight_bits = 4") == 2


def test_explained_as_text_and_as_json(rpa, model):
    data = rpa("compile", *SMALL, "-o", "net", "--json", "--explain").data
    layer, = data["layers"]
    assert layer["macs"] == 16 * 4 * 9 * 36 == data["macs"]
    assert data["cycles"] == layer["cycles"] == json.loads(rpa("run", "net/small.rpb", "--seed", "1", "--json").raw)["figures"]["cycles"]
    assert set(layer["counters"]) <= set(data["units"])
    text = rpa("compile", *SMALL, "-o", "net", "--explain").out
    assert f"{layer['mapping']}\n    limited by {layer['limit']}: {layer['why']}" in text
    for shown in (f"{layer['cycles']:,}", f"{2 * layer['counters']['ext_read_words']:,}", f"{layer['counters']['a_reads']:,}", "[words]", "[bytes]",
                  "utilisation [%]"):
        assert shown in text


def test_a_name_of_the_users_own_and_another_machine(rpa, model, tmp_path):
    (tmp_path / "machine.toml").write_text('preset = "default"\nrows = 8\ncols = 8\n')
    done = rpa("compile", *SMALL, "-o", "net", "--name", "mine", "--config", "machine.toml", "--method", "minmax", "--shortcuts", "joint")
    assert done.code == 0, done.err
    assert (tmp_path / "net" / "mine.rpa").read_text().startswith("; mine\n; for rows 8, cols 8")


def test_a_shipped_network_with_its_real_images(rpa, tmp_path):
    from rpa.data import load

    done = rpa("compile", "lenet5", "-o", "net", *FAST)
    assert done.code == 0, done.err
    assert "note: weights: trained" in done.err and "mnist" in done.err
    test = load("mnist-subset").test
    for image, label in zip(test.images[:4], test.labels[:4], strict=True):
        np.save(tmp_path / "x.npy", image)      # at 8 bits a pixel is its own integer: scale 1/256, zero point 0
        assert rpa("run", "net/lenet5.rpb", "--input", "x.npy", "--output", "y.npy").code == 0
        assert np.load(tmp_path / "y.npy").argmax() == label


@pytest.mark.parametrize(("arguments", "message"), [
    (("resnt8",), "error: no network is called `resnt8`, and it is no .onnx file; did you mean `resnet8`?"),
    (("ds_cnn",), "(N, 1, 49, 10)"),
    (("missing.onnx", "--calibration", "images.npy"), "error: missing.onnx: No such file or directory"),
    (("text.onnx", "--calibration", "images.npy"), "error: text.onnx: "),
    (("small.onnx",), "--calibration FILE.npy); `x` is (N, 4, 6, 6)"),
    ((*SMALL, "--widths", "5"), "act_bits is 5, must be one of 16, 8, 4, 3, 2"),
    ((*SMALL, "--widths", "wide"), "error: widths are 'wide', must be"),
    ((*SMALL, "--widths", "none.toml"), "error: none.toml: cannot be read"),
    ((*SMALL, "--widths", "other.toml"), "no layer is called `cnov`; did you mean `conv`?"),
    ((*SMALL, "--method", "lk"), "error: method is 'lk', must be one of"),
    ((*SMALL, "--shortcuts", "long"), "error: shortcuts is 'long', must be one of"),
    (("small.onnx", "--calibration", "flat.npy"), "calibration data of `x` have shape (5,), must be (N, 4, 6, 6)"),
    (("small.onnx", "--calibration", "constant.npy"), "constant"),
    (("small.onnx", "--calibration", "none.npy"), "error: none.npy: cannot be read"),
    ((*SMALL, "--widths", "2", "--preset", "ecp5"), "2-bit elements: 4 columns store at least 4-bit ones"),
])
def test_what_cannot_be_compiled_is_one_clear_error_and_nothing_is_written(rpa, model, tmp_path, arguments, message):
    np.save(tmp_path / "flat.npy", np.zeros(5))
    np.save(tmp_path / "constant.npy", np.ones((3, *SHAPE)))
    (tmp_path / "text.onnx").write_text("no model")
    (tmp_path / "other.toml").write_text('[default]\nact_bits = 8\nweight_bits = 8\n[layers."cnov"]\nact_bits = 4\n')
    done = rpa("compile", *arguments, "-o", "net")
    assert (done.code, done.raw) == (1, b"")
    assert message in done.err and done.err.startswith("error: ") and "Traceback" not in done.err
    assert not (tmp_path / "net").exists()


def test_a_folder_that_cannot_be_made(rpa, model, tmp_path):
    (tmp_path / "net").write_text("a file")
    done = rpa("compile", *SMALL, "-o", "net")
    assert done.code == 1 and done.err.startswith("error: net: ")
    assert (tmp_path / "net").read_text() == "a file"


def test_without_onnx_the_extra_is_named(rpa, monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **more):
        if name.split(".")[0] == "onnx":
            raise ModuleNotFoundError("No module named 'onnx'", name="onnx")
        return real(name, *rest, **more)

    for loaded in [name for name in sys.modules if name.startswith(("rpa.net.onnx", "rpa.models.graph"))]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setattr(builtins, "__import__", without)
    done = rpa("compile", "lenet5", "-o", "net")
    assert done.code == 1
    assert "`onnx`, which is not installed" in done.err and "rpa-toolchain[net]" in done.err and "Traceback" not in done.err


def test_measured_as_table_json_csv_and_picture(rpa, model, tmp_path):
    arguments = ("measure", *SMALL, "--widths", "8")
    data = rpa(*arguments, "--json").data
    assert [row["widths"] for row in data["rows"]] == ["16", "8"]
    rows = list(csv.DictReader(io.StringIO(rpa(*arguments, "--csv").out)))
    assert [int(row["cycles"]) for row in rows] == [row["cycles"] for row in data["rows"]]
    done = rpa(*arguments, "--plot", "bars.png")
    assert done.code == 0, done.err
    assert all(f"{row['cycles']:,}" in done.out for row in data["rows"])
    assert "baseline: `small` at 16 bits on the same array (16 x 16 PEs)" in done.out and "1.012x, 1.273x, 1.556x" in done.out
    assert (tmp_path / "bars.png").read_bytes().startswith(b"\x89PNG")


def test_measured_with_labels(rpa, model, tmp_path):
    weight, images = model
    np.save(tmp_path / "labels.npy", convolved(images, weight).reshape(8, -1).argmax(axis=1))
    done = rpa("measure", "net", *SMALL, "--widths", "16", "--test", "images.npy", "--labels", "labels.npy", "--json")
    assert done.data["accuracy_float_percent"] == 100
    assert done.data["rows"][0]["accuracy_percent"] >= 87.5


@pytest.mark.parametrize(("arguments", "code", "message"), [
    (("resnt8",), 1, "error: no kernel or network `resnt8`; did you mean `resnet8`?"),
    (("net", "conv3x3"), 1, "error: no network is called `conv3x3`"),
    (("lenet5", "dot"), 2, "a network is measured by itself"),
    (("dot", "--widths", "8"), 2, "is for networks"),
    (("lenet5", "-D", "K=3"), 2, "is for kernels"),
    (("lenet5", "--backend", "step"), 2, "is for kernels"),
    (("lenet5", "--widths", ","), 1, "error: widths are `,`"),
    (("lenet5", "--json", "--csv"), 2, "exclude each other"),
    (("small.onnx", "--calibration", "images.npy", "--labels", "images.npy"), 1, "error: labels are for test images"),
])
def test_what_cannot_be_measured(rpa, model, arguments, code, message):
    done = rpa("measure", *arguments)
    assert (done.code, done.raw) == (code, b"")
    assert message in done.err and "Traceback" not in done.err


def test_a_difference_to_the_reference_ends_with_1(rpa, model, monkeypatch):
    from rpa.net import reference

    right = reference.run
    monkeypatch.setattr(reference, "run", lambda net, inputs, **more: {name: values + 1 for name, values in right(net, inputs, **more).items()})
    done = rpa("measure", *SMALL, "--widths", "16")
    assert done.code == 1
    assert "the array's integers are not the reference's" in done.err
