"""Integer networks against float64 by scipy: every node to within provable rounding, every network against a fake-quantized one."""

from __future__ import annotations

import numpy as np
import pytest

from rpa.net import reference
from rpa.net.integer import Lookup, Mac, MaxPool, Product
from rpa.quant.convert import convert
from rpa.quant.errors import QuantError
from rpa.quant.fuse import fuse
from rpa.quant.options import Options
from rpa.quant.simulate import simulate
from rpa.quant.statistics import Collector, share_formats
from rpa.quant.widths import Width, WidthTable, parse_widths
from tests.quant.floats import RELU, Builder, convolve, evaluate, padded, residual_net, scalar, windows


def every_operator(seed: int = 1) -> Builder:
    net = Builder((3, 16, 16), seed)
    x = net.scalar("HardSwish", net.conv("x", 8, stride=2, clip=None))
    x = net.prelu(net.conv(net.conv(x, 8, groups=8, clip=(0.0, 6.0)), 12, 1, clip=None))
    gate = net.scalar("HardSigmoid", net.conv(net.global_average(x), 12, 1, clip=None), alpha=1 / 6, beta=0.5)
    x = net.times(x, gate)
    x = net.average(net.concat(net.maxpool(x, 3, 1, 1), net.conv(x, 4, 1)))
    x = net.plus(net.conv(x, 16), net.conv(x, 16, dilation=2), clip=None)
    x = net.scalar("LeakyRelu", net.scalar("Clip", x, clip=RELU), alpha=0.1)
    net.gemm(x, 10)
    return net


def mobile_net(seed: int = 2) -> Builder:
    net = Builder((3, 16, 16), seed)
    x = net.conv("x", 8, stride=2)
    for channels, stride in ((8, 1), (16, 2)):
        x = net.conv(net.conv(x, net.shapes[x][0], groups=net.shapes[x][0], stride=stride), channels, 1)
    net.gemm(net.global_average(x), 5)
    return net


NETWORKS = {"residual": residual_net, "operators": every_operator, "mobile": mobile_net}
CHOICES = [("16", {}), ("8", {}), ("8", {"method": "mse", "asymmetric": True}), ("4", {"method": "mse", "asymmetric_weights": True}),
           ("w4a8", {"power_of_two": True}), ("3", {"method": "percentile", "weight_rounding": "stochastic"}),
           ("2", {"method": "mse", "per_channel": False}), ("w2a16", {"method": "minmax", "shortcuts": "separate", "rounding": "half_up"})]


def quantized(net: Builder, widths="8", count=4, **options):
    """The float graph, its activations on some images, and what it becomes."""
    graph = net.graph(net.nodes[-1].outputs[0])
    images = net.images(count)
    activations = evaluate(graph, {"x": images})
    blocks = fuse(graph)
    collector = Collector(share_formats(blocks))
    collector.add(activations)
    return graph, activations, convert(graph, collector.observed(), parse_widths(widths), Options(**options))


def integers(converted, name, activations):
    return converted.formats[name].quantize(activations[name].transpose(0, 2, 3, 1))


def by_scipy(converted, node: Mac, values):
    """The real sum of a Mac's terms and bias, from real weights and real activations in float64 (N, H, W, M)."""
    scale = converted.built[node.name].scale
    total, zeros = 0.0, 0
    for term in node.terms:
        source = converted.net.features[term.input]
        weight = (term.weight * (scale / source.scale)[:, None, None, None]).transpose(0, 3, 1, 2)
        x = ((values[term.input] - source.zero_point) * source.scale).transpose(0, 3, 1, 2)
        total = total + convolve(x, weight, stride=term.stride, pads=term.pads, dilation=term.dilation, groups=term.groups)
        zeros = zeros + source.zero_point * term.weight.reshape(len(scale), -1).sum(axis=1)
    return total.transpose(0, 2, 3, 1) + (node.bias + zeros) * scale


