"""Broken, hostile and absurd model files: one kind of error, that names node and limit, soon and in little memory."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the extra `net` brings onnx")
pytest.importorskip("onnxruntime", reason="the extra `net` brings onnxruntime")
from onnx import TensorProto, helper, numpy_helper

from rpa.net.errors import NetError
from rpa.net.onnx_import import load_onnx
from rpa.net.qdq import to_integer

from .ort import model
from .quantized_models import Builder, residual

FLOAT = TensorProto.FLOAT
IMAGE = {"x": (FLOAT, [1, 2, 5, 5])}
OUT = {"y": (FLOAT, None)}
INT8_ZERO = np.int8(0)


def node(op, *inputs, **attributes):
    return helper.make_node(op, list(inputs), ["y"], name="bad", **attributes)


def conv(shape=(4, 2, 3, 3), value=1.0, **attributes):
    return model([node("Conv", "x", "w", **attributes)], IMAGE, OUT, {"w": np.full(shape, value, np.float32)})


def cycle():
    nodes = [helper.make_node("Add", ["x", "b"], ["a"], name="first"), helper.make_node("Relu", ["a"], ["b"], name="second")]
    return model([*nodes, node("Relu", "b")], IMAGE, OUT)


def foreign(the_model):
    the_model.opset_import.append(helper.make_opsetid("com.example", 1))
    return the_model


def quantizer(scale, zero=INT8_ZERO, **attributes):
    return model([node("QuantizeLinear", "x", "s", "z", **attributes)], IMAGE, {"y": (TensorProto.INT8, None)}, {"s": np.asarray(scale), "z": zero})


def folded(op, *arrays, **attributes):
    names = [f"c{index}" for index in range(len(arrays))]
    nodes = [helper.make_node(op, names, ["k"], name="fold", **attributes), node("Mul", "x", "k")]
    return model(nodes, IMAGE, OUT, dict(zip(names, arrays, strict=True)))


def external(location, **more):
    the_model = conv()
    tensor = the_model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=str(value))
    return the_model


ROWS = [
    ("cycle", cycle, "the graph has a cycle through `first` (Add), `second` (Relu)"),
    ("missing initializer", lambda: model([node("Conv", "x", "w")], IMAGE, OUT), "`bad` (Conv) reads `w`, which is neither"),
    ("group 0", lambda: conv(group=0), "`bad` (Conv): weights (4, 2, 3, 3) in 0 groups do not take 2 channels"),
    ("group that does not divide", lambda: conv((4, 1, 3, 3), group=3), "`bad` (Conv): weights (4, 1, 3, 3) in 3 groups do not take 2 channels"),
    ("kernel_shape", lambda: conv(kernel_shape=[5, 5]), "`bad` (Conv): kernel_shape is (5, 5), the weights have (3, 3)"),
    ("stride 0", lambda: conv(strides=[0, 1]), "`bad` (Conv): strides is (0, 1), must be 2 numbers, each 1..65536"),
    ("negative pad", lambda: conv(pads=[-1, 0, 0, 0]), "`bad` (Conv): pads is (-1, 0, 0, 0), must be 4 numbers, each 0..65536"),
    ("huge pad", lambda: conv(pads=[0, 0, 1 << 40, 0]), "pads is (0, 0, 1099511627776, 0), must be 4 numbers"),
    ("output too large", lambda: conv(pads=[60000] * 4), "`bad` (Conv): its output would be 4x120003x120003, must be 1..134217728 elements"),
    ("kernel beyond image", lambda: conv((4, 2, 7, 7)), "`bad` (Conv): its output would be 4x-1x-1, must be 1..134217728 elements"),
    ("auto_pad", lambda: conv(auto_pad="SOMETIMES"), "auto_pad is 'SOMETIMES', must be NOTSET, VALID, SAME_UPPER or SAME_LOWER"),
    ("NaN weights", lambda: conv(value=np.nan), "`bad` (Conv): weight `w` holds 72 numbers that are NaN or infinite"),
    ("infinite weights", lambda: conv(value=np.inf), "`bad` (Conv): weight `w` holds 72 numbers that are NaN or infinite"),
    ("weights computed", lambda: model([node("Conv", "x", "x")], IMAGE, OUT), "`bad` (Conv): weight is computed from the input"),
    ("dynamic shape", lambda: model([node("Relu", "x")], {"x": (FLOAT, ["n", 3, "height", 8])}, OUT),
     "input `x` has shape (n, 3, height, 8), must be fixed but for the batch"),
    ("zero size", lambda: model([node("Relu", "x")], {"x": (FLOAT, [1, 0, 4])}, OUT), "input `x` has shape (1, 0, 4), must be fixed"),
    ("absurd shape", lambda: model([node("Relu", "x")], {"x": (FLOAT, [1, 1 << 20, 1 << 20, 1 << 20])}, OUT), "must have at most 134217728 elements"),
    ("five axes", lambda: model([node("Relu", "x")], {"x": (FLOAT, [1, 2, 3, 4, 5])}, OUT), "input `x`: shape (1, 2, 3, 4, 5) has 5 axes"),
    ("text input", lambda: model([node("Identity", "x")], {"x": (TensorProto.STRING, [1, 2])}, OUT), "input `x`"),
    ("no opset", lambda: model([node("Relu", "x")], IMAGE, OUT, opset=3), "opset is 3, must be 6..26"),
    ("future opset", lambda: model([node("Relu", "x")], IMAGE, OUT, opset=99), "opset is 99, must be 6..26"),
    ("undeclared domain", lambda: model([node("Thing", "x", domain="com.example")], IMAGE, OUT), "No opset import for domain 'com.example'"),
    ("unknown domain", lambda: foreign(model([node("Thing", "x", domain="com.example")], IMAGE, OUT)), "operator of `com.example` is not supported"),
    ("negative scale", lambda: quantizer(np.float32(-1)), "`bad` (QuantizeLinear): scale must be constant, finite and positive"),
    ("zero scale", lambda: quantizer(np.float32(0)), "`bad` (QuantizeLinear): scale must be constant, finite and positive"),
    ("NaN scale", lambda: quantizer(np.float32(np.nan)), "`bad` (QuantizeLinear): scale"),
    ("zero point type", lambda: quantizer(np.float32(1), np.int64(0)), "`bad` (QuantizeLinear): zero point has type int64, must be one of int2"),
    ("many scales", lambda: quantizer(np.float32([1, 2]), np.int8([0, 0])), "an activation has 2 scales and 2 zero points, must have one"),
    ("blocks", lambda: quantizer(np.float32([1, 2]), np.int8([0, 0]), block_size=2), "block_size is 2, must be 0"),
    ("fold bomb", lambda: folded("ConstantOfShape", np.array([1 << 20, 1 << 20])), "`fold` (ConstantOfShape): gives shape (1048576, 1048576)"),
    ("expand bomb", lambda: folded("Expand", np.float32([1]), np.array([1 << 31, 1 << 31])), "`fold` (Expand): gives shape"),
    ("range bomb", lambda: folded("Range", np.int64(0), np.int64(1 << 60), np.int64(1)), "`fold` (Range): gives shape"),
    ("outer sum bomb", lambda: folded("Add", np.zeros((1 << 15, 1), np.float32), np.zeros((1, 1 << 15), np.float32)), "`fold` (Add): gives shape"),
    ("fold of nonsense", lambda: folded("Gather", np.zeros(2, np.float32), np.array([7])), "`fold` (Gather): cannot be computed from its constants"),
    ("variance",
     lambda: model([node("BatchNormalization", "x", "a", "a", "a", "v")], IMAGE, OUT, {
        "a": np.ones(2, np.float32), "v": np.float32([1, -1])}), "`bad` (BatchNormalization): variance + epsilon is"),
    ("another number",
     lambda: model([node("Reshape", "x", "s")], IMAGE, OUT, {"s": np.array([7, -1])}), "`bad` (Reshape): reshapes (1, 2, 5, 5)"),
    ("matrix sizes", lambda: model([node("Gemm", "x", "w")], {"x": (FLOAT, [1, 5])}, OUT, {"w": np.ones((4, 3), np.float32)}), "5 is not 4"),
    ("constant output", lambda: model([node("Identity", "k")], IMAGE, OUT, {"k": np.ones(3, np.float32)}), "output `y` does not depend on the input"),
    ("sub-graph", lambda: model([node("If", "k", then_branch=helper.make_graph([], "t", [], []), else_branch=helper.make_graph([], "e", [], []))],
                                IMAGE, OUT, {"k": np.array(True)}), "`bad` (If): operator is not supported"),
]


@pytest.mark.parametrize("make, message", [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_models_are_refused(make, message):
    the_model = make()
    start = time.perf_counter()
    tracemalloc.start()
    try:
        with pytest.raises(NetError) as caught:
            load_onnx(the_model)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
    assert message in str(caught.value)
    assert time.perf_counter() - start < 5


def test_truncated_at_many_bytes(tmp_path):
    """A prefix of a protobuf can be a valid one; then something of the network is missing."""
    data = residual().SerializeToString()
    path = tmp_path / "cut.onnx"
    refused = 0
    cuts = sorted({*range(0, 200, 3), *range(0, len(data), 211), *range(len(data) - 60, len(data))})
    for cut in cuts:
        path.write_bytes(data[:cut])
        with pytest.raises(NetError, match=r"cut\.onnx"):
            load_onnx(path)
        refused += 1
    assert refused == len(cuts) > 100


def quantized():
    """A small network of QuantizeLinear, DequantizeLinear and QONNX Quant nodes."""
    b = Builder(2)
    names = (b.keep("scale", np.float32(0.25)), b.keep("zero", np.int8(3)))
    x = b.add("DequantizeLinear", b.add("QuantizeLinear", "x", *names), *names)
    width, none = b.keep("width", np.float32(4)), b.keep("none", np.float32(0))
    weight = b.add("Quant", b.keep("w", b.rng.normal(0, 1, (2, 3, 3, 3)).astype(np.float32)), "scale", none, width, domain="qonnx.custom_op.general",
                   signed=1, narrow=1)
    x = b.add("Quant", b.add("Relu", b.add("Conv", x, weight)), "scale", none, width, domain="qonnx.custom_op.general", signed=0, narrow=0)
    the_model = b.model((3, 6, 6), x)
    the_model.opset_import.append(helper.make_opsetid("qonnx.custom_op.general", 1))
    return the_model


@pytest.mark.parametrize("make", [residual, quantized])
def test_changed_bytes_give_a_network_or_an_error(make):
    """Bits flipped, bytes removed and repeated: nothing but NetError, and no second is spent on one."""
    data = make().SerializeToString()
    rng = np.random.default_rng(0)
    kinds = {"network": 0, "error": 0}
    for _ in range(1000):
        broken = bytearray(data)
        for at in rng.integers(0, len(data), 2).tolist():
            kind, length = int(rng.integers(0, 3)), int(rng.integers(1, 6))
            if kind == 0:
                broken[at % len(broken)] ^= 1 << int(rng.integers(0, 8))
            elif kind == 1:
                del broken[at:at + length]
            else:
                broken[at:at] = broken[at:at + length]
        start = time.perf_counter()
        try:
            to_integer(load_onnx(bytes(broken)))
            kinds["network"] += 1
        except NetError as error:
            kinds["network" if "have no integer form" in str(error) else "error"] += 1
        assert time.perf_counter() - start < 5
    assert min(kinds.values()) > 10, kinds


GARBAGE = {"empty": b"", "zeros": b"\x00" * 100, "text": b"not a model", "png": b"\x89PNG\r\n" * 50, "ones": b"\xff" * 1000}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE)
def test_garbage(data, tmp_path):
    path = tmp_path / "garbage.onnx"
    path.write_bytes(data)
    with pytest.raises(NetError, match=r"garbage\.onnx: (is not|holds no)"):
        load_onnx(path)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(NetError, match=r"none\.onnx: No such file"):
        load_onnx(tmp_path / "none.onnx")
    with pytest.raises(NetError, match="is not a regular file"):
        load_onnx(tmp_path)


def test_files_too_large_are_not_read(tmp_path, monkeypatch):
    path = tmp_path / "large.onnx"
    with path.open("wb") as stream:
        stream.truncate(2 << 30)
    with pytest.raises(NetError, match=r"has 2147483648 bytes, must have at most 1073741824"):
        load_onnx(path)


def test_external_data_inside_the_folder(tmp_path):
    """Weights in a file beside the model are read; their length may be left out."""
    weights = np.arange(72, dtype=np.float32)
    (tmp_path / "weights.bin").write_bytes(b"head" + weights.tobytes())
    for more in ({"length": 288}, {}):
        path = tmp_path / "model.onnx"
        path.write_bytes(external("weights.bin", offset=4, **more).SerializeToString())
        graph = load_onnx(path)
        assert np.array_equal(graph.initializers[graph.nodes[0].inputs[1]].ravel(), weights)


@pytest.mark.parametrize("location, more", [("../outside.bin", {}), ("/etc/hostname", {}), ("link.bin", {}), ("folder", {}), ("none.bin", {}),
                                            ("short.bin", {}), ("good.bin", {"length": 1 << 40}), ("good.bin", {"offset": -8}),
                                            ("good.bin", {"offset": "x"}), ("folder/../../outside.bin", {})])
def test_external_data_elsewhere(location, more, tmp_path):
    folder = tmp_path / "models"
    (folder / "folder").mkdir(parents=True)
    for path, size in ((tmp_path / "outside.bin", 288), (folder / "short.bin", 100), (folder / "good.bin", 288)):
        path.write_bytes(bytes(size))
    (folder / "link.bin").symlink_to(tmp_path / "outside.bin")
    (folder / "model.onnx").write_bytes(external(location, **more).SerializeToString())
    with pytest.raises(NetError, match="external data of `w`"):
        load_onnx(folder / "model.onnx")


def test_external_data_needs_a_file():
    with pytest.raises(NetError, match="the data of `w` lies in another file; import the model from its file"):
        load_onnx(external("weights.bin"))


def test_a_claim_of_terabytes_is_refused_before_anything_is_allocated():
    the_model = conv()
    the_model.graph.initializer[0].dims[0] = 1 << 40
    with pytest.raises(NetError, match="tensors up to `w` take"):
        load_onnx(the_model)


def test_long_chains_take_no_long_time():
    """Thousands of scalings and clips fold one into the other."""
    b = Builder(0)
    x = b.conv("x", 2, (1, 1), 2)
    factor, low = b.keep("factor", np.float32(1.0001)), b.keep("low", np.float32(-5))
    for _ in range(1500):
        x = b.add("Clip", b.add("Mul", x, factor), low)
        x = b.add("Add", b.add("Transpose", b.add("Transpose", x, perm=[0, 2, 3, 1]), perm=[0, 3, 1, 2]), low)
    start = time.perf_counter()
    graph = load_onnx(b.model((2, 4, 4), x))
    assert len(graph.nodes) <= 4000 and time.perf_counter() - start < 20


def test_values_of_small_types():
    """int4 and float16 tensors are read."""
    the_model = conv()
    tensor = numpy_helper.from_array(np.full((4, 2, 3, 3), 0.5, np.float16), "w")
    the_model.graph.initializer[0].CopyFrom(tensor)
    the_model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    graph = load_onnx(the_model)
    assert (graph.initializers[graph.nodes[0].inputs[1]] == 0.5).all()
