"""The reference of integer networks against plain loops, onnxruntime and torch."""

from __future__ import annotations

from zlib import crc32

import numpy as np
import pytest

from rpa.net import reference
from rpa.net.convolve import exact_float
from rpa.net.errors import NetError
from rpa.net.integer import Concat, IntNet, Lookup, Mac, MaxPool, Product, Term

from .nets import ROUND, draw, feature, loops_mac, loops_requantize, one_mac, out_shape, random_term, size_for, windows

SHAPES = {  # height, width, channels, then the term
    "plain": ((6, 5, 3), {}),
    "padded": ((5, 6, 2), {"pads": (1, 2, 0, 1)}),
    "strided": ((9, 8, 4), {"stride": (2, 3), "pads": (1, 1, 1, 1)}),
    "dilated": ((9, 9, 2), {"dilation": (2, 3), "pads": (2, 1, 2, 1)}),
    "grouped": ((5, 5, 6), {"groups": 3, "m": 9, "pads": (1, 1, 1, 1)}),
    "depthwise": ((6, 6, 5), {"groups": 5, "m": 5, "stride": (2, 2), "pads": (1, 1, 1, 1)}),
    "multiplier of channels": ((5, 7, 3), {"groups": 3, "m": 6, "dilation": (1, 2)}),
    "pointwise": ((4, 4, 7), {"kernel": (1, 1), "m": 5}),
    "fully connected": ((4, 3, 6), {"kernel": (4, 3), "m": 8}),
    "one row": ((1, 12, 2), {"kernel": (1, 5), "pads": (0, 2, 0, 2)}),
}
ONE = Term(input="x", weight=np.ones((1, 1, 1, 1), np.int64), weight_bits=2)


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_convolutions_equal_loops(shape, bits):
    rng = np.random.default_rng(bits)
    size, options = SHAPES[shape]
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    source = feature("x", size, bits, zero_point=int(rng.integers(low, high + 1)))
    term = random_term(rng, source, bits=bits, **options)
    m, pre = len(term.weight), 4 if bits == 16 else 0
    net = one_mac(source, term, multiplier=rng.integers(1 << 30, 1 << 31, m), shift=rng.integers(30, 33, m) + bits - pre,
                  bias=rng.integers(-1 << 2 * bits, 1 << 2 * bits, m), bits=bits, zero_point=1, pre=pre)
    x = draw(rng, source)
    expected = loops_mac(net, net.nodes[0], {"x": x})
    assert expected.min() != expected.max()
    result = reference.run(net, {"x": x})
    assert result["y"].dtype == np.int64 and result["x"].tolist() == x.tolist()
    assert result["y"].tolist() == expected.tolist()


@pytest.mark.parametrize("rounding", ROUND)
def test_roundings_at_ties(rounding):
    source = feature("x", (1, 41, 1), zero_point=0)
    multiplier, shift = size_for(2)
    net = one_mac(source, ONE, multiplier=multiplier, shift=shift, rounding=rounding)
    x = np.arange(-20, 21).reshape(1, 41, 1)
    expected = [loops_requantize(v, 0, multiplier, shift, 0, -128, 127, rounding) for v in range(-20, 21)]
    assert reference.run(net, {"x": x})["y"].ravel().tolist() == expected


def test_gemmlowp_rounds_twice():
    """-5 * 0.25: the first step is exact, the second goes to nearest, ties away from zero."""
    source = feature("x", (1, 5, 1))
    net = one_mac(source, ONE, multiplier=1 << 30, shift=32, rounding="gemmlowp")
    assert reference.run(net, {"x": np.array([-6, -5, -2, 2, 6]).reshape(1, 5, 1)})["y"].ravel().tolist() == [-2, -1, -1, 1, 2]


def test_stochastic_rounding_is_refused():
    source = feature("x", (1, 1, 1))
    net = one_mac(source, ONE, multiplier=1, shift=1, rounding="stochastic")
    with pytest.raises(NetError, match="`mac`: rounding is stochastic"):
        reference.run(net, {"x": np.zeros((1, 1, 1), int)})


def test_pre_shift_saturation_and_wrap():
    """A bias of 2^47 - 1 plus a positive sum wraps to the negative end; `pre` brings 48 bits into 32."""
    source = feature("x", (1, 3, 1), 16)
    term = Term(input="x", weight=np.full((1, 1, 1, 1), 32767), weight_bits=16)
    net = one_mac(source, term, multiplier=1 << 30, shift=46, bias=(1 << 47) - 1, pre=16, bits=16)
    x = np.array([-32768, 0, 32767]).reshape(1, 3, 1)
    assert reference.run(net, {"x": x})["y"].tolist() == loops_mac(net, net.nodes[0], {"x": x}).tolist()
    assert reference.run(net, {"x": x})["y"].ravel().tolist()[2] == -32768


