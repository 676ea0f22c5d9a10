"""The format of every stored activation: width from those that read it, scale from what calibration saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rpa.net.graph import Graph
from rpa.quant.blocks import Block, MacBlock
from rpa.quant.fuse import LOOKUPS
from rpa.quant.options import Options
from rpa.quant.scales import Format, format_of_range
from rpa.quant.statistics import Observed
from rpa.quant.thresholds import fit
from rpa.quant.wide_tables import wide_form
from rpa.quant.widths import WidthTable

LOOKUP_BITS = 8
"""What a table reads unless the table of widths names it; the most that it can read, and give."""
HEADROOM = 1.5
"""At 16 bits clipping costs more than resolution: ranges are this much wider than what was seen."""


def asked_bits(block: Block, index: int, table: WidthTable) -> int | None:
    """Bits at which a block reads its input number `index`; None if it takes whatever comes."""
    if isinstance(block, MacBlock):
        return None if block.keeps_format else table[block.parts[index].node].act_bits
    if block.node.op in LOOKUPS:
        return min(LOOKUP_BITS, table[block.name].act_bits) if block.name in table.layers else LOOKUP_BITS
    return None if block.keeps_format else table[block.name].act_bits


def assign_formats(graph: Graph, blocks: Sequence[Block], observed: Mapping[str, Observed], shared: Mapping[str, str], table: WidthTable,
                   options: Options) -> dict[str, Format]:
    """A format for each activation that the blocks read or write, before the limits of its producer."""
    shared = {**{name: name for name in graph.inputs}, **shared}
    bits: dict[str, int] = {}
    factors: set[str] = set()
    for block in blocks:
        for index, name in enumerate(block.inputs):
            asked = asked_bits(block, index, table)
            if asked is not None:
                bits[shared[name]] = max(bits.get(shared[name], 0), asked)
        if not isinstance(block, MacBlock) and block.node.op == "Mul":
            factors.update(shared[name] for name in block.inputs)
    for name in graph.outputs:
        bits[shared[name]] = max(bits.get(shared[name], 0), table.output_bits)
    for group in limited_by_tables(blocks, shared):
        bits[group] = min(bits.get(group, LOOKUP_BITS), LOOKUP_BITS)
    inputs = {shared[name] for name in graph.inputs}
    formats: dict[str, Format] = {}
    for name, group in shared.items():
        if group not in formats and name in observed:
            width = bits.get(group, table.default.act_bits)
            formats[group] = activation_format(observed[name], width, options, product=group in factors, image=group in inputs)
    return {name: formats[group] for name, group in shared.items()}


def limited_by_tables(blocks: Sequence[Block], shared: Mapping[str, str]) -> set[str]:
    """Groups of activations of at most `LOOKUP_BITS`: results of functions that only a table can compute, and of products with them.

    Factors of a product lie in equal containers, so the other factor is limited too.
    """
    nodes = [block.node for block in blocks if not isinstance(block, MacBlock)]
    limited = {shared[node.output] for node in nodes if node.op in LOOKUPS and not wide_form(node, 1)}
    products = [{shared[name] for name in (*node.inputs, node.output)} for node in nodes if node.op == "Mul"]
    while touched := [groups for groups in products if groups & limited and not groups <= limited]:
        limited.update(*touched)
    return limited


def activation_format(seen: Observed, bits: int, options: Options, *, product: bool = False, image: bool = False) -> Format:
    """The format of one activation.

    product: read by a multiplication, whose result must fit 32 bits. image: an input of the network, whose extremes (black, white) are as
    real as the rest: nothing is clipped at 8 bits, and below by least error, whatever the method.
    """
    key = (bits, options, product, image)
    if key not in seen.formats:
        seen.formats[key] = _fit(seen, bits, options, product, image)
    return seen.formats[key]


def _fit(seen: Observed, bits: int, options: Options, product: bool, image: bool) -> Format:
    histogram = seen.histogram
    if bits == 16:
        kind = "symmetric" if product or (histogram.low < 0 and not options.asymmetric) else "unsigned" if histogram.low >= 0 else "asymmetric"
        return format_of_range(histogram.low * HEADROOM, histogram.high * HEADROOM, bits, kind, power_of_two=options.power_of_two)
    method = ("minmax" if bits >= 8 else "mse") if image else options.method
    return fit(histogram, bits, method=method, asymmetric=options.asymmetric, power_of_two=options.power_of_two, percentile=options.percentile)