@pytest.mark.parametrize(("widths", "options"), CHOICES, ids=lambda value: str(value))
@pytest.mark.parametrize("name", NETWORKS)
def test_every_node_is_its_real_function_to_within_rounding(name, widths, options):
    """|integer - real / scale| <= 1/2 + what 31-bit multipliers and the shift before them can add, inside the limits; the same limit outside."""
    _, activations, converted = quantized(NETWORKS[name](), widths, **options)
    net = converted.net
    values = reference.run_many(net, {"x": integers(converted, "x", activations)}, wanted=list(net.features))
    for node in net.nodes:
        output = net.features[node.output]
        got = values[node.output]
        if isinstance(node, Mac):
            real = by_scipy(converted, node, values) / output.scale
            factor = converted.built[node.name].scale / output.scale
            slack = np.abs(real) * 2.0**-30 + (factor * 2.0 ** (node.pre - 1) if node.pre else 0) + 1e-6
        elif isinstance(node, Product):
            a, b = ((values[one] - net.features[one].zero_point) * net.features[one].scale for one in node.inputs)
            real, slack = a * b / output.scale, 1e-4
        elif isinstance(node, Lookup):
            source = net.features[node.input]
            original = next(one for one in converted.blocks if one.name == node.name).node
            x = (values[node.input] - source.zero_point) * source.scale
            real, slack = scalar(original.op, x, original.attributes) / output.scale, 1e-6
        elif isinstance(node, MaxPool):
            x = padded(values[node.input].astype(np.float64).transpose(0, 3, 1, 2), node.pads, -np.inf)
            real, slack = windows(x, node.kernel, node.stride).max(axis=(4, 5)).transpose(0, 2, 3, 1) - output.zero_point, 0
        else:
            real, slack = np.concatenate([values[one] for one in node.inputs], axis=3) - output.zero_point, 0
        expected = np.clip(real + output.zero_point, output.low, output.high)
        assert (np.abs(got - expected) <= 0.5 + slack).all(), f"{node.name}: off by {np.abs(got - expected).max()}"


@pytest.mark.parametrize(("widths", "options"), CHOICES, ids=lambda value: str(value))
@pytest.mark.parametrize("name", NETWORKS)
def test_fake_quantization_equals_the_integers(name, widths, options):
    """They differ only where a real number lies on a tie to within 2^-30, or was shifted before: at most one step, rarely."""
    _, activations, converted = quantized(NETWORKS[name](), widths, **options)
    inputs = {"x": integers(converted, "x", activations)}
    exact, fake = (function(inputs) for function in (lambda x: reference.run_many(converted.net, x), lambda x: simulate(converted, x)))
    for output in converted.net.outputs:
        difference = np.abs(exact[output] - fake[output])
        assert difference.max() <= (0 if parse_widths(widths).default.act_bits <= 8 else 64)


def signal_to_noise(expected, got):
    return 10 * np.log10(np.square(expected).mean() / np.square(expected - got).mean())


@pytest.mark.parametrize(("name", "widths", "least"), [
    ("residual", "16", 80), ("residual", "8", 38), ("residual", "4", 18), ("operators", "16", 40), ("operators", "8", 30),
    ("mobile", "16", 75), ("mobile", "8", 34),
    ("mobile", "w4a8", 20)])
def test_result_is_near_the_float_network(name, widths, least):
    """Orders of magnitude of what bits can give, about 6 dB each: a wrong scale anywhere loses all of it."""
    _, activations, converted = quantized(NETWORKS[name](), widths, method="mse", count=32)
    inputs = {"x": integers(converted, "x", activations)}
    for output, values in reference.run_many(converted.net, inputs).items():
        real = converted.formats[output].dequantize(values).transpose(0, 3, 1, 2)
        assert signal_to_noise(activations[output], real) >= least


def test_residual_additions_are_terms():
    _, _, converted = quantized(residual_net(), "8", shortcuts="joint")
    first, second = (node for node in converted.net.nodes if isinstance(node, Mac) and len(node.terms) == 2)
    main, identity = first.terms
    assert (main.weight.shape, identity.weight.shape, identity.groups) == ((8, 3, 3, 8), (8, 1, 1, 1), 8)
    scale = converted.built[first.name].scale
    np.testing.assert_allclose(identity.weight[:, 0, 0, 0] * scale, converted.formats[identity.input].scale, rtol=1e-12)
    assert [term.weight.shape for term in second.terms] == [(16, 3, 3, 16), (16, 1, 1, 8)]
    assert all(np.abs(term.weight).reshape(16, -1).max() <= 127 for term in second.terms)
    assert len(converted.net.nodes) == 7


