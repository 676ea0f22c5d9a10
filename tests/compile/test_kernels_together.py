"""All kernels in one program: what a layer leaves in banks, contexts and accumulators must not reach the next, and loads wait for stores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rpa.arch.numerics import quantize_multiplier
from rpa.arch.packing import element_range
from rpa.compile import concat, depthwise, globalpool, maxpool, pointwise
from rpa.compile.banks import Banks
from rpa.compile.conv import Convolution
from rpa.compile.layout import Layout, place
from rpa.compile.mapping import choose
from rpa.compile.reduction import Reduction
from rpa.net import reference
from rpa.net.integer import Concat, Feature, IntNet, Lookup, Mac, MaxPool, Node, Product, Term, output_size
from tests.compile import kernels


class Builder:
    """Adds random layers of one width to a network."""

    def __init__(self, shape: tuple[int, int, int], bits: int, seed: int) -> None:
        self.rng, self.bits = np.random.default_rng(seed), bits
        self.low, self.high = element_range(bits, True)
        self.nodes: list[Node] = []
        self.features: dict[str, Feature] = {}
        self.feature("x", shape)
        self.sample = self.rng.integers(self.low, self.high + 1, shape)

    def feature(self, name: str, shape: tuple[int, int, int]) -> str:
        self.features[name] = Feature(name=name, shape=shape, bits=self.bits, signed=True, low=self.low, high=self.high, zero_point=self.low)
        return name

    def mac(self, name: str, source: str, outputs: int, kernel: int, stride: int, pad: int, *, depthwise: bool = False) -> str:
        channels = self.features[source].shape[2]
        weight = self.rng.integers(self.low, self.high + 1, (outputs, kernel, kernel, 1 if depthwise else channels))
        term = Term(input=source, weight=weight, weight_bits=self.bits, stride=(stride, stride), pads=(pad,) * 4, groups=channels if depthwise else 1)
        return self._scaled(name, term, same=False)

    def mean(self, name: str, source: str) -> str:
        height, width, channels = self.features[source].shape
        term = Term(input=source, weight=np.ones((channels, height, width, 1), np.int64), weight_bits=self.bits, groups=channels)
        return self._scaled(name, term, same=True)

    def _scaled(self, name: str, term: Term, *, same: bool) -> str:
        """A Mac whose results on the sample lie within six standard deviations. same: one scale for all channels."""
        sums = self._sums(term)
        axes = (0, 1, 2) if same or sums.shape[:2] == (1, 1) else (0, 1)
        center, spread = sums.mean(axis=axes), np.maximum(sums.std(axis=axes), 1)
        channels = sums.shape[2]
        scales = [quantize_multiplier(float(value)) for value in np.broadcast_to((self.high - self.low) / (6 * spread), channels)]
        pre = 4 if self.bits == 16 else 0
        self.nodes.append(Mac(name=name, terms=(term,), bias=np.broadcast_to(np.round(3 * spread - center), channels).astype(np.int64),
                              multiplier=np.array([multiplier for multiplier, _ in scales]), shift=np.array([shift - pre for _, shift in scales]),
                              output=self.feature(f"{name}.out", sums.shape), pre=pre))
        return f"{name}.out"

    def _sums(self, term: Term) -> np.ndarray:
        """The term on the sample, tap by tap."""
        net = IntNet(name="so far", features=self.features, inputs=("x",), outputs=(), nodes=tuple(self.nodes))
        values, feature = reference.run(net, {"x": self.sample})[term.input], self.features[term.input]
        _, rows, columns, depth = term.weight.shape
        (top, left, bottom, right), (sy, sx) = term.pads, term.stride
        padded = np.pad(values, ((top, bottom), (left, right), (0, 0)), constant_values=feature.zero_point)
        height, width = (output_size(size, kernel, stride, pad, pad) for size, kernel, stride, pad in
                         zip(feature.shape[:2], (rows, columns), term.stride, (top, left), strict=True))
        total = np.zeros((height, width, len(term.weight)), np.int64)
        for r in range(rows):
            for s in range(columns):
                window = padded[r:r + sy * height:sy, s:s + sx * width:sx][:height, :width]
                total += window * term.weight[:, r, s, 0] if depth == 1 else window @ term.weight[:, r, s].T
        return total

    def pool(self, name: str, source: str, kernel: int, stride: int, pad: int) -> str:
        height, width, channels = self.features[source].shape
        shape = (output_size(height, kernel, stride, pad, pad), output_size(width, kernel, stride, pad, pad), channels)
        self.nodes.append(MaxPool(name=name, input=source, output=self.feature(f"{name}.out", shape), kernel=(kernel, kernel),
                                  stride=(stride, stride), pads=(pad,) * 4))
        return f"{name}.out"

    def table(self, name: str, source: str) -> str:
        table = np.sort(self.rng.integers(self.low, self.high + 1, self.high - self.low + 1))
        self.nodes.append(Lookup(name=name, input=source, output=self.feature(f"{name}.out", self.features[source].shape), table=table))
        return f"{name}.out"

    def times(self, name: str, a: str, b: str) -> str:
        self.nodes.append(Product(name=name, inputs=(a, b), output=self.feature(f"{name}.out", self.features[a].shape), multiplier=1 << 30,
                                  shift=29 + self.bits))
        return f"{name}.out"

    def together(self, name: str, *sources: str) -> str:
        shape = (*self.features[sources[0]].shape[:2], sum(self.features[source].shape[2] for source in sources))
        self.nodes.append(Concat(name=name, inputs=sources, output=self.feature(f"{name}.out", shape)))
        return f"{name}.out"

    def net(self) -> IntNet:
        return IntNet(name="net", features=self.features, inputs=("x",), outputs=(self.nodes[-1].output,), nodes=tuple(self.nodes))


def every_kernel(bits: int, seed: int) -> IntNet:
    made = Builder((11, 9, 24), bits, seed)
    first = made.mac("conv", "x", 40, 3, 1, 1)
    if bits == 16:          # no tables of 16 bits
        middle = made.mac("dw", first, 40, 3, 1, 1, depthwise=True)
    else:
        middle = made.table("act", made.mac("dw", first, 40, 3, 1, 1, depthwise=True))
    gate = made.mac("gate", made.mean("mean", middle), 40, 1, 1, 0)
    scaled = made.times("scale", middle, gate)
    both = made.together("cat", scaled, first)
    pooled = made.pool("pool", made.times("square", both, both), 3, 2, 1)
    strided = made.mac("dw2", pooled, 80, 3, 2 if bits > 4 else 1, 1, depthwise=True)
    made.mac("last", strided, 10, 1, 1, 0)
    return made.net()


def nests_of(net: IntNet, layout: Layout, option: int) -> list:
    """Stages of every node, with the `option`-th best mapping where a kernel has a choice."""
    banks, nests = Banks(layout.config), []

    def pick(plans):
        return plans[min(option, len(plans) - 1)]

    for node in net.nodes:
        if isinstance(node, Mac) and depthwise.refusal(node, layout) is None:
            nest = depthwise.Depthwise(node, pick(depthwise.choose(node, layout)), layout, banks)
        elif isinstance(node, Mac) and globalpool.refusal(node, layout) is None:
            nest = globalpool.GlobalPool(node, pick(globalpool.choose(node, layout)), layout, banks)
        elif isinstance(node, Mac):
            reductions = tuple(Reduction(term, layout.features[term.input], layout.config.cols) for term in node.terms)
            nest = Convolution(node, pick(choose(reductions, layout.features[node.output], layout.config, node.name, 0, 8)), layout, banks)
        elif isinstance(node, MaxPool):
            nest = maxpool.MaxPooling(node, pick(maxpool.choose(node, layout)), layout, banks)
        elif isinstance(node, Lookup):
            nest = pointwise.Table(node, pick(pointwise.choose_lookup(node, layout)), layout, banks)
        elif isinstance(node, Product):
            nest = pointwise.Multiply(node, pick(pointwise.choose_product(node, layout)), layout, banks)
        else:
            nest = concat.Concatenation(node, pick(concat.choose(node, layout)), layout, banks)
        nests.append(nest.nest())
    return nests


@pytest.mark.parametrize("preset", ["default", "small"])
@pytest.mark.parametrize("bits", [16, 8, 4])
@pytest.mark.parametrize("option", [0, 2])
def test_network_of_every_kernel(bits, preset, option):
    net = every_kernel(bits, seed=option)
    layout = place(net, kernels.machine(preset))
    inputs = {"x": kernels.random_values(net.features["x"], option)}
    wanted = reference.run(net, inputs)
    for name, values in wanted.items():
        assert len(np.unique(values)) > 3, f"{name} has so few values that it shows nothing"
    result = kernels.run(nests_of(net, layout, option), layout, inputs, "fast")
    for name, placed in layout.features.items():
        np.testing.assert_array_equal(kernels.read_feature(placed, result.outcome.memory), wanted[name], err_msg=name)


def test_columns_without_a_channel_have_a_shift_that_gemmlowp_takes():
    made = Builder((5, 6, 8), 8, seed=1)
    made.mac("conv", "x", 20, 3, 1, 1)
    node = replace(made.nodes[0], rounding="gemmlowp")
    net = replace(made.net(), nodes=(node,))
    layout = place(net, kernels.machine("default"))
    inputs = {"x": kernels.random_values(net.features["x"])}
    result = kernels.run(nests_of(net, layout, 0), layout, inputs)
    np.testing.assert_array_equal(kernels.read_feature(layout.features["conv.out"], result.outcome.memory), reference.run(net, inputs)["conv.out"])