def test_terms_share_one_accumulator():
    """A block's second convolution, its strided shortcut and a residual by 1x1 depthwise weights."""
    rng = np.random.default_rng(5)
    a, b, c = feature("a", (6, 6, 4), zero_point=3), feature("b", (12, 12, 2), 4, False, zero_point=7), feature("c", (6, 6, 8), 16)
    terms = (random_term(rng, a, m=8, pads=(1, 1, 1, 1)), random_term(rng, b, m=8, kernel=(1, 1), stride=(2, 2), bits=4),
             random_term(rng, c, m=8, kernel=(1, 1), groups=8, bits=16))
    mac = Mac(name="block", terms=terms, bias=rng.integers(-5000, 5000, 8), multiplier=rng.integers(1 << 30, 1 << 31, 8), shift=np.full(8, 54),
              output="y", pre=0)
    features = {f.name: f for f in (a, b, c, feature("y", (6, 6, 8), zero_point=-4))}
    net = IntNet(name="block", features=features, inputs=("a", "b", "c"), outputs=("y",), nodes=(mac,))
    inputs = {f.name: draw(rng, f) for f in (a, b, c)}
    expected = loops_mac(net, mac, inputs)
    assert len(np.unique(expected)) > 20
    assert reference.run(net, inputs)["y"].tolist() == expected.tolist()


def test_other_nodes_equal_loops():
    """Pool, concatenation, table and product in one network."""
    rng = np.random.default_rng(6)
    x = feature("x", (7, 6, 3), zero_point=-3)
    pool = MaxPool(name="pool", input="x", output="p", kernel=(3, 2), stride=(2, 2), pads=(1, 0, 1, 1))
    small = (4, 3, 3)
    table = rng.integers(-128, 128, 256)
    product = Product(name="product", inputs=("t", "g"), output="y", multiplier=(1 << 30) + 12345, shift=37)
    features = (x, feature("p", small, zero_point=-3), feature("t", small, zero_point=2), feature("g", (1, 1, 3), zero_point=5),
                feature("y", small, zero_point=1), feature("cat", (4, 3, 6), zero_point=-3))
    net = IntNet(name="others", features={f.name: f for f in features}, inputs=("x", "g"), outputs=("y", "cat"),
                 nodes=(pool, Lookup(name="table", input="p", output="t", table=table), product, Concat(name="cat", inputs=("p", "p"), output="cat")))
    values = {"x": draw(rng, x), "g": draw(rng, net.features["g"])}
    result = reference.run(net, values)
    expected = np.zeros(small, np.int64)
    for y, z, inside in windows(values["x"], pool.kernel, pool.stride, pool.pads):
        expected[y, z] = np.max(inside, axis=0)
    assert result["p"].tolist() == expected.tolist()
    looked = [[[int(table[v + 128]) for v in pixel] for pixel in row] for row in expected.tolist()]
    assert result["t"].tolist() == looked
    for i, j, k in np.ndindex(*small):
        acc = (looked[i][j][k] - 2) * (int(values["g"][0, 0, k]) - 5)
        assert result["y"][i, j, k] == loops_requantize(acc, 0, product.multiplier, product.shift, 1, -128, 127, "half_even")
    assert result["cat"].tolist() == np.concatenate([expected, expected], axis=2).tolist()


def test_many_images_equal_one_by_one(monkeypatch):
    rng = np.random.default_rng(7)
    source = feature("x", (8, 8, 3), zero_point=4)
    net = one_mac(source, random_term(rng, source, pads=(1, 1, 1, 1)), multiplier=1 << 30, shift=38)
    batch = draw(rng, source, 11)
    monkeypatch.setattr(reference, "CHUNK_BYTES", 8 * 8 * 8 * 4 * 3)  # three images a chunk
    many = reference.run_many(net, {"x": batch})
    assert set(many) == {"y"} and many["y"].shape == (11, 8, 8, 4)
    for image, result in zip(batch, many["y"], strict=True):
        assert result.tolist() == reference.run(net, {"x": image})["y"].tolist()


