"""A block of real numbers -> a `Mac` of integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from rpa.arch.numerics import GEMMLOWP_SHIFT_MIN, element_range, quantize_multiplier
from rpa.net.integer import Mac, Term
from rpa.quant.accumulator import AccumulatorScale, Summand, choose_scale
from rpa.quant.blocks import MacBlock, Part
from rpa.quant.errors import QuantError
from rpa.quant.options import Options
from rpa.quant.scales import Format, container_of
from rpa.quant.statistics import Observed
from rpa.quant.weights import generator_of, to_integers, weight_container
from rpa.quant.widths import WidthTable


@dataclass(frozen=True, kw_only=True, eq=False)
class Built:
    """A `Mac` and how its integers stand for numbers."""

    mac: Mac
    scale: np.ndarray = field(repr=False)
    """Of the accumulator, float64 (M,): real = scale * (accumulator + bias)."""
    noise: float
    """Expected mean square error of the result from rounded weights, over all channels."""
    bound: int
    """The largest magnitude that an accumulator with its bias can have."""
    lane_bits: int
    """Bits of a lane in which every sum fits, if it is computed lane by lane (depthwise); 0 otherwise."""


def summands_of(block: MacBlock, formats: Mapping[str, Format], observed: Mapping[str, Observed], table: WidthTable,
                options: Options) -> list[Summand]:
    """The parts of a block with the scales and moments of their inputs."""
    return [Summand(part=part, scale=formats[part.input].scale, mean_square=observed[part.input].mean_square,
                    bits=table[part.node].weight_bits, asymmetric=options.asymmetric_at(table[part.node].weight_bits)) for part in block.parts]


def scale_of(block: MacBlock, output_step: float, formats: Mapping[str, Format], observed: Mapping[str, Observed], table: WidthTable,
             options: Options) -> AccumulatorScale:
    """The accumulator's scale of a block."""
    return choose_scale(summands_of(block, formats, observed, table, options), block.bias, output_step, per_channel=options.per_channel,
                        power_of_two=options.power_of_two)


def build_mac(block: MacBlock, formats: Mapping[str, Format], observed: Mapping[str, Observed], table: WidthTable, options: Options,
              factors: Mapping[tuple[str, str], np.ndarray] | None = None) -> Built:
    """Quantize a block. QuantError, with the layer and the figure, if an accumulator could overflow."""
    output = formats[block.output]
    chosen = scale_of(block, output.scale, formats, observed, table, options)
    generator = generator_of(options.seed, block.name)
    terms = tuple(_term(part, formats[part.input], chosen.scale, table[part.node].weight_bits, options, generator,
                        (factors or {}).get((part.node, part.input))) for part in block.parts)
    correction = np.zeros(len(block.bias))
    if options.bias_correction:
        for part, term in zip(block.parts, terms, strict=True):
            correction += _mean_error(part, term, chosen.scale / formats[part.input].scale, observed[part.input].mean)
    bias = np.rint((block.bias - correction) / chosen.scale).astype(np.int64)
    for term in terms:
        bias -= formats[term.input].zero_point * term.weight.reshape(len(bias), -1).sum(axis=1)
    low, high = _interval(terms, formats)
    bound = int(max(np.abs(low + bias).max(), np.abs(high + bias).max()))
    _check_bound(block.name, terms, max(bound, int(np.abs(low).max()), int(np.abs(high).max())), bias, options.acc_bits)
    pre = max(0, bound.bit_length() - 31)
    entries = [quantize_multiplier(float(factor)) for factor in chosen.scale / output.scale * 2.0**pre]
    multiplier, shift = (np.array(column, np.int64) for column in zip(*entries, strict=True))
    if options.rounding == "gemmlowp" and shift.min() < GEMMLOWP_SHIFT_MIN:
        raise QuantError(f"`{block.name}`: rounding gemmlowp takes only factors below 1, this layer has "
                         f"{float(max(chosen.scale / output.scale)):.3g}; use another rounding")
    depthwise = all(part.depthwise for part in block.parts)
    mac = Mac(name=block.name, terms=terms, bias=bias, multiplier=multiplier, shift=shift, output=block.output, pre=pre, rounding=options.rounding)
    return Built(mac=mac, scale=chosen.scale, noise=float(chosen.noise.mean()), bound=bound, lane_bits=bound.bit_length() + 1 if depthwise else 0)


def _term(part: Part, source: Format, scale: np.ndarray, bits: int, options: Options, generator: np.random.Generator,
          factors: np.ndarray | None) -> Term:
    """The integers of a part for accumulator scales (M,)."""
    if part.exact:
        alpha = np.maximum(np.rint(part.factor * source.scale / scale), 1).astype(np.int64)
        weight = alpha[:, None, None, None] * part.weight.astype(np.int64)
        return _make_term(part, weight)
    weight = to_integers(part.weight, scale / source.scale, bits, asymmetric=options.asymmetric_at(bits), rounding=options.weight_rounding,
                         generator=generator, factors=factors)
    return _make_term(part, weight, container_of(bits))


def _make_term(part: Part, weight: np.ndarray, at_least: int = 2) -> Term:
    container, signed = weight_container(weight, at_least)
    return Term(input=part.input, weight=weight, weight_bits=container, weight_signed=signed, stride=part.stride, pads=part.pads,
                dilation=part.dilation, groups=part.groups)


def _mean_error(part: Part, term: Term, step: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """What rounded weights add to the mean of each output channel, (M,), away from the image's border."""
    error = term.weight.sum(axis=(1, 2)) * step[:, None] - part.weight.sum(axis=(1, 2), dtype=np.float64) * (part.factor or 1.0)
    m, c = error.shape
    group = np.arange(m) // (m // part.groups)
    return (error * mean[group[:, None] * c + np.arange(c)]).sum(axis=1)


def _interval(terms: tuple[Term, ...], formats: Mapping[str, Format]) -> tuple[np.ndarray, np.ndarray]:
    """The least and the largest sum of the terms in each channel, (M,) each."""
    low = high = np.zeros(len(terms[0].weight), np.int64)
    for term in terms:
        rows, source = term.weight.reshape(len(term.weight), -1), formats[term.input]
        total, magnitude = rows.sum(axis=1), np.abs(rows).sum(axis=1)
        up, down = (total + magnitude) // 2, (total - magnitude) // 2
        low = low + up * source.low + down * source.high
        high = high + up * source.high + down * source.low
    return low, high


def _check_bound(name: str, terms: tuple[Term, ...], bound: int, bias: np.ndarray, acc_bits: int) -> None:
    most = element_range(acc_bits, True)[1]
    if bound > most or np.abs(bias).max() > element_range(48, True)[1]:
        products = sum(term.weight[0].size for term in terms)
        raise QuantError(f"`{name}`: an accumulator of {products} products can reach {bound}, must stay within {acc_bits} bits ({most}); "
                         "use fewer bits for its activations or weights")
