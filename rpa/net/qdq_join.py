"""Additions of a quantized model that take place in the accumulator: an operand is the sums of a layer, not rounded before it is added."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from rpa.net.errors import NetError
from rpa.net.graph import Node
from rpa.net.integer import Feature, Term
from rpa.net.qdq_codes import Target, container

if TYPE_CHECKING:
    from rpa.net.qdq import _Maker

LAYERS = ("Conv", "Gemm")
TOLERANCE = 1e-5
"""Of a ratio of scales that counts as whole: scales are float32, a ratio comes from four of them."""


@dataclass(frozen=True, eq=False)
class Operand:
    """Integers that are added: weight * source + bias, in units of ``scales`` (M,)."""

    source: Feature
    term: Term
    bias: np.ndarray
    scales: np.ndarray


def adds_sums(maker: _Maker, node: Node) -> bool:
    """Whether an operand of an addition is a layer's result that no `Quant` rounded."""
    return any(name not in maker.made and _is_layer(maker, name) for name in node.inputs)


def join(maker: _Maker, node: Node, target: Target, label: str) -> str:
    """Add layers' sums and features in one accumulator; return the feature of ``target``.

    Its unit is, channel by channel, the finest of the operands' scales. Raises NetError unless the others are whole multiples of it, so that nothing
    is rounded before the end.
    """
    operands = [_operand(maker, name) for name in node.inputs]
    unit = np.minimum.reduce([operand.scales for operand in operands])
    if not unit.all():
        raise NetError(f"`{node.name}` adds sums with a factor of 0")
    terms, bias, reach = [], np.zeros(len(unit), object), np.zeros(len(unit), object)
    for operand in operands:
        ratio = _whole(operand.scales / unit, node)
        terms.append(_times(operand.term, ratio))
        bias = bias + operand.bias.astype(object) * ratio
        most = max(operand.source.high - operand.source.zero_point, operand.source.zero_point - operand.source.low)
        reach = reach + np.abs(terms[-1].weight.reshape(len(unit), -1)).sum(axis=1).astype(object) * most
    return maker.mac(node.name, tuple(terms), bias, unit / np.float32(target.scale), int(max(reach + np.abs(bias))), target, label, node.output)


def _is_layer(maker: _Maker, name: str) -> bool:
    node = maker.writers.get(name)
    return node is not None and node.op in LAYERS


def _operand(maker: _Maker, name: str) -> Operand:
    if name not in maker.made and _is_layer(maker, name):
        source, term, scales = maker.factors(maker.writers[name])
        return Operand(source, term, maker.bias(maker.writers[name], scales), scales.astype(np.float64))
    source = maker.held(name)
    channels = source.shape[2]
    ones = np.ones(channels, np.int64)
    return Operand(source, maker.spread(source, ones), 0 * ones, np.float64(source.scale) * ones)


def _whole(ratio: np.ndarray, node: Node) -> np.ndarray:
    whole = np.rint(ratio)
    worst = int(np.argmax(np.abs(ratio - whole) / ratio))
    if abs(ratio[worst] - whole[worst]) > TOLERANCE * ratio[worst]:
        raise NetError(f"`{node.name}` adds sums that are not rounded and whose scales are {ratio[worst]:.6g} apart in channel {worst}, "
                       "must be a whole number (or quantize both operands)")
    return whole.astype(np.int64)


def _times(term: Term, ratio: np.ndarray) -> Term:
    """A term whose channels count ``ratio`` times."""
    weight = term.weight.astype(np.int64) * ratio.reshape(-1, 1, 1, 1)
    bits, signed = container(int(weight.min()), int(weight.max()))
    return replace(term, weight=weight, weight_bits=bits, weight_signed=signed)