def test_float_type_is_the_smallest_exact_one():
    ones = np.ones((1, 1, 1, 2), np.int64)
    assert exact_float(ones, (1 << 23) - 1) is np.float32 and exact_float(ones, 1 << 23) is np.float64
    with pytest.raises(NetError, match="sums of products reach 9007199254740992"):
        exact_float(ones, 1 << 52)


@pytest.mark.parametrize("change, message", [
    ({}, "inputs are none, `one` takes x"),
    ({"x": np.zeros((2, 2, 1), int), "z": np.zeros(1, int)}, "inputs are x, z, `one` takes x"),
    ({"x": np.zeros((2, 2, 1))}, "input `x` has type float64, must be integers"),
    ({"x": np.zeros((2, 3, 1), int)}, r"input `x` has shape \(2, 3, 1\) \(1 of them\), must be \(2, 2, 1\)"),
    ({"x": np.full((2, 2, 1), 128)}, "input `x` has values 128..128, must be -128..127"),
])
def test_bad_inputs(change, message):
    source = feature("x", (2, 2, 1))
    net = one_mac(source, ONE, multiplier=1, shift=1)
    with pytest.raises(NetError, match=message):
        reference.run(net, change)


def test_a_table_of_another_size_is_refused():
    net = IntNet(name="t", features={"x": feature("x", (1, 1, 1), 4), "y": feature("y", (1, 1, 1), 4)}, inputs=("x",), outputs=("y",),
                 nodes=(Lookup(name="table", input="x", output="y", table=np.zeros(15, int)),))
    with pytest.raises(NetError, match="`table`: table has 15 entries, `x` takes 16 values"):
        reference.run(net, {"x": np.zeros((1, 1, 1), int)})


QLINEAR = {"plain": {}, "strided": {"stride": (2, 2), "pads": (1, 1, 1, 1)}, "grouped": {"groups": 4, "m": 8},
           "depthwise": {"groups": 8, "m": 8, "pads": (1, 1, 1, 1)}, "dilated": {"dilation": (2, 2), "pads": (2, 2, 2, 2)},
           "pads": {"pads": (2, 0, 1, 3)}, "pointwise": {"kernel": (1, 1), "m": 16}}


@pytest.mark.parametrize("case", QLINEAR)
@pytest.mark.parametrize("zero_point", [0, -9])
def test_equals_onnxruntime(case, zero_point):
    """QLinearConv, S8S8, scales that are powers of two, so that its float32 is exact; ConvInteger for the sums alone."""
    from .ort import conv_integer, qlinear_conv

    rng = np.random.default_rng(crc32(case.encode()) + zero_point)
    source = feature("x", (13, 11, 8), zero_point=zero_point)
    term = random_term(rng, source, bits=8, **QLINEAR[case])
    m = len(term.weight)
    bias, powers = rng.integers(-3000, 3000, m), rng.integers(5, 9, m)
    constant = bias - zero_point * term.weight.reshape(m, -1).sum(axis=1)
    net = one_mac(source, term, multiplier=1 << 30, shift=30 + powers, bias=constant, zero_point=6)
    x = draw(rng, source)
    mine = reference.run(net, {"x": x})["y"]
    theirs = qlinear_conv(x, term, zero_point, bias, 2.0 ** -powers, 6)
    assert np.count_nonzero(mine != theirs) == 0
    raw = reference.convolve(x[None], term, zero_point)[0] - zero_point * term.weight.reshape(m, -1).sum(axis=1)
    assert np.array_equal(raw, conv_integer(x, term, zero_point))


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_equals_torch_on_integers(bits):
    torch = pytest.importorskip("torch", reason="the extra `train` brings torch")
    rng = np.random.default_rng(bits)
    source = feature("x", (20, 17, 6), bits)
    for options in SHAPES.values():
        changed = {"m": 6, "groups": 6 if "groups" in options[1] else 1}
        term = random_term(rng, source, bits=bits, **{**options[1], **changed})
        x = draw(rng, source)
        top, left, bottom, right = term.pads
        image = torch.nn.functional.pad(torch.from_numpy(x.transpose(2, 0, 1)[None]), (left, right, top, bottom))
        kernel = torch.from_numpy(np.ascontiguousarray(term.weight.transpose(0, 3, 1, 2)))
        theirs = torch.nn.functional.conv2d(image, kernel, stride=term.stride, dilation=term.dilation, groups=term.groups)
        assert theirs.dtype == torch.int64
        assert np.array_equal(reference.convolve(x[None], term, 0)[0], theirs.numpy()[0].transpose(1, 2, 0))
        assert out_shape(source.shape, term) == theirs.numpy()[0].transpose(1, 2, 0).shape
