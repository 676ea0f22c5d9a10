"""Models that another tool has quantized become integer networks as they are: their integers, scales and zero points.

Every `Quant` node of the graph becomes one feature. What stands between it and the quantized values it is computed from must be one
of: a Conv or Gemm with quantized weights, a sum, a product, a mean, a function of one number (on at most 8 bits), a maximum, a join of
channels, clips, and per-channel scales. A graph that leaves numbers unquantized in between is refused.

What is exact. Sums of products are integers, and biases are taken as stored where their scale is that of the sum (else they are
rounded to it). Requantization multiplies with float32(float32(input scale * weight scale) / output scale), the number that
onnxruntime's kernels use, which M / 2^s holds exactly, and rounds once, ties to even. A float kernel rounds the product to float32
before it rounds to an integer: the results can differ where the exact product lies within 2^-23 of itself from a tie, and nowhere
else. In a sum of two features, the ratio of their scales is the best fraction of 15-bit numbers, wrong by less than 2^-29 of itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import chain, count
from typing import cast

import numpy as np

from rpa.arch.errors import NumericsError
from rpa.arch.numerics import element_range, quantize_multiplier
from rpa.net.errors import NetError, grouped
from rpa.net.float_run import term_of
from rpa.net.graph import Graph, Node
from rpa.net.integer import CONTAINERS, Concat, Feature, IntNet, Lookup, Mac, MaxPool, Product, Term
from rpa.net.integer import Node as IntNode
from rpa.net.qdq_codes import WEIGHT_LIMIT, Target, container, fraction, reach_of, target_for, target_of
from rpa.net.qdq_join import adds_sums, join
from rpa.net.scalar import SCALAR_OPERATORS, scalar_function

TABLE_BITS = 8
SHIFT_STEPS = 1 << 14
"""Parts into which a step of the input is cut where a per-channel scale and shift (a batch norm on its own) is computed."""


def to_integer(graph: Graph) -> IntNet:
    """The integer network of a quantized graph. NetError lists every part that is not quantized, or that has no integer form."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # what is not finite has no multiplier and is refused
        return _Maker(graph).network()