def test_separate_shortcuts_store_their_result():
    _, _, converted = quantized(residual_net(), "8", shortcuts="separate")
    last = [node for node in converted.net.nodes if isinstance(node, Mac) and len(node.terms) == 2][-1]
    assert [term.weight.shape for term in last.terms] == [(16, 3, 3, 16), (16, 1, 1, 1)]
    assert converted.notes == ("conv5: kept apart from the addition that follows",)


def test_addition_of_stored_tensors_has_nearly_exact_factors():
    net = Builder((4, 6, 6))
    a, b = net.conv("x", 4), net.conv("x", 4)
    net.plus(a, b)
    _, _, converted = quantized(net, "8")
    mac = converted.net.nodes[-1]
    ratio = converted.formats[a].scale / converted.formats[b].scale
    first, second = (int(term.weight[0, 0, 0, 0]) for term in mac.terms)
    assert first / second == pytest.approx(ratio, rel=0.01)


def test_average_pooling_is_a_term_of_ones():
    _, _, converted = quantized(mobile_net(), "2", method="mse")
    mac = next(node for node in converted.net.nodes if node.name == "globalaveragepool0")
    (term,) = mac.terms
    assert (term.weight.shape, set(term.weight.reshape(-1)), term.groups, term.weight_bits) == ((16, 4, 4, 1), {1}, 16, 2)
    source = converted.net.features[term.input]
    assert (source.bits, source.low, source.high) == (4, 0, 3)
    factor = int(mac.multiplier[0]) / 2.0 ** int(mac.shift[0])
    assert factor == pytest.approx(source.scale / 16 / converted.net.features[mac.output].scale, rel=1e-8)


def test_gemm_takes_channels_last():
    net = Builder((3, 4, 5))
    net.gemm("x", 6)
    graph, _, converted = quantized(net, "16")
    term = converted.net.nodes[0].terms[0]
    assert term.weight.shape == (6, 4, 5, 3)
    real = term.weight * (converted.built["gemm0"].scale / converted.formats["x"].scale)[:, None, None, None]
    np.testing.assert_allclose(real.transpose(0, 3, 1, 2), graph.initializers["w0"], atol=1e-4)


def test_accumulators_fit_after_the_shift():
    """Inputs that reach the bound of every channel: the largest or smallest value wherever a weight is positive or negative."""
    net = Builder((64, 3, 3))
    net.conv("x", 8, pad=0, clip=None)
    _, _, converted = quantized(net, "16")
    mac = converted.net.nodes[0]
    source = converted.net.features["x"]
    worst = [int(np.where(weight > 0, source.high, source.low).ravel() @ weight.ravel()) + int(bias)
             for weight, bias in zip(mac.terms[0].weight, mac.bias, strict=True)]
    assert mac.pre > 0
    assert 2**30 <= max(abs(value) >> mac.pre for value in worst) < 2**31
    assert converted.built[mac.name].bound >= max(map(abs, worst))


def test_zero_points_are_in_the_bias():
    net = Builder((3, 8, 8), 4)
    net.conv("x", 5, clip=None)
    graph, _, converted = quantized(net, "8", asymmetric=True, bias_correction=False)
    mac, source = converted.net.nodes[0], converted.net.features["x"]
    assert source.zero_point > 0 and not source.signed
    zeros = source.zero_point * mac.terms[0].weight.reshape(5, -1).sum(axis=1)
    np.testing.assert_allclose((mac.bias + zeros) * converted.built["conv0"].scale, graph.initializers["b0"], atol=1e-3)


@pytest.mark.parametrize(("bits", "container"), [(8, 16), (4, 8), (3, 4), (2, 4)])
def test_asymmetric_weights_widen(bits, container):
    """Channels of either sign have the zero points 0 and 2^b - 1, so differences take a bit more."""
    net = Builder((8, 6, 6))
    net.conv("x", 8)
    net.initializers["w0"] = np.abs(net.initializers["w0"]) * np.where(np.arange(8) % 2, 1, -1)[:, None, None, None]
    _, _, converted = quantized(net, f"w{bits}a8", asymmetric_weights=True)
    term = converted.net.nodes[0].terms[0]
    spans = term.weight.reshape(8, -1).max(axis=1) - term.weight.reshape(8, -1).min(axis=1)
    assert term.weight_bits == container
    assert spans.max() <= 2**bits - 1