@dataclass
class _Maker:
    graph: Graph
    features: dict[str, Feature] = field(default_factory=dict)
    nodes: list[IntNode] = field(default_factory=list)
    made: dict[str, str] = field(default_factory=dict)
    """Feature that holds an activation of the graph as it is."""
    writers: dict[str, Node] = field(default_factory=dict)

    def network(self) -> IntNet:
        graph = self.graph
        self.writers = {node.output: node for node in graph.nodes}
        faults = []
        for node in graph.nodes:
            if node.op == "Quant":
                try:
                    self.made[node.output] = self.quantized(node.inputs[0], target_for(node), node.output)
                except NetError as error:
                    faults.append(f"`{node.name}`: {error}")
        outputs = []
        for name in graph.outputs:
            try:
                outputs.append(self.output(name))
            except NetError as error:
                faults.append(f"output `{name}`: {error}")
        lost = [name for name in graph.inputs if name not in self.features]
        if lost:
            faults.append(f"input `{lost[0]}`: is not quantized")
        if faults:
            raise NetError(f"{graph.name}: {len(faults)} values have no integer form:\n{grouped(faults)}")
        return IntNet(name=graph.name, features=self.features, inputs=graph.inputs, outputs=tuple(outputs), nodes=tuple(self.nodes),
                      host=tuple(replace(step, source=outputs[graph.outputs.index(step.source)]) for step in graph.host))

    # features

    def unique(self, name: str) -> str:
        return next(other for other in chain((name,), (f"{name}.{i}" for i in count(1))) if other not in self.features)

    def declare(self, name: str, like: str, target: Target) -> Feature:
        """A new feature, shaped as the graph's activation `like`."""
        channels, height, width = self.graph.shapes[like]
        bits, signed = (target.bits, target.signed) if target.bits in CONTAINERS else container(target.low, target.high)
        if not target.low <= target.zero_point <= target.high:
            raise NetError(f"`{name}` is clipped to {target.low}..{target.high}, must include its zero point {target.zero_point}")
        feature = Feature(name=self.unique(name), shape=(height, width, channels), bits=bits, signed=signed, low=target.low, high=target.high,
                          scale=target.scale, zero_point=target.zero_point)
        self.features[feature.name] = feature
        return feature

    def held(self, name: str) -> Feature:
        """The feature that holds an activation as it is: a quantized one, or maxima and joins of them. NetError if there is none."""
        if name in self.made:
            return self.features[self.made[name]]
        node = self.writers.get(name)
        if node is not None and node.op == "MaxPool":
            source = self.held(node.inputs[0])
            made = self.declare(name, name, target_of(source))
            self.pool(node, source, made)
        elif node is not None and node.op == "Concat":
            sources = [self.held(each) for each in node.inputs]
            if len({target_of(source) for source in sources}) != 1:
                raise NetError(f"`{node.name}` joins features of different scales, with no quantization behind it")
            made = self.declare(name, name, target_of(sources[0]))
            self.nodes.append(Concat(name=node.name, inputs=tuple(source.name for source in sources), output=made.name))
        else:
            what = f"the output of `{node.name}` ({node.op})" if node else "an input"
            raise NetError(f"`{name}`, {what}, is not quantized")
        self.made[name] = made.name
        return made

    def pool(self, node: Node, source: Feature, made: Feature) -> None:
        a = node.attributes
        self.nodes.append(MaxPool(name=node.name, input=source.name, output=made.name, kernel=cast("tuple[int, int]", a["kernel"]),
                                  stride=cast("tuple[int, int]", a["stride"]), pads=cast("tuple[int, int, int, int]", a["pads"])))

    def output(self, name: str) -> str:
        """The feature of an output; sums that the model leaves as int32 or float get as many of 16 bits as they can reach."""
        node = self.writers.get(name)
        if name in self.made or node is None or node.op not in ("Conv", "Gemm"):
            return self.held(name).name
        code = self.graph.codes.get(name)
        source, term, scales = self.factors(node)
        most = reach_of(term, source, self.bias(node, scales)) * scales
        scale = code.scale if code else float(np.float32(most.max() / WEIGHT_LIMIT)) or 1.0
        if most.max() / scale > WEIGHT_LIMIT + 0.5:
            raise NetError(f"sums of `{node.name}` reach {most.max() / scale:.0f}, an output holds at most {WEIGHT_LIMIT}")
        return self.quantized(name, Target(scale, 0, -32768, 32767, 16, True), name)

    # what is behind a Quant

    def quantized(self, name: str, target: Target, label: str) -> str:
        """The feature of activation `name`, quantized. `label` names it."""
        node = self.writers.get(name)
        if node is None:
            if name not in self.features:  # what the model takes as integers can be any of its type
                limits = element_range(target.bits, target.signed) if name in self.graph.codes else (target.low, target.high)
                self.declare(name, name, replace(target, low=limits[0], high=limits[1]))
            source = self.features[name]
            return source.name if target_of(source) == target else self.rescaled(source, name, target, label)
        target = target.within(node.attributes.get("clip"))
        if node.op == "Clip":
            return self.quantized(node.inputs[0], target, label)
        if node.op in ("Conv", "Gemm"):
            return self.linear(node, target, label)
        if node.op == "Add" and adds_sums(self, node):
            return join(self, node, target, label)
        if node.op == "Add":
            return self.sum([self.held(each) for each in node.inputs], node.name, name, target, label)
        if node.op == "Mul":
            return self.product(node, target, label)
        if node.op in ("AveragePool", "GlobalAveragePool"):
            return self.mean(node, target, label)
        if node.op in ("MaxPool", "Concat") and not self.is_held(node):
            return self.moved(node, target, label)
        if node.op == "PRelu":
            return self.prelu(node, target, label)
        if node.op in SCALAR_OPERATORS and node.op != "Quant":
            return self.table(node, target, label)
        source = self.held(name)
        return source.name if target_of(source) == target else self.rescaled(source, name, target, label)

    def is_held(self, node: Node) -> bool:
        """Whether a maximum or join is of features that exist, and of one code."""
        try:
            codes = {target_of(self.held(name)) for name in node.inputs}
        except NetError:
            return False
        return len(codes) == 1

    def moved(self, node: Node, target: Target, label: str) -> str:
        """Quantize what a maximum or a join reads, then take it: the order of numbers stays."""
        sources = [self.features[self.quantized(name, target, f"{label}.{index}")] for index, name in enumerate(node.inputs)]
        made = self.declare(label, node.output, target)
        if node.op == "MaxPool":
            self.pool(node, sources[0], made)
        else:
            self.nodes.append(Concat(name=node.name, inputs=tuple(source.name for source in sources), output=made.name))
        return made.name

    def mac(self, name: str, terms: tuple[Term, ...], bias: np.ndarray, real: np.ndarray, reach: int, target: Target, label: str, like: str) -> str:
        """Sums times `real` (M,) -> the feature of `target`. `bias` belongs to the numbers; zero points are taken out of it here."""
        constant = bias.astype(object)
        for term in terms:
            constant = constant - self.features[term.input].zero_point * term.weight.reshape(len(term.weight), -1).sum(axis=1).astype(object)
        pre = max(0, int(reach).bit_length() - 31)
        pairs = [_pair(name, float(value) * 2.0**pre) for value in real]
        made = self.declare(label, like, target)
        least, most = element_range(48, True)
        if min(constant) < least or max(constant) > most or pre > 31:
            raise NetError(f"`{name}`: sums need more than 48 bits")
        self.nodes.append(Mac(name=name, terms=terms, bias=constant.astype(np.int64), multiplier=np.array([pair[0] for pair in pairs]),
                              shift=np.array([pair[1] for pair in pairs]), output=made.name, pre=pre))
        return made.name

    def factors(self, node: Node) -> tuple[Feature, Term, np.ndarray]:
        """What a Conv or Gemm reads, its integer term, and the scale of its sums (M,), float32."""
        source = self.held(node.inputs[0])
        kept = self.graph.quantized.get(node.inputs[1])
        float_term = term_of(self.graph, node)
        channels = len(float_term.weight)
        if kept is not None:
            whole = kept.values - kept.zero_point.reshape(-1, *[1] * (kept.values.ndim - 1) * kept.zero_point.ndim)
            weight, scales = whole.transpose(0, 2, 3, 1), np.broadcast_to(kept.scale, (channels,))
        elif float_term.weight.shape[1:] == (1, 1, 1):  # one factor a channel goes into the multiplier; its shift needs finer steps than the input's
            unit = SHIFT_STEPS if self.graph.initializers[node.inputs[2]].any() else 1
            weight, scales = np.where(float_term.weight < 0, -unit, unit), np.abs(float_term.weight.reshape(-1)) / np.float32(unit)
        else:
            raise NetError(f"weights of `{node.name}` are not quantized")
        bits, signed = container(int(weight.min()), int(weight.max()))
        term = replace(float_term, input=source.name, weight=np.ascontiguousarray(weight), weight_bits=bits, weight_signed=signed)
        return source, term, np.float32(source.scale) * scales.astype(np.float32)

    def bias(self, node: Node, scales: np.ndarray) -> np.ndarray:
        """The bias in units of the sums: as stored where it is stored so, else rounded."""
        numbers, kept = self.graph.initializers[node.inputs[2]].astype(np.float64), self.graph.quantized.get(node.inputs[2])
        if kept is not None and np.allclose(kept.scale, scales, rtol=1e-5, atol=0) and not kept.zero_point.any():
            return kept.values
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(scales > 0, np.rint(numbers / scales.astype(np.float64)), 0).astype(np.int64)

    def linear(self, node: Node, target: Target, label: str) -> str:
        source, term, scales = self.factors(node)
        if not scales.all():
            raise NetError(f"`{node.name}` has a factor of 0")
        bias = self.bias(node, scales)
        real = scales / np.float32(target.scale)
        return self.mac(node.name, (term,), bias, real, int(reach_of(term, source, bias).max()), target, label, node.output)

    def spread(self, source: Feature, weights: np.ndarray) -> Term:
        """Each channel times one integer (C,)."""
        bits, signed = container(int(weights.min()), int(weights.max()))
        return Term(input=source.name, weight=weights.reshape(-1, 1, 1, 1), weight_bits=bits, weight_signed=signed, groups=len(weights))

    def rescaled(self, source: Feature, name: str, target: Target, label: str) -> str:
        """The same numbers in another code."""
        channels = source.shape[2]
        real = np.full(channels, np.float32(source.scale) / np.float32(target.scale))
        return self.mac(f"{label}.code", (self.spread(source, np.ones(channels, np.int64)),), np.zeros(channels, np.int64), real, 1 << 17,
                        target, label, name)

    def sum(self, sources: list[Feature], title: str, like: str, target: Target, label: str) -> str:
        """a + b with integer weights whose ratio is that of the scales; more than two have weights of 15 bits."""
        channels = sources[0].shape[2]
        if len(sources) == 2:
            ratio = fraction(sources[0].scale / sources[1].scale)
            weights, unit = [ratio.numerator, ratio.denominator], sources[1].scale / ratio.denominator
        else:
            unit = max(source.scale for source in sources) / WEIGHT_LIMIT
            weights = [max(1, round(source.scale / unit)) for source in sources]
        terms = tuple(self.spread(source, np.full(channels, weight, np.int64)) for source, weight in zip(sources, weights, strict=True))
        reach = sum(weight * max(source.high - source.zero_point, source.zero_point - source.low)
                    for source, weight in zip(sources, weights, strict=True))
        return self.mac(title, terms, np.zeros(channels, np.int64), np.full(channels, unit / target.scale), reach, target, label, like)

    def mean(self, node: Node, target: Target, label: str) -> str:
        source, a = self.held(node.inputs[0]), node.attributes
        height, width, channels = source.shape
        kernel = cast("tuple[int, int]", a.get("kernel", (height, width)))
        if not a.get("count_include_pad", True):
            raise NetError(f"`{node.name}` divides by another number at the edge (count_include_pad is 0 and pads are {a['pads']})")
        term = replace(self.spread(source, np.ones(channels, np.int64)), weight=np.ones((channels, *kernel, 1), np.int64),
                       stride=cast("tuple[int, int]", a.get("stride", (1, 1))), pads=cast("tuple[int, int, int, int]", a.get("pads", (0, 0, 0, 0))))
        bias = np.zeros(channels, np.int64)
        real = np.full(channels, float(np.float32(source.scale)) / (kernel[0] * kernel[1] * float(np.float32(target.scale))))
        return self.mac(node.name, (term,), bias, real, int(reach_of(term, source, bias).max()), target, label, node.output)

    def product(self, node: Node, target: Target, label: str) -> str:
        a, b = (self.held(name) for name in node.inputs)
        multiplier, shift = _pair(node.name, a.scale * b.scale / target.scale)
        made = self.declare(label, node.output, target)
        self.nodes.append(Product(name=node.name, inputs=(a.name, b.name), output=made.name, multiplier=multiplier, shift=shift))
        return made.name

    def table(self, node: Node, target: Target, label: str) -> str:
        source = self.held(node.inputs[0])
        if source.bits > TABLE_BITS:
            raise NetError(f"`{node.name}` ({node.op}) reads {source.bits} bits, must read at most {TABLE_BITS}: it becomes a table")
        codes = np.arange(source.low, source.high + 1)
        values = scalar_function(node, (codes - source.zero_point).astype(np.float32) * np.float32(source.scale))
        made = self.declare(label, node.output, target)
        steps = np.rint(values / np.float32(target.scale)) + target.zero_point
        table = np.clip(steps, target.low, target.high).astype(np.int64)
        self.nodes.append(Lookup(name=node.name, input=source.name, output=made.name, table=table))
        return made.name

    def prelu(self, node: Node, target: Target, label: str) -> str:
        """max(x, 0) + slope * min(x, 0): both halves as features, then a sum with a fraction for each channel."""
        source, slope = self.held(node.inputs[0]), self.graph.initializers[node.inputs[1]].astype(np.float64)
        channels, zero = source.shape[2], source.zero_point
        parts = []
        for sign, most in ((1, source.high - zero), (-1, zero - source.low)):
            bits, signed = container(0, max(1, most))
            half = Target(source.scale, 0, 0, max(1, most), bits, signed)
            parts.append(self.features[self.mac(f"{node.name}.{'above' if sign > 0 else 'below'}",
                                                (self.spread(source, np.full(channels, sign)),), np.zeros(channels, np.int64), np.ones(channels),
                                                1 << 17, half, f"{label}.{'above' if sign > 0 else 'below'}", node.output)])
        ratios = [Fraction(float(value)).limit_denominator(4096) for value in slope]
        if any(abs(ratio.numerator) > WEIGHT_LIMIT for ratio in ratios):
            raise NetError(f"`{node.name}` has slopes up to {np.abs(slope).max()}, must be below 8")
        weights = [np.array([ratio.denominator for ratio in ratios]), np.array([-ratio.numerator for ratio in ratios])]
        terms = tuple(self.spread(part, weight) for part, weight in zip(parts, weights, strict=True))
        real = np.float32(source.scale) / np.float32(target.scale) / weights[0].astype(np.float64)
        reach = max(int(np.abs(weight).max()) * part.high for part, weight in zip(parts, weights, strict=True))  # one half of the two is 0
        return self.mac(node.name, terms, np.zeros(channels, np.int64), real, reach, target, label, node.output)


def _pair(name: str, real: float) -> tuple[int, int]:
    """Multiplier and shift. NetError if they cannot express the ratio of scales."""
    try:
        return quantize_multiplier(real)
    except NumericsError as error:
        raise NetError(f"`{name}` scales its sums by {real}: {error}") from None