def test_stochastic_weights_keep_their_mean_and_their_seed():
    def draw(seed):
        net = Builder((32, 3, 3))
        net.conv("x", 4, pad=0)
        return quantized(net, "w3a8", weight_rounding="stochastic", seed=seed)

    graph, _, one = draw(0)
    again, other = (draw(seed)[2] for seed in (0, 1))
    weights = [converted.net.nodes[0].terms[0].weight for converted in (one, again, other)]
    assert (weights[0] == weights[1]).all() and (weights[0] != weights[2]).any()
    steps = one.built["conv0"].scale / one.formats["x"].scale
    scaled = graph.initializers["w0"].transpose(0, 2, 3, 1) / steps[:, None, None, None]
    inside = np.abs(scaled) <= 3
    error = np.abs(weights[0] - scaled)[inside]
    assert error.max() < 1 and error.max() > 0.5


def test_widths_of_single_layers():
    table = WidthTable(Width(8, 8), {"conv1": Width(4, 2), "conv2": Width(2, 3)}, output_bits=8)
    _, _, converted = quantized(residual_net(), table, method="mse")
    by_name = {node.name: node for node in converted.net.nodes}
    assert [term.weight_bits for term in by_name["conv1"].terms] == [2]
    assert by_name["conv2"].terms[0].weight_bits == 4 and np.abs(by_name["conv2"].terms[0].weight).max() <= 4
    features = converted.net.features
    assert (features["conv0.out"].bits, features["conv0.out"].high) == (4, 15)
    assert (features["conv1.out"].bits, features["conv1.out"].high) == (2, 3)
    assert features["gemm0.out"].bits == 8


def test_what_is_refused():
    net = Builder((3, 8, 8))
    net.add("AveragePool", ["x"], (3, 8, 8), kernel=(3, 3), stride=(1, 1), pads=(1, 1, 1, 1), count_include_pad=False, clip=None)
    with pytest.raises(QuantError) as caught:
        fuse(net.graph("averagepool0.out"))
    assert str(caught.value) == ("`averagepool0`: AveragePool divides by fewer at its edges; export it with count_include_pad = 1 or without padding")
    net = Builder((3, 8, 8))
    net.add("Quant", ["x"], (3, 8, 8), scale=0.1, zero_point=0, low=-128, high=127, bits=8, signed=True)
    with pytest.raises(QuantError) as caught:
        fuse(net.graph("quant0.out", "x"))
    assert str(caught.value) == ("output `x` is an input; nothing is left to compute\n"
                                 "`quant0`: the model is quantized already; its integers are taken as they are by `rpa.net.qdq`")
    with pytest.raises(QuantError) as caught:
        quantized(residual_net(), WidthTable(Width(8, 8), {"conf1": Width(4, 4)}))
    assert str(caught.value) == "table of widths: no layer is called `conf1`; did you mean `conv1`?"
    net = Builder((1024, 8, 8))
    net.gemm("x", 1)
    with pytest.raises(QuantError) as caught:
        quantized(net, "16", acc_bits=40)
    assert str(caught.value).startswith("`gemm0`: an accumulator of 65536 products can reach ")
    assert str(caught.value).endswith(", must stay within 40 bits (549755813887); use fewer bits for its activations or weights")


@pytest.mark.parametrize(("clip", "move"), [((1.0, 6.0), "-1"), ((-3.0, -0.5), "0.5")])
def test_limits_that_do_not_reach_zero_are_refused(clip, move):
    net = Builder((3, 6, 6), 4)
    net.conv("x", 4, clip=clip)
    with pytest.raises(QuantError) as caught:
        quantized(net)
    assert str(caught.value) == (f"`conv0`: is limited to {clip[0]:g}..{clip[1]:g}, must reach 0, which stands around every image; "
                                 f"move the input by {move}, limit it, and move it back")
